"""`test`: the tests that a flow brings along, run offline with their mocks."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from xml.etree import ElementTree as Xml

import typer
from rich.markup import escape

from platform_api.cli.flow_documents import check_file, model_names, print_diagnostics
from platform_api.cli.outcome import FAILED, INVALID, err, out, print_json
from platform_api.cli.platform import AsJson

if TYPE_CHECKING:
    from flows.flow_test_run import TestOutcome
    from flows.validate import Checked


class Format(StrEnum):
    """How the outcomes are printed."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def run_tests(
    files: Annotated[list[Path], typer.Argument(help="Flow documents.", metavar="FLOW.yaml...")],
    output: Annotated[Format, typer.Option("--format", help="Text for people, JSON or JUnit for tools.")] = Format.TEXT,
    as_json: AsJson = False,
) -> int:
    """Run the flows' own tests with their mocks, offline. Exit 0 all passed, 1 a test failed, 2 a flow has errors."""
    catalog = model_names()
    checked = [(file, check_file(file, catalog)) for file in files]
    outcomes = [(file, asyncio.run(_run_all(one))) for file, one in checked]
    if output is Format.JUNIT:
        out.print(_junit(outcomes), markup=False, highlight=False, soft_wrap=True)
    elif output is Format.JSON or as_json:
        print_json(_json(checked, outcomes))
    else:
        _show(checked, outcomes)
    if any(one.plan is None for _, one in checked):
        return INVALID
    return 0 if all(test.has_passed for _, tests in outcomes for test in tests) else FAILED


async def _run_all(checked: "Checked") -> "list[TestOutcome]":
    from flows.expressions import CelExpressions
    from flows.flow_test_run import run_test

    if checked.plan is None:
        return []
    expressions = CelExpressions()
    return [await run_test(checked.plan, test, expressions, _load_nothing) for test in checked.tests]


async def _load_nothing(org_id: str, reference: str) -> Any:
    from nodes.errors import InvalidInputError

    raise InvalidInputError(f"a test is offline: mock the step that runs {reference}, or refer to a file beside it")


def _show(checked: "Sequence[tuple[Path, Checked]]", outcomes: "Sequence[tuple[Path, list[TestOutcome]]]") -> None:
    for (file, one), (_, tests) in zip(checked, outcomes, strict=True):
        if one.plan is None:
            print_diagnostics(one.diagnostics)
            continue
        for test in tests:
            mark = "[green]✓[/]" if test.has_passed else "[red]✗[/]"
            out.print(f"{mark} {escape(str(file))}: {escape(test.test.name)}", highlight=False, soft_wrap=True)
            for problem in test.problems:
                out.print(f"    {escape(problem)}", highlight=False, soft_wrap=True)
        if not tests:
            err.print(f"{file} has no tests", highlight=False, markup=False, soft_wrap=True)
    failed = sum(not test.has_passed for _, tests in outcomes for test in tests)
    total = sum(len(tests) for _, tests in outcomes)
    err.print(f"{total - failed} passed, {failed} failed", highlight=False)


def _json(
    checked: "Sequence[tuple[Path, Checked]]", outcomes: "Sequence[tuple[Path, list[TestOutcome]]]"
) -> dict[str, Any]:
    return {
        "tests": [
            {
                "file": str(file),
                "name": test.test.name,
                "line": test.test.position.line,
                "passed": test.has_passed,
                "problems": list(test.problems),
                "status": None if test.run is None else test.run.status,
                "outputs": {} if test.run is None else dict(test.run.outputs),
                "steps": {path: step.status for path, step in test.steps.items()},
            }
            for file, tests in outcomes
            for test in tests
        ],
        "diagnostics": [problem.to_json() for _, one in checked if one.plan is None for problem in one.diagnostics],
    }


def _junit(outcomes: "Sequence[tuple[Path, list[TestOutcome]]]") -> str:
    """A suite for each document. Source: the JUnit XML that CI systems read (Jenkins' xunit schema)."""
    root = Xml.Element("testsuites")
    for file, tests in outcomes:
        failed = sum(not test.has_passed for test in tests)
        suite = Xml.SubElement(root, "testsuite", name=str(file), tests=str(len(tests)), failures=str(failed))
        for test in tests:
            case = Xml.SubElement(suite, "testcase", classname=str(file), name=test.test.name, time="0")
            if not test.has_passed:
                failure = Xml.SubElement(case, "failure", message=test.problems[0])
                failure.text = "\n".join(test.problems)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True)
