"""Looks at providers that nobody calls: what they serve, whether they are reached, whether they take the key."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.catalog.deployments import Deployment
from bridge.clock import Clock
from bridge.config import HealthConfig
from bridge.errors import BridgeError, NotServedError, ProviderError
from bridge.providers.model_lists import list_request, listed_models
from bridge.providers.rejections import decoded_reply, to_error
from bridge.reliability.health_book import HealthBook
from bridge.transport import Timeouts, Transport

logger = logging.getLogger(__name__)

PROBE_LIMITS = Timeouts(connect_s=5.0, total_s=10.0)
LOOK_EVERY_S = 30.0
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found. It costs nothing: it asks for the list of models."""

    deployment: str
    is_reached: bool
    takes_key: bool | None
    """None: its provider has no list, so nothing is known of the key."""
    duration_ms: float
    problem: str | None = None
    models: tuple[str, ...] = ()


class Upkeep:
    """Probes deployments over the wire. Those without one (the mock, the model in the box) are never probed."""

    def __init__(
        self,
        http: Transport,
        health: HealthBook,
        clock: Clock,
        config: HealthConfig,
        deployments: Callable[[], Mapping[str, Deployment]],
    ) -> None:
        """`deployments` are those of aliases and of configured models, by name."""
        self._http = http
        self._health = health
        self._clock = clock
        self._config = config
        self._deployments = deployments
        self._probed_at_s: dict[str, float] = {}

    async def models_of(self, target: Deployment) -> tuple[str, ...]:
        """What the provider says it serves. Raises ProviderError."""
        reply = await self._http.send(list_request(target), target, limits=PROBE_LIMITS)
        if not 200 <= reply.status < 300:
            raise to_error(reply.status, reply.headers, reply.body, target)
        return listed_models(decoded_reply(reply.body, target), target)

    async def probe(self, target: Deployment, counts_for: Sequence[str] = ()) -> ProbeResult:
        """Look at one place now. A failure counts against the circuits of `counts_for`; a success says only that it is
        there, and closes none.
        """
        began_s = self._clock.monotonic()
        flights = [flight for name in counts_for if (flight := self._health.begin(name, began_s)) is not None]
        problem: str | None = None
        models: tuple[str, ...] = ()
        is_reached, takes_key = True, True if target.api_key else None
        try:
            models = await self.models_of(target)
        except NotServedError:
            takes_key = None
        except ProviderError as error:
            problem = str(error)
            is_reached, takes_key = error.status is not None, False if error.error_class == "auth" else None
        finally:
            now_s = self._clock.monotonic()
            for flight in flights:
                self._health.probed(flight, has_failed=problem is not None, now_s=now_s)
        return ProbeResult(target.name, is_reached, takes_key, (now_s - began_s) * 1000, problem, models)

    async def look_around(self) -> tuple[ProbeResult, ...]:
        """Probe every place whose deployments had no traffic and no probe for `health.probe_after_s`, once each."""
        now_s = self._clock.monotonic()
        places: dict[tuple[str, str | None], list[Deployment]] = {}
        for one in self._deployments().values():
            if self._is_due(one, now_s):
                self._probed_at_s[one.name] = now_s
                places.setdefault((one.base_url, one.api_key), []).append(one)
        slots = asyncio.Semaphore(AT_ONCE)

        async def one_place(here: list[Deployment]) -> ProbeResult:
            async with slots:
                return await self.probe(here[0], [each.name for each in here])

        return tuple(await asyncio.gather(*(one_place(here) for here in places.values())))

    async def run(self) -> None:
        """Look around for ever; ends by cancellation only."""
        while True:
            try:
                for result in await self.look_around():
                    if result.problem is not None:
                        logger.warning("provider.probe_failed", extra={"deployment": result.deployment})
            except BridgeError:
                logger.exception("provider.look_around_failed")
            await self._clock.sleep(LOOK_EVERY_S)

    def _is_due(self, target: Deployment, now_s: float) -> bool:
        if not target.base_url.startswith(("http://", "https://")):
            return False
        last_s = max(self._health.last_traffic_s(target.name), self._probed_at_s.get(target.name, float("-inf")))
        return now_s - last_s >= self._config.probe_after_s
