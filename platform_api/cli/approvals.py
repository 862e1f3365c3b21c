"""`approve`: answer a step that asks, in the database of this machine, and let its run go on here."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from platform_api.cli.outcome import FAILED, INVALID, CommandError
from platform_api.cli.platform import AsJson, settings_of_process
from platform_api.cli.run_following import follow, show_end
from platform_api.cli.runs import raw_pairs

if TYPE_CHECKING:
    from platform_api.settings import Settings
    from platform_api.wiring import Runtime


def approve(
    run: Annotated[str, typer.Argument(help="The run's id.", metavar="RUN")],
    step: Annotated[str, typer.Argument(help="The step that asks: `review`, or `each[2].review`.", metavar="STEP")],
    values: Annotated[list[str] | None, typer.Option("-v", "--value", metavar="NAME=VALUE", help="One field.")] = None,
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead.")] = False,
    comment: Annotated[str | None, typer.Option("--comment", help="Why.")] = None,
    as_json: AsJson = False,
) -> int:
    """Answer a step that waits for approval, and follow its run. Exits as `run` does."""
    try:
        run_id = UUID(run)
    except ValueError as error:
        raise CommandError(f"{run!r} is no run id; `modelbridge run` prints it", INVALID) from error
    given = {"decision": "reject" if reject else "approve", "comment": comment}
    return asyncio.run(_approve(settings_of_process(), run_id, step, raw_pairs(values or [], "-v"), given, as_json))


async def _approve(  # what was typed
    settings: "Settings", run_id: UUID, step: str, raw: dict[str, str], given: dict[str, Any], as_json: bool
) -> int:
    from platform_api.errors import ApiError
    from platform_api.wiring import open_local_runtime

    async with open_local_runtime(settings) as (runtime, org_id):
        try:
            await _answer(runtime, settings, run_id, step, raw, given)
        except ApiError as error:
            raise CommandError(error.detail, FAILED) from error
        await runtime.flows.dispatcher.wake(str(run_id))
        was_interrupted = await follow(runtime, org_id, str(run_id), is_quiet=as_json)
        done = await runtime.store.load(str(run_id))
        steps = await runtime.store.steps(str(run_id))
    if done is None:
        raise CommandError(f"run {run_id} is gone from the database", FAILED)
    return show_end(done, list(steps), was_interrupted=was_interrupted, as_json=as_json)


async def _answer(  # what was typed
    runtime: "Runtime", settings: "Settings", run_id: UUID, step: str, raw: dict[str, str], given: dict[str, Any]
) -> None:
    """Store the owner's answer. Raises ApiError, CommandError."""
    from flows.errors import InvalidInputsError
    from flows.inputs import parse_inputs
    from nodes.approve import form_schema
    from platform_api.flow_api import approvals
    from platform_api.flow_api.schemas import NewAnswer
    from platform_api.local_owner import local_caller
    from platform_api.security.credentials import Passwords

    caller = await local_caller(settings.home, runtime.database, Passwords(), now=runtime.clock.now())
    async with runtime.database.for_org(caller.org_id)() as db:
        listed = await approvals.open_approvals(db, caller.org_id)
        forms = [one.form for one in listed if (one.run_id, one.path) == (str(run_id), step)]
        try:
            values = parse_inputs(form_schema(forms[0]), raw, {}) if forms else {}
        except InvalidInputsError as error:
            raise CommandError(f"the values do not fit the form: {error}", INVALID) from error
        answer = NewAnswer(values=values, **given)
        await approvals.answer(db, caller, run_id, step, answer, now=runtime.clock.now(), new_id=runtime.new_id)
