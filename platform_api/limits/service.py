"""The limits of tenants: which windows a caller has, and one step that asks all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from uuid import UUID

from bridge.call_record import CallRecord
from bridge.chat import ChatRequest
from bridge.errors import BridgeError
from bridge.tokens import TokenEstimator
from platform_api.auth.principals import Caller
from platform_api.errors import UnavailableError
from platform_api.limits.errors import LimitExceededError, OverLimitError
from platform_api.limits.windows import DAY_S, MINUTE_S, Room, Taken, Unit, Window, WindowCounter
from platform_api.rates import LimitsSection, OwnRates, Rates

OUTPUT_TOKENS = 1_024
"""Reserved for an answer whose request sets no limit; what is over is charged afterwards."""
MAX_CALLERS = 10_000
_SPANS: tuple[tuple[str, Unit, str, int], ...] = (
    ("requests_per_minute", "requests", "minute", MINUTE_S),
    ("tokens_per_minute", "tokens", "minute", MINUTE_S),
    ("requests_per_day", "requests", "day", DAY_S),
    ("tokens_per_day", "tokens", "day", DAY_S),
)
_ESTIMATOR = TokenEstimator()
Windows = tuple[Window, ...]
Reserve = Callable[[], int]


@dataclass(slots=True)
class Admitted:
    """A request that may go on. `used`: tokens of its calls; None: unknown, so the reservation stays."""

    rooms: tuple[Room, ...] = ()
    taken: Taken | None = None
    used: int | None = None

    def count(self, record: CallRecord | None) -> None:
        """What the call behind it used. None: nothing was sent."""
        self.used = 0 if record is None else tokens_of(record)


class TenantLimits:
    """Limits of keys and organisations of one process, in memory or shared."""

    def __init__(self, config: LimitsSection, counter: WindowCounter) -> None:
        self.config = config
        self._counter = counter
        self._windows: dict[int, tuple[Caller, Windows]] = {}
        """By the identity of the caller's object, which the authenticator keeps for as long as it is fresh."""
        self.on_refused: Callable[[Window], None] = _ignore
        """Told every window that refused a request."""

    def windows_of(self, caller: Caller) -> Windows:
        """The windows of the caller's key and organisation."""
        known = self._windows.get(id(caller))
        if known is not None and known[0] is caller:
            return known[1]
        windows = made_windows(self.config, caller.org_id, caller.key_id, caller.limits)
        if len(self._windows) >= MAX_CALLERS:
            self._windows.clear()
        self._windows[id(caller)] = caller, windows
        return windows

    async def admit(self, caller: Caller, reserve: Reserve | None = None) -> Admitted:
        """Take one request and as many tokens as `reserve` says, under all of them. It is asked when there are limits.

        Raises:
            LimitExceededError: One has no room now; nothing was taken.
            OverLimitError: One never has room for so many tokens.
            UnavailableError: Redis does not answer, and `limits.when_redis_is_down` is `refuse`.
        """
        windows = self.windows_of(caller)
        if not windows:
            return Admitted()
        tokens = 0 if reserve is None else reserve()
        too_small = [window for window in windows if window.cost(tokens) > window.amount]
        if too_small:
            raise OverLimitError(tokens, too_small)
        verdict = await self._counter.take(windows, tokens)
        if verdict is None:
            raise UnavailableError("rate limits cannot be asked for now; try again soon", code="limits_unavailable")
        if verdict.taken is None:
            for window in verdict.refused:
                self.on_refused(window)
            raise LimitExceededError(verdict)
        return Admitted(verdict.rooms, verdict.taken)

    async def settle(self, admitted: Admitted) -> None:
        """Once the request is over: what it used counts in place of what was reserved."""
        taken, used = admitted.taken, admitted.used
        if taken is not None and taken.windows and used is not None and used != taken.tokens:
            await self._counter.settle(taken, used)


class Admission:
    """`async with` around a request: admitted at its begin, settled at its end.

    An error of the bridge tells what was used by then; of any other end `Admitted.used` does, when somebody set it.
    """

    __slots__ = ("_admitted", "_caller", "_limits", "_reserve", "_tell")

    def __init__(
        self,
        limits: TenantLimits,
        caller: Caller,
        tell: Callable[[Sequence[Room]], None],
        reserve: Reserve | None = None,
    ) -> None:
        self._limits = limits
        self._caller = caller
        self._tell = tell
        self._reserve = reserve
        self._admitted = Admitted()

    async def __aenter__(self) -> Admitted:
        """What TenantLimits.admit raises; `tell` hears what is left in either case."""
        try:
            self._admitted = await self._limits.admit(self._caller, self._reserve)
        except LimitExceededError as error:
            self._tell(error.rooms)
            raise
        self._tell(self._admitted.rooms)
        return self._admitted

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if isinstance(error, BridgeError):
            self._admitted.count(error.call if isinstance(error.call, CallRecord) else None)
        await self._limits.settle(self._admitted)


def made_windows(config: LimitsSection, org_id: UUID, key_id: UUID | None, own: OwnRates) -> Windows:
    """The windows of a key (the first of its chain of rotations; None: a person) in an organisation."""
    org = f"{{org:{org_id}}}"
    of_key = () if key_id is None else _windows("key", f"{org}:key:{key_id}", own.of_key(config))
    return (*of_key, *_windows("org", org, own.of_organization(config)))


def expected_tokens(request: ChatRequest) -> int:
    """What is reserved for a request: its prompt, estimated by its length, and its longest answer."""
    output = OUTPUT_TOKENS if request.max_output_tokens is None else request.max_output_tokens
    return _ESTIMATOR.input_tokens(request.model, request) + output * max(request.n, 1)


def text_tokens(texts: tuple[str, ...]) -> int:
    """What is reserved for texts that are embedded."""
    return _ESTIMATOR.tokens("", sum(len(text.encode("utf-8", "replace")) for text in texts))


def tokens_of(record: CallRecord) -> int:
    """What a call used: all its attempts; nothing when its answer was cached."""
    return sum([one.usage.total_tokens for one in record.attempts if one.usage is not None])


def _windows(whose: str, owner: str, rates: Rates) -> Windows:
    amounts = rates.set_amounts()
    return tuple(
        Window(f"{whose}-{unit}-{span}", owner, unit, amounts[field], seconds)
        for field, unit, span, seconds in _SPANS
        if field in amounts
    )


def _ignore(_window: Window) -> None:
    pass
