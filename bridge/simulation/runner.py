"""Lives a scenario's day with a real bridge: one policy at a time, on virtual time."""

import asyncio
import itertools
import random
from collections.abc import Callable
from datetime import datetime

from bridge.call_record import CallContext, CallRecord
from bridge.chat import ChatRequest, Message
from bridge.errors import BridgeError
from bridge.gateway import Bridge
from bridge.learning.quality import QualityScore, ScoredQuality
from bridge.simulation.all_knowing import AllKnowing
from bridge.simulation.conditions import Conditions
from bridge.simulation.contenders import Contender
from bridge.simulation.figures import Figures
from bridge.simulation.price_schedule import PriceSchedule
from bridge.simulation.providers import CALL, SimulatedProviders
from bridge.simulation.scenario import Scenario
from bridge.simulation.tally import Tally
from bridge.simulation.traffic import Arrival, arrivals
from bridge.simulation.virtual_time import VirtualClock, VirtualTimeLoop, run_virtual

ORG = "simulation"
OnProgress = Callable[[float], None]
"""Is told the share of calls that have begun."""
PROGRESS_EVERY = 200


def simulated_day(
    scenario: Scenario, contender: Contender, *, seed: int | None = None, on_progress: OnProgress | None = None
) -> Figures:
    """The figures of a scenario under one policy. The same arguments give the same figures, to the last digit."""
    chosen = scenario.seed if seed is None else seed

    async def main(loop: VirtualTimeLoop) -> Figures:
        return await _Day(scenario, contender, chosen, loop).lived(on_progress or _nobody)

    return run_virtual(main)


class _Day:
    def __init__(self, scenario: Scenario, contender: Contender, seed: int, loop: VirtualTimeLoop) -> None:
        self._scenario = scenario
        self._contender = contender
        self._seed = seed
        self._loop = loop
        starts_at: datetime = scenario.starts_at
        clock = VirtualClock(loop, starts_at)
        conditions = Conditions(scenario.world)
        prices = PriceSchedule(scenario.world.events, starts_at)
        numbers = itertools.count(1)
        self._clock = clock
        self._quality = ScoredQuality(clock) if scenario.feedback.share > 0 else None
        providers = SimulatedProviders(conditions, clock, self._rng("providers"))
        self._bridge = Bridge(
            contender.config,
            transports={"http": providers},
            clock=clock,
            new_id=lambda: f"id-{next(numbers)}",
            rng=self._rng("bridge"),
            prices=prices,
            quality=self._quality,
        )
        served = [entry for entry in self._bridge.models() if entry.name in scenario.world.models]
        self._tally = Tally(AllKnowing(served, conditions, prices, starts_at=starts_at, epsilon=scenario.epsilon))
        self._dice = self._rng("baseline")

    async def lived(self, on_progress: OnProgress) -> Figures:
        """Make every call at its time, and wait for the last one."""
        try:
            async with asyncio.TaskGroup() as calls:
                for call in arrivals(self._scenario, self._seed):
                    pause_s = call.at_s - self._loop.time()
                    if pause_s > 0:
                        await asyncio.sleep(pause_s)
                    calls.create_task(self._make(call, self._target()))
                    if call.number % PROGRESS_EVERY == 0:
                        on_progress(call.number / self._scenario.traffic.calls)
        finally:
            await self._bridge.aclose()
        on_progress(1.0)
        return self._tally.figures()

    async def _make(self, call: Arrival, model: str) -> None:
        CALL.set(call)
        traffic = self._scenario.traffic
        request = ChatRequest(
            model=model,
            messages=(Message.of("user", call.text),),
            max_output_tokens=traffic.max_output_tokens,
            deadline_s=traffic.deadline_s,
        )
        context = CallContext(org_id=ORG, task=call.task, user_id=f"user-{call.number % 1000}")
        began_s = self._loop.time()
        ttft_s: float | None = None
        try:
            if call.is_stream:
                record, text, ttft_s = await self._streamed(request, context, began_s)
            else:
                result = await self._bridge.chat(request, context)
                record, text = result.record, result.response.text
        except BridgeError as error:
            if not isinstance(error.call, CallRecord):
                raise
            record, text, ttft_s = error.call, None, None
        is_good = self._tally.add(call, record, text, took_s=self._loop.time() - began_s, ttft_s=ttft_s)
        if call.is_scored and text is not None and record.attempts:
            self._score(call, record.attempts[-1].model, is_good=is_good)

    async def _streamed(
        self, request: ChatRequest, context: CallContext, began_s: float
    ) -> tuple[CallRecord, str, float | None]:
        stream = self._bridge.stream(request, context)
        ttft_s: float | None = None
        async for chunk in stream:
            if ttft_s is None and chunk.has_content:
                ttft_s = self._loop.time() - began_s
        return stream.result.record, stream.result.response.text, ttft_s

    def _score(self, call: Arrival, model: str, *, is_good: bool) -> None:
        """Tell the router, some time later, how good the answer was."""
        if self._quality is not None:
            score = QualityScore(ORG, call.task, model, float(is_good), self._clock.now())
            self._loop.call_later(self._scenario.feedback.after_s, self._quality.add, (score,))

    def _target(self) -> str:
        """The alias; for the baseline a model at random."""
        targets = self._contender.targets
        if not targets:
            return self._scenario.alias
        return self._dice.choices([name for name, _ in targets], [weight for _, weight in targets])[0]

    def _rng(self, purpose: str) -> random.Random:
        return random.Random(f"{self._seed}:{purpose}")  # noqa: S311  # no secret


def _nobody(share: float) -> None:
    del share
