"""Who is signed in to this browser session, and the API on their behalf."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

import httpx
import streamlit as st
from pydantic import JsonValue

from studio.api_client import ApiError, SignedOutError, StudioApi, open_http
from studio.session_routes import cookie_name, split_cookie

TOKEN = "token"  # noqa: S105  # the name of a session key
"""Session key that goes before the cookie; empty once the platform no longer takes what the cookie carries."""


def current_token() -> str | None:
    """The session token of this browser, if it has one that was not rejected."""
    token = st.session_state.get(TOKEN)
    if not isinstance(token, str):
        secure = bool(st.secrets.get("secure_cookies", False))
        token = split_cookie(st.context.cookies.get(cookie_name(secure=secure), ""))[1]
    return token or None


def was_rejected() -> bool:
    """Whether a session ended while this page was open."""
    return bool(st.session_state.get("has_session_ended", False))


def api() -> StudioApi:
    """The platform on behalf of whoever is signed in."""
    return StudioApi(_shared_http(str(st.secrets["api_url"])), current_token())


def person() -> dict[str, JsonValue]:
    """Who is signed in, asked once a browser session."""
    if "me" not in st.session_state:
        st.session_state["me"] = api().me()
    return cast("dict[str, JsonValue]", st.session_state["me"])


@contextmanager
def api_errors(key: str) -> Generator[None]:
    """Show what the API refused as one sentence with a retry; an ended session leads to the sign-in form."""
    try:
        yield
    except SignedOutError:
        st.session_state.update({TOKEN: "", "has_session_ended": True})
        st.session_state.pop("me", None)
        st.rerun()
    except ApiError as error:
        show_error(error, key=key)


def show_error(error: ApiError, *, key: str) -> None:
    """One message, what is wrong with each field, and a button to try again."""
    with st.container(border=True, key=f"error_{key}"):
        st.markdown(":red[:material/error:] **That did not work**")
        st.text(str(error))
        for problem in error.problems:
            st.text(f"{problem.pointer.lstrip('/') or 'inputs'}: {problem.message}")
        st.button("Try again", key=f"retry_{key}", icon=":material/refresh:")


@st.cache_resource
def _shared_http(api_url: str) -> httpx.Client:
    return open_http(api_url)
