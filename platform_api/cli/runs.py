"""`run`: one flow on this machine, with live progress, on the database that `up` and `serve` use."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import UUID

import typer

from platform_api.cli.flow_documents import print_diagnostics, read_document, reader_beside
from platform_api.cli.outcome import FAILED, INVALID, CommandError, print_json
from platform_api.cli.platform import AsJson, settings_of_process
from platform_api.cli.replays import AllowCalls, From, Which, With, replay_here, rerun_here, run_id_of
from platform_api.cli.run_following import follow, show_end, store_version

if TYPE_CHECKING:
    from flows.plan import Plan
    from flows.validate import Checked
    from platform_api.settings import Settings
    from platform_api.wiring import Runtime


def run(
    file: Annotated[Path | None, typer.Argument(help="A flow document.", metavar="FLOW.yaml")] = None,
    inputs: Annotated[list[str] | None, typer.Option("-i", "--input", metavar="NAME=VALUE", help="One input.")] = None,
    inputs_file: Annotated[Path | None, typer.Option("--inputs", help="A JSON or YAML file of inputs.")] = None,
    replay: Annotated[str | None, typer.Option("--replay", help="A run to take once more.", metavar="RUN")] = None,
    start: From = None,
    edited: With = None,
    allow_calls: AllowCalls = False,
    as_json: AsJson = False,
) -> int:
    """Run one flow here. Exit 0 succeeded, 1 failed, 2 invalid flow or input, 3 waiting for approval.

    With `--replay RUN` every model and http step is answered from the recording, and what differs is told; with
    `--from STEP` that step and what follows are run anew over the recorded outcomes of the others.
    """
    if replay is not None:
        return _once_more(Which(run_id_of(replay), edited or file), start, allow_calls=allow_calls, as_json=as_json)
    if file is None or start is not None or edited is not None or allow_calls:
        needed = "FLOW.yaml" if file is None else "--replay RUN, for --from, --with and --allow-calls"
        raise CommandError(f"run needs {needed}", INVALID)
    given = _given(inputs_file)
    raw = raw_pairs(inputs or [], "-i")
    settings = settings_of_process()
    text = read_document(file)
    return asyncio.run(_run(settings, file, text, (raw, given), as_json=as_json))


def _once_more(which: Which, start: str | None, *, allow_calls: bool, as_json: bool) -> int:
    settings = settings_of_process()
    if start is not None:
        return rerun_here(settings, which, start=start, as_json=as_json)
    return replay_here(settings, which, may_call=allow_calls, as_json=as_json)


async def _run(
    settings: "Settings",
    file: Path,
    text: str,
    inputs: tuple[Mapping[str, str], Mapping[str, Any]],
    *,
    as_json: bool,
) -> int:
    from flows.validate import check
    from platform_api.wiring import open_local_runtime

    async with open_local_runtime(settings) as (runtime, org_id):
        names = runtime.flows.compiler.names
        checked = await asyncio.to_thread(check, text, file=str(file), catalog=names, read_ref=reader_beside(file))
        if checked.plan is None:
            return _show_invalid(checked, as_json=as_json)
        values = _checked_inputs(checked.plan, inputs)
        version = await store_version(runtime, org_id, text, checked)
        run_id = await _enter(runtime, org_id, checked.plan.flow, version, values)
        was_interrupted = await follow(runtime, org_id, run_id, is_quiet=as_json)
        done = await runtime.store.load(run_id)
        steps = await runtime.store.steps(run_id)
    if done is None:
        raise CommandError(f"run {run_id} is gone from the database", FAILED)
    return show_end(done, list(steps), was_interrupted=was_interrupted, as_json=as_json)


def _show_invalid(checked: "Checked", *, as_json: bool) -> int:
    if as_json:
        print_json({"diagnostics": [diagnostic.to_json() for diagnostic in checked.diagnostics]})
    else:
        print_diagnostics(checked.diagnostics)
    return INVALID


def raw_pairs(texts: list[str], option: str) -> dict[str, str]:
    """`name=value` texts as a map. Raises CommandError."""
    pairs = [text.partition("=") for text in texts]
    wrong = [text for text, (_, equals, _) in zip(texts, pairs, strict=True) if not equals]
    if wrong:
        raise CommandError(f"{option} takes name=value, not {wrong[0]!r}", INVALID)
    return {name: value for name, _, value in pairs}


def _given(file: Path | None) -> Mapping[str, Any]:
    """The inputs of a file. Raises CommandError when it is no map."""
    if file is None:
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        loaded: object = YAML(typ="safe", pure=True).load(read_document(file))
    except YAMLError as error:
        raise CommandError(f"{file} is neither JSON nor YAML: {str(error).splitlines()[0]}", INVALID) from error
    if not isinstance(loaded, dict):
        raise CommandError(f"{file} must hold a map of inputs", INVALID)
    return cast("dict[str, Any]", loaded)


def _checked_inputs(plan: "Plan", inputs: tuple[Mapping[str, str], Mapping[str, Any]]) -> dict[str, Any]:
    from flows.errors import InvalidInputsError
    from flows.inputs import check_inputs, parse_inputs

    raw, given = inputs
    try:
        return dict(check_inputs(plan.inputs_schema, parse_inputs(plan.inputs_schema, raw, given)))
    except InvalidInputsError as error:
        lines = [f"{pointer.lstrip('/') or 'inputs'}: {message}" for pointer, message in error.problems]
        raise CommandError(f"the inputs do not fit flow {plan.flow}: " + "; ".join(lines), INVALID) from error


async def _enter(runtime: "Runtime", org_id: UUID, flow: str, version: int, inputs: dict[str, Any]) -> str:
    from platform_api.flow_api.run_service import RunOrder

    order = RunOrder(org_id=org_id, flow=flow, version=version, inputs=inputs, trigger="manual", engine="inline")
    return (await runtime.flows.entrance.start(runtime.database.for_org(org_id), order)).run_id
