"""`flows diff` and `flows rollback`: versions of flows, in files or in the database of this machine."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from platform_api.cli.flow_documents import check_file, model_names, print_diagnostics
from platform_api.cli.outcome import FAILED, INVALID, CommandError, money, out, print_json
from platform_api.cli.platform import AsJson, settings_of_process

if TYPE_CHECKING:
    from flows.plan import Plan
    from flows.validate import ModelNames
    from flows.version_diff import VersionDiff
    from platform_api.settings import Settings

_A_FLOW = "A file, or name@version in the database of this machine."


def diff(
    before: Annotated[str, typer.Argument(help=_A_FLOW)],
    after: Annotated[str, typer.Argument(help=_A_FLOW)],
    as_json: AsJson = False,
) -> int:
    """What is different between two versions, step by step, and what it does to the cost. Exit 0 also when it is."""
    from flows.version_diff import diff_versions

    catalog = model_names()
    settings = settings_of_process()
    old, new = (_plan(one, catalog, settings) for one in (before, after))
    found = diff_versions(old, new, catalog)
    if as_json:
        print_json({"before": before, "after": after, "is_empty": found.is_empty, "difference": found.to_json()})
    else:
        show_difference(found)
    return 0


def rollback(
    flow: Annotated[str, typer.Argument(help="The flow's name.")],
    as_json: AsJson = False,
) -> int:
    """Go back to the version published before, on the database of this machine; a version on trial only ends."""
    number, found = asyncio.run(_roll_back(settings_of_process(), flow))
    if as_json:
        print_json({"flow": flow, "version": number, "difference": None if found is None else found.to_json()})
        return 0
    out.print(f"{escape(flow)}@{number} runs now", highlight=False)
    if found is not None:
        show_difference(found)
    return 0


def show_difference(found: "VersionDiff") -> None:
    """The difference for people: what changed, then what it costs."""
    if found.is_empty:
        out.print("the two do the same")
        return
    table = Table("step", "", "field", "before", "after")
    for one in found.flow:
        table.add_row("", "changed", escape(one.path), _shown(one.before), _shown(one.after))
    for step in found.steps:
        if not step.fields:
            table.add_row(escape(step.path), step.change, "", "", "")
        for one in step.fields:
            table.add_row(escape(step.path), step.change, escape(one.path), _shown(one.before), _shown(one.after))
    out.print(table)
    expected = f"{money(found.expected_usd_before)} -> {money(found.expected_usd_after)}"
    worst = f"{money(found.worst_usd_before)} -> {money(found.worst_usd_after)}"
    out.print(f"cost of a run: expected {expected}, at worst {worst}", highlight=False)


def _shown(value: object) -> str:
    text = "—" if value is None else str(value)
    return escape(text if len(text) <= 60 else f"{text[:59]}…")


def _plan(wanted: str, catalog: "ModelNames", settings: "Settings") -> "Plan":
    """The compiled document. Raises CommandError."""
    if Path(wanted).suffix in {".yaml", ".yml"}:
        checked = check_file(Path(wanted), catalog)
        if checked.plan is None:
            print_diagnostics(checked.diagnostics)
            raise CommandError(f"{wanted} has errors", INVALID)
        return checked.plan
    name, _, version = wanted.partition("@")
    if not version.isdecimal():
        raise CommandError(f"{wanted!r} is neither a .yaml file nor name@version", INVALID)
    return asyncio.run(_stored(settings, name, int(version)))


async def _stored(settings: "Settings", name: str, version: int) -> "Plan":
    from nodes.errors import NodeError
    from platform_api.wiring import open_local_runtime

    async with open_local_runtime(settings) as (runtime, org_id):
        try:
            plan, _ = await runtime.flows.compiler.plan(org_id, name, version)
        except (LookupError, NodeError) as error:
            raise CommandError(str(error), INVALID) from error
    return plan


async def _roll_back(settings: "Settings", flow: str) -> "tuple[int, VersionDiff | None]":
    from platform_api.errors import ApiError
    from platform_api.flow_api.publishing import Publisher
    from platform_api.wiring import open_local_runtime

    async with open_local_runtime(settings) as (runtime, org_id):
        publisher = Publisher(runtime.flows, runtime.database.for_org(org_id), org_id, None)
        try:
            version, found = await publisher.roll_back(flow, now=runtime.clock.now())
        except ApiError as error:
            raise CommandError(error.detail, FAILED) from error
    return version.version, found
