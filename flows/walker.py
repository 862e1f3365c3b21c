"""Walks a whole run: the main block under the run's time limit, outputs, on_failure, finally, the final status.

The walker knows no lane: a StepCaller tells it how to call a step. What it does to the outside is in the recorder
(states, events) and in the nodes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flows.block_walk import BlockEnd, BlockWalk
from flows.child_flow import outputs_of
from flows.engine_services import EngineServices
from flows.plan import Block, Plan, PlanStep
from flows.recorder import Recorder
from flows.runs import Run, RunOwner, RunStatus, StepError, StepRun
from flows.scopes import Scope, closing_root, errors_view, run_scope, step_view
from flows.waiting import has_news, waits_until
from flows.walk import Frame, LeaseGuard, StepCaller, Walk

CANCELLED = "cancelled"
OPEN = frozenset({"running", "retrying", "waiting"})


class Walker:
    """One walk over one run. Make it, call `run` once; `cancel` may be called at any time from the same loop."""

    def __init__(
        self, services: EngineServices, plan: Plan, run: Run, owner: RunOwner, *, caller: StepCaller, lease: LeaseGuard
    ) -> None:
        self._services = services
        self._plan = plan
        self._owner = owner
        self._caller = caller
        now = services.clock.now()
        waited_s = run.waited_s + ((now - run.waiting_since).total_seconds() if run.waiting_since else 0.0)
        self._run = replace(
            run,
            status="running",
            started_at=run.started_at or now,
            finished_at=None,
            epoch=owner.epoch,
            waited_s=waited_s,
            waiting_since=None,
            wake_at=None,
        )
        self._recorder = Recorder(services, owner, self._run)
        self._walk = Walk(
            services=services,
            plan=plan,
            run=self._run,
            recorder=self._recorder,
            lease=lease,
        )
        self._main: BlockWalk | None = None
        self._is_cancel_wanted = False
        self._ends: dict[str, StepRun] = {}
        self._scope: Scope = run_scope(self._run, owner.epoch)

    def cancel(self) -> None:
        """Stop on somebody's request: running steps are cancelled, `finally` runs, the run ends `cancelled`."""
        self._is_cancel_wanted = True
        if self._main is not None:
            self._main.stop(CANCELLED)

    async def run(self, stored: Sequence[StepRun] = ()) -> Run:
        """The run at its end, or waiting, stored. `stored` are outcomes of an earlier walk, which are not repeated.

        Raises StaleOwnerError when the run was taken over, CancelledError when the walk is interrupted; then the run
        has not ended and can be continued.
        """
        self._walk.stored = {step.path: step for step in stored}
        try:
            self._recorder.note_run(self._run)
            end = await self._walk_main()
            if end.is_waiting:
                return await self._put_aside(end)
            run = self._judged(end)
            if run.status == "failed":
                run = await self._section(run, self._plan.on_failure)
            else:
                self._leave_out(self._plan.on_failure)
            run = await self._section(run, self._plan.finally_steps)
            run = replace(
                run,
                status=self._final_status(run.status, run.errors),
                finished_at=self._services.clock.now(),
                cost_nano_usd=self._cost(),
            )
            self._close_open()
            await self._recorder.finish(run)
        finally:
            await self._recorder.close()
        return run

    async def give_back(self) -> None:
        """Store what was noted and leave the run queued, to be continued elsewhere. Raises StaleOwnerError."""
        await self._recorder.finish(replace(self._run, status="queued", prefect_run_id=None))

    async def _walk_main(self) -> BlockEnd:
        frame = Frame(path="", scope=self._scope, caller=self._caller)
        main = BlockWalk(self._walk, self._plan, self._plan.block, frame)
        self._main, self._walk.stop_run = main, main.stop
        if self._is_cancel_wanted:
            main.stop(CANCELLED)
        limit = None
        if self._plan.timeout_s is not None:
            assert self._run.started_at is not None
            gone_s = (self._services.clock.now() - self._run.started_at).total_seconds() - self._run.waited_s
            limit = asyncio.get_running_loop().call_later(max(0.0, self._plan.timeout_s - gone_s), main.stop, "timeout")
        try:
            return await main.run()
        finally:
            self._main = None
            if limit is not None:
                limit.cancel()

    async def _put_aside(self, end: BlockEnd) -> Run:
        """The run waiting, stored: it goes on at the earliest moment that a step waits for, or when one is answered."""
        self._ends.update(end.ended)
        moments = [until for step in self._walk.steps.values() if (until := waits_until(step)) is not None]
        run = replace(
            self._run,
            status="waiting",
            waiting_since=self._services.clock.now(),
            wake_at=self._services.clock.now() if await self._is_answered() else min(moments, default=None),
            cost_nano_usd=self._cost(),
        )
        await self._recorder.finish(run)
        return run

    async def _is_answered(self) -> bool:
        """Did an answer come after a step had looked, while others were still running?"""
        for step in self._walk.steps.values():
            if await has_news(self._services.answers, self._run.id, step):
                return True
        return False

    def _close_open(self) -> None:
        """Steps that waited, or were running when an earlier walk was lost, and that nobody needs any more."""
        for path, step in {**self._walk.stored, **self._walk.steps}.items():
            if step.status in OPEN:
                closed = replace(step, status="cancelled", reason="not_needed", output=None)
                self._walk.steps[path] = closed
                self._recorder.note(replace(closed, finished_at=self._services.clock.now()))

    def _judged(self, end: BlockEnd) -> Run:
        """The run with the status, errors and outputs its main block has earned."""
        self._ends.update(end.ended)
        self._scope = self._scope.with_all(end.views, {})
        errors = tuple(step.error for step in end.failures if step.error is not None)
        if end.stop_reason == "timeout":
            message = f"the run took longer than its limit of {self._plan.timeout_s:g} s"
            errors = (*errors, StepError("timeout", message, node="", path=""))
        status: RunStatus = "failed" if errors else "succeeded"
        if end.stop_reason == CANCELLED:
            status = "cancelled"
        outputs, problems = outputs_of(self._walk, self._plan, self._scope.everything(), may_lack=status != "succeeded")
        if problems:
            status, errors = "failed", problems
        return replace(
            self._run,
            status=self._final_status(status, errors),
            errors=errors,
            outputs=outputs,
            cost_nano_usd=self._cost(),
        )

    def _final_status(self, status: RunStatus, errors: Sequence[StepError]) -> RunStatus:
        if status != "succeeded":
            return status
        is_partial = any(
            step.item_errors or (step.status == "failed" and step.is_error_handled)
            for step in self._walk.steps.values()
        )
        return "partial" if is_partial or errors else "succeeded"

    async def _section(self, run: Run, steps: Sequence[PlanStep]) -> Run:
        """Run a list of steps in order, each whatever became of the one before, within the cleanup limit."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._services.limits.cleanup_s
        for step in steps:
            frame = Frame(path="", scope=self._closing_scope(run), caller=self._caller)
            block = BlockWalk(self._walk, self._plan, Block(steps=(step,)), frame, self._ends)
            limit = loop.call_at(deadline, block.stop, "limit")
            try:
                end = await block.run()
            finally:
                limit.cancel()
            if end.is_waiting:  # nothing is left to wait with: the run is about to end
                block.stop("limit")
                end = block.end()
            self._ends.update(end.ended)
            self._scope = self._scope.with_all({one.step: step_view(one) for one in end.ended.values()}, {})
            failed = tuple(one.error for one in end.failures if one.error is not None)
            run = replace(run, errors=(*run.errors, *failed), cost_nano_usd=self._cost())
        return run

    def _leave_out(self, steps: Sequence[PlanStep]) -> None:
        for step in steps:
            unused = StepRun(
                path=step.id,
                step=step.id,
                type=step.type,
                status="skipped",
                reason="unused",
                fingerprint=step.fingerprint,
            )
            self._ends[step.id] = self._walk.steps[step.id] = unused
            self._recorder.note(unused)

    def _closing_scope(self, run: Run) -> Scope:
        root = self._scope.roots["run"]
        assert isinstance(root, Mapping)
        errors = errors_view(run.errors)
        names = {
            "run": closing_root(root, run, self._walk.steps.values()),
            "errors": errors,
            "error": errors[0] if errors else None,
        }
        return self._scope.with_all({}, names)

    def _cost(self) -> int | None:
        """Sum over the steps of this flow; what happened inside a step is in the step's own cost."""
        costs = [step.cost_nano_usd for step in self._ends.values()]
        return None if any(cost is None for cost in costs) else sum(cost or 0 for cost in costs)
