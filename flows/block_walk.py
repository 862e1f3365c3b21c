"""Walks one block: starts what may start, skips what cannot, and ends when every step has ended.

The same class walks a whole flow, the body of a foreach for one item, a child flow, and each step of on_failure and
finally. One asyncio task per running step; a finished one wakes the walk, which then looks at its dependents alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bridge.json_types import JsonValue
from flows.first_wins import losers_of
from flows.joins import can_no_longer_start, decide
from flows.plan import Block, Plan, PlanStep
from flows.runs import StepRun
from flows.scopes import Scope, step_view
from flows.step_work import StepWork
from flows.walk import Frame, StepCaller, Walk


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """How a block ended: every step's outcome, and the failures nobody handled, the first in time first."""

    ended: Mapping[str, StepRun]
    views: Mapping[str, JsonValue]
    failures: tuple[StepRun, ...]
    stop_reason: str | None
    is_waiting: bool = False
    """A step waits, and what depends on it has not been decided."""

    def cancelled(self) -> StepRun | None:
        """A step that was cancelled, if any was."""
        return next((step for step in self.ended.values() if step.status == "cancelled"), None)


class BlockWalk:
    """One walk over one block. Make it, call `run` once; `stop` may be called while it runs, or before."""

    def __init__(
        self,
        walk: Walk,
        plan: Plan,
        block: Block,
        frame: Frame,
        known: Mapping[str, StepRun] | None = None,
        *,
        why_cancelled: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`frame.path` is the prefix of the steps' paths; `known` are ended steps of other blocks they may name."""
        self._walk = walk
        self._plan = plan
        self._block = block
        self._prefix = frame.path
        self._scope: Scope = frame.scope
        self._caller: StepCaller = frame.caller
        self._why_cancelled = why_cancelled
        self._ends: dict[str, StepRun] = dict(known or {})
        self._known = frozenset(self._ends)
        self._views: dict[str, JsonValue] = {}
        self._failures: list[StepRun] = []
        self._running: dict[str, asyncio.Task[StepRun]] = {}
        self._finished: deque[str] = deque()
        self._wake = asyncio.Event()
        self._cancelling: dict[str, str] = {}
        self._waiting: set[str] = set()
        self._stop: str | None = None
        self._steps = {step.id: self._inward(step) for step in block.steps}
        self._dependents, self._goto_sources = _links(self._steps)

    async def run(self) -> BlockEnd:
        """Walk to the end. Raises StaleOwnerError, or CancelledError when the walk itself is interrupted."""
        if self._stop is None:
            self._consider(deque(self._steps.values()))
        else:
            self._end_pending()
        try:
            while self._running:
                await self._wake.wait()
                self._wake.clear()
                while self._finished:
                    step_id = self._finished.popleft()
                    self._take(self._steps[step_id], self._running.pop(step_id))
        except BaseException:
            await self._abandon()
            if (reason := self._why_cancelled()) is not None:
                self._end_all(reason)
            raise
        return self.end()

    def end(self) -> BlockEnd:
        """How the block stands, after `run`."""
        undecided = [step_id for step_id in self._steps if step_id not in self._ends]
        is_waiting = not self._waiting.isdisjoint(undecided)
        if undecided and not is_waiting:
            raise RuntimeError(f"the plan of {self._plan.flow} leaves steps undecided: {', '.join(undecided)}")
        ended = {step_id: end for step_id, end in self._ends.items() if step_id not in self._known}
        return BlockEnd(ended, self._views, tuple(self._failures), self._stop, is_waiting=is_waiting)

    def stop(self, reason: str) -> None:
        """Cancel what runs and start nothing more. The first reason counts."""
        if self._stop is not None:
            return
        self._stop = reason
        for step_id, task in self._running.items():
            self._cancelling.setdefault(step_id, reason)
            task.cancel()
        self._end_pending()

    def _inward(self, step: PlanStep) -> PlanStep:
        """The step without dependencies on enclosing blocks: those have ended before this block began."""
        inside = {other.id for other in self._block.steps} | self._known
        if all(dependency.step in inside for dependency in step.depends_on):
            return step
        return replace(step, depends_on=tuple(one for one in step.depends_on if one.step in inside))

    def _consider(self, steps: deque[PlanStep]) -> None:
        """Start or skip those of `steps` whose time has come, and what follows from that."""
        while steps and self._stop is None:
            step = steps.popleft()
            if step.id in self._ends or step.id in self._running or step.id in self._waiting:
                continue
            decision = decide(step, self._ends, self._goto_sources.get(step.id, ()))
            if decision.verdict == "start":
                self._start(step, steps)
            elif decision.verdict == "skip":
                self._end_unstarted(step, "skipped", decision.reason)
                steps.extend(self._dependents.get(step.id, ()))

    def _start(self, step: PlanStep, steps: deque[PlanStep]) -> None:
        task = asyncio.create_task(self._work(step).run())
        self._running[step.id] = task
        task.add_done_callback(lambda _, step_id=step.id: self._on_done(step_id))
        if step.join == "first":
            for loser in losers_of(step, self._steps, self._ends, self._dependents):
                self._cancel_loser(self._steps[loser])
                steps.extend(self._dependents.get(loser, ()))

    def _cancel_loser(self, loser: PlanStep) -> None:
        task = self._running.get(loser.id)
        if task is None:
            self._end_unstarted(loser, "cancelled", "first")
        else:
            self._cancelling.setdefault(loser.id, "first")
            task.cancel()

    def _work(self, step: PlanStep) -> StepWork:
        frame = Frame(
            path=f"{self._prefix}{step.id}",
            scope=self._scope.inside(step, self._views, {}),
            caller=self._caller,
            after=tuple(f"{self._prefix}{one.step}" for one in step.depends_on if one.step in self._steps),
        )
        return StepWork(
            walk=self._walk,
            plan=self._plan,
            step=step,
            frame=frame,
            why_cancelled=lambda: self._cancelling.get(step.id) or self._stop or self._why_cancelled(),
            walk_block=_walk_block,
        )

    def _on_done(self, step_id: str) -> None:
        self._finished.append(step_id)
        self._wake.set()

    def _take(self, step: PlanStep, task: asyncio.Task[StepRun]) -> None:
        """What a finished task has brought. One that we cancelled before its first turn has brought nothing."""
        reason = self._cancelling.get(step.id) or self._stop or self._why_cancelled()
        if task.cancelled() and reason is not None:
            self._end_unstarted(step, "cancelled", reason)
            self._consider(deque(self._dependents.get(step.id, ())))
        else:
            self._settle(step, task.result())

    def _settle(self, step: PlanStep, outcome: StepRun) -> None:
        if outcome.status == "waiting":
            self._waiting.add(step.id)
            if self._stop is not None:
                self._end_unstarted(step, "cancelled", self._stop)
            return
        self._record(step, outcome)
        reason = self._walk.stop_reason(outcome)
        if reason is not None:
            self.stop(reason)
        self._consider(deque(self._dependents.get(step.id, ())))

    def _record(self, step: PlanStep, outcome: StepRun) -> None:
        self._end(step, outcome)
        if outcome.status == "failed" and not outcome.is_error_handled:
            self._failures.append(outcome)

    def _end(self, step: PlanStep, outcome: StepRun) -> None:
        self._ends[step.id] = outcome
        self._views[step.id] = step_view(outcome)
        self._walk.steps[outcome.path] = outcome
        if self._walk.services.source is not None:
            self._walk.services.source.ended(outcome)

    def _end_unstarted(self, step: PlanStep, status: Literal["skipped", "cancelled"], reason: str | None) -> None:
        path = f"{self._prefix}{step.id}"
        stored = self._walk.reusable(path, step) if status == "cancelled" else None
        if stored is not None:  # it ended in an earlier walk
            self._walk.adopt(path)
            self._record(step, stored)
            return
        outcome = StepRun(path=path, step=step.id, type=step.type, status=status, fingerprint=step.fingerprint)
        if step.id in self._waiting:
            now = self._walk.services.clock.now()
            outcome = replace(self._walk.steps[path], status=status, finished_at=now, output=None)
        outcome = replace(outcome, reason=reason)
        self._end(step, outcome)
        self._walk.recorder.note(outcome)

    def _end_pending(self) -> None:
        """End what never started: skipped where the outcomes so far rule it out anyway, else cancelled."""
        pending = [step for step in self._steps.values() if step.id not in self._ends and step.id not in self._running]
        cancelled: list[PlanStep] = []
        for step in pending:
            decision = decide(step, self._ends, self._goto_sources.get(step.id, ()))
            reason = decision.reason or can_no_longer_start(step, self._ends)
            if reason is not None:
                self._end_unstarted(step, "skipped", reason)
            else:
                cancelled.append(step)
        for step in cancelled:
            self._end_unstarted(step, "cancelled", self._stop)

    def _end_all(self, reason: str) -> None:
        """After the step around this block was cancelled: nothing is left pending in the record."""
        self._stop = self._stop or reason
        self._end_pending()
        for step_id, task in self._running.items():
            if task.cancelled():
                self._end_unstarted(self._steps[step_id], "cancelled", reason)
            elif task.exception() is None:
                self._end(self._steps[step_id], task.result())

    async def _abandon(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _walk_block(
    walk: Walk, plan: Plan, block: Block, frame: Frame, why_cancelled: Callable[[], str | None]
) -> Coroutine[Any, Any, BlockEnd]:
    return BlockWalk(walk, plan, block, frame, why_cancelled=why_cancelled).run()


def _links(steps: Mapping[str, PlanStep]) -> tuple[dict[str, list[PlanStep]], dict[str, list[str]]]:
    """Step -> those that wait for it; goto target -> the steps whose on_error may lead there."""
    dependents: dict[str, list[PlanStep]] = {}
    sources: dict[str, list[str]] = {}
    for step in steps.values():
        for dependency in step.depends_on:
            dependents.setdefault(dependency.step, []).append(step)
        for rule in step.on_error:
            if rule.action == "goto" and rule.goto is not None and rule.goto in steps:
                dependents.setdefault(step.id, []).append(steps[rule.goto])
                sources.setdefault(rule.goto, []).append(step.id)
    return dependents, sources
