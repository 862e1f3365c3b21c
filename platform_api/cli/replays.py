"""`runs replay`, `runs rerun`, and what `run --replay` does: runs that have ended, once more."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from platform_api.cli.flow_documents import print_diagnostics, read_document, reader_beside
from platform_api.cli.outcome import FAILED, INVALID, CommandError, print_json
from platform_api.cli.platform import AsJson, settings_of_process
from platform_api.cli.remote import Api, Key, post
from platform_api.cli.replay_views import show_kept, show_report
from platform_api.cli.run_following import follow, show_end, store_version

if TYPE_CHECKING:
    from flows.plan import Plan
    from flows.validate import Checked
    from platform_api.settings import Settings
    from platform_api.wiring import Runtime

app = typer.Typer(help="Runs that have ended: replay them, or run them anew.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(help="The run's id.", metavar="RUN")]
With = Annotated[Path | None, typer.Option("--with", help="An edited flow to use instead.", metavar="FLOW.yaml")]
Version = Annotated[int | None, typer.Option("--version", min=1, help="A stored version to use instead.")]
AllowCalls = Annotated[bool, typer.Option("--allow-calls", help="Make the calls that are not recorded. They cost.")]
From = Annotated[str | None, typer.Option("--from", help="The step to begin with.", metavar="STEP")]


@dataclass(frozen=True, slots=True)
class Which:
    """Which run, over which flow: a document, a stored version, or the version that it pinned."""

    run_id: UUID
    file: Path | None = None
    version: int | None = None


@app.command()
def replay(
    run: RunId,
    file: With = None,
    version: Version = None,
    allow_calls: AllowCalls = False,
    api: Api = None,
    key: Key = None,
    as_json: AsJson = False,
) -> int:
    """Walk a run again over its recording, offline and free, and tell what differs.

    Exit 0 when everything came out as recorded, 1 when not. With another flow the report is the answer: exit 0.
    """
    which = Which(run_id_of(run), file, version)
    settings = _settings(api, key)
    if settings.api_url is None:
        return replay_here(settings, which, may_call=allow_calls, as_json=as_json)
    body: dict[str, Any] = {"version": version, "allow_calls": allow_calls}
    if file is not None:
        body["yaml"] = read_document(file)
    report = post(settings, f"/api/runs/{which.run_id}/replay", body)
    return _told(report, is_edited=file is not None or version is not None, as_json=as_json)


@app.command()
def rerun(
    run: RunId,
    start: From = None,
    file: With = None,
    version: Version = None,
    api: Api = None,
    key: Key = None,
    as_json: AsJson = False,
) -> int:
    """Run it anew with the same inputs, keeping what had succeeded: from a step on, or from what had not.

    Exits as `run` does.
    """
    which = Which(run_id_of(run), file, version)
    settings = _settings(api, key)
    if settings.api_url is None:
        return rerun_here(settings, which, start=start, as_json=as_json)
    if file is not None:
        raise CommandError("a platform runs versions that it holds: publish the flow, then name its --version", INVALID)
    told = post(settings, f"/api/runs/{which.run_id}/rerun", {"from": start, "version": version}, wait="300")
    print_json(told)
    return 0 if told["status"] in {"succeeded", "partial"} else 3 if told["status"] == "waiting" else FAILED


def run_id_of(text: str) -> UUID:
    """Raises CommandError when it is none."""
    try:
        return UUID(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no run id; `modelbridge run` prints it", INVALID) from error


def replay_here(settings: "Settings", which: Which, *, may_call: bool, as_json: bool) -> int:
    """Replay a run of this machine's database; the exit code."""
    return asyncio.run(_replay_here(settings, which, may_call=may_call, as_json=as_json))


def rerun_here(settings: "Settings", which: Which, *, start: str | None, as_json: bool) -> int:
    """Run a run of this machine's database anew, here; the exit code."""
    return asyncio.run(_rerun_here(settings, which, start=start, as_json=as_json))


async def _replay_here(settings: "Settings", which: Which, *, may_call: bool, as_json: bool) -> int:
    from platform_api.errors import ApiError
    from platform_api.flow_api.replays import ReplayOrder
    from platform_api.wiring import open_local_runtime

    async with open_local_runtime(settings) as (runtime, org_id):
        replays = runtime.flows.replays
        try:
            if which.file is None:
                is_edited = which.version is not None
                order = ReplayOrder(org_id, which.run_id, version=which.version, may_call=may_call)
                report = await replays.replay(order)
            else:
                recorded = await replays.recorded(org_id, which.run_id)
                _, plan = await _checked(runtime, which.file, read_document(which.file))
                is_edited = plan.content_hash != await replays.content_hash(org_id, recorded.run)
                report = await replays.replay_over(recorded, plan, is_same_flow=not is_edited, may_call=may_call)
        except ApiError as error:
            raise CommandError(error.detail, INVALID) from error
    return _told(report.to_json(), is_edited=is_edited, as_json=as_json)


async def _rerun_here(settings: "Settings", which: Which, *, start: str | None, as_json: bool) -> int:
    from bridge.money import usd_number
    from platform_api.errors import ApiError
    from platform_api.flow_api.replays import RerunOrder
    from platform_api.wiring import open_local_runtime

    async with open_local_runtime(settings) as (runtime, org_id):
        try:
            version = which.version
            if which.file is not None:
                version = await _stored_version(runtime, org_id, which.file)
            order = RerunOrder(org_id, which.run_id, start=start, version=version, engine="inline")
            entered, kept = await runtime.flows.replays.rerun(order)
        except ApiError as error:
            raise CommandError(error.detail, INVALID) from error
        if not as_json:
            show_kept([step.path for step in kept.steps], usd_number(kept.saved_nano_usd))
        was_interrupted = await follow(runtime, org_id, entered.run_id, is_quiet=as_json)
        done = await runtime.store.load(entered.run_id)
        steps = await runtime.store.steps(entered.run_id)
    if done is None:
        raise CommandError(f"run {entered.run_id} is gone from the database", FAILED)
    return show_end(done, list(steps), was_interrupted=was_interrupted, as_json=as_json)


async def _checked(runtime: "Runtime", file: Path, text: str) -> "tuple[Checked, Plan]":
    """The document and its plan. Raises CommandError after telling its problems."""
    from flows.validate import check

    names = runtime.flows.compiler.names
    checked = await asyncio.to_thread(check, text, file=str(file), catalog=names, read_ref=reader_beside(file))
    if checked.plan is None:
        print_diagnostics(checked.diagnostics)
        raise CommandError(f"{file} has errors", INVALID)
    return checked, checked.plan


async def _stored_version(runtime: "Runtime", org_id: UUID, file: Path) -> int:
    text = read_document(file)
    checked, plan = await _checked(runtime, file, text)
    runtime.flows.replays.remember(org_id, text, plan)
    return await store_version(runtime, org_id, text, checked)


def _told(report: dict[str, Any], *, is_edited: bool, as_json: bool) -> int:
    if as_json:
        print_json(report)
    else:
        show_report(report)
    return 0 if is_edited or report["is_same"] else FAILED


def _settings(api: str | None, key: str | None) -> "Settings":
    from pydantic import SecretStr

    return settings_of_process(api_url=api, api_key=None if key is None else SecretStr(key))
