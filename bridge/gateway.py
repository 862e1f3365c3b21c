"""`Bridge`: chat and stream over many providers; the only object of this package that other packages call."""

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bridge.attempt import HTTP, AttemptRunner
from bridge.budgets import BudgetLedger
from bridge.caching.answer_cache import AnswerCache
from bridge.caching.statistics import CacheReport
from bridge.call_log import CallLog
from bridge.call_record import CallContext, CallJournal, CallKind, CallRecord, CallSink, CallStatus
from bridge.catalog.aliases import Aliases, AliasView
from bridge.catalog.deployments import CredentialSource, Deployment, Deployments
from bridge.catalog.entries import ModelEntry
from bridge.catalog.models import ModelCatalog
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest
from bridge.clock import Clock, SystemClock
from bridge.config import BridgeConfig
from bridge.decision import Decision, DeploymentState, QualityEstimate
from bridge.dispatcher import Dispatcher, Parts, Ready, parsed_answer
from bridge.embedding import EmbeddingRequest
from bridge.errors import BridgeError, ConfigurationError
from bridge.identifiers import NewId, new_id
from bridge.insights import Insights
from bridge.learning.arbitrage import Yardstick
from bridge.learning.quality import PriorQuality, QualitySource
from bridge.lease_pool import LeasePool
from bridge.relay import RelayedStream
from bridge.reliability.failover import Failover
from bridge.reliability.health_book import HealthBook
from bridge.reliability.hints import BreakerHints
from bridge.reliability.key_ring import KeyRing
from bridge.rerank import RerankRequest
from bridge.result import ChatResult, ChatStream
from bridge.side_calls import EmbeddingResult, RerankResult, SideCalls
from bridge.state_store import MemoryStateStore, StateStore
from bridge.throttle import Throttle, throttle_of
from bridge.transport import HttpTransport, Transport
from bridge.transports import default_transports
from bridge.upkeep import ProbeResult, Upkeep

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """A configured provider as it stands now."""

    provider: str
    off_reason: str | None
    """Why it is not used at all; None: it is."""
    deployments: dict[str, DeploymentState]
    """What is known of its deployments that were called."""


class Bridge:
    """Routes calls to models. Built once, closed once; safe for concurrent use on one event loop.

    Raises:
        ConfigurationError: The configuration names something that does not exist or cannot work.
    """

    def __init__(  # noqa: PLR0913  # everything the bridge touches is handed in; all by name
        self,
        config: BridgeConfig,
        *,
        transports: Mapping[str, Transport] | None = None,
        sinks: Sequence[CallSink] = (),
        ledger: BudgetLedger | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
        rng: random.Random | None = None,
        state: StateStore | None = None,
        quality: QualitySource | None = None,
        prices: Prices | None = None,
        credentials: CredentialSource | None = None,
        throttle: Throttle | None = None,
        journal: CallJournal | None = None,
    ) -> None:
        clock = clock or SystemClock()
        rng = rng or random.Random()  # noqa: S311  # load spreading and jitter, no secrets
        throttle = throttle or throttle_of(config.providers)
        self._sinks = tuple(sinks)
        self._clock = clock
        self._new_id = new_id
        self._config = config
        self._deployments = Deployments(config)
        self._catalog = ModelCatalog(config, today=clock.now().date())
        self._catalog.alias_defaults()  # loads the prices now, not under the first call
        self._aliases = Aliases(config, self._catalog, self._deployments)
        self._prices = prices or Prices()
        self._leases = None if ledger is None else LeasePool(ledger, clock, new_id)
        self._quality = quality or PriorQuality()
        self._insights = Insights(clock, self._yardstick)
        self._health = HealthBook(config.breaker, rng)
        self._hints = None if state is None else BreakerHints(state, self._health, clock)
        self._transports = default_transports(config, clock) if transports is None else dict(transports)
        store = state or MemoryStateStore(clock, max_entries=config.cache.max_entries)
        self._cache = AnswerCache(store, config.cache, clock)
        if any(rules.cache == "semantic" for rules in config.aliases.values()):
            self._cache.warm_up()
        self._dispatcher = Dispatcher(
            Parts(
                config=config,
                aliases=self._aliases,
                prices=self._prices,
                health=self._health,
                failover=Failover(
                    retry=config.retry,
                    streams=config.streams,
                    health=self._health,
                    clock=clock,
                    rng=rng,
                    keys=KeyRing(refused_key_s=config.retry.refused_key_s, clock=clock, credentials=credentials),
                    throttle=throttle,
                ),
                throttle=throttle,
                runner=AttemptRunner(self._transports, self._prices, clock, new_id),
                cache=self._cache,
                quality=self._quality,
                leases=self._leases,
                clock=clock,
                new_id=new_id,
                rng=rng,
                state=state,
                journal=journal,
            )
        )

        self._upkeep = Upkeep(
            self._transports.get(HTTP) or HttpTransport(), self._health, clock, config.health, self._used_deployments
        )
        self._side_calls = SideCalls(self._dispatcher, self._log, self._close)

    @property
    def insights(self) -> Insights:
        """What was learned from this process's calls: traffic, predictions, forecasts, savings."""
        return self._insights

    @property
    def config(self) -> BridgeConfig:
        """What it was built from. Keys in it are masked."""
        return self._config

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        """A whole answer. Every sink is told of the call, whatever its end.

        Raises:
            BridgeError: With `.call` set to the call's record.
        """
        log = self._log(request, context, is_stream=False)
        ready: Ready | None = None
        try:
            ready = await self._dispatcher.prepare(log)
            if ready.cached is not None:
                response, parsed = ready.cached, parsed_answer(request, ready.cached)
            else:
                response, parsed = await self._dispatcher.complete(ready, log)
                await self._dispatcher.keep(ready, log, response)
        except BridgeError as error:
            error.call = await self._close(log, ready, "failed", error)
            raise
        except Exception as error:
            await self._close(log, ready, "failed", error)
            raise
        except BaseException as error:
            await self._close(log, ready, "cancelled", error)
            raise
        return ChatResult(response, parsed, await self._close(log, ready, "succeeded", None))

    def stream(self, request: ChatRequest, context: CallContext) -> ChatStream:
        """An answer piece by piece; see RelayedStream for what iteration raises."""
        return RelayedStream(self._dispatcher, self._log(request, context, is_stream=True), self._close)

    async def embed(self, request: EmbeddingRequest, context: CallContext) -> EmbeddingResult:
        """One vector a text; see SideCalls.embed."""
        return await self._side_calls.embed(request, context)

    async def rerank(self, request: RerankRequest, context: CallContext) -> RerankResult:
        """Documents by their relevance; see SideCalls.rerank."""
        return await self._side_calls.rerank(request, context)

    def decide(self, request: ChatRequest, context: CallContext, *, is_stream: bool = False) -> Decision:
        """What the router would do now; nothing is called. Raises UnknownModelError."""
        route = self._aliases.resolve(request.model, request.routing)
        return self._dispatcher.decided(request, context, route, is_stream=is_stream, is_budgeted=False)

    def models(self, *, include_unavailable: bool = False) -> tuple[ModelEntry, ...]:
        """All models that can be called now, by name; or all of the configured providers, also where one is off."""
        off = set[str]() if include_unavailable else set(self.unavailable())
        entries = (self._catalog.get(name) for name in self._catalog.names())
        return tuple(entry for entry in entries if entry.provider not in off)

    def aliases(self) -> tuple[AliasView, ...]:
        """All aliases, built-in ones first."""
        return self._aliases.views()

    def unavailable(self) -> dict[str, str]:
        """Configured provider -> why it is off ("OPENAI_API_KEY is not set")."""
        return self._deployments.unavailable()

    def knows(self, name: str) -> bool:
        """Is it an alias or a model, also one whose provider is off?"""
        return self._aliases.knows(name)

    def suggest(self, name: str) -> str | None:
        """The nearest known alias or model."""
        return self._aliases.suggest(name)

    def worst_case_nano_usd(self, name: str, *, max_input_bytes: int, max_output_tokens: int) -> int | None:
        """An upper bound of one billed attempt at the dearest model behind `name`; None when a price is unknown."""
        now = self._clock.now()
        return _highest(
            self._prices.worst_case_nano_usd(entry, max_input_bytes, max_output_tokens, now)
            for entry in self._entries(name)
        )

    def expected_nano_usd(self, name: str, *, input_tokens: int, output_tokens: int) -> int | None:
        """Expected cost of one call at the model the router would choose now; None when its price is unknown."""
        request = ChatRequest(model=name, messages=())
        decision = self.decide(request, CallContext(org_id=""))
        first = next((one.model for one in decision.candidates if one.is_eligible), None)
        if first is None:  # an embedding model answers no chat: it is the one that would be asked
            first = next((entry.name for entry in self._entries(name) if "embeddings" in entry.capabilities), None)
        if first is None:
            return None
        entry = self._catalog.get(first)
        return self._prices.expected_nano_usd(entry, input_tokens, output_tokens, self._clock.now())

    def cache_report(self, org_id: str) -> tuple[CacheReport, ...]:
        """How the caches of an organisation's aliases do in this process, and what would make them do better."""
        return self._cache.report(org_id)

    async def provider_models(self, provider: str) -> tuple[str, ...]:
        """The ids of what a provider says it serves. Costs nothing.

        Raises:
            ConfigurationError: It is not configured, off, or has no address to ask.
            ProviderError: It could not be asked.
        """
        return await self._upkeep.models_of(self._place(provider))

    async def probe(self, provider: str) -> ProbeResult:
        """Is the provider reached, and does it take the key? Costs nothing. Raises ConfigurationError."""
        return await self._upkeep.probe(self._place(provider))

    async def run_upkeep(self) -> None:
        """For ever, until cancelled: probe what nobody calls (`health.is_active`); circuits of other processes."""
        work = [self._upkeep.run()] if self._config.health.is_active else []
        if self._hints is not None:
            work.append(self._hints.run())
        await asyncio.gather(*work)

    async def health(self) -> tuple[ProviderHealth, ...]:
        """Every configured provider: is it on, and how have its deployments fared?"""
        off = self.unavailable()
        states = self.deployment_states()
        return tuple(
            ProviderHealth(
                provider=name,
                off_reason=off.get(name),
                deployments={key: state for key, state in states.items() if key.startswith(f"{name}/")},
            )
            for name in self._config.providers
        )

    def deployment_states(self) -> dict[str, DeploymentState]:
        """How every deployment that was called fares now."""
        return self._health.all_states(self._clock.monotonic())

    async def return_idle_money(self, org_id: str | None = None) -> None:
        """Give back what this process holds of budgets (of one organisation, or of all) and no call needs."""
        if self._leases is not None:
            await self._leases.return_idle(org_id)

    async def aclose(self) -> None:
        """Close every connection. Calls that are still under way fail."""
        if self._leases is not None:
            await self._leases.aclose()
        for transport in self._transports.values():
            await transport.aclose()

    def _entries(self, name: str) -> tuple[ModelEntry, ...]:
        route = self._aliases.resolve(name)
        return tuple(option.entry for option in (*route.candidates, *route.fallback) if option.off_reason is None)

    def _place(self, provider: str) -> Deployment:
        """A deployment to ask a provider itself at. Raises ConfigurationError."""
        off = self._deployments.off_reason(provider)
        if provider not in self._config.providers or provider in self.unavailable():
            raise ConfigurationError(f"{provider} cannot be asked: {off}")
        place = self._deployments.of(ModelEntry(f"{provider}/-", provider, "-"))[0]
        if not place.base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"{provider} has no address to ask: it runs in this process")
        return place

    def _used_deployments(self) -> dict[str, Deployment]:
        """Everything that aliases and the `models` section name."""
        names = [*self._config.aliases, *self._config.models]
        routes = (self._aliases.resolve(name) for name in names)
        return {name: one for route in routes for name, one in route.deployments().items()}

    def _yardstick(self, org_id: str) -> Yardstick:
        def cost_of(entry: ModelEntry, input_tokens: int, output_tokens: int) -> int | None:
            return self._prices.expected_nano_usd(entry, input_tokens, output_tokens, self._clock.now())

        def quality_of(task: str, entry: ModelEntry) -> QualityEstimate | None:
            return self._quality.estimate(org_id, task, entry)

        return Yardstick(cost_of, quality_of, self._clock.now())

    def _log(self, request: ChatRequest, context: CallContext, *, is_stream: bool, kind: CallKind = "chat") -> CallLog:
        return CallLog(self._new_id(), request, context, is_stream=is_stream, clock=self._clock, kind=kind)

    async def _close(
        self, log: CallLog, ready: Ready | None, status: CallStatus, error: BaseException | None
    ) -> CallRecord:
        """The call's record, told to every sink once."""
        self._cache.done(log.call_id, has_left=status == "cancelled")
        leases = () if ready is None else await ready.reservation.close(was_dispatched=bool(log.attempts))
        is_first = not log.is_closed
        record = log.close(status, leases, error)
        if is_first:
            self._insights.note(record, log.request if log.kind == "chat" else None)
        for sink in self._sinks if is_first else ():
            try:
                sink.record(record)
            except Exception:
                logger.exception("call_sink.failed", extra={"call_id": record.call_id, "sink": type(sink).__name__})
        if self._leases is not None:
            self._leases.settle(record)
        return record


def _highest(bounds: Iterable[int | None]) -> int | None:
    known = list(bounds)
    if not known or any(bound is None for bound in known):
        return None
    return max(bound for bound in known if bound is not None)
