"""One flow: its graph, how it ran lately, its definition, and the button that runs it."""

from datetime import UTC, datetime

import streamlit as st

from studio.api_shapes import FlowDetail
from studio.components.dag_view.dag_view import dag_view
from studio.components.data_table.data_table import Column, Row, data_table
from studio.formatting import exact_time, plain, relative_time
from studio.page_frame import empty_state, page_title
from studio.rows import FLOW_RUN_COLUMNS, run_rows, text
from studio.run_form import open_run_drawer
from studio.session import api, api_errors

VERSION_COLUMNS = (Column("version", "Version"), Column("status", "Status"), Column("created", "Stored", align="right"))


def header(flow: FlowDetail) -> bool:
    """Title row. Answers whether Run was pressed."""
    with st.container(horizontal=True, key="crumbs"):
        st.page_link("pages_/flows.py", label="Flows", width="content")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(plain(flow.name), anchor=False, width="content")
        published = flow.status == "published"
        st.badge(f"v{flow.version} {plain(flow.status)}", color="green" if published else "gray")
        st.space("stretch")
        if not published and st.button("Publish", key="publish_flow", icon=":material/publish:"):
            api().publish(flow.name, flow.version)
            st.rerun()
        pressed = st.button("Run", key="run_flow", type="primary", icon=":material/play_arrow:")
    if flow.description:
        st.markdown(f":gray[{plain(flow.description)}]")
    return pressed


def version_rows(flow: FlowDetail, now: datetime) -> list[Row]:
    """Stored versions, newest first."""
    return [
        {
            "id": str(entry.version),
            "href": f"/flow?flow={flow.name}&version={entry.version}",
            "tone": "chosen" if entry.version == flow.version else "",
            "cells": {
                "version": text(f"v{entry.version}"),
                "status": text(entry.status),
                "created": text(relative_time(entry.created_at, now), title=exact_time(entry.created_at)),
            },
        }
        for entry in sorted(flow.versions, key=lambda entry: -entry.version)
    ]


def recent_runs(flow: FlowDetail, now: datetime) -> None:
    """The newest runs of this flow, all versions."""
    runs = api().runs(flow=flow.name, limit=20).items
    if not runs:
        st.markdown(":gray[No runs yet.]")
        return
    opened = data_table("Recent runs", FLOW_RUN_COLUMNS, run_rows(runs, now, with_flow=False), key="flow_runs")
    if opened:
        st.switch_page("pages_/run.py", query_params={"run": opened})


def problems(flow: FlowDetail) -> None:
    """Findings of the validator, with their place."""
    for finding in flow.diagnostics:
        place = f"{finding.line}:{finding.column}  " if finding.line else ""
        hint = f"  ({finding.suggestion})" if finding.suggestion else ""
        st.text(f"{finding.severity}  {place}{finding.message}{hint}")


def details(flow: FlowDetail, now: datetime) -> None:
    """Everything below the graph."""
    names = ["Recent runs", "Definition", f"Versions ({len(flow.versions)})"]
    if flow.diagnostics:
        names.append(f"Problems ({len(flow.diagnostics)})")
    tabs = st.tabs(names)
    with tabs[0], api_errors("flow_runs"):
        recent_runs(flow, now)
    with tabs[1]:
        st.code(flow.yaml, language="yaml", line_numbers=True, height=420)
    with tabs[2]:
        opened = data_table("Versions", VERSION_COLUMNS, version_rows(flow, now), key="flow_versions")
        if opened:
            st.switch_page("pages_/flow.py", query_params={"flow": flow.name, "version": opened})
    if flow.diagnostics:
        with tabs[3]:
            problems(flow)


def render() -> None:
    """The page."""
    name = st.query_params.get("flow")
    if not name:
        page_title("Flow")
        empty_state("This address names no flow. Choose one from the list of flows.", icon="account_tree")
        return
    version = st.query_params.get("version", "")
    with api_errors("flow"):
        flow = api().flow(name, int(version) if version.isdigit() else None)
        pressed = header(flow)
        dag_view(flow.graph, None, key=f"plan_{flow.name}_{flow.version}", selected=None, label=f"Steps of {flow.name}")
        details(flow, datetime.now(UTC))
        if pressed:
            open_run_drawer(flow)


render()
