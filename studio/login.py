"""The sign-in form. A password becomes a one-time code here, and a cookie in the studio's server."""

from pathlib import Path

import streamlit as st

from studio.api_client import ApiError
from studio.components.session_cookie.session_cookie import session_cookie
from studio.page_frame import scheme
from studio.session import api, was_rejected

ASSETS = Path(__file__).with_name("assets")


def login_page() -> None:
    """Ask who it is. The address stays, so that a deep link opens after the sign-in."""
    _, middle, _ = st.columns([1, 1.1, 1])
    with middle:
        st.space("xlarge")
        st.image(ASSETS / f"logo_{scheme()}.svg", width=196, alt="Model Bridge")
        st.title("Sign in", anchor=False)
        st.markdown(":gray[Flows, runs and what they cost, on one platform.]")
        if was_rejected():
            st.info("Your session has ended. Sign in again to go on where you were.", icon=":material/schedule:")
        _form()
        _finish()


def _form() -> None:
    with st.form("login", border=True):
        email = st.text_input("E-mail", type="email", autocomplete="username", key="login_email")
        password = st.text_input("Password", type="password", autocomplete="current-password", key="login_password")
        submitted = st.form_submit_button("Sign in", type="primary", width="stretch", key="login_submit")
    if not submitted:
        return
    st.session_state.pop("session_code", None)
    if not email or not password:
        st.error("Enter your e-mail address and password.", icon=":material/error:")
        return
    try:
        st.session_state["session_code"] = api().session_code(email, password)
    except ApiError as error:
        wrong = error.status in {401, 422}
        st.error("E-mail or password is wrong." if wrong else str(error), icon=":material/error:")


def _finish() -> None:
    code = st.session_state.get("session_code")
    if not isinstance(code, str):
        return
    refused = session_cookie("start", code=code)
    if refused:
        st.session_state.pop("session_code", None)
        st.error(refused, icon=":material/error:")
