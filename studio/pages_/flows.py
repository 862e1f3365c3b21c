"""Flows: which exist, are they healthy, what does a run cost."""

from datetime import UTC, datetime

import streamlit as st

from studio.api_shapes import FlowSummary
from studio.components.data_table.data_table import data_table
from studio.formatting import UNKNOWN, percent, relative_time
from studio.page_frame import empty_state, page_title
from studio.rows import FLOW_COLUMNS, flow_row
from studio.session import api, api_errors

MAX_PAGES = 10


def load_flows() -> list[FlowSummary]:
    """All flows of the organisation, up to ten pages."""
    flows: list[FlowSummary] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = api().flows(cursor)
        flows.extend(page.items)
        cursor = page.next_cursor
        if cursor is None:
            break
    return flows


def figures(flows: list[FlowSummary], now: datetime) -> None:
    """Four numbers about all flows together."""
    ended = [run for flow in flows for run in flow.last_runs if run.status in {"succeeded", "failed", "partial"}]
    good = sum(1 for run in ended if run.status != "failed")
    upcoming = min((flow.next_run_at for flow in flows if flow.next_run_at), default=None)
    recent = [flow.runs_24h for flow in flows if flow.runs_24h is not None]
    columns = st.columns(4)
    columns[0].metric("Flows", len(flows), border=True)
    columns[1].metric("Runs in 24 h", sum(recent) if recent else UNKNOWN, border=True)
    columns[2].metric("Success of recent runs", percent(good / len(ended) if ended else None), border=True)
    columns[3].metric("Next scheduled run", relative_time(upcoming, now), border=True)


def render() -> None:
    """The page."""
    page_title("Flows")
    now = datetime.now(UTC)
    with api_errors("flows"):
        flows = load_flows()
        if not flows:
            empty_state("No flows yet. Publish one with `modelbridge publish FLOW.yaml`.", icon="account_tree")
            return
        figures(flows, now)
        opened = data_table("Flows", FLOW_COLUMNS, [flow_row(flow, now) for flow in flows], key="flows_table")
        if opened:
            st.switch_page("pages_/flow.py", query_params={"flow": opened})


render()
