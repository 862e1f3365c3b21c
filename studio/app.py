"""The studio's entry script: navigation, who is signed in, then the page."""

from pathlib import Path

import streamlit as st

from studio.components.session_cookie.session_cookie import session_cookie
from studio.formatting import plain
from studio.login import login_page
from studio.page_frame import scheme
from studio.session import api_errors, current_token, person

ASSETS = Path(__file__).with_name("assets")


def _dress() -> None:
    """The wordmark and the few rules that the theme configuration cannot express."""
    st.logo(str(ASSETS / f"logo_{scheme()}.svg"), size="large", icon_image=str(ASSETS / "icon.svg"))
    st.html(ASSETS / "shell.css")
    st.html(ASSETS / f"shell_{scheme()}.css")


def _person_panel() -> None:
    """Who is signed in and the way out, at the foot of the sidebar."""
    with st.sidebar.container(key="person"):
        me = person()
        user, organization = me.get("user"), me.get("organization")
        facts = user if isinstance(user, dict) else me
        name = str(facts.get("name") or facts.get("email") or "Signed in")
        st.markdown(f"**{plain(name)}**")
        if isinstance(organization, dict) and organization.get("name"):
            st.caption(plain(str(organization["name"])))
        if st.button("Sign out", key="sign_out", icon=":material/logout:", type="tertiary"):
            st.session_state["is_signing_out"] = True
        if st.session_state.get("is_signing_out"):
            session_cookie("end")


def main() -> None:
    """Draw the shell. All pages are registered even when signed out: a deep link must stay a known address."""
    st.set_page_config(page_title="Model Bridge", page_icon=str(ASSETS / "icon.svg"), layout="wide")
    pages = {
        "": [st.Page("pages_/home.py", title="Home", default=True, visibility="hidden")],
        "Build": [
            st.Page("pages_/flows.py", title="Flows", icon=":material/account_tree:", url_path="flows"),
            st.Page("pages_/flow.py", title="Flow", url_path="flow", visibility="hidden"),
        ],
        "Operate": [
            st.Page("pages_/runs.py", title="Runs", icon=":material/play_circle:", url_path="runs"),
            st.Page("pages_/run.py", title="Run", url_path="run", visibility="hidden"),
        ],
    }
    is_signed_in = current_token() is not None
    page = st.navigation(pages, position="sidebar" if is_signed_in else "hidden")
    _dress()
    if not is_signed_in:
        login_page()
        return
    with api_errors("person"):
        _person_panel()
    page.run()


main()
