"""The drawer that starts a run: inputs from the flow's schema, then straight to the run's page."""

import hashlib
import json
from collections.abc import Mapping
from uuid import uuid4

import streamlit as st
from pydantic import JsonValue

from studio.api_client import ApiError
from studio.api_shapes import FlowDetail
from studio.formatting import plain
from studio.input_form import UnreadableInputError, draw_inputs, properties, read_inputs
from studio.session import api


def open_run_drawer(flow: FlowDetail, *, given: Mapping[str, JsonValue] | None = None) -> None:
    """Ask for inputs and start `flow` at its version. `given` fills the form, as for a rerun."""
    st.session_state["run_nonce"] = st.session_state.get("run_nonce") or uuid4().hex

    @st.dialog(f"Run {plain(flow.name)}", position="right", icon=":material/play_arrow:")
    def drawer() -> None:
        if flow.description:
            st.markdown(f":gray[{plain(flow.description)}]")
        with st.form("run_form", border=False):
            raw = draw_inputs(flow.inputs_schema, key=f"input_{flow.name}_{flow.version}", given=given)
            if not properties(flow.inputs_schema):
                st.markdown(":gray[This flow takes no inputs.]")
            submitted = st.form_submit_button(
                f"Run version {flow.version}", type="primary", icon=":material/play_arrow:", width="stretch"
            )
        if submitted:
            _start(flow, raw)

    drawer()


def _start(flow: FlowDetail, raw: Mapping[str, object]) -> None:
    try:
        inputs = read_inputs(flow.inputs_schema, raw)
        key = _idempotency_key(flow, inputs)
        started = api().start_run(flow.name, inputs, version=flow.version, idempotency_key=key)
    except UnreadableInputError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    except ApiError as error:
        problems = "".join(f"\n- {plain(_field(item.pointer))}: {plain(item.message)}" for item in error.problems)
        st.error(f"{plain(str(error))}{problems}", icon=":material/error:")
        return
    st.session_state.pop("run_nonce", None)
    st.switch_page("pages_/run.py", query_params={"run": started.run_id})


def _field(pointer: str) -> str:
    return pointer.removeprefix("/inputs").strip("/") or "inputs"


def _idempotency_key(flow: FlowDetail, inputs: Mapping[str, JsonValue]) -> str:
    """The same for a second click on the same form, another one once anything was changed."""
    written = json.dumps([flow.name, flow.version, dict(inputs)], sort_keys=True)
    digest = hashlib.sha256(written.encode()).hexdigest()[:24]
    return f"studio-{st.session_state['run_nonce']}-{digest}"
