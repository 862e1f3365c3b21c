"""How a replay looks in a terminal: what came out differently, what is missing, what it would have cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from rich.markup import escape
from rich.table import Table

from platform_api.cli.outcome import err, money, out

COLOURS = {"same": "dim", "not_recorded": "red", "unknown": "yellow"}
MAX_CHARACTERS = 120


def show_report(report: Mapping[str, Any]) -> None:
    """A line a step, then the outputs that differ, the calls that were not made, and the money."""
    table = Table("step", "type", "verdict", "status", "cost", "what differs", box=None, pad_edge=False)
    for step in report["steps"]:
        colour = COLOURS.get(step["verdict"], "cyan")
        table.add_row(
            escape(step["path"]),
            step["type"],
            f"[{colour}]{step['verdict'].replace('_', ' ')}[/]",
            _turn(step["status"]),
            _turn({name: money(cost) for name, cost in step["cost_usd"].items()}),
            escape(_what_differs(step)),
        )
    out.print(table)
    for name, output in report["outputs"].items():
        if output["verdict"] != "same":
            out.print(f"output [bold]{escape(name)}[/]: {escape(_turn(output))}", highlight=False, soft_wrap=True)
    for call in report["missing"]:
        out.print(
            f"[red]not recorded[/] {escape(call['path'])}: {escape(call['why'])}", highlight=False, soft_wrap=True
        )
    _summary(report)


def _summary(report: Mapping[str, Any]) -> None:
    cost, counts = report["cost_usd"], report["counts"]
    if report["is_same"]:
        verdict = "[green]same[/]: every step and output came out as recorded"
    else:
        verdict = "[yellow]different[/]: " + ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items())
    err.print(verdict, highlight=False)
    line = f"recorded {money(cost['recorded'])}, now {money(cost['now'])}"
    if report["missing"]:
        line += f" and about {money(cost['missing_expected'])} for what is not recorded"
    err.print(f"{line}; this replay cost {money(cost['spent'])}", highlight=False)


def _what_differs(step: Mapping[str, Any]) -> str:
    told: list[str] = [f"{change['name']}: {_turn(change)}" for change in step["input"]]
    if step["answered_from"]:
        told.append(f"answered from {step['answered_from']}")
    if step["called"]:
        told.append("called")
    if step["is_output_same"] is False:
        told.append(f"output: {_turn(step['output'])}")
    if step["error"] and step["verdict"] not in {"same", "not_recorded"}:
        told.append(step["error"])
    return "; ".join(told)


def _turn(pair: Mapping[str, Any]) -> str:
    was, now = _shown(pair["was"]), _shown(pair["now"])
    return now if was == now else f"{was} -> {now}"


def _shown(value: object) -> str:
    if value is None:
        return "—"
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."


def show_kept(kept: Sequence[str], saved_usd: float | None) -> None:
    """What a rerun does not do again."""
    names = ", ".join(path for path in kept if "[" not in path and "." not in path) or "nothing of its own"
    err.print(f"kept: {escape(names)}; saved {money(saved_usd)}", highlight=False, soft_wrap=True)
