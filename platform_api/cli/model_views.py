"""How models, decisions and calls look in a terminal, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from platform_api.cli.outcome import err, money, out, seconds

if TYPE_CHECKING:
    from bridge.call_record import AttemptRecord, CallRecord
    from bridge.catalog.entries import ModelEntry
    from bridge.decision import Candidate, Decision
    from bridge.result import ChatResult


def show_facts(record: "CallRecord") -> None:
    """One dim line: who answered, tokens, time, cost."""
    last = record.attempts[-1] if record.attempts else None
    answered_by = last.deployment if last else "cache"
    cost = record.cost_nano_usd
    took_s = (record.finished_at - record.started_at).total_seconds()
    tokens = f"{last.usage.input_tokens} + {last.usage.output_tokens} tokens" if last and last.usage else "cached"
    line = f"{answered_by} · {tokens} · {seconds(took_s)} · {money(None if cost is None else cost / 1e9)}"
    err.print(line, style="dim", markup=False, highlight=False)


def explain_call(record: "CallRecord") -> None:
    """The decision and every attempt of a call."""
    if record.decision is not None:
        show_decision(record.decision)
    _show_attempts(record.attempts)


def show_decision(decision: "Decision") -> None:
    """Every candidate, ranked, with its reason."""
    title = f"policy {decision.policy}, task {decision.task}" + (f", alias {decision.alias}" if decision.alias else "")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("", "candidate", "expected cost", "expected time", "chance first", "why"):
        table.add_column(heading)
    ranked = sorted(decision.candidates, key=lambda one: _rank(decision, one))
    for candidate in ranked:
        place = str(decision.attempts.index(candidate.deployment) + 1) if candidate.is_eligible else "-"
        chance = "—" if candidate.propensity is None else f"{candidate.propensity:.0%}"
        table.add_row(
            place,
            escape(candidate.deployment),
            money(candidate.cost_usd),
            seconds(candidate.latency_s),
            chance,
            escape(candidate.reason),
            style=None if candidate.is_eligible else "dim",
        )
    out.print(table)


def _rank(decision: "Decision", candidate: "Candidate") -> int:
    if candidate.deployment in decision.attempts:
        return decision.attempts.index(candidate.deployment)
    return len(decision.attempts) + 1


def _show_attempts(attempts: Sequence["AttemptRecord"]) -> None:
    table = Table(title="attempts", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "deployment", "outcome", "first token", "took", "cost", "what happened"):
        table.add_column(heading)
    for number, attempt in enumerate(attempts, start=1):
        ttft_s = None if attempt.ttft_ms is None else attempt.ttft_ms / 1000
        cost = None if attempt.cost_nano_usd is None else attempt.cost_nano_usd / 1e9
        table.add_row(
            str(number),
            escape(attempt.deployment),
            attempt.error_class or attempt.outcome,
            seconds(ttft_s),
            seconds(attempt.duration_ms / 1000),
            money(cost),
            escape(attempt.error_message or (attempt.finish_reason or "")),
        )
    out.print(table)


def show_models(entries: Sequence["ModelEntry"]) -> None:
    """The catalogue as a table."""
    table = Table(box=None, pad_edge=False)
    for heading, side in (
        ("model", "left"),
        ("window", "right"),
        ("in $/M", "right"),
        ("out $/M", "right"),
        ("can", "left"),
    ):
        table.add_column(heading, justify=side)  # pyright: ignore[reportArgumentType]  # rich's Literal of sides
    for entry in entries:
        free = "free" if entry.is_free else None
        table.add_row(
            escape(entry.name),
            "—" if entry.context_window is None else f"{entry.context_window:,}",
            free or _price(entry.input_usd_per_mtok),
            free or _price(entry.output_usd_per_mtok),
            " ".join(sorted(entry.capabilities)),
        )
    out.print(table)


def _price(usd: float | None) -> str:
    return "—" if usd is None else f"{usd:g}"


def model_json(entry: "ModelEntry") -> dict[str, object]:
    """A catalogue entry for programs; an unknown price is null."""
    return {
        "name": entry.name,
        "provider": entry.provider,
        "capabilities": sorted(entry.capabilities),
        "context_window": entry.context_window,
        "max_output_tokens": entry.max_output_tokens,
        "input_usd_per_mtok": 0.0 if entry.is_free else entry.input_usd_per_mtok,
        "output_usd_per_mtok": 0.0 if entry.is_free else entry.output_usd_per_mtok,
        "quality": entry.quality,
        "regions": sorted(entry.regions),
        "deprecated_on": entry.deprecated_on,
    }


def result_json(result: "ChatResult") -> dict[str, object]:
    """An answer with its call."""
    return {"text": result.response.text, "finish_reason": result.response.finish_reason, **call_json(result.record)}


def call_json(record: "CallRecord") -> dict[str, object]:
    """A call for programs."""
    last = record.attempts[-1] if record.attempts else None
    cost = record.cost_nano_usd
    return {
        "call_id": record.call_id,
        "model": last.model if last else None,
        "provider": last.provider if last else None,
        "cost_usd": None if cost is None else cost / 1e9,
        "cache": record.cache,
        "attempts": [asdict(attempt) for attempt in record.attempts],
        "decision": record.decision.to_json() if record.decision else None,
    }
