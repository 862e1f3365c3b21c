"""Plotly figures from plain rows. No Streamlit inside; colours come in for the theme that is on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import plotly.graph_objects as go

from studio.api_shapes import GraphEdge, RunSummary, StepView
from studio.formatting import duration, money
from studio.palette import GRID, MUTED, Scheme, series_color
from studio.status import STATUSES, style

ROW_HEIGHT = 34
MIN_HEIGHT = 150
MAX_BUCKETS = 120
BUCKET_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (60, 300, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)
)
OUTCOMES = ("succeeded", "partial", "failed", "cancelled", "waiting", "running", "queued")
"""Bottom to top of a stack."""
CONFIG: dict[str, bool] = {"displayModeBar": False, "scrollZoom": False}


@dataclass(frozen=True, slots=True)
class Span:
    """One row of the timeline, in seconds after the run's start. `waited_from` begins its queue time."""

    name: str
    status: str
    begins_s: float | None
    ends_s: float | None
    waited_from_s: float | None = None
    is_running: bool = False


def spans(
    names: Sequence[str],
    steps: Mapping[str, StepView],
    edges: Sequence[GraphEdge],
    *,
    started_at: datetime | None,
    now: datetime,
) -> list[Span]:
    """A span for each of `names`, in that order; steps that never began have no times."""
    rows: list[Span] = []
    for name in names:
        step = steps.get(name)
        if step is None or step.started_at is None or started_at is None:
            rows.append(Span(name, step.status if step else "pending", None, None))
            continue
        before = [steps[edge.source].finished_at for edge in edges if edge.target == name and edge.source in steps]
        upstream = [moment for moment in before if moment is not None]
        ready = max(upstream, default=started_at)
        begins = (step.started_at - started_at).total_seconds()
        rows.append(
            Span(
                name,
                "cached" if step.cached and step.status == "succeeded" else step.status,
                begins_s=begins,
                ends_s=((step.finished_at or now) - started_at).total_seconds(),
                waited_from_s=min((ready - started_at).total_seconds(), begins) if upstream else None,
                is_running=step.finished_at is None,
            )
        )
    return rows


def gantt(rows: Sequence[Span], *, run_id: str, scheme: Scheme, now_s: float | None) -> go.Figure:
    """Steps as bars over seconds: colour is the status, the hollow lead-in is waiting, the dotted line is now.

    A step that has not begun keeps its row, so the chart does not grow while the run does.
    """
    figure = go.Figure()
    total = max([row.ends_s for row in rows if row.ends_s is not None] + [now_s or 0.0], default=0.0) or 1.0
    shortest = total * 0.004
    waits = [
        (row, row.waited_from_s, row.begins_s)
        for row in rows
        if row.begins_s is not None
        and row.waited_from_s is not None
        and row.begins_s - row.waited_from_s > total * 0.01
    ]
    if waits:
        figure.add_bar(
            orientation="h",
            name="Waiting to start",
            y=[row.name for row, _, _ in waits],
            base=[begins for _, begins, _ in waits],
            x=[ends - begins for _, begins, ends in waits],
            marker={"color": "rgba(0,0,0,0)", "line": {"color": MUTED.on(scheme), "width": 1}, "cornerradius": 3},
            width=0.28,
            hovertemplate="%{y}: waited %{customdata}<extra></extra>",
            customdata=[duration((ends - begins) * 1000) for _, begins, ends in waits],
            showlegend=False,
        )
    for status in [name for name in STATUSES if any(row.status == name and row.begins_s is not None for row in rows)]:
        chosen = [(row, row.begins_s or 0.0, row.ends_s or 0.0) for row in rows if _has_bar(row, status)]
        figure.add_bar(
            orientation="h",
            name=style(status).word,
            y=[row.name for row, _, _ in chosen],
            base=[begins for _, begins, _ in chosen],
            x=[max(ends - begins, shortest) for _, begins, ends in chosen],
            marker={"color": style(status).tone.on(scheme), "cornerradius": 4, "line": {"width": 0}},
            width=0.58,
            text=[duration((ends - begins) * 1000) for _, begins, ends in chosen],
            textposition="outside",
            cliponaxis=False,
            customdata=[style(status).word for _ in chosen],
            hovertemplate="%{y}: %{customdata}, %{text}<extra></extra>",
        )
    names = [row.name for row in rows]
    figure.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], range=[-0.6, len(names) - 0.4], showgrid=False, title=None
    )
    figure.update_xaxes(
        range=[0, total * 1.12], ticksuffix=" s", gridcolor=GRID.on(scheme), zeroline=False, title=None, nticks=7
    )
    if now_s is not None:
        figure.add_vline(x=now_s, line={"dash": "dot", "width": 1.5, "color": style("running").tone.on(scheme)})
    figure.update_layout(showlegend=True)
    return _finished(figure, height=len(rows) * ROW_HEIGHT + 64, revision=run_id, barmode="overlay")


def cost_by_step(costs: Sequence[tuple[str, float, str | None]], *, run_id: str, scheme: Scheme) -> go.Figure:
    """Dollars by step (name, cost, model), dearest first; a model keeps its colour on every page."""
    ranked = sorted((row for row in costs if row[1] > 0), key=lambda row: row[1])
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=[name for name, _, _ in ranked],
            x=[cost for _, cost, _ in ranked],
            marker={"color": [series_color(model or name) for name, _, model in ranked], "cornerradius": 4},
            width=0.58,
            text=[money(cost) for _, cost, _ in ranked],
            textposition="outside",
            cliponaxis=False,
            customdata=[model or "no model" for _, _, model in ranked],
            hovertemplate="%{y}: %{text}, %{customdata}<extra></extra>",
        )
    )
    most = max((cost for _, cost, _ in ranked), default=1.0)
    figure.update_xaxes(
        range=[0, most * 1.22], tickprefix="$", gridcolor=GRID.on(scheme), zeroline=False, title=None, nticks=6
    )
    figure.update_yaxes(showgrid=False, title=None)
    return _finished(figure, height=len(ranked) * ROW_HEIGHT + 64, revision=run_id, barmode="overlay")


def bucket_width(begin: datetime, end: datetime) -> timedelta:
    """The smallest round width that cuts the window into at most 48 pieces; never more than 120."""
    window = end - begin
    for step in BUCKET_STEPS:
        if window / step <= 48:
            return step
    return window / MAX_BUCKETS


def outcome_histogram(
    runs: Sequence[RunSummary], *, begin: datetime, end: datetime, scheme: Scheme
) -> tuple[go.Figure, timedelta]:
    """Runs by outcome over time, stacked, in at most 120 buckets; with the width of a bucket."""
    width = bucket_width(begin, end)
    origin = datetime.fromtimestamp(begin.timestamp() // width.total_seconds() * width.total_seconds(), tz=begin.tzinfo)
    count = min(int((end - origin) / width) + 1, MAX_BUCKETS)
    moments = [origin + width * index for index in range(count)]
    figure = go.Figure()
    statuses = dict.fromkeys([*OUTCOMES, *(run.status for run in runs)])
    for status in [name for name in statuses if any(run.status == name for run in runs)]:
        heights = [0] * count
        for run in runs:
            if run.status == status and run.created_at is not None and run.created_at >= origin:
                heights[min(int((run.created_at - origin) / width), count - 1)] += 1
        figure.add_bar(
            name=style(status).word,
            x=[moment + width / 2 for moment in moments],
            y=heights,
            width=width.total_seconds() * 820,
            marker={"color": style(status).tone.on(scheme), "cornerradius": 2, "line": {"width": 0}},
            hovertemplate="%{y} " + style(status).word.lower() + "<extra></extra>",
        )
    figure.update_xaxes(
        showgrid=False, title=None, range=[origin, origin + width * count], hoverformat="%d %b %H:%M", nticks=10
    )
    figure.update_yaxes(
        gridcolor=GRID.on(scheme), zeroline=False, title=None, rangemode="tozero", nticks=4, tickformat="d"
    )
    finished = _finished(figure, height=190, revision="runs", barmode="stack")
    finished.update_layout(hovermode="x unified", showlegend=True, clickmode="event+select")
    return finished, width


def _has_bar(row: Span, status: str) -> bool:
    return row.status == status and row.begins_s is not None and row.ends_s is not None


def _finished(figure: go.Figure, *, height: int, revision: str, barmode: str) -> go.Figure:
    figure.update_layout(
        height=max(height, MIN_HEIGHT),
        barmode=barmode,
        uirevision=revision,
        margin={"l": 4, "r": 12, "t": 30, "b": 4},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "title": None,
            "traceorder": "normal",
        },
        bargap=0.2,
        dragmode=False,
        hoverlabel={"font": {"size": 12}},
        font={"size": 12},
    )
    return figure
