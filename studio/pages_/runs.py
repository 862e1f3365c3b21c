"""Runs: what ran, failed or waits. Every filter is in the URL."""

from datetime import UTC, datetime, timedelta

import streamlit as st

from studio.api_shapes import RunSummary
from studio.charts import CONFIG, bucket_width, outcome_histogram
from studio.components.data_table.data_table import data_table
from studio.page_frame import empty_state, page_title, scheme
from studio.rows import RUN_COLUMNS, run_rows
from studio.session import api, api_errors
from studio.status import is_active

WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
STATUSES = ("running", "waiting", "succeeded", "partial", "failed", "cancelled")
MAX_RUNS = 1000
PAGE = 25
REFRESH_S = 5


def filters() -> tuple[str | None, str | None, timedelta]:
    """The filter bar: status, flow, window. Each is a query parameter of the same name."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="run_filters"):
        status = st.pills("Status", STATUSES, key="status", bind="query-params")  # the address has the API's words
        st.space("stretch")
        names = [flow.name for flow in api().flows().items]
        flow = st.selectbox(
            "Flow", names, index=None, placeholder="All flows", key="flow", bind="query-params", width=220
        )
        window = st.segmented_control(
            "Window", list(WINDOWS), default="24h", key="window", bind="query-params", required=True
        )
    return status, flow, WINDOWS[window or "24h"]


def load_runs(status: str | None, flow: str | None, since: datetime) -> list[RunSummary]:
    """Runs since then, newest first, at most a thousand."""
    runs: list[RunSummary] = []
    cursor: str | None = None
    while len(runs) < MAX_RUNS:
        page = api().runs(flow=flow, status=status, since=since.isoformat(), cursor=cursor)
        runs.extend(page.items)
        cursor = page.next_cursor
        if cursor is None:
            break
    return runs[:MAX_RUNS]


def remember_bucket() -> None:
    """A click on a bar narrows the table to its time; the choice is in the URL."""
    points = st.session_state["runs_histogram"]["selection"]["points"]
    if points:
        st.query_params["at"] = str(points[0]["x"])
    else:
        st.query_params.pop("at", None)


def narrowed(runs: list[RunSummary], width: timedelta) -> list[RunSummary]:
    """Only the runs of the chosen bar, if one is chosen."""
    try:
        middle = datetime.fromisoformat(st.query_params["at"])
    except (KeyError, ValueError):
        return runs
    middle = middle if middle.tzinfo else middle.replace(tzinfo=UTC)
    begin, end = middle - width / 2, middle + width / 2
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Only runs from {begin:%d %b %H:%M} to {end:%H:%M} UTC")
        if st.button("Show all", key="clear_bucket", type="tertiary", icon=":material/close:"):
            st.query_params.pop("at", None)
            st.rerun()
    return [run for run in runs if run.created_at and begin <= run.created_at < end]


def listing(status: str | None, flow: str | None, window: timedelta) -> None:
    """Histogram and table; refreshes itself while runs are active."""
    with api_errors("runs"):
        now = datetime.now(UTC)
        begin = now - window
        runs = load_runs(status, flow, begin)
        if not runs:
            empty_state("No runs match. Widen the window or clear the filters.", icon="play_circle")
            return
        figure, width = outcome_histogram(runs, begin=begin, end=now, scheme=scheme())
        st.plotly_chart(
            figure, key="runs_histogram", config=CONFIG, on_select=remember_bucket, selection_mode="points",
            alt=f"{len(runs)} runs by outcome over time",
        )  # fmt: skip
        shown = narrowed(runs, width)
        more = "the newest " if len(runs) == MAX_RUNS else ""
        st.caption(f"{more}{len(shown)} runs, one bar is {_words(bucket_width(begin, now))}")
        pages = max(1, -(-len(shown) // PAGE))
        number = st.session_state.get("runs_page", 1) if pages > 1 else 1
        first = (min(number, pages) - 1) * PAGE
        opened = data_table("Runs", RUN_COLUMNS, run_rows(shown[first : first + PAGE], now), key="runs_table")
        if pages > 1:
            st.pagination(pages, key="runs_page")
        if opened:
            st.switch_page("pages_/run.py", query_params={"run": opened})


def render() -> None:
    """The page."""
    page_title("Runs")
    with api_errors("runs_filters"):
        status, flow, window = filters()
        has_active = any(is_active(run.status) for run in api().runs(flow=flow, status=status, limit=20).items)
        st.fragment(listing, run_every=REFRESH_S if has_active else None)(status, flow, window)


def _words(width: timedelta) -> str:
    minutes = round(width.total_seconds() / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 1440 else f"{minutes // 1440} d"


render()
