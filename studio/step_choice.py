"""Which step of a run is open: held by the session, written into the address so that it can be shared.

A page that refreshes itself sends the address its browser knew when the timer fired, which may be the one from
before the last click. So a refresh never reads the choice from the address; a new visit and Back or Forward do.
"""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

PARAMETER = "node"


def _key(run_id: str) -> str:
    return f"chosen_step_{run_id}"


def take_from_address(run_id: str, *, is_new_visit: bool) -> None:
    """Read the choice from the address where the address is what the person asked for."""
    context = get_script_run_ctx()
    is_history = context is not None and context.is_history_navigation
    if is_new_visit or is_history:
        st.session_state[_key(run_id)] = st.query_params.get(PARAMETER)


def choose_step(run_id: str, node: str | None) -> None:
    """Open `node`, None for no step, and put it into the address."""
    st.session_state[_key(run_id)] = st.query_params[PARAMETER] = node or ""


def chosen_name(run_id: str) -> str | None:
    """What was chosen: a step, "" for none on purpose, None where nobody chose."""
    name: str | None = st.session_state.get(_key(run_id))
    return name
