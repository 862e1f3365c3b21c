"""One run on one canvas: graph, timeline, money and the inside of the chosen step. Live while it runs."""

from datetime import UTC, datetime
from functools import partial

import streamlit as st

from studio.api_shapes import RunDetail
from studio.charts import CONFIG, cost_by_step, gantt, spans
from studio.components.dag_view.dag_view import dag_view
from studio.formatting import duration as written_duration
from studio.formatting import exact_time, money, plain, relative_time, short_id, tokens
from studio.node_panel import run_panel, step_panel
from studio.page_frame import empty_state, page_title, scheme, status_badge
from studio.run_form import open_run_drawer
from studio.run_graph import card_of, timeline_names
from studio.session import api, api_errors
from studio.status import is_active, style
from studio.step_choice import choose_step, chosen_name, take_from_address

TICK_S = 2
RERUN = "rerun_of"


def chosen_step(run: RunDetail) -> str | None:
    """The chosen step; without a choice the first failed step. An empty choice means none on purpose."""
    named = chosen_name(run.run_id)
    if named is not None:
        return named if named in run.steps or any(node.id == named for node in run.graph.nodes) else None
    failed = [error.path or error.node for error in run.errors]
    return next((path for path in failed if path in run.steps), None)


def graph_key(run_id: str) -> str:
    """Key of the graph's state, which lives while the page of this run is open."""
    return f"dag_{run_id}"


def elapsed_ms(run: RunDetail, now: datetime) -> float | None:
    """How long it has taken so far, or took."""
    if run.finished_at is not None or run.started_at is None:
        return run.duration_ms
    return (now - run.started_at).total_seconds() * 1000


def header(run: RunDetail, now: datetime) -> None:
    """Name, state and what can be done about it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="crumbs"):
        st.page_link("pages_/runs.py", label="Runs", width="content")
        st.page_link(
            "pages_/flow.py", label=plain(run.flow), query_params={"flow": run.flow}, width="content",
        )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(plain(run.flow), anchor=False, width="content")
        status_badge(run.status)
        st.space("stretch")
        if is_active(run.status):
            label = "Cancelling" if run.is_cancel_requested else "Cancel"
            if st.button(label, key="cancel_run", icon=":material/stop_circle:", disabled=run.is_cancel_requested):
                api().cancel_run(run.run_id)
                st.toast("The run was asked to stop.", icon=":material/stop_circle:")
        if st.button("Rerun", key="rerun", icon=":material/replay:"):
            st.session_state[RERUN] = run.run_id
            st.rerun()
    started = run.started_at or run.created_at
    facts = [f"run {short_id(run.run_id)}", f"version {run.version}" if run.version else "", run.trigger or ""]
    facts.append(f"started {relative_time(started, now)}, {exact_time(started)}")
    line = " \N{MIDDLE DOT} ".join(filter(None, facts))
    st.markdown(f":gray[{plain(line)}]", help=plain(run.run_id))


def figures(run: RunDetail, now: datetime) -> None:
    """The four numbers of a run."""
    columns = st.columns(4)
    done = sum(1 for step in run.steps.values() if step.status in {"succeeded", "failed", "skipped", "cancelled"})
    columns[0].metric("Status", style(run.status).word, border=True, help=f"{done} of {len(run.steps)} steps ended")
    columns[1].metric("Duration", written_duration(elapsed_ms(run, now)), border=True)
    columns[2].metric("Cost", money(run.cost_usd).replace("$", "\\$"), border=True)
    split = f"{tokens(run.input_tokens)} in, {tokens(run.output_tokens)} out"
    columns[3].metric("Tokens", tokens(run.total_tokens), border=True, help=split)


def charts(run: RunDetail, now: datetime) -> None:
    """Where the time went, or where the money went."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Where it went", anchor=False, width="content")
        st.space("stretch")
        view = st.segmented_control(
            "Show", ["Time", "Cost"], default="Time", key=f"chart_{run.run_id}", label_visibility="collapsed",
            required=True,
        )  # fmt: skip
    if view == "Cost":
        costs = [(path, float(step.cost_usd or 0), step.model) for path, step in run.steps.items() if "[" not in path]
        if not any(cost > 0 for _, cost, _ in costs):
            st.markdown(":gray[Nothing was spent so far.]")
            return
        figure = cost_by_step(costs, run_id=run.run_id, scheme=scheme())
        told = "Dollars spent by step"
    else:
        names = timeline_names(run.graph, run.steps)
        rows = spans(names, run.steps, run.graph.edges, started_at=run.started_at or run.created_at, now=now)
        so_far = (elapsed_ms(run, now) or 0.0) / 1000
        figure = gantt(rows, run_id=run.run_id, scheme=scheme(), now_s=so_far if is_active(run.status) else None)
        told = "Timeline of steps in seconds since the start"
    st.plotly_chart(figure, key=f"where_{run.run_id}_{view}", config=CONFIG, alt=told)


def canvas(run_id: str, was_active: bool) -> None:
    """The whole page below the shell; runs again by itself while the run is active."""
    with api_errors("run"):
        run = api().run(run_id)
        if was_active and not is_active(run.status):
            st.rerun()  # draws the finished run without polling
        now = datetime.now(UTC)
        header(run, now)
        figures(run, now)
        chosen = chosen_step(run)
        dag_view(
            run.graph,
            run.steps,
            key=graph_key(run_id),
            selected=card_of(chosen) if chosen else None,
            label=f"Steps of {run.flow}, run {short_id(run_id)}",
            on_select=partial(choose_step, run_id),
        )
        left, right = st.columns([1.15, 1], gap="large")
        with left:
            charts(run, now)
        with right, st.container(key="node_panel"):
            if chosen:
                step_panel(run, chosen)
            else:
                run_panel(run)


def rerun_drawer(run_id: str) -> None:
    """The run form, filled with what this run was given."""
    run = api().run(run_id)
    open_run_drawer(api().flow(run.flow, run.version), given=run.inputs)


def render() -> None:
    """The page."""
    run_id = st.query_params.get("run")
    if not run_id:
        page_title("Run")
        empty_state("This address names no run. Choose one from the list of runs.", icon="play_circle")
        return
    take_from_address(run_id, is_new_visit=graph_key(run_id) not in st.session_state)
    with api_errors("run_head"):
        active = is_active(api().run(run_id).status)
        st.fragment(canvas, run_every=TICK_S if active else None)(run_id, active)
        if st.session_state.pop(RERUN, None) == run_id:
            rerun_drawer(run_id)


render()
