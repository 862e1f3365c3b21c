"""How models and calls look in a terminal, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from platform_api.cli.outcome import err, money, out, seconds

if TYPE_CHECKING:
    from bridge.call_record import CallRecord
    from bridge.catalog.entries import ModelEntry
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


def show_models(entries: Sequence["ModelEntry"]) -> None:
    """The catalogue as a table."""
    table = Table(box=None, pad_edge=False)
    for heading, side in (
        ("model", "left"),
        ("window", "right"),
        ("in $/M", "right"),
        ("out $/M", "right"),
        ("quality", "right"),
        ("can", "left"),
        ("until", "left"),
    ):
        is_name = heading == "model"
        table.add_column(heading, justify=side, no_wrap=is_name)  # pyright: ignore[reportArgumentType]  # rich's Literal of sides
    for entry in entries:
        free = "free" if entry.is_free else None
        table.add_row(
            escape(entry.name),
            "—" if entry.context_window is None else f"{entry.context_window:,}",
            free or _price(entry.input_usd_per_mtok),
            free or _price(entry.output_usd_per_mtok),
            "—" if entry.quality is None else f"{entry.quality:.2f}",
            " ".join(sorted(entry.capabilities)),
            "" if entry.deprecated_on is None else entry.deprecated_on.isoformat(),
        )
    out.print(table)


def _price(usd: float | None) -> str:
    return "unknown" if usd is None else f"{usd:g}"


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
