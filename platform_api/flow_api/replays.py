"""Runs once more: replayed over what was recorded, or run anew from a step on with what had succeeded kept."""

from dataclasses import dataclass, replace
from uuid import UUID

from bridge.call_record import CallContext
from bridge.chat import ChatRequest
from bridge.embedding import EmbeddingRequest
from bridge.identifiers import NewId
from bridge.money import Usd
from bridge.result import ChatResult, ChatStream
from bridge.side_calls import EmbeddingResult
from flows.engine_services import EngineServices
from flows.plan import Engine, Plan
from flows.replay import NotReplayableError, load_recorded, replay
from flows.replay_report import ReplayReport, report_of
from flows.replay_source import RecordedRun
from flows.rerun import Kept, kept_steps
from flows.runs import Run
from flows.validate import ModelNames
from nodes.context import ModelCaller
from nodes.errors import NodeError
from nodes.node import ModelUse
from platform_api.budgets.service import set_run_budget
from platform_api.database.session import Database
from platform_api.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from platform_api.flow_api.plans import FlowCompiler, FlowTexts
from platform_api.flow_api.run_service import Entered, RunEntrance, RunOrder


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """Which run is to be replayed, over which flow: `yaml`, another `version`, or the version that it pinned."""

    org_id: UUID
    run_id: UUID
    yaml: str | None = None
    version: int | None = None
    may_call: bool = False


@dataclass(frozen=True, slots=True)
class RerunOrder:
    """Which run is to be run anew, from which step on, on which version (that of the run when None), for whom."""

    org_id: UUID
    run_id: UUID
    start: str | None = None
    version: int | None = None
    engine: Engine | None = None
    key_id: UUID | None = None
    user_id: UUID | None = None
    idempotency_key: str | None = None


class Replays:
    """Replays and reruns of stored runs. One object a process."""

    def __init__(
        self, database: Database, engine: EngineServices, compiler: FlowCompiler, entrance: RunEntrance, new_id: NewId
    ) -> None:
        self._database = database
        self._engine = engine
        self._compiler = compiler
        self._lenient = FlowCompiler(FlowTexts(database), AnyModel())
        self._entrance = entrance
        self._new_id = new_id

    async def replay(self, order: ReplayOrder) -> ReplayReport:
        """Walk the run again over its recording, and tell what came out differently. Nothing is stored.

        Raises:
            NotFoundError: No such run or version.
            ConflictError: The run is still going on (run_not_final), or its version cannot be compiled (flow_invalid).
            InvalidError: `yaml` has errors.
        """
        recorded = await self.recorded(order.org_id, order.run_id)
        run = recorded.run
        plan = await self._plan(order.org_id, run.flow, run.version)
        if order.yaml is not None:
            edited = await self._checked(order.org_id, order.yaml)
        elif order.version is not None:
            edited = await self._plan(order.org_id, run.flow, order.version)
        else:
            edited = plan
        is_same = edited.content_hash == plan.content_hash
        return await self.replay_over(recorded, edited, is_same_flow=is_same, may_call=order.may_call)

    async def replay_over(
        self, recorded: RecordedRun, plan: Plan, *, is_same_flow: bool, may_call: bool
    ) -> ReplayReport:
        """The report of a replay over a plan that is at hand."""
        services = replace(self._engine, load_plan=self._lenient.load_plan)
        models = await self._models(recorded, plan) if may_call else None
        replayed = await replay(recorded, plan, services, is_same_flow=is_same_flow, models=models)
        return report_of(replayed, plan, self._compiler.names)

    async def rerun(self, order: RerunOrder) -> tuple[Entered, Kept]:
        """Start a new run with the inputs of the old one and what may be kept of it.

        Raises:
            NotFoundError: No such run or version.
            ConflictError: The run is still going on (run_not_final); or as the start of any run.
            InvalidError: There is no such step, or the inputs do not fit the version.
        """
        recorded = await self.recorded(order.org_id, order.run_id)
        run = recorded.run
        before = await self._plan(order.org_id, run.flow, run.version)
        version = order.version or run.version
        plan = before if version == run.version else await self._plan(order.org_id, run.flow, version)
        try:
            kept = kept_steps(recorded, plan, start=order.start, before=before)
        except LookupError as error:
            problem = FieldProblem("/from", str(error.args[0]))
            raise InvalidError(str(error.args[0]), [problem], code="unknown_step") from error
        new = RunOrder(
            org_id=order.org_id,
            flow=run.flow,
            version=version,
            inputs=dict(run.inputs),
            trigger="replay",
            engine=order.engine,
            key_id=order.key_id,
            user_id=order.user_id,
            idempotency_key=order.idempotency_key,
            parent_run_id=order.run_id,
            kept=kept.steps,
        )
        return await self._entrance.start(self._database.for_org(order.org_id), new), kept

    async def recorded(self, org_id: UUID, run_id: UUID) -> RecordedRun:
        """The run with its recording. Raises NotFoundError, ConflictError."""
        run = await self._engine.store.load(str(run_id))
        if run is None or run.org_id != str(org_id):
            raise NotFoundError("run", run_id)
        try:
            return await load_recorded(self._engine.store, str(run_id))
        except NotReplayableError as error:
            raise ConflictError(str(error), code="run_not_final") from error

    async def content_hash(self, org_id: UUID, run: Run) -> str | None:
        """Of the version that the run pinned; None when it cannot be compiled where its files are not."""
        try:
            return (await self._plan(org_id, run.flow, run.version)).content_hash
        except (ConflictError, NotFoundError):
            return None

    def remember(self, org_id: UUID, text: str, plan: Plan) -> None:
        """Use `plan` for this text: it was compiled where the files it refers to can be read."""
        self._lenient.remember(org_id, text, plan)

    async def _plan(self, org_id: UUID, flow: str, version: int) -> Plan:
        try:
            plan, _ = await self._lenient.plan(org_id, flow, version)
        except LookupError as error:
            raise NotFoundError("version", f"{flow}@{version}") from error
        except NodeError as error:
            raise ConflictError(str(error), code="flow_invalid") from error
        return plan

    async def _checked(self, org_id: UUID, text: str) -> Plan:
        checked = await self._lenient.check(org_id, text)
        if checked.plan is None:
            problems = [FieldProblem("/yaml", each.to_text()) for each in checked.diagnostics]
            raise InvalidError("the flow has errors", problems, code="invalid_flow")
        return checked.plan

    async def _models(self, recorded: RecordedRun, plan: Plan) -> ModelCaller:
        """The bridge under an id of this replay: what it spends is counted apart, under the ceiling of the flow."""
        org_id, replay_id = UUID(recorded.run.org_id), self._new_id()
        if plan.budget is not None:
            async with self._database.for_org(org_id)() as db:
                limit = Usd(str(plan.budget.usd))
                await set_run_budget(db, org_id, replay_id, limit, now=self._engine.clock.now(), new_id=self._new_id)
        return CallsOfReplay(self._engine.models, replay_id)


class CallsOfReplay:
    """ModelCaller whose calls belong to a replay, not to the run that is replayed."""

    def __init__(self, models: ModelCaller, replay_id: str) -> None:
        self._models = models
        self._replay_id = replay_id

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        """As the bridge."""
        return await self._models.chat(request, replace(context, run_id=self._replay_id))

    def stream(self, request: ChatRequest, context: CallContext) -> ChatStream:
        """As the bridge."""
        return self._models.stream(request, replace(context, run_id=self._replay_id))

    async def embed(self, request: EmbeddingRequest, context: CallContext) -> EmbeddingResult:
        """As the bridge."""
        return await self._models.embed(request, replace(context, run_id=self._replay_id))


class AnyModel(ModelNames):
    """Model names of the time of a recording: whatever a flow names was there once."""

    def knows(self, name: str) -> bool:
        """Always."""
        del name
        return True

    def suggest(self, name: str) -> str | None:
        """Nothing."""
        del name
        return None

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        """Unknown."""
        del use
        return None

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        """Unknown."""
        del use
        return None
