"""What the endpoints of flows, runs and schedules work with; one object a process, on `app.state.flow_services`."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from flows.runs import RunStore
from platform_api.flow_api.dispatcher import RunDispatcher
from platform_api.flow_api.events import LiveEvents, RunFeed
from platform_api.flow_api.plans import FlowCompiler
from platform_api.flow_api.replays import Replays
from platform_api.flow_api.run_ends import RunEnds
from platform_api.flow_api.run_service import RunEntrance
from platform_api.flow_api.schedule_slots import ScheduleSlots
from platform_api.flow_api.schedules import SchedulePublisher
from platform_api.flow_api.triggers import Hooks


@dataclass(frozen=True, slots=True)
class FlowServices:
    """The parts that enter, walk, watch and schedule runs."""

    compiler: FlowCompiler
    dispatcher: RunDispatcher
    entrance: RunEntrance
    replays: Replays
    store: RunStore
    events: LiveEvents
    schedules: SchedulePublisher
    slots: ScheduleSlots
    hooks: Hooks
    ends: RunEnds
    flush_usage: Callable[[], Awaitable[None]]
    """Stores what this process has journalled, so that a run's tokens and cost are complete."""

    def feed(self) -> RunFeed:
        """A feed of events for one watcher."""
        return RunFeed(self.store, self.events, is_local=self.dispatcher.is_walking)


@asynccontextmanager
async def looking(flows: FlowServices) -> AsyncGenerator[None]:
    """Looks for ended runs that others follow, and, where schedules are fired, for slots that nothing fired."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(flows.ends.watching())
        if flows.schedules.is_on:
            await stack.enter_async_context(flows.slots.making_up())
        yield


def flow_services(request: Request) -> FlowServices:
    """The application's flow services."""
    return cast("FlowServices", request.app.state.flow_services)


Flows = Annotated[FlowServices, Depends(flow_services)]
