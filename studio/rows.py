"""API rows as table rows. Pure: no Streamlit inside."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlencode

from studio.api_shapes import CandidateView, FlowSummary, LastRun, RunSummary
from studio.components.data_table.data_table import Bar, Cell, Column, Row
from studio.formatting import UNKNOWN, duration, exact_time, money, percent, relative_time, short_id, tokens
from studio.status import style

FLOW_COLUMNS = (
    Column("name", "Flow", is_sortable=True),
    Column("last_runs", "Last 20 runs"),
    Column("success", "Success", align="right", is_sortable=True),
    Column("p50", "Typical time", align="right", is_sortable=True),
    Column("cost", "Cost per run", align="right", is_sortable=True),
    Column("runs", "Runs, 24 h", align="right", is_sortable=True),
    Column("version", "Version"),
    Column("next", "Next run", align="right", is_sortable=True),
)
RUN_COLUMNS = (
    Column("run", "Run"),
    Column("status", "Status"),
    Column("flow", "Flow"),
    Column("started", "Started", align="right", is_sortable=True),
    Column("duration", "Duration", align="right", is_sortable=True),
    Column("tokens", "Tokens", align="right", is_sortable=True),
    Column("cost", "Cost", align="right", is_sortable=True),
    Column("trigger", "Trigger"),
)
FLOW_RUN_COLUMNS = tuple(Column("flow", "Version") if column.key == "flow" else column for column in RUN_COLUMNS)
CANDIDATE_COLUMNS = (
    Column("candidate", "Candidate", align="wide"),
    Column("price", "Would have cost", align="right"),
    Column("latency", "Time", align="right"),
    Column("score", "Score", align="right"),
)


def link(page: str, **query: str) -> str:
    """The address of a studio page."""
    return f"/{page}?{urlencode(query)}"


def text(value: str, **more: str) -> Cell:
    """A cell of plain text."""
    cell: Cell = {"kind": "text", "text": value}
    if value == UNKNOWN:
        cell["muted"] = True
    if "note" in more:
        cell["note"] = more["note"]
    if "title" in more:
        cell["title"] = more["title"]
    return cell


def status_cell(status: str) -> Cell:
    """The badge of a status."""
    look = style(status)
    return {
        "kind": "status",
        "text": look.word,
        "icon": look.icon,
        "color": look.badge,
        "spin": status == "running",
        "sort": look.word,
    }


def flow_row(flow: FlowSummary, now: datetime) -> Row:
    """One line of the flows list."""
    published = flow.published_version
    version = f"v{published}" if published else "not published"
    if published and flow.latest_version and flow.latest_version > published:
        version = f"v{published}, draft v{flow.latest_version}"
    name = text(flow.name, note=flow.description or "")
    name["sort"] = flow.name
    return {
        "id": flow.name,
        "href": link("flow", flow=flow.name),
        "cells": {
            "name": name,
            "last_runs": _bars(flow.last_runs),
            "success": _number(percent(flow.success_share), flow.success_share),
            "p50": _number(duration(flow.p50_duration_ms), flow.p50_duration_ms),
            "cost": _number(money(flow.cost_per_run_usd), flow.cost_per_run_usd),
            "runs": _number(UNKNOWN if flow.runs_24h is None else str(flow.runs_24h), flow.runs_24h),
            "version": {"kind": "text", "text": version, "muted": published is None},
            "next": _moment(flow.next_run_at, now),
        },
    }


def run_rows(runs: Sequence[RunSummary], now: datetime, *, with_flow: bool = True) -> list[Row]:
    """Lines of the runs list; the meter compares durations among the lines shown."""
    longest = max((run.duration_ms or 0.0 for run in runs), default=0.0) or 1.0
    return [_run_row(run, now, longest, with_flow=with_flow) for run in runs]


def candidate_row(candidate: CandidateView, *, chosen: str | None, paid: Decimal | None) -> Row:
    """One line of a decision card. `paid` is what the call cost in fact."""
    is_chosen = candidate.deployment == chosen
    price = text(money(paid if is_chosen and paid is not None else candidate.cost_usd))
    if not is_chosen and candidate.cost_usd is not None and paid is not None and candidate.is_eligible:
        more = candidate.cost_usd - paid
        price["note"] = f"{'+' if more >= 0 else ''}{money(more)}"
    reason = f"fallback \N{MIDDLE DOT} {candidate.reason}" if candidate.is_fallback else candidate.reason
    return {
        "id": candidate.deployment,
        "tone": "chosen" if is_chosen else "" if candidate.is_eligible else "dropped",
        "cells": {
            "candidate": {"kind": "text", "text": candidate.deployment, "note": reason, "title": reason},
            "price": price,
            "latency": text(duration(None if candidate.latency_s is None else candidate.latency_s * 1000)),
            "score": text(UNKNOWN if candidate.score is None else f"{candidate.score:.2f}"),
        },
    }


def _run_row(run: RunSummary, now: datetime, longest: float, *, with_flow: bool) -> Row:
    version = f"v{run.version}" if run.version else ""
    cells: dict[str, Cell] = {
        "run": {"kind": "text", "text": short_id(run.run_id), "mono": True, "title": run.run_id},
        "status": status_cell(run.status),
        "started": _moment(run.started_at or run.created_at, now),
        "duration": {
            "kind": "meter",
            "text": duration(run.duration_ms),
            "share": (run.duration_ms or 0.0) / longest,
            "color": style(run.status).badge,
            "sort": run.duration_ms,
        },
        "tokens": _number(tokens(run.total_tokens), run.total_tokens),
        "cost": _number(money(run.cost_usd), run.cost_usd),
        "trigger": {"kind": "text", "text": run.trigger or UNKNOWN, "muted": True},
    }
    cells["flow"] = text(f"{run.flow} {version}" if with_flow else version)
    return {"id": run.run_id, "href": link("run", run=run.run_id), "cells": cells}


def _bars(last_runs: Sequence[LastRun]) -> Cell:
    """Oldest on the left; height is the duration, colour the outcome."""
    longest = max((run.duration_ms or 0.0 for run in last_runs), default=0.0) or 1.0
    bars: list[Bar] = [
        {
            "share": (run.duration_ms or 0.0) / longest,
            "color": style(run.status).badge,
            "title": f"{style(run.status).word}, {duration(run.duration_ms)}, {exact_time(run.created_at)}",
        }
        for run in reversed(last_runs[:20])
    ]
    failed = sum(1 for run in last_runs if run.status == "failed")
    told = f"last {len(bars)} runs, {failed} failed" if bars else "no runs yet"
    return {"kind": "bars", "text": told, "bars": bars}


def _number(written: str, value: Decimal | float | None) -> Cell:
    cell = text(written)
    cell["sort"] = None if value is None else float(value)
    return cell


def _moment(moment: datetime | None, now: datetime) -> Cell:
    cell = text(relative_time(moment, now), title=exact_time(moment))
    cell["sort"] = None if moment is None else moment.timestamp()
    return cell
