"""Writes a run's states to the store and announces them: in batches, in order, under the owner's epoch.

`commit` returns when the state is stored; `note` leaves it for the next write, at most a moment later. What is
committed together (many items ending at once) becomes one transaction.
"""

import asyncio
import logging
from collections.abc import Sequence

from flows.engine_services import EngineServices
from flows.runs import FINAL_STEP, Run, RunEvent, RunOwner, StaleOwnerError, StepRun

log = logging.getLogger(__name__)


class Recorder:
    """The pen of one owner of one run. After a StaleOwnerError it writes nothing more."""

    def __init__(self, services: EngineServices, owner: RunOwner, walked: Run | None = None) -> None:
        """`walked` is what observers are told of steps of; None: they are told nothing."""
        self._store = services.store
        self._bus = services.bus
        self._clock = services.clock
        self._sync_usage = services.sync_usage
        self._delay_s = services.limits.flush_after_s
        self._owner = owner
        self._walked = walked
        self._observers = services.observers if walked is not None else ()
        self._began_at = services.clock.now()
        self._steps: dict[str, StepRun] = {}
        self._run: Run | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._background: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._lost: StaleOwnerError | None = None
        self._seq = 0
        self._part = 0

    @property
    def is_followed(self) -> bool:
        """Is anybody watching this run token by token?"""
        return self._bus.is_followed(self._owner.run_id)

    def note(self, step: StepRun) -> None:
        """Keep a state for the next write; a newer one of the same path replaces it."""
        self._steps[step.path] = step
        self._tell(step)
        self._arm()

    def note_run(self, run: Run) -> None:
        """Keep the run's own state for the next write."""
        self._run = run
        self._arm()

    async def commit(self, step: StepRun) -> None:
        """Store a state before anything that depends on it starts. Raises StaleOwnerError."""
        self._steps[step.path] = step
        self._tell(step)
        await self.flush()

    async def finish(self, run: Run) -> None:
        """Store what is left, then the run itself. Raises StaleOwnerError."""
        self._run = None
        await self.flush()
        async with self._writing:
            self._announce(await self._store.save_run(self._owner, run))

    async def flush(self) -> None:
        """Store everything noted so far. Raises StaleOwnerError."""
        self._disarm()
        async with self._writing:
            if self._lost is not None:
                raise self._lost
            steps, run = list(self._steps.values()), self._run
            self._steps, self._run = {}, None
            try:
                if run is not None:
                    self._announce(await self._store.save_run(self._owner, run))
                if self._sync_usage is not None and any(step.call_ids for step in steps):
                    await self._sync_usage()
                if steps:
                    self._announce(await self._store.save_steps(self._owner, steps))
            except StaleOwnerError as error:
                self._lost = error
                raise
            except BaseException:
                self._steps = {**{step.path: step for step in steps}, **self._steps}
                self._run = self._run or run
                raise

    async def close(self) -> None:
        """Stop writing in the background; what is only noted is dropped."""
        self._disarm()
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)

    def token(self, path: str, text: str) -> None:
        """Pass on a piece of an answer to whoever watches; not stored."""
        self._part += 1
        self._bus.publish(
            RunEvent(
                run_id=self._owner.run_id,
                seq=self._seq,
                kind="token",
                at=self._clock.now(),
                body={"path": path, "text": text},
                part=self._part,
            )
        )

    def _tell(self, step: StepRun) -> None:
        """Observers hear of what ended in this walk, not of what an earlier one left."""
        if not self._observers or self._walked is None or step.status not in FINAL_STEP:
            return
        if step.finished_at is None or step.finished_at >= self._began_at:
            for observer in self._observers:
                observer.step_ended(self._walked, step)

    def _announce(self, events: Sequence[RunEvent]) -> None:
        for event in events:
            self._seq, self._part = event.seq, 0
            self._bus.publish(event)

    def _arm(self) -> None:
        if self._timer is None and self._background is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._start_background)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_background(self) -> None:
        self._timer = None
        self._background = asyncio.create_task(self._flush_in_background())

    async def _flush_in_background(self) -> None:
        try:
            await self.flush()
        except StaleOwnerError:
            log.info("run.lost", extra={"run_id": self._owner.run_id})
        except Exception:  # the states are kept; the next commit meets the same store and reports it
            log.warning("run.write_postponed", exc_info=True, extra={"run_id": self._owner.run_id})
        finally:
            self._background = None
            if self._lost is None and (self._steps or self._run is not None):
                self._arm()
