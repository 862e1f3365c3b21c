"""`run`: one flow on this machine, with live progress, on the database that `up` and `serve` use."""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import UUID

import typer

from platform_api.cli.flow_documents import print_diagnostics, read_document, reader_beside
from platform_api.cli.outcome import FAILED, INTERRUPTED, INVALID, WAITING, CommandError, print_json
from platform_api.cli.platform import AsJson, settings_of_process
from platform_api.cli.replays import AllowCalls, From, Which, With, replay_here, rerun_here, run_id_of
from platform_api.cli.run_views import Progress, run_json, show_run

if TYPE_CHECKING:
    from flows.plan import Plan
    from flows.runs import Run, StepRun
    from flows.validate import Checked
    from platform_api.settings import Settings
    from platform_api.wiring import Runtime

CODES = {"succeeded": 0, "partial": 0, "waiting": WAITING}
NO_LIMIT_S = 7 * 24 * 3600.0
POLL_S = 0.2


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


def show_end(done: "Run", steps: "list[StepRun]", *, was_interrupted: bool, as_json: bool) -> int:
    """Print how the run stands; the exit code."""
    if as_json:
        print_json(run_json(done, steps))
    else:
        show_run(done, steps)
    return INTERRUPTED if was_interrupted else CODES.get(done.status, FAILED)


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


async def store_version(runtime: "Runtime", org_id: UUID, text: str, checked: "Checked") -> int:
    """Keep the document as a version, so that the run can be looked at, resumed and replayed."""
    from platform_api.flow_api import service

    assert checked.plan is not None
    async with runtime.database.for_org(org_id)() as db:
        stored = await service.store_version(
            db,
            service.Author(org_id, None),
            text,
            checked,
            checked.plan,
            now=runtime.clock.now(),
            new_id=runtime.new_id,
        )
    runtime.flows.compiler.remember(org_id, text, checked.plan)
    return stored.version


async def _enter(runtime: "Runtime", org_id: UUID, flow: str, version: int, inputs: dict[str, Any]) -> str:
    from platform_api.flow_api.run_service import RunOrder

    order = RunOrder(org_id=org_id, flow=flow, version=version, inputs=inputs, trigger="manual", engine="inline")
    return (await runtime.flows.entrance.start(runtime.database.for_org(org_id), order)).run_id


async def follow(runtime: "Runtime", org_id: UUID, run_id: str, *, is_quiet: bool) -> bool:
    """Show progress until the run is over. True when Ctrl-C or SIGTERM cancelled it."""
    cancelling: list[asyncio.Task[None]] = []

    async def cancel() -> None:
        await runtime.store.request_cancel(str(org_id), run_id)
        runtime.flows.dispatcher.cancel(run_id)

    def on_signal() -> None:
        cancelling.append(asyncio.get_running_loop().create_task(cancel()))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    showing = asyncio.create_task(_show_progress(runtime, run_id, is_quiet=is_quiet))
    try:
        await _until_over(runtime, run_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.shield(showing)
    finally:
        showing.cancel()
        await asyncio.gather(showing, *cancelling, return_exceptions=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return bool(cancelling)


async def _until_over(runtime: "Runtime", run_id: str) -> None:
    """Return when the run is over, or waits for a person. For a moment to come it waits here."""
    dispatcher = runtime.flows.dispatcher
    while True:
        run = await dispatcher.wait(run_id, NO_LIMIT_S)
        if run is None or run.status != "waiting":
            return
        if not run.is_cancel_requested and await _asks(runtime, run_id):
            return
        await asyncio.sleep(POLL_S)
        await dispatcher.wake(run_id)


async def _asks(runtime: "Runtime", run_id: str) -> bool:
    """Does one of its steps wait for a person, who has not answered?"""
    from flows.waiting import has_news

    steps = [step for step in await runtime.store.steps(run_id) if step.status == "waiting" and step.type == "approve"]
    for step in steps:
        if not await has_news(runtime.engine.answers, run_id, step):
            return True
    return False


async def _show_progress(runtime: "Runtime", run_id: str, *, is_quiet: bool) -> None:
    from platform_api.flow_api.events import RunFeed

    feed = RunFeed(runtime.store, runtime.flows.events, is_local=runtime.flows.dispatcher.is_walking)
    with Progress(is_quiet=is_quiet) as progress:
        async with aclosing(feed.follow(run_id)) as events:
            async for event in events:
                progress.tell(event.kind, event.body)
