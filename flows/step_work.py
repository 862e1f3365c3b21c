"""One step of a block from start to stored outcome: reuse, `when`, what its type asks for, on_error, commit."""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from bridge.json_types import JsonObject, JsonValue
from flows.child_flow import child_outcome, child_output, child_plan, child_scope, outputs_of
from flows.control import choose, is_wanted
from flows.fanout import BODY_TYPE, fan_out
from flows.looping import LOOP_TYPE, repeat
from flows.plan import Block, Plan, PlanStep
from flows.runs import StepRun
from flows.step import run_step
from flows.step_errors import Failure, failure_of, rule_for
from flows.step_flows import StepFlows
from flows.walk import STOPS_OF_RUNS, Frame, Walk
from nodes.errors import InvalidInputError, NodeError

log = logging.getLogger(__name__)

WhyCancelled = Callable[[], str | None]
"""The reason when the engine cancelled the step itself; None when the whole walk is being interrupted."""


class EndOfBlock(Protocol):
    """What a step needs to know of a block it had walked."""

    @property
    def ended(self) -> Mapping[str, StepRun]: ...
    @property
    def views(self) -> Mapping[str, JsonValue]: ...
    @property
    def failures(self) -> tuple[StepRun, ...]: ...
    @property
    def is_waiting(self) -> bool: ...
    def cancelled(self) -> StepRun | None: ...


WalkBlock = Callable[[Walk, Plan, Block, Frame, WhyCancelled], Coroutine[Any, Any, EndOfBlock]]
Execute = Callable[[Frame, WhyCancelled], Coroutine[Any, Any, StepRun]]

BLOCK_TYPES = frozenset({"flow", LOOP_TYPE})
"""Steps that walk a block of their own; `foreach` fans it out."""


@dataclass(frozen=True, slots=True)
class StepWork:
    """The work of one step in one block."""

    walk: Walk
    plan: Plan
    step: PlanStep
    frame: Frame
    why_cancelled: WhyCancelled
    walk_block: WalkBlock

    async def run(self) -> StepRun:
        """The outcome, stored where it must be. Raises StaleOwnerError; CancelledError when interrupted."""
        stored = self.walk.reusable(self.frame.path, self.step)
        if stored is not None:
            self.walk.adopt(self.frame.path)
            return stored
        try:
            if not is_wanted(self.step, self.walk.services.expressions, self.frame.roots()):
                return self._noted(self._outcome("skipped", reason="when"))
        except NodeError as error:
            return await self._kept(self._failed(failure_of(error, self.frame.path)))
        try:
            return await self.frame.caller.call(self.frame.path, self.frame.after, self._execute)
        except asyncio.CancelledError:
            return self._cancelled_or_raise()

    async def _execute(self) -> StepRun:
        started = self.walk.waiting_since(self.frame.path, self.step) or self.walk.services.clock.now()
        if not self.step.is_replayable:
            await self.walk.lease.ensure()
        self.walk.recorder.note(replace(self._outcome("running"), started_at=started))
        try:
            outcome = await self._perform()
        except asyncio.CancelledError:
            return self._cancelled_or_raise(started)
        return await self._kept(outcome)

    def _cancelled_or_raise(self, started_at: datetime | None = None) -> StepRun:
        reason = self.why_cancelled()
        if reason is None:
            raise asyncio.CancelledError
        return self._noted_cancelled(reason, self.frame.path, started_at)

    def _noted_cancelled(self, reason: str, path: str, started_at: datetime | None) -> StepRun:
        finished_at = self.walk.services.clock.now() if started_at is not None else None
        cancelled = replace(self._outcome("cancelled", reason=reason), path=path)
        return self._noted(replace(cancelled, started_at=started_at, finished_at=finished_at))

    async def _perform(self) -> StepRun:
        known = await self._known(self.frame)
        if known is not None:
            return known
        if self.step.foreach is not None:
            deadline = asyncio.timeout(self.step.deadline_s)
            why = _also(self.why_cancelled, deadline)
            rule = self.step.foreach
            return await fan_out(
                self.walk, self.step, self.frame, rule, lambda frame: self._item(frame, why), deadline=deadline
            )
        if self.step.type in BLOCK_TYPES:
            return await self._within(self.step.deadline_s, "deadline", self._once, self.frame, self.why_cancelled)
        return await self._once(self.frame, self.why_cancelled)

    async def _item(self, frame: Frame, why: WhyCancelled) -> StepRun:
        """One item: a body walks its block; a step with the foreach modifier runs, stored under its own path."""
        if self.step.type == BODY_TYPE and self.step.body is not None:
            return await self._within(self.step.timeout_s, "timeout", self._body, frame, why)
        stored = self.walk.reusable(frame.path, self.step)
        if stored is not None:
            return self._noted(stored)

        async def work() -> StepRun:
            started = self.walk.services.clock.now()
            if not self.step.is_replayable:
                await self.walk.lease.ensure()
                running = replace(self._outcome("running"), path=frame.path, started_at=started)
                self.walk.recorder.note(running)
            try:
                outcome = await self._known(frame) or await self._once(frame, why)
            except asyncio.CancelledError:
                if (reason := why()) is not None:
                    self._noted_cancelled(reason, frame.path, started)
                raise
            return await self._stored(outcome)

        return await frame.caller.call(frame.path, frame.after, work)

    async def _known(self, frame: Frame) -> StepRun | None:
        source = self.walk.services.source
        known = None if source is None else await source.whole(self.step, frame.path)
        if known is not None and known.status == "cancelled" and known.reason in STOPS_OF_RUNS:
            self.walk.stop_run(known.reason)
            await asyncio.Event().wait()  # what stops the run has cancelled us
        return known

    async def _once(self, frame: Frame, why: WhyCancelled) -> StepRun:
        started = self.walk.services.clock.now()
        try:
            if self.step.type == "switch":
                outcome = self._switch(frame)
            elif self.step.type == "flow":
                outcome = await self._within(self.step.timeout_s, "timeout", self._child, frame, why)
            elif self.step.type == LOOP_TYPE:
                outcome = await self._within(self.step.timeout_s, "timeout", self._loop, frame, why)
            else:
                return await run_step(self.walk, self.step, self._with_flows(frame, why))
        except NodeError as error:
            outcome = self._failed(failure_of(error, frame.path), frame)
        finished = None if outcome.status == "waiting" else self.walk.services.clock.now()
        return replace(outcome, started_at=started, finished_at=finished)

    def _with_flows(self, frame: Frame, why: WhyCancelled) -> Frame:
        """The frame with the means to run flows inside the step."""
        flows = StepFlows(
            self.walk, frame, lambda plan, inner: self.walk_block(self.walk, plan, plan.block, inner, why)
        )
        return replace(frame, flows=flows)

    def _switch(self, frame: Frame) -> StepRun:
        shown, taken = choose(self.step, self.walk.services.expressions, frame.roots())
        return replace(self._outcome("succeeded"), attempts=1, output={"taken": shown}, taken=taken)

    async def _child(self, frame: Frame, why: WhyCancelled) -> StepRun:
        plan = await child_plan(self.walk, self.plan, self.step)
        scope = child_scope(self.walk, plan, self.step, frame)
        inner = replace(frame, path=f"{frame.path}.", scope=scope, after=(), item_index=None)
        end = await self.walk_block(self.walk, plan, plan.block, inner, why)
        _raise_when_cancelled(why)
        if end.is_waiting:
            return self._waits(frame, end)
        errors = [step.error for step in end.failures if step.error is not None]
        visible = scope.with_all(end.views, {}).everything()
        outputs, problems = outputs_of(self.walk, plan, visible, may_lack=bool(errors))
        ended = list(end.ended.values())
        outcome = child_outcome(self.walk, self.step, frame, ended, [*errors, *problems])
        if outcome.status != "succeeded":
            return outcome
        return replace(outcome, output=child_output(self.walk, outcome, outputs))

    async def _loop(self, frame: Frame, why: WhyCancelled) -> StepRun:
        return await repeat(self.walk, self.step, frame, lambda inner: self._body(inner, why))

    async def _body(self, frame: Frame, why: WhyCancelled) -> StepRun:
        body = self.step.body
        if body is None:
            raise InvalidInputError(f"the {self.step.type} step has no `do`")
        inner = replace(frame, path=f"{frame.path}.")
        end = await self.walk_block(self.walk, self.plan, body, inner, why)
        _raise_when_cancelled(why)
        if end.is_waiting:
            return self._waits(frame, end)
        outcome = child_outcome(
            self.walk,
            self.step,
            frame,
            list(end.ended.values()),
            [step.error for step in end.failures if step.error is not None],
        )
        final = end.ended.get(body.final or body.steps[-1].id)
        return outcome if outcome.status != "succeeded" or final is None else replace(outcome, output=final.output)

    async def _within(self, limit_s: float | None, name: str, do: Execute, frame: Frame, why: WhyCancelled) -> StepRun:
        """What is inside the step under a time limit; running steps are cancelled when it is over."""
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                return await do(frame, _also(why, limit))
        except TimeoutError:
            if not limit.expired():
                raise
            failure = Failure("timeout", f"not done within the {name} of {limit_s:g} s")
            return replace(self._failed(failure, frame), cost_nano_usd=self._cost_below(frame.path))

    def _cost_below(self, path: str) -> int | None:
        """What the steps inside have cost, one level down: what they hold is in their own cost."""
        inside = re.compile(re.escape(path) + r"(\[\d+\])?\.\w+")
        costs = [one.cost_nano_usd for one_path, one in self.walk.steps.items() if inside.fullmatch(one_path)]
        return None if any(cost is None for cost in costs) else sum(cost or 0 for cost in costs)

    def _waits(self, frame: Frame, end: EndOfBlock) -> StepRun:
        """The step around a block that waits; what has failed in there is told when all of it has ended."""
        so_far = child_outcome(self.walk, self.step, frame, list(end.ended.values()), ())
        return replace(so_far, status="waiting")

    async def _kept(self, outcome: StepRun) -> StepRun:
        return await self._stored(self._handled(outcome))

    async def _stored(self, outcome: StepRun) -> StepRun:
        """Commit what must not happen twice before anything depends on it; leave the rest for the next write."""
        if self.walk.services.source is not None:
            outcome = await self.walk.services.source.settled(outcome)
        if self.step.is_replayable:
            return self._noted(outcome)
        self.walk.steps[outcome.path] = outcome
        writing = asyncio.ensure_future(self.walk.recorder.commit(outcome))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # What was paid for is kept: a cancel that comes while it is being stored finds the step ended.
            await writing
            if self.why_cancelled() is None:
                raise
        return outcome

    def _noted(self, outcome: StepRun) -> StepRun:
        self.walk.steps[outcome.path] = outcome
        self.walk.recorder.note(outcome)
        return outcome

    def _handled(self, outcome: StepRun) -> StepRun:
        """on_error applied: the status stays `failed`, what follows goes on."""
        error = outcome.error
        if outcome.status != "failed" or error is None:
            return outcome
        rule = rule_for(self.step.on_error, error.error_class)
        if rule is None or rule.action == "fail":
            return outcome
        if self.walk.is_budget_stop(outcome) and "budget" not in rule.on:
            return outcome
        if rule.action == "goto":
            return replace(outcome, is_error_handled=True, taken=(rule.goto,) if rule.goto else ())
        if rule.action == "default":
            return self._with_default(outcome, rule.default)
        return replace(outcome, is_error_handled=True)

    def _with_default(self, outcome: StepRun, default: JsonValue) -> StepRun:
        """The failure with its default as the output; unhandled when the default cannot be had."""
        try:
            value = self.walk.services.expressions.render(default, self.frame.roots(), self.step.places)
        except NodeError:
            log.info("step.default_not_evaluated", exc_info=True, extra={"path": outcome.path})
            return outcome
        return replace(outcome, is_error_handled=True, output=self._default(value))

    def _default(self, value: JsonValue) -> JsonValue:
        """The whole output of a step whose error took a default; fields it does not name are null."""
        cls = self.walk.services.node_types.get(self.step.type)
        if self.step.foreach is not None or cls is None or not isinstance(value, Mapping):
            return value
        properties = cls.output_schema(self.step.config).get("properties")
        lacking: JsonObject = dict.fromkeys(properties) if isinstance(properties, Mapping) else {}
        return {**lacking, **value}

    def _failed(self, failure: Failure, frame: Frame | None = None) -> StepRun:
        at = frame or self.frame
        error = failure.at(self.step.id, at.path, 1, at.item_index)
        return replace(self._outcome("failed"), path=at.path, attempts=1, error=error)

    def _outcome(self, status: Any, *, reason: str | None = None) -> StepRun:
        return StepRun(
            path=self.frame.path,
            step=self.step.id,
            type=self.step.type,
            status=status,
            reason=reason,
            fingerprint=self.step.fingerprint,
        )


def _also(why: WhyCancelled, limit: asyncio.Timeout) -> WhyCancelled:
    """The reason of `why`, else that the limit is over."""
    return lambda: why() or ("timeout" if limit.expired() else None)


def _raise_when_cancelled(why: WhyCancelled) -> None:
    """An inner block that was stopped ends quietly; the step around it must not look finished."""
    if why() is not None:
        raise asyncio.CancelledError
