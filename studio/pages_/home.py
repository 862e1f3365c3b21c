"""The address without a page: leads to the flows."""

import streamlit as st

st.switch_page("pages_/flows.py")
