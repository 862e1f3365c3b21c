"""`simulate`: a day of traffic and trouble under several policies, lived by the real bridge on virtual time."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from platform_api.cli.outcome import FAILED, err, money, out, print_json, seconds
from platform_api.cli.platform import AsJson

if TYPE_CHECKING:
    from bridge.simulation.comparison import Comparison, Verdict, Watch
    from bridge.simulation.figures import Figures

Rows = tuple[tuple[str, Callable[["Figures"], str]], ...]


def simulate(
    scenario: Annotated[Path, typer.Argument(help="A scenario file; examples/simulations holds some.")],
    policy: Annotated[
        list[str] | None, typer.Option(help="Only this policy or variant; may be given again. `random`: the baseline.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the scenario's.")] = None,
    calls: Annotated[int | None, typer.Option(min=1, help="Another number of calls than the scenario's.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Show the scenario's bounds, and what became of them.")
    ] = False,
    within: Annotated[float | None, typer.Option(min=0.1, help="Real seconds that it may take.")] = None,
    as_json: AsJson = False,
) -> int:
    """Live a scenario's day under each policy, and compare availability, cost, latency and quality.

    Exit code 1: a bound of the scenario was missed, or it took too long.
    """
    from bridge.simulation.comparison import compared
    from bridge.simulation.contenders import contenders
    from bridge.simulation.scenario import load_scenario

    loaded = load_scenario(scenario)
    if calls is not None:
        loaded = loaded.model_copy(update={"traffic": loaded.traffic.model_copy(update={"calls": calls})})
    entrants = contenders(loaded, policy or (), where=str(scenario))
    began_s = time.perf_counter()
    with _progress() as watch:
        comparison = compared(loaded, entrants, seed=seed, watch=watch)
    took_s = time.perf_counter() - began_s
    if as_json:
        print_json(comparison.to_json())
    else:
        _show(comparison, took_s=took_s)
        _show_bounds(comparison, only_missed=not check)
    is_late = within is not None and took_s > within
    if is_late:
        err.print(f"it took {took_s:.1f} s, and {within:g} s were allowed", style="red", highlight=False)
    return FAILED if comparison.is_missed or is_late else 0


@contextmanager
def _progress() -> "Generator[Watch]":
    """A line on a terminal that says how far each policy has come; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    with err.status("simulating ...") as status:
        yield lambda done: status.update("  ".join(f"{name} {share:.0%}" for name, share in done.items()))


def _show(comparison: "Comparison", *, took_s: float) -> None:
    scenario = comparison.scenario
    out.print(f"[bold]{escape(scenario.name)}[/] {escape(scenario.about)}", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in comparison.figures:
        table.add_column(escape(name), justify="right")
    for label, shown in ROWS:
        table.add_row(label, *(shown(figures) for figures in comparison.figures.values()))
    out.print(table)
    for name, figures in comparison.figures.items():
        out.print(f"{name}: {_by_name(figures)}", style="dim", highlight=False, markup=False, soft_wrap=True)
    out.print(
        f"{comparison.calls:,} calls of {scenario.hours:g} simulated hours, seed {comparison.seed}, in {took_s:.1f} s",
        style="dim",
        highlight=False,
    )


def _by_name(figures: "Figures") -> str:
    """Who answered, and why calls were not answered."""
    answered = figures.answered or 1
    parts = [f"{name} {count / answered:.1%}" for name, count in figures.served_by.items()]
    parts += [f"{count} x {name}" for name, count in figures.errors.items()]
    return ", ".join(parts)


def _show_bounds(comparison: "Comparison", *, only_missed: bool) -> None:
    for verdict in comparison.verdicts:
        if only_missed and verdict.outcome != "missed":
            continue
        style = {"met": "green", "missed": "red", "not run": "yellow"}[verdict.outcome]
        out.print(f"[{style}]{verdict.outcome:<7}[/] {escape(_bound(verdict))}", highlight=False, soft_wrap=True)


def _bound(verdict: "Verdict") -> str:
    limits = [
        f"{word} {limit:g}"
        for word, limit in (("at least", verdict.at_least), ("at most", verdict.at_most))
        if limit is not None
    ]
    value = "nothing to measure" if verdict.value is None else f"{verdict.value:.5g}"
    return f"{verdict.policy}: {verdict.figure} {value}, {' and '.join(limits)}"


def _share(value: float | None, digits: int = 1) -> str:
    return "—" if value is None else f"{value:.{digits}%}"


def _interval(figures: "Figures") -> str:
    if figures.quality_low is None or figures.quality_high is None:
        return "—"
    return f"{figures.quality_low:.3f}-{figures.quality_high:.3f}"


ROWS: Rows = (
    ("calls", lambda one: f"{one.calls:,}"),
    ("availability", lambda one: _share(one.availability, 3)),
    ("cost", lambda one: money(one.cost_usd)),
    ("per 1,000 answers", lambda one: money(one.usd_per_1000_answers)),
    ("saving to best", lambda one: _share(one.saving_against_best)),
    ("quality", lambda one: "—" if one.quality is None else f"{one.quality:.3f}"),
    ("  95 % interval", _interval),
    ("latency p50", lambda one: seconds(one.latency_p50_s)),
    ("  p95", lambda one: seconds(one.latency_p95_s)),
    ("  p99", lambda one: seconds(one.latency_p99_s)),
    ("first token p50", lambda one: seconds(one.ttft_p50_s)),
    ("  p95", lambda one: seconds(one.ttft_p95_s)),
    ("  p99", lambda one: seconds(one.ttft_p99_s)),
    ("attempts a call", lambda one: f"{one.attempts_per_call:.3f}"),
    ("probes", lambda one: f"{one.probes:,}"),
    ("  failed", lambda one: f"{one.probes_failed:,}"),
    ("cache hit rate", lambda one: _share(one.cache_hit_rate)),
    ("  false hits", lambda one: _share(one.false_hit_rate, 2)),
    ("cost regret", lambda one: _share(one.cost_regret)),
    ("quality regret", lambda one: f"{one.quality_regret:+.4f}"),
)
