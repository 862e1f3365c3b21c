"""What one step did: output, input, error, and why its model was chosen. Linked to the graph by the URL."""

from urllib.parse import urlencode

import streamlit as st
from pydantic import JsonValue

from studio.api_shapes import AttemptView, CallView, ErrorView, RunDetail, StepView
from studio.components.data_table.data_table import Column, Row, data_table
from studio.formatting import UNKNOWN, duration, money, plain, tokens
from studio.node_kinds import icon
from studio.page_frame import status_badge
from studio.rows import CANDIDATE_COLUMNS, candidate_row, status_cell, text
from studio.run_graph import item_paths, step_id
from studio.session import api, api_errors
from studio.step_choice import choose_step

MAX_ITEMS = 200
MAX_FIELDS = 12
"""A map with more keys is shown as one tree."""
ITEM_COLUMNS = (
    Column("step", "Step", align="wide"),
    Column("status", "Status"),
    Column("time", "Time", align="right"),
    Column("cost", "Cost", align="right"),
)
ATTEMPT_COLUMNS = (
    Column("deployment", "Attempt", align="wide"),
    Column("outcome", "Outcome"),
    Column("time", "Time", align="right"),
    Column("cost", "Cost", align="right"),
)


def run_panel(run: RunDetail) -> None:
    """Inputs and outputs of the whole run, when no step is chosen."""
    st.subheader("Run", anchor=False)
    names = ["Outputs", "Inputs"] + (["Errors"] if run.errors else [])
    tabs = st.tabs(names, default="Errors" if run.errors else "Outputs", key=f"run_tabs_{run.run_id}")
    with tabs[0]:
        value(run.outputs, when_absent="No outputs yet." if run.finished_at is None else "This run has no outputs.")
    with tabs[1]:
        value(run.inputs, when_absent="This run had no inputs.")
    if run.errors:
        with tabs[2]:
            for error in run.errors:
                error_card(error)


def step_panel(run: RunDetail, path: str) -> None:
    """Everything about the step at `path`."""
    step = run.steps.get(path) or StepView(status="pending")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(f":material/{icon(_type(run, path))}: {plain(path)}", anchor=False, width="content")
        status_badge(step.status)
    calls = _calls(step)
    st.markdown(f":gray[{_facts(run, path, step, calls)}]")
    items = item_paths(path, run.steps)
    failures = [error for error in (step.error, *step.errors) if error is not None]
    names = ["Output", "Input"]
    names += [
        name for name, there in (("Error", failures), (f"Items ({len(items)})", items), ("Routing", calls)) if there
    ]
    tabs = dict(
        zip(names, st.tabs(names, default="Error" if step.error else "Output", key=f"tabs_{path}"), strict=True)
    )
    with tabs["Output"]:
        value(step.output, when_absent=_no_output(step))
    with tabs["Input"]:
        _inputs(run, path, step)
    if failures:
        with tabs["Error"]:
            for failure in failures:
                error_card(failure)
    if items:
        with tabs[f"Items ({len(items)})"]:
            _items(run, items, key=path)
    if calls:
        with tabs["Routing"]:
            _routing(calls, key=path)


def value(content: JsonValue, *, when_absent: str) -> None:
    """Fields with their names, nested JSON as a tree; nothing of it is read as markup."""
    if content is None or content == {}:
        st.markdown(f":gray[{when_absent}]")
    elif isinstance(content, dict) and len(content) <= MAX_FIELDS:
        for name, item in content.items():
            with st.container(gap="xxsmall"):
                st.markdown(f":gray[{plain(name)}]")
                _field(item)
    else:
        _field(content)


def _field(item: JsonValue) -> None:
    if isinstance(item, dict | list):
        st.json(item, expanded=2)
    elif isinstance(item, str):
        st.code(item or " ", language=None, wrap_lines=True)
    else:
        st.code("null" if item is None else str(item).lower() if isinstance(item, bool) else f"{item}", language=None)


def error_card(error: ErrorView) -> None:
    """What went wrong, in the error's own words."""
    where = " \N{MIDDLE DOT} ".join(
        filter(
            None,
            [
                error.path or error.node,
                f"attempt {error.attempt}" if error.attempt else None,
                f"item {error.item_index}" if error.item_index is not None else None,
            ],
        )
    )
    with st.container(border=True):
        st.markdown(f":red-badge[:material/error: {plain(error.error_class or 'error')}] :gray[{plain(where)}]")
        st.text(error.message or UNKNOWN)


def _items(run: RunDetail, paths: list[str], *, key: str) -> None:
    """Inner steps of a foreach or loop; opening one shows it in this panel."""
    rows: list[Row] = [
        {
            "id": path,
            "href": f"/run?{urlencode({'run': run.run_id, 'node': path})}",
            "cells": {
                "step": text(path),
                "status": status_cell(run.steps[path].status),
                "time": text(duration(run.steps[path].duration_ms)),
                "cost": text(money(run.steps[path].cost_usd)),
            },
        }
        for path in paths[:MAX_ITEMS]
    ]
    opened = data_table("Items", ITEM_COLUMNS, rows, key=f"items_{key}")
    if len(paths) > MAX_ITEMS:
        st.caption(f"the first {MAX_ITEMS} of {len(paths)}")
    if opened:
        choose_step(run.run_id, opened)
        st.rerun(scope="fragment")


def _calls(step: StepView) -> list[CallView]:
    """The bridge calls of a step; none while they cannot be read."""
    found: list[CallView] = []
    if step.call_ids:
        with api_errors("calls"):
            found = [api().call(call_id) for call_id in step.call_ids[-5:]]
    return found


def _facts(run: RunDetail, path: str, step: StepView, calls: list[CallView]) -> str:
    used = [attempt.usage for call in calls for attempt in call.attempts if attempt.usage]
    total = sum((usage.input_tokens or 0) + (usage.output_tokens or 0) for usage in used) if used else None
    parts = [_type(run, path) or "step", duration(step.duration_ms), money(step.cost_usd)]
    if total is not None:
        parts.append(f"{tokens(total)} tokens")
    if step.model:
        parts.append(step.model)
    if step.attempts and step.attempts > 1:
        parts.append(f"{step.attempts} attempts")
    if step.cached:
        parts.append("from cache")
    return plain(" \N{MIDDLE DOT} ".join(parts))


def _type(run: RunDetail, path: str) -> str | None:
    step = run.steps.get(path)
    if step and step.type:
        return step.type
    return next((node.type for node in run.graph.nodes if node.id == step_id(path)), None)


def _no_output(step: StepView) -> str:
    match step.status:
        case "skipped":
            return f"Skipped: {plain(step.reason or 'not needed')}."
        case "failed":
            return "Failed before it had an output."
        case "pending" | "queued":
            return "Has not started yet."
        case "running" | "retrying" | "waiting":
            return "Still working."
        case _:
            return "No output."


def _inputs(run: RunDetail, path: str, step: StepView) -> None:
    """What the step was given if the platform tells, and what it waited for and read."""
    if step.input is not None:
        value(step.input, when_absent="")
    edges = [edge for edge in run.graph.edges if edge.target == step_id(path)]
    for edge in edges:
        source = run.steps.get(edge.source)
        st.markdown(f"**{plain(edge.source)}** :gray[{plain(edge.why)}]")
        value(source.output if source else None, when_absent="Nothing yet.")
    if not edges and step.input is None:
        st.markdown(":gray[Reads the inputs of the run.]")
        value(run.inputs, when_absent="This run had no inputs.")


def _routing(calls: list[CallView], *, key: str) -> None:
    call = calls[-1]
    if len(calls) > 1:
        numbers = range(1, len(calls) + 1)
        chosen = st.segmented_control("Call", numbers, default=len(calls), key=f"call_{key}", required=True)
        call = calls[(chosen or len(calls)) - 1]
    decision = call.decision
    if call.cache == "hit":
        st.markdown(":material/bolt: Answered from the cache: no model was asked.")
    if decision is None:
        st.markdown(":gray[No decision was recorded for this call.]")
    else:
        winner = call.attempts[-1].deployment if call.attempts else next(iter(decision.attempts), None)
        if call.status == "failed":
            winner = None
        st.markdown(_sentence(call, winner))
        rows = [candidate_row(candidate, chosen=winner, paid=call.cost_usd) for candidate in decision.candidates]
        data_table("Candidates", CANDIDATE_COLUMNS, rows, key=f"candidates_{key}_{call.call_id}")
    if len(call.attempts) > 1 or call.status == "failed":
        st.markdown("**Attempts**")
        attempts = [_attempt_row(number, attempt) for number, attempt in enumerate(call.attempts)]
        data_table("Attempts", ATTEMPT_COLUMNS, attempts, key=f"attempts_{key}_{call.call_id}")


def _sentence(call: CallView, winner: str | None) -> str:
    decision = call.decision
    eligible = sum(1 for candidate in decision.candidates if candidate.is_eligible) if decision else 0
    policy = plain((decision.policy if decision else None) or call.requested or "the router")
    if winner is None:
        return f"**{policy}** tried its plan over {eligible} eligible candidates; none answered."
    among = "the only eligible candidate" if eligible == 1 else f"one of {eligible} eligible candidates"
    return f"**{policy}** chose **{plain(winner)}**, {among}, for {plain(money(call.cost_usd))}."


def _attempt_row(number: int, attempt: AttemptView) -> Row:
    why = ": ".join(filter(None, [attempt.error_class, attempt.error_message]))
    first = f"first token {duration(attempt.ttft_ms)}" if attempt.ttft_ms is not None else ""
    return {
        "id": str(number),
        "cells": {
            "deployment": {"kind": "text", "text": attempt.deployment, "note": why or first, "title": why},
            "outcome": status_cell(attempt.outcome or "unknown"),
            "time": text(duration(attempt.duration_ms)),
            "cost": text(money(attempt.cost_usd)),
        },
    }
