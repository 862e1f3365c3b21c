"""Answers the steps of a walk from the recording of a run. Nothing is asked of the world unless that is allowed."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from bridge.call_record import CallContext
from bridge.chat import ChatRequest
from bridge.clock import Clock
from bridge.embedding import EmbeddingRequest
from bridge.json_types import JsonObject, JsonValue
from bridge.result import ChatResult, ChatStream
from bridge.side_calls import EmbeddingResult
from flows.plan import Plan, PlanStep
from flows.recorded_calls import RecordedCall, request_fingerprint
from flows.recorded_order import RecordedOrder
from flows.recordings import NOT_RECORDED, Given, Recording
from flows.runs import FINAL_STEP, Run, StepError, StepRun
from flows.step_source import Recalculation
from nodes.context import ModelCaller
from nodes.errors import NodeError
from nodes.node import node_types

WAY_OUT = "a replay makes no calls; allow calls, or run it anew"


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run that has ended, with all that is known of it."""

    run: Run
    steps: Mapping[str, StepRun]
    recordings: Mapping[str, Recording]

    @classmethod
    def of(cls, run: Run, steps: Sequence[StepRun], recordings: Sequence[Recording]) -> "RecordedRun":
        """By path."""
        return cls(run, {one.path: one for one in steps}, {one.path: one for one in recordings})


@dataclass(frozen=True, slots=True)
class MissingCall:
    """A call that the recording does not hold and that was not made."""

    path: str
    type: str
    why: str
    asked: JsonObject
    """The model request, or the step's `with:` block; no credentials."""


@dataclass(slots=True)
class Seen:
    """What a replay has learned of its steps, by path."""

    given: dict[str, Given] = field(default_factory=dict[str, Given])
    taken_from: dict[str, str] = field(default_factory=dict[str, str])
    """Path -> the recorded path that answered it."""
    missing: dict[str, list[MissingCall]] = field(default_factory=dict[str, list[MissingCall]])
    called: set[str] = field(default_factory=set[str])
    """Paths of steps that were executed, because calls were allowed."""
    whole: set[str] = field(default_factory=set[str])
    """Paths of steps that were taken over with all that is inside them."""


class ReplaySource:
    """StepSource over a recorded run. One object a walk."""

    def __init__(
        self,
        recorded: RecordedRun,
        plan: Plan,
        clock: Clock,
        *,
        is_same_flow: bool,
        otherwise: ModelCaller | None = None,
    ) -> None:
        """`otherwise` are models to ask what is not recorded, and then other steps are executed too; None: nothing."""
        self.seen = Seen()
        self._recorded = recorded
        self._clock = clock
        self._is_same_flow = is_same_flow
        self.otherwise = otherwise
        self._order = RecordedOrder(_in_order(recorded, plan) if is_same_flow else ())
        self._by_digest: dict[str, list[Recording]] = defaultdict(list)
        self._calls: dict[str, list[RecordedCall]] = defaultdict(list)
        for recording in recorded.recordings.values():
            self._by_digest[recording.digest].append(recording)
            for call in recording.calls:
                self._calls[call.fingerprint].append(call)
        self._types = node_types()

    async def whole(self, step: PlanStep, path: str) -> StepRun | None:
        """What was cancelled, or ran out of time, is taken over as it was: that cannot be repeated."""
        was = self._recorded.steps.get(path)
        if not self._is_same_flow or was is None or was.fingerprint != step.fingerprint:
            return None
        if was.status == "cancelled":
            await self._order.everything_else()
            self.seen.whole.add(path)
            return replace(was, fingerprint=step.fingerprint)
        is_container = step.body is not None or step.foreach is not None or step.type == "flow"
        if is_container and _ran_out_of_time(was):
            self.seen.whole.add(path)
            return self._outcome(was, step, path, None)
        return None

    def answer(self, step: PlanStep, path: str, given: Given) -> StepRun | Recalculation | None:
        """The recorded outcome of the same input; or the node over recorded calls; or what is missing."""
        self.seen.given[path] = given
        recording = self._matching(path, given)
        can_run_again = self._types[step.type].asks_models_only if step.type in self._types else False
        if recording is not None:
            was = self._recorded.steps.get(recording.path)
            if was is not None and was.status in FINAL_STEP:
                self.seen.taken_from[path] = recording.path
                if can_run_again and recording.calls and recording.is_whole and not was.is_cached:
                    return Recalculation(ReplayedModels(self, path, recording.calls), max(1, was.attempts))
                return self._outcome(was, step, path, recording)
        was = self._recorded.steps.get(path)
        if recording is None and self._is_same_flow and path not in self._recorded.recordings and was is not None:
            self.seen.taken_from[path] = path  # it was recorded before calls were, or they were deleted since
            return self._outcome(was, step, path, None)
        own = self._recorded.recordings.get(path)
        if can_run_again:
            calls = own.calls if own is not None and own.is_whole else ()
            return Recalculation(ReplayedModels(self, path, calls), step.retry.attempts)
        if self.otherwise is not None:
            self.seen.called.add(path)
            return None
        self.miss(path, step.type, "no recorded step was given the same", given.shown)
        return self._not_recorded(step.id, step.type, path, step.fingerprint)

    async def settled(self, outcome: StepRun) -> StepRun:
        """The outcome with the times that were recorded, when its turn has come."""
        if outcome.path in self.seen.missing and outcome.status != "cancelled":
            outcome = replace(
                self._not_recorded(outcome.step, outcome.type, outcome.path, outcome.fingerprint),
                attempts=outcome.attempts,
            )
        was = self._recorded.steps.get(self.seen.taken_from.get(outcome.path, outcome.path))
        if was is not None and was.started_at is not None and was.finished_at is not None:
            outcome = replace(outcome, started_at=was.started_at, finished_at=was.finished_at)
        await self._order.turn_of(outcome.path)
        return outcome

    def ended(self, outcome: StepRun) -> None:
        """Others may have waited for it."""
        self._order.ended(outcome.path)

    def miss(self, path: str, type_name: str, why: str, asked: JsonObject) -> None:
        """Note a call that cannot be answered."""
        self.seen.missing.setdefault(path, []).append(MissingCall(path, type_name, why, asked))

    def call_of(self, fingerprint: str) -> RecordedCall | None:
        """A recorded call of that request, made by any step."""
        found = self._calls.get(fingerprint)
        return found[0] if found else None

    def restored(self, call: RecordedCall, context: CallContext) -> ChatResult:
        """The call's answer. Raises the error it ended with."""
        return call.restored(context, self._clock.now())

    def _matching(self, path: str, given: Given) -> Recording | None:
        """The recording of the same input: the one of this path, else any other."""
        own = self._recorded.recordings.get(path)
        if own is not None and own.digest == given.digest:
            return own
        found = self._by_digest.get(given.digest)
        return found[0] if found else None

    def _outcome(self, was: StepRun, step: PlanStep, path: str, recording: Recording | None) -> StepRun:
        """The recorded outcome as this step's, before on_error."""
        output: JsonValue = was.output if was.status == "succeeded" else None
        if was.status == "succeeded" and recording is not None and recording.output_text is not None:
            output = cast("JsonValue", json.loads(recording.output_text))
        error = None if was.error is None else replace(was.error, node=step.id, path=path)
        return replace(
            was,
            path=path,
            step=step.id,
            output=output,
            error=error,
            is_error_handled=False,
            taken=None,
            fingerprint=step.fingerprint,
        )

    def _not_recorded(self, step: str, type_name: str, path: str, fingerprint: str) -> StepRun:
        first = self.seen.missing[path][0]
        return StepRun(
            path=path,
            step=step,
            type=type_name,
            status="failed",
            reason=NOT_RECORDED,
            error=StepError("unavailable", f"not recorded: {first.why}; {WAY_OUT}", node=step, path=path),
            started_at=self._clock.now(),
            finished_at=self._clock.now(),
            fingerprint=fingerprint,
        )


class ReplayedModels:
    """ModelCaller over recorded calls: those of the step in their order, else the same request of another step."""

    def __init__(self, source: ReplaySource, path: str, calls: Sequence[RecordedCall]) -> None:
        self._source = source
        self._path = path
        self._left = list(calls)

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        """The recorded answer to the same request. Raises what the call had raised; NodeError when there is none."""
        wanted = request_fingerprint(request)
        own = next((call for call in self._left if call.fingerprint == wanted), None)
        if own is not None:
            self._left.remove(own)
        call = own or self._source.call_of(wanted)
        if call is None and self._source.otherwise is not None:
            self._source.seen.called.add(self._path)
            return await self._source.otherwise.chat(request, context)
        if call is None:
            asked: JsonObject = {"model": request.model, "messages": [one.text for one in request.messages]}
            why = f"no call of {request.model} asked for the same"
            self._source.miss(self._path, "model", why, asked)
            raise NodeError(f"not recorded: {why}; {WAY_OUT}", error_class="unavailable")
        return self._source.restored(call, context)

    def stream(self, request: ChatRequest, context: CallContext) -> ChatStream:
        """Nobody watches a replay."""
        raise NodeError("a replay streams nothing", error_class="internal")

    async def embed(self, request: EmbeddingRequest, context: CallContext) -> EmbeddingResult:
        """Steps that embed are answered as a whole."""
        del context
        raise NodeError(f"not recorded: vectors of {request.model}; {WAY_OUT}", error_class="unavailable")


def _in_order(recorded: RecordedRun, plan: Plan) -> list[StepRun]:
    """The steps whose ends are waited for: neither those of on_failure and finally, which come last anyway, nor what is
    inside a step that is taken over with all of it.
    """
    later = {step.id for step in (*plan.on_failure, *plan.finally_steps)}
    whole = tuple(
        f"{step.path}{mark}"
        for step in recorded.steps.values()
        if step.status == "cancelled" or _ran_out_of_time(step)
        for mark in ("[", ".")
    )
    return [step for step in recorded.steps.values() if step.path not in later and not step.path.startswith(whole)]


def _ran_out_of_time(step: StepRun) -> bool:
    return step.error is not None and step.error.error_class == "timeout" and step.error.path == step.path
