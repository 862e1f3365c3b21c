"""How a run looks in a terminal while it goes on and when it is over, and as JSON (FLOWS, rule 20)."""

import shlex
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson
from rich.markup import escape
from rich.table import Table

from bridge.money import usd_number
from platform_api.cli.outcome import err, money, out, seconds

if TYPE_CHECKING:
    from flows.runs import Run, StepRun

MARKS = {
    "succeeded": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "skipped": "[dim]○[/]",
    "cancelled": "[yellow]■[/]",
    "retrying": "[yellow]↻[/]",
    "waiting": "[yellow]…[/]",
}
MAX_VALUE_CHARACTERS = 2000


class Progress:
    """One line a finished step on standard error, and a moving line with what is running now."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._status = None if is_quiet else err.status("starting ...")
        self._running: dict[str, None] = {}

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, kind: str, body: Mapping[str, Any]) -> None:
        """Show one event of the run."""
        if kind != "step" or self._status is None:
            return
        path, status = str(body["path"]), str(body["status"])
        if status in ("running", "pending"):
            self._running[path] = None
        else:
            self._running.pop(path, None)
            err.print(_line(path, status, body), highlight=False, soft_wrap=True)
        self._status.update(escape(", ".join(self._running) or "..."))


def _line(path: str, status: str, body: Mapping[str, Any]) -> str:
    facts = [str(body.get("type") or "")]
    if body.get("model"):
        facts.append(str(body["model"]))
    if status == "skipped" and body.get("reason"):
        facts.append(str(body["reason"]))
    if body.get("cost_usd"):
        facts.append(money(body["cost_usd"]))
    error = body.get("error")
    if isinstance(error, Mapping):
        facts.append(f"{error['class']}: {error['message']}")
    return f"{MARKS.get(status, '·')} {escape(path):<24} [dim]{escape(' · '.join(facts))}[/]"


def show_run(run: "Run", steps: Sequence["StepRun"]) -> None:
    """Outputs, errors, what it cost and who answered."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in run.outputs.items():
        table.add_row(f"[bold]{escape(name)}[/]", escape(_shown(value)))
    out.print(table)
    for error in run.errors:
        err.print(f"{error.path}: {error.error_class}: {error.message}", style="red", markup=False, soft_wrap=True)
    models = ", ".join(dict.fromkeys(step.model for step in steps if step.model)) or "no model"
    took_s = (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None
    cost = money(usd_number(run.cost_nano_usd))
    colour = {"succeeded": "green", "partial": "yellow"}.get(run.status, "red")
    err.print(f"[{colour}]{run.status}[/] · {cost} · {seconds(took_s)} · {escape(models)}", highlight=False)
    err.print(f"run {run.id}", style="dim", highlight=False)
    for step in steps:
        if step.status == "waiting" and step.type == "approve":
            line = f"modelbridge approve {run.id} {shlex.quote(step.path)}"
            err.print(f"{step.path} waits for an answer: {line}", highlight=False, markup=False, soft_wrap=True)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[:MAX_VALUE_CHARACTERS]} ..."


def run_json(run: "Run", steps: Sequence["StepRun"]) -> dict[str, Any]:
    """The run as one object; an unknown cost is null."""
    return {
        "run_id": run.id,
        "status": run.status,
        "outputs": dict(run.outputs),
        "cost_usd": usd_number(run.cost_nano_usd),
        "steps": {step.path: _step_json(step) for step in steps},
        "errors": [error.to_json() for error in run.errors],
    }


def _step_json(step: "StepRun") -> dict[str, Any]:
    duration_ms = None
    if step.started_at is not None and step.finished_at is not None:
        duration_ms = round((step.finished_at - step.started_at).total_seconds() * 1000)
    return {
        "status": step.status,
        "reason": step.reason,
        "attempts": step.attempts,
        "output": step.output,
        "error": None if step.error is None else step.error.to_json(),
        "errors": [error.to_json() for error in step.item_errors],
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "duration_ms": duration_ms,
        "cost_usd": usd_number(step.cost_nano_usd),
        "model": step.model,
        "provider": step.provider,
    }
