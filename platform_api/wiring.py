"""Joins everything: the only place that knows the concrete classes behind the ports."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from fastapi import FastAPI

from bridge.call_record import CallContext, CallSink
from bridge.clock import Clock, SystemClock
from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.identifiers import NewId, new_id
from bridge.throttle import throttle_of
from flows.engine_services import EngineServices
from flows.expressions import CelExpressions
from flows.inline_lane import InlineLane
from flows.payloads import OffloadingRunStore
from flows.run_memory import MemoryOutcomeCache
from flows.runs import RunStore
from nodes.context import HttpRules
from platform_api.app import create_app
from platform_api.artifact_settings import artifacts_of
from platform_api.artifacts import endpoints as artifact_endpoints
from platform_api.auth.announcements import RedisChannel, channel_of, shared_forgetting
from platform_api.auth.identity import Identity
from platform_api.budgets import endpoints as budgets
from platform_api.budgets.ledger import SqlBudgetLedger
from platform_api.database.session import Database
from platform_api.errors import UnavailableError
from platform_api.flow_api import (
    approval_endpoints,
    replay_endpoints,
    run_endpoints,
    schedule_endpoints,
    trigger_endpoints,
)
from platform_api.flow_api import endpoints as flow_endpoints
from platform_api.flow_api.approvals import SqlAnswers
from platform_api.flow_api.dispatcher import RunDispatcher
from platform_api.flow_api.events import LiveEvents
from platform_api.flow_api.exposures import SqlExposures
from platform_api.flow_api.plans import FlowCompiler, FlowTexts
from platform_api.flow_api.prefect_lane import LaneState, PrefectLane
from platform_api.flow_api.recording_retention import purging
from platform_api.flow_api.replays import Replays
from platform_api.flow_api.run_ends import RunEnds
from platform_api.flow_api.run_service import RunEntrance
from platform_api.flow_api.run_store import SqlRunStore
from platform_api.flow_api.schedule_slots import ScheduleSlots
from platform_api.flow_api.schedules import SchedulePublisher
from platform_api.flow_api.services import FlowServices, looking
from platform_api.flow_api.triggers import Hooks
from platform_api.limits import endpoints as limit_endpoints
from platform_api.limits.service import TenantLimits
from platform_api.limits.windows import MemoryCounter
from platform_api.llm import native_endpoints
from platform_api.llm.api_description import described_paths
from platform_api.llm.data_plane import DataPlane
from platform_api.llm.flow_model import FlowModels
from platform_api.llm.plane_parts import PlaneParts
from platform_api.migrations.runner import upgrade_database
from platform_api.model_names import BridgeNames
from platform_api.operations.metrics import Metrics
from platform_api.operations.telemetry import Telemetry
from platform_api.organizations.service import ensure_local_organization
from platform_api.outside import outside_of
from platform_api.secrets import endpoints as secrets
from platform_api.secrets.service import secrets_of
from platform_api.security.encryption import Envelope
from platform_api.security.root_secret import root_secret
from platform_api.settings import Settings
from platform_api.shared_state import SharedState
from platform_api.usage import endpoints as usage
from platform_api.usage.drain import UsageDrain
from platform_api.usage.journal import Journal
from platform_api.vectors.index import SqlVectorIndex

log = logging.getLogger(__name__)

DRAIN_GRACE_S = 10.0
ContextOf = Callable[[str | None], CallContext]
"""Task -> on whose behalf a call is made."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs flows and answers calls in one process."""

    settings: Settings
    database: Database
    clock: Clock
    bridge: Bridge
    shared: SharedState
    limits: TenantLimits
    ledger: SqlBudgetLedger
    drain: UsageDrain
    engine: EngineServices
    store: RunStore
    new_id: NewId
    flows: FlowServices
    prefect: PrefectLane | None
    telemetry: Telemetry


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    database: Database,
    *,
    clock: Clock | None = None,
    telemetry: Telemetry | None = None,
    tell_lane: Callable[[LaneState], None] = lambda _state: None,
    with_prefect: bool = True,
    drain_grace_s: float = DRAIN_GRACE_S,
) -> AsyncGenerator[Runtime]:
    """Bridge, ledger, journal and engine over an open, migrated database.

    At the end runs under way get `drain_grace_s`, then are given back; what was journalled is stored.
    """
    telemetry = telemetry or Telemetry.of(settings)
    runtime = _joined(settings, database, clock or SystemClock(), telemetry, tell_lane, with_prefect=with_prefect)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(telemetry.aclose)
        stack.push_async_callback(runtime.shared.aclose)
        stack.push_async_callback(runtime.bridge.aclose)
        upkeep = asyncio.create_task(runtime.bridge.run_upkeep(), name="bridge upkeep")
        stack.callback(upkeep.cancel)
        measuring = asyncio.create_task(telemetry.run(), name="measure the event loop")
        stack.callback(measuring.cancel)
        await runtime.drain.start()
        stack.push_async_callback(runtime.drain.aclose)
        if runtime.prefect is not None:
            stack.push_async_callback(runtime.prefect.aclose)
        stack.push_async_callback(runtime.flows.dispatcher.drain, drain_grace_s)
        yield runtime


@asynccontextmanager
async def open_local_runtime(settings: Settings) -> AsyncGenerator[tuple[Runtime, UUID]]:
    """A runtime for the command line, on the database that `up` and `serve` use too, and the organisation `local`."""
    database = Database(settings.database_url)
    try:
        await upgrade_database(database)
        org_id = await ensure_local_organization(database, now=SystemClock().now())
        own = settings.model_copy(update={"gives_own_secrets": True})
        async with open_runtime(own, database, with_prefect=False) as runtime:
            yield runtime, org_id
    finally:
        await database.aclose()


@asynccontextmanager
async def open_local_bridge(settings: Settings) -> AsyncGenerator[tuple[Bridge, ContextOf]]:
    """A bridge for the command line whose calls are recorded and budgeted as organisation `local`."""
    async with open_local_runtime(settings) as (runtime, org_id):
        yield runtime.bridge, lambda task: CallContext(org_id=str(org_id), task=task)


def build_application(
    settings: Settings, database: Database, *, clock: Clock | None = None, drain_grace_s: float = DRAIN_GRACE_S
) -> FastAPI:
    """The whole API over an open, migrated database, which the caller closes."""
    telemetry = Telemetry.of(settings, Metrics())
    parts: list[PlaneParts] = []

    def plane_parts() -> PlaneParts:
        return parts[0]

    @asynccontextmanager
    async def announcing(app: FastAPI) -> AsyncGenerator[None]:
        channel = channel_of(database, settings.redis_url)
        if isinstance(channel, RedisChannel):
            app.state.metrics.watch_redis(channel.link)
        async with shared_forgetting(app.state.identity.authenticator, channel):
            yield

    @asynccontextmanager
    async def runtime_part(app: FastAPI) -> AsyncGenerator[None]:
        identity: Identity = app.state.identity
        readiness = app.state.readiness

        def tell_lane(state: LaneState) -> None:
            readiness.durable_lane = state

        async with open_runtime(
            settings,
            database,
            clock=identity.clock,
            telemetry=telemetry,
            tell_lane=tell_lane,
            drain_grace_s=drain_grace_s,
        ) as runtime:
            app.state.runtime, app.state.flow_services = runtime, runtime.flows
            app.state.ledger, app.state.drain, app.state.bridge = runtime.ledger, runtime.drain, runtime.bridge
            app.state.limits = runtime.limits
            flow_models = FlowModels(runtime.flows, database)
            parts[:] = [PlaneParts(runtime.bridge, identity.authenticator, flow_models, runtime.limits)]
            runtime.flows.dispatcher.begin_sweeping()
            keep_days = settings.sections.recordings.keep_days
            async with _connecting(runtime), purging(database, runtime.clock, keep_days), looking(runtime.flows):
                yield

    app = create_app(
        settings,
        database,
        clock=clock,
        telemetry=telemetry,
        routers=[
            flow_endpoints.router,
            run_endpoints.router,
            artifact_endpoints.router,
            replay_endpoints.router,
            approval_endpoints.router,
            schedule_endpoints.router,
            trigger_endpoints.router,
            budgets.router,
            limit_endpoints.router,
            secrets.router,
            usage.router,
            native_endpoints.router,
        ],
        data_plane=DataPlane(parts=plane_parts),
        parts=[announcing, runtime_part],
    )
    app.data_plane_description = described_paths
    return app


@asynccontextmanager
async def _connecting(runtime: Runtime) -> AsyncGenerator[None]:
    """Connects to Prefect in the background, and publishes the schedules once it answers."""
    if runtime.prefect is None:
        yield
        return

    async def publish() -> None:
        try:
            await runtime.flows.schedules.publish()
        except UnavailableError:  # the next change of a schedule publishes all of them
            log.warning("schedules_wait")

    task = asyncio.create_task(runtime.prefect.connect(publish), name="connect to Prefect")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _joined(
    settings: Settings,
    database: Database,
    clock: Clock,
    telemetry: Telemetry,
    tell_lane: Callable[[LaneState], None],
    *,
    with_prefect: bool,
) -> Runtime:
    config = BridgeConfig.parse(settings.bridge)
    writer_id = new_id()
    root = settings.home / "journal"
    journal = Journal(root, writer_id, fsync=settings.sections.journal.fsync)
    drain = UsageDrain(database, journal, root, clock)
    ledger = SqlBudgetLedger(database, clock, writer_id)
    sinks: list[CallSink] = [drain, *telemetry.sinks(config.providers)]
    shared = SharedState.of(settings.redis_url, settings.sections.limits)
    limits = TenantLimits(settings.sections.limits, shared.windows or MemoryCounter(clock.monotonic))
    bridge = Bridge(
        config,
        sinks=sinks,
        ledger=ledger,
        clock=clock,
        state=shared.store,
        throttle=throttle_of(config.providers, shared.limiter),
        journal=journal,
    )
    compiler = FlowCompiler(FlowTexts(database), BridgeNames(bridge, tries=config.retry.max_per_target))
    artifacts = artifacts_of(settings)
    store, events = OffloadingRunStore(SqlRunStore(database, clock), artifacts), LiveEvents()
    engine = EngineServices(
        models=bridge,
        expressions=CelExpressions(),
        store=store,
        bus=events,
        load_plan=compiler.load_plan,
        clock=clock,
        http=HttpRules(allow_hosts=settings.http_allow_hosts),
        outside=outside_of(settings, secrets_of(settings, database), SqlVectorIndex(database, clock), artifacts),
        cache=MemoryOutcomeCache(clock),
        answers=SqlAnswers(database),
        exposures=SqlExposures(database, new_id),
        keeps_recordings=settings.sections.recordings.enabled,
        observers=telemetry.observers(),
        sync_usage=drain.sync,
    )
    max_runs = settings.sections.engine.max_parallel_runs
    is_durable = with_prefect and settings.prefect_api_url is not None and settings.sections.engine.durable != "off"
    prefect = PrefectLane(settings.prefect_api_url or "", settings.home / "prefect-client", tell=tell_lane)
    dispatcher = RunDispatcher(
        database,
        store,
        compiler,
        InlineLane(engine, max_runs=max_runs),
        durable=prefect if is_durable else None,
        clock=clock,
        owner=writer_id,
        max_parallel=max_runs,
    )
    telemetry.watch(bridge)
    metrics = telemetry.metrics
    if metrics is not None:
        _count(metrics, dispatcher, drain)
        shared.show(metrics, limits)
    entrance = RunEntrance(
        compiler, dispatcher, engine.expressions, clock, new_id, new_traceparent=telemetry.trace_of_run
    )
    envelope = cache(lambda: Envelope(root_secret(settings)))
    hooks = Hooks(database, compiler, entrance, engine.expressions, envelope=envelope, clock=clock)
    flows = FlowServices(
        compiler=compiler,
        dispatcher=dispatcher,
        entrance=entrance,
        replays=Replays(database, engine, compiler, entrance, new_id),
        store=store,
        events=events,
        schedules=SchedulePublisher(database, prefect if is_durable else None),
        slots=ScheduleSlots(database, entrance, clock),
        hooks=hooks,
        ends=RunEnds(database, hooks, compiler, engine.expressions, clock),
        flush_usage=drain.flush,
    )
    return Runtime(
        settings=settings,
        database=database,
        clock=clock,
        bridge=bridge,
        shared=shared,
        limits=limits,
        ledger=ledger,
        drain=drain,
        engine=engine,
        store=store,
        new_id=new_id,
        flows=flows,
        prefect=prefect if is_durable else None,
        telemetry=telemetry,
    )


def _count(metrics: Metrics, dispatcher: RunDispatcher, drain: UsageDrain) -> None:
    metrics.runs_active.set_function(lambda: dispatcher.n_walks)
    metrics.journal_pending_bytes.set_function(lambda: drain.undrained_bytes)
    metrics.journal_lag_seconds.set_function(lambda: drain.lag_s)
