"""`validate`, `plan`, `schema`: flow documents without running them."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from platform_api.cli.flow_reports import graph_lines, plan_json, sarif
from platform_api.cli.outcome import FAILED, INVALID, CommandError, err, money, out, print_json
from platform_api.cli.platform import AsJson, settings_of_process

if TYPE_CHECKING:
    from flows.cost_bound import CostBound
    from flows.errors import Diagnostic
    from flows.plan import Plan
    from flows.validate import Checked, ModelNames


class Format(StrEnum):
    """How problems are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def validate(
    files: Annotated[list[Path], typer.Argument(help="Flow documents.", metavar="FLOW.yaml...")],
    output: Annotated[Format, typer.Option("--format", help="Text for people, JSON or SARIF for tools.")] = Format.TEXT,
    as_json: AsJson = False,
) -> int:
    """Every problem of the documents at once, with place and way out. Exit 0 when none is an error, else 1."""
    catalog = model_names()
    checked = [(file, check_file(file, catalog)) for file in files]
    found = [diagnostic for _, one in checked for diagnostic in one.diagnostics]
    if output is Format.SARIF:
        print_json(sarif(found))
    elif output is Format.JSON or as_json:
        print_json({"diagnostics": [diagnostic.to_json() for diagnostic in found]})
    else:
        print_diagnostics(found)
        _print_summary(checked)
    return FAILED if any(one.has_errors for _, one in checked) else 0


def plan(
    file: Annotated[Path, typer.Argument(help="A flow document.", metavar="FLOW.yaml")],
    as_json: AsJson = False,
) -> int:
    """The steps in order, why each waits for which, and what a run may cost. Exit 2 when the flow has errors."""
    from flows.cost_bound import cost_bound

    catalog = model_names()
    checked = check_file(file, catalog)
    if checked.plan is None:
        if as_json:
            print_json({"diagnostics": [diagnostic.to_json() for diagnostic in checked.diagnostics]})
        else:
            print_diagnostics(checked.diagnostics)
        return INVALID
    bound = cost_bound(checked.plan, catalog)
    if as_json:
        print_json(plan_json(checked.plan, bound))
        return 0
    _print_plan(checked.plan, bound)
    return 0


def schema(as_json: AsJson = False) -> int:
    """The JSON Schema of the flow language, for editors."""
    from flows.language_schema import language_schema

    del as_json  # it is JSON either way
    print_json(language_schema())
    return 0


def model_names() -> "ModelNames":
    """The names and prices of the models that this machine's configuration knows."""
    from bridge.config import BridgeConfig
    from bridge.errors import ConfigurationError
    from bridge.gateway import Bridge
    from platform_api.model_names import BridgeNames

    try:
        config = BridgeConfig.parse(settings_of_process().bridge)
        return BridgeNames(Bridge(config), tries=config.retry.max_per_target)
    except ConfigurationError as error:
        raise CommandError(str(error), INVALID) from error


def check_file(file: Path, catalog: "ModelNames") -> "Checked":
    """Check one document; flows it refers to by path are read from its folder. Raises CommandError."""
    from flows.validate import check

    return check(read_document(file), file=str(file), catalog=catalog, read_ref=reader_beside(file))


def read_document(file: Path) -> str:
    """The text of a file. Raises CommandError when it cannot be read as text."""
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is no UTF-8 text (byte {error.start})", INVALID) from error
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror or error}", INVALID) from error


def reader_beside(file: Path) -> Callable[[str], str]:
    """Reads documents by `./path` from the folder of `file`; published flows cannot be known here."""

    def read(reference: str) -> str:
        if not reference.startswith("."):
            raise NotImplementedError
        return (file.parent / reference).read_text(encoding="utf-8")

    return read


def print_diagnostics(found: "Sequence[Diagnostic]") -> None:
    """One problem a line, with its place and a way out."""
    for diagnostic in found:
        colour = "red" if diagnostic.severity == "error" else "yellow"
        place = f"{diagnostic.file}:{diagnostic.line}:{diagnostic.column}"
        line = f"{escape(place)}: [{colour}]{diagnostic.severity}[/]: {escape(diagnostic.message)}"
        out.print(f"{line} [dim]\\[{diagnostic.code}][/]", soft_wrap=True, highlight=False)
        if diagnostic.suggestion:
            out.print(f"    [dim]-> {escape(diagnostic.suggestion)}[/]", soft_wrap=True, highlight=False)


def _print_summary(checked: "Sequence[tuple[Path, Checked]]") -> None:
    for file, one in checked:
        errors = sum(d.severity == "error" for d in one.diagnostics)
        warnings = len(one.diagnostics) - errors
        if one.plan is not None:
            text = f"valid: flow {one.plan.flow}, {_count(len(one.plan.block.steps), 'step')}"
            text += f", {_count(warnings, 'warning')}" if warnings else ""
        else:
            text = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
        err.print(f"{escape(str(file))}: {escape(text)}", highlight=False, soft_wrap=True)


def _print_plan(compiled: "Plan", bound: "CostBound") -> None:
    out.print(f"[bold]{escape(compiled.flow)}[/] {escape(compiled.description)}", highlight=False)
    for line in graph_lines(compiled):
        out.print(escape(line), highlight=False, soft_wrap=True)
    table = Table("step", "runs at most", "expected", "worst case", title="Cost")
    for step in bound.steps:
        table.add_row(step.path, str(step.max_runs), _usd(step.expected_nano_usd), _usd(step.worst_nano_usd))
    table.add_section()
    table.add_row("total", "", _usd(bound.expected_nano_usd), _usd(bound.worst_nano_usd))
    out.print(table)
    if compiled.budget is not None:
        out.print(f"Budget: {money(compiled.budget.usd)}; when exceeded: {compiled.budget.on_exceed}")


def _usd(nano_usd: int | None) -> str:
    from bridge.money import usd_number

    return money(usd_number(nano_usd))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
