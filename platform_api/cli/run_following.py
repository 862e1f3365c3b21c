"""A run of this machine as it is watched from a terminal: until it is over, or waits for a person."""

import asyncio
import signal
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING
from uuid import UUID

from platform_api.cli.outcome import FAILED, INTERRUPTED, WAITING, print_json
from platform_api.cli.run_views import Progress, run_json, show_run

if TYPE_CHECKING:
    from flows.runs import Run, StepRun
    from flows.validate import Checked
    from platform_api.wiring import Runtime

CODES = {"succeeded": 0, "partial": 0, "waiting": WAITING}
NO_LIMIT_S = 7 * 24 * 3600.0
POLL_S = 0.2


def show_end(done: "Run", steps: "list[StepRun]", *, was_interrupted: bool, as_json: bool) -> int:
    """Print how the run stands; the exit code."""
    if as_json:
        print_json(run_json(done, steps))
    else:
        show_run(done, steps)
    return INTERRUPTED if was_interrupted else CODES.get(done.status, FAILED)


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
