"""Scorers: named factories of async callables that give one answer one score with a reason."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, ParamSpec, Protocol

from bridge.chat import ChatRequest, ChatResponse
from bridge.json_types import JsonValue
from evaluators.errors import NoScoreError, ScorerOptionsError

Direction = Literal["higher", "lower"]
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Example:
    """What was asked and what a right answer looks like. `expected` None: nothing is known of it."""

    input: JsonValue = None
    expected: JsonValue = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subject answered. `json` is the parsed value where there is one; None of the others: not measured."""

    text: str = ""
    json: JsonValue = None
    latency_ms: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One score. `value` None is a missing value: the answer could not be scored, `reason` says why."""

    value: float | None
    reason: str
    passed: bool | None = None
    """Did it meet the scorer's own bar? None: it has none, or the value is missing."""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a score must be a finite number, not {self.value}: use None for a missing one")

    @property
    def is_missing(self) -> bool:
        """Is there no value?"""
        return self.value is None


class Scorer(Protocol):
    """Scores one answer. Raises NoScoreError (or a BridgeError, for judges) when it cannot: see `score_one`."""

    def __call__(self, example: Example, answer: Answer, /) -> Awaitable[Score]: ...


class ModelAnswer(Protocol):
    """What a judge needs to see of a model's answer."""

    @property
    def response(self) -> ChatResponse: ...

    @property
    def parsed(self) -> JsonValue: ...


AskModel = Callable[[ChatRequest], Awaitable[ModelAnswer]]
"""How a judge reaches a model: `NodeContext.chat`, or `Bridge.chat` with a context bound."""


@dataclass(frozen=True, slots=True)
class ScorerKind:
    """An entry of the registry: what is known of a scorer before it is made."""

    name: str
    factory: Callable[..., Scorer]
    low: float
    high: float | None
    """None: without an upper end (latency, cost)."""
    direction: Direction
    uses_model: bool
    """Does it cost model calls? Then its factory takes `ask`."""

    @property
    def summary(self) -> str:
        """The first line of the factory's documentation."""
        return (self.factory.__doc__ or "").strip().split("\n")[0]


_registry: dict[str, ScorerKind] = {}


def scorer(
    name: str,
    *,
    low: float = 0.0,
    high: float | None = 1.0,
    direction: Direction = "higher",
    uses_model: bool = False,
) -> Callable[[Callable[P, Scorer]], Callable[P, Scorer]]:
    """Register a scorer's factory. Its keyword parameters are the options users write."""

    def register(factory: Callable[P, Scorer]) -> Callable[P, Scorer]:
        known = _registry.get(name)
        if known is not None and known.factory.__qualname__ != factory.__qualname__:
            raise ValueError(f"scorer {name!r} is already registered by {known.factory.__qualname__}")
        _registry[name] = ScorerKind(name, factory, low, high, direction, uses_model)
        return factory

    return register


def registered() -> Mapping[str, ScorerKind]:
    """What has been registered so far, by name. `evaluators.registry.scorers` loads the built-in ones first."""
    return dict(sorted(_registry.items()))


async def score_one(scorer_: Scorer, example: Example, answer: Answer) -> Score:
    """The score, or a missing value with the reason: no scorer's failure ends an evaluation.

    Cancellation passes through.
    """
    try:
        return await scorer_(example, answer)
    except NoScoreError as error:
        return Score(value=None, reason=str(error))
    except ScorerOptionsError:
        raise
    except Exception as error:  # noqa: BLE001  # a scorer is foreign code: its failure is a counted missing value
        return Score(value=None, reason=f"{type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean over scores with missing ones counted; `lowest` and `highest` are the mean if all missing ones were
    the worst or the best possible. None where nothing can be said.
    """

    n: int
    n_missing: int
    mean: float | None
    lowest: float | None
    highest: float | None


def summarize(scores: list[Score], *, low: float = 0.0, high: float | None = 1.0) -> Summary:
    """Mean of the scores that exist, with bounds for those that do not, on the range `[low, high]`."""
    values = [score.value for score in scores if score.value is not None]
    n_missing = len(scores) - len(values)
    total = math.fsum(values)
    n = len(scores)
    return Summary(
        n=n,
        n_missing=n_missing,
        mean=total / len(values) if values else None,
        lowest=(total + n_missing * low) / n if n else None,
        highest=((total + n_missing * high) / n if high is not None else None if n_missing else total / n)
        if n
        else None,
    )
