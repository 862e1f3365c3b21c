"""`model: flow/NAME`: a published flow answers as a chat model. Its run is recorded like any other."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bridge.call_record import AttemptRecord, CallContext, CallRecord
from bridge.chat import ChatRequest, ChatResponse, Usage
from bridge.errors import UnknownModelError
from bridge.result import ChatResult
from flows.runs import FINAL_RUN, Run, RunEvent
from platform_api.auth.principals import Caller
from platform_api.database.session import Database
from platform_api.errors import ApiError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from platform_api.flow_api import service
from platform_api.flow_api.repository import FlowRepository
from platform_api.flow_api.run_repository import RunRepository, RunUsage
from platform_api.flow_api.run_service import RunOrder
from platform_api.flow_api.services import FlowServices
from platform_api.llm.client_dialect import InvalidRequestError
from platform_api.llm.flow_inputs import answer_text, flow_inputs

PREFIX = "flow/"
PROVIDER = "flow"
PERMISSION = "flow:run"
LONGEST_S = 600.0
"""How long a client may wait for a run."""


class FlowFailedError(ApiError):
    """The run ended without outputs."""

    status = 502
    default_code = "flow_failed"


@dataclass(frozen=True, slots=True)
class FlowRun:
    """A run that answers a client."""

    id: str
    model: str
    started_at: datetime


class FlowModels:
    """Published flows as models. One for a process."""

    def __init__(self, flows: FlowServices, database: Database) -> None:
        self._flows = flows
        self._database = database

    async def names(self, caller: Caller) -> list[str]:
        """The published flows of the caller's organisation, as models."""
        if not caller.may(PERMISSION):
            return []
        async with self._database.for_org(caller.org_id).read() as db:
            return [f"{PREFIX}{name}" for name in await FlowRepository(db).published_names(caller.org_id)]

    async def start(self, request: ChatRequest, caller: Caller, given: str | None) -> FlowRun:
        """Start the run.

        Raises:
            ForbiddenError: The caller may not run flows.
            UnknownModelError: There is no such flow, or none of its versions is published.
            InvalidRequestError: The conversation does not fit its inputs.
        """
        if not caller.may(PERMISSION):
            raise ForbiddenError(f"this needs the permission {PERMISSION}")
        name, sessions = request.model.removeprefix(PREFIX), self._database.for_org(caller.org_id)
        try:
            async with sessions.read() as db:
                version = service.runnable_version(await service.find(db, caller.org_id, name), None)
            plan, _ = await self._flows.compiler.plan(caller.org_id, name, version)
        except (NotFoundError, ConflictError, LookupError) as error:
            raise UnknownModelError(request.model) from error
        order = RunOrder(
            org_id=caller.org_id,
            flow=name,
            version=version,
            inputs=flow_inputs(plan.inputs_schema, request, given),
            trigger="api",
            key_id=caller.key_id,
            user_id=caller.user_id,
        )
        try:
            entered = await self._flows.entrance.start(sessions, order)
        except InvalidError as error:
            problems = "; ".join(f"{one.pointer.removeprefix('/inputs/')}: {one.message}" for one in error.problems)
            raise InvalidRequestError(f"{error.detail}: {problems}", param="messages") from error
        run = await self._flows.store.load(entered.run_id)
        assert run is not None
        return FlowRun(entered.run_id, request.model, run.created_at)

    async def events(self, run: FlowRun) -> AsyncGenerator[RunEvent]:
        """What happens in the run, until it is final."""
        async for event in self._flows.feed().follow(run.id):
            yield event

    async def result(self, run: FlowRun, caller: Caller) -> ChatResult:
        """The answer.

        Raises:
            FlowFailedError: It ended without outputs, or took longer than a client may wait.
            ConflictError: It waits for a person (`waiting_for_approval`).
        """
        ended = await self._flows.dispatcher.wait(run.id, LONGEST_S)
        if ended is None or ended.status not in FINAL_RUN:
            raise await self._unfinished(run, caller, ended)
        if ended.status not in ("succeeded", "partial"):
            why = "; ".join(str(error.to_json().get("message", "")) for error in ended.errors) or ended.status
            raise FlowFailedError(f"run {run.id} of {run.model} {ended.status}: {why}")
        await self._flows.flush_usage()
        async with self._database.for_org(caller.org_id).read() as db:
            used = (await RunRepository(db).usage(caller.org_id, [UUID(run.id)])).get(UUID(run.id), RunUsage())
        response = ChatResponse(answer_text(ended.outputs), "stop", Usage(used.input_tokens, used.output_tokens))
        return ChatResult(response, None, _record(run, ended, response, caller))

    async def cancel(self, run: FlowRun, caller: Caller) -> None:
        """Stop it; its `finally` still runs."""
        if await self._flows.store.request_cancel(str(caller.org_id), run.id):
            self._flows.dispatcher.cancel(run.id)

    async def _unfinished(self, run: FlowRun, caller: Caller, ended: Run | None) -> ApiError:
        if ended is not None and ended.status == "waiting":
            said = f"run {run.id} waits for an approval: look at /api/runs/{run.id}"
            return ConflictError(said, code="waiting_for_approval")
        await self.cancel(run, caller)
        return FlowFailedError(f"run {run.id} took longer than {LONGEST_S:g} s and was cancelled", code="flow_too_slow")


def _record(run: FlowRun, ended: Run, response: ChatResponse, caller: Caller) -> CallRecord:
    """The run in the words of a call, for its headers; the ledger has the calls of its steps."""
    began, end = run.started_at, ended.finished_at or run.started_at
    attempt = AttemptRecord(
        run.id, run.model, PROVIDER, run.model, began, (end - began).total_seconds() * 1000, None, "succeeded", None,
        None, 200, response.usage, ended.cost_nano_usd, None, None, False,
    )  # fmt: skip
    context = CallContext(org_id=str(caller.org_id), run_id=run.id)
    return CallRecord(run.id, context, run.model, None, None, (attempt,), "succeeded", "off", False, began, end)
