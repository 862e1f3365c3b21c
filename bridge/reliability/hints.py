"""Circuits that other processes have opened: a hint, so that not every one of them has to fail by itself.

A hint takes the deployment out here for as long as the other process does, unless a call succeeded here after it was
taken out there: then it is the other process that cannot reach it. What follows is this process's own experience.
"""

import json
import logging
from collections import deque
from datetime import datetime
from typing import cast

from bridge.clock import Clock
from bridge.identifiers import new_id
from bridge.reliability.health_book import HealthBook
from bridge.state_store import StateStore

logger = logging.getLogger(__name__)

LIST = "circuits"
KEPT = 200
KEPT_S = 600.0
EVERY_S = 0.5
"""Between two looks: who has opened a circuit is heard of within a second."""


class BreakerHints:
    """Tells other processes of circuits that open here, and takes theirs as hints. One for a process."""

    def __init__(self, store: StateStore, health: HealthBook, clock: Clock) -> None:
        self._store = store
        self._health = health
        self._clock = clock
        self._own = new_id()
        self._news: deque[str] = deque(maxlen=KEPT)
        self._read_to = ""
        health.on_open = self._opened

    async def run(self) -> None:
        """For ever; ends by cancellation only."""
        while True:
            await self.exchange()
            await self._clock.sleep(EVERY_S)

    async def exchange(self) -> None:
        """Tell what is new here, and hear what is new elsewhere."""
        while self._news:
            await self._store.append(LIST, self._news.popleft(), keep=KEPT, ttl_s=KEPT_S)
        lines, self._read_to = await self._store.tail(LIST, self._read_to)
        for line in lines:
            self._hear(line)

    def _opened(self, deployment: str, pause_s: float) -> None:
        self._news.append(json.dumps([self._own, deployment, self._clock.now().timestamp(), pause_s]))

    def _hear(self, line: str) -> None:
        whose, deployment, at, pause_s = cast("tuple[str, str, float, float]", json.loads(line))
        age_s = max((self._clock.now() - datetime.fromtimestamp(at, tz=self._clock.now().tzinfo)).total_seconds(), 0.0)
        if whose == self._own or age_s >= pause_s:
            return
        if self._health.warned(deployment, age_s=age_s, left_s=pause_s - age_s, now_s=self._clock.monotonic()):
            logger.warning("circuit.opened_elsewhere", extra={"deployment": deployment})
