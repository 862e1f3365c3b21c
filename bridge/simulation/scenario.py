"""A scenario: who serves, how the world changes over the hours, who asks what, and what must come out of it.

Hours count from the scenario's beginning. Whatever is random is drawn from distributions that are given here, with
the scenario's seed.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from bridge.config import Frozen, RateConfig
from bridge.config_problems import problems_of
from bridge.errors import ConfigurationError
from bridge.simulation.figures import FigureName

EventKind = Literal["outage", "refused", "silent", "brown_out", "slow_down", "cut_streams", "rate_limit", "price"]
EVENT_FIELDS: dict[EventKind, frozenset[str]] = {
    "outage": frozenset({"status"}),
    "refused": frozenset(),
    "silent": frozenset(),
    "brown_out": frozenset({"share", "status"}),
    "slow_down": frozenset({"factor"}),
    "cut_streams": frozenset({"share"}),
    "rate_limit": frozenset({"requests_per_minute"}),
    "price": frozenset({"input_usd_per_mtok", "output_usd_per_mtok"}),
}
"""What each kind of event is told beside where and when."""
NEEDED: dict[EventKind, frozenset[str]] = {
    "brown_out": frozenset({"share"}),
    "slow_down": frozenset({"factor"}),
    "cut_streams": frozenset({"share"}),
    "rate_limit": frozenset({"requests_per_minute"}),
    "price": frozenset({"input_usd_per_mtok", "output_usd_per_mtok"}),
}


class Spread(Frozen):
    """A quantity that varies: log-normal around its median. With spread 0.5 two thirds lie within x 0.6 to x 1.65."""

    median: float = Field(gt=0)
    spread: float = Field(default=0.4, ge=0, le=3, description="Standard deviation of the logarithm.")


class ServedModel(Frozen):
    """How a model really is. The router is not told: it measures, learns, or goes by its priors."""

    quality: float = Field(ge=0, le=1, description="Share of its answers that are good.")
    quality_at: dict[str, float] = Field(default_factory=dict[str, float], description="By task, where it differs.")
    doubt_share: float = Field(
        default=0.0, ge=0, le=1, description="Of its poor answers: they end in `I am not sure`, which a cascade sees."
    )
    ttft_ms: Spread = Spread(median=400)
    tokens_per_s: Spread = Spread(median=60, spread=0.2)
    error_rate: float = Field(default=0.0, ge=0, le=1, description="Share of calls that fail on a good day.")
    limits: RateConfig = Field(default_factory=RateConfig, description="What its provider enforces, by 429.")


class WorldEvent(Frozen):
    """Something that happens to a provider, a model or a deployment."""

    kind: EventKind
    where: str = Field(description="`provider`, `provider/model` or `provider/model@site`.")
    at_h: float = Field(ge=0)
    minutes: float | None = Field(default=None, gt=0, description="None: to the end.")
    status: int = Field(default=503, ge=400, le=599, description="For `outage` and `brown_out`.")
    share: float | None = Field(default=None, gt=0, le=1, description="Of the calls that are hit.")
    factor: float | None = Field(default=None, gt=0, description="For `slow_down`: times as slow.")
    requests_per_minute: float | None = Field(default=None, gt=0)
    input_usd_per_mtok: float | None = Field(default=None, ge=0)
    output_usd_per_mtok: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = self.model_fields_set - {"kind", "where", "at_h", "minutes"}
        foreign, missing = given - EVENT_FIELDS[self.kind], NEEDED.get(self.kind, frozenset[str]()) - given
        if foreign:
            raise ValueError(f"`{self.kind}` takes no {', '.join(sorted(foreign))}")
        if missing:
            raise ValueError(f"`{self.kind}` needs {', '.join(sorted(missing))}")
        return self

    @property
    def from_s(self) -> float:
        """When it begins."""
        return self.at_h * 3600

    @property
    def until_s(self) -> float:
        """When it is over; infinity: never."""
        return float("inf") if self.minutes is None else self.from_s + self.minutes * 60


class World(Frozen):
    """How things really are, and what happens."""

    models: dict[str, ServedModel] = Field(min_length=1, description="Every model that calls may reach.")
    events: tuple[WorldEvent, ...] = ()


class Burst(Frozen):
    """Traffic times `factor` for a while."""

    at_h: float = Field(ge=0)
    minutes: float = Field(gt=0)
    factor: float = Field(gt=0)


class TaskTraffic(Frozen):
    """Calls of one kind."""

    share: float = Field(default=1.0, gt=0, description="Of all calls; only the ratio matters.")
    prompt_tokens: Spread = Spread(median=400)
    output_tokens: Spread = Spread(median=150)
    stream_share: float = Field(default=0.0, ge=0, le=1, description="Share of calls that are streamed.")
    prompts: int | None = Field(default=None, ge=1, description="Different prompts there are; None: each is new.")
    zipf: float = Field(default=1.0, ge=0, description="How unevenly they are asked: rank^-zipf. 0: evenly.")
    questions: tuple[tuple[str, ...], ...] = Field(
        default=(), description="Prompts in words instead: each with its wordings, the most asked one first."
    )

    @model_validator(mode="after")
    def _asks_in_one_way(self) -> Self:
        if self.questions and self.prompts is not None:
            raise ValueError("give `prompts` or `questions`, not both")
        if any(not wordings or not all(wordings) for wordings in self.questions):
            raise ValueError("every question needs at least one wording, and none may be empty")
        return self


class Traffic(Frozen):
    """Who asks when, and what. Arrivals are a Poisson process given its count: exactly `calls` of them."""

    calls: int = Field(default=40_000, ge=1, le=2_000_000)
    load_by_hour: tuple[float, ...] = Field(default=(1.0,) * 24, description="24 numbers; only the ratio matters.")
    bursts: tuple[Burst, ...] = ()
    tasks: dict[str, TaskTraffic] = Field(min_length=1)
    max_output_tokens: int | None = Field(default=None, gt=0, description="The limit every request is sent with.")
    deadline_s: float | None = Field(default=None, gt=0, description="Of every call; None: as the alias says.")

    @model_validator(mode="after")
    def _has_a_whole_day(self) -> Self:
        if len(self.load_by_hour) != 24 or min(self.load_by_hour) < 0 or sum(self.load_by_hour) == 0:
            raise ValueError("`load_by_hour` takes 24 numbers, none negative and not all 0")
        return self


class Feedback(Frozen):
    """What the router is told about its answers. Without it, it goes by the priors in `bridge.models`."""

    share: float = Field(default=0.0, ge=0, le=1, description="Of answers that get a score.")
    after_s: float = Field(default=300.0, ge=0, description="How much later.")


class Bound(Frozen):
    """A figure that must come out; missing it fails the simulation."""

    policy: str
    figure: FigureName
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give `at_least`, `at_most` or both")
        return self


class Scenario(Frozen):
    """Everything about one simulation."""

    name: str = Field(min_length=1)
    about: str = ""
    starts_at: AwareDatetime = datetime(2026, 1, 1, tzinfo=UTC)
    hours: float = Field(default=24.0, gt=0, le=24 * 366)
    seed: int = 1
    bridge: dict[str, JsonValue] = Field(description="As in modelbridge.yaml; addresses and keys are not needed.")
    alias: str = Field(description="The alias that is called, and whose policy is varied.")
    policies: tuple[str, ...] = Field(min_length=1, description="Policies, names of variants, or `random`.")
    variants: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict[str, dict[str, JsonValue]], description="Name -> fields laid over the alias."
    )
    world: World
    traffic: Traffic
    feedback: Feedback = Feedback()
    epsilon: float = Field(default=0.1, ge=0, lt=1, description="Quality the all-knowing choice may give up for price.")
    expect: tuple[Bound, ...] = ()


def load_scenario(path: Path) -> Scenario:
    """The scenario in a YAML file.

    Raises:
        ConfigurationError: Every problem, with the file and where in it.
    """
    try:
        raw: object = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: no readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path}: a scenario is a mapping, with `name`, `bridge`, `world` and `traffic`")
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise invalid(str(path), problems_of(error, Scenario)) from error


def invalid(where: str, problems: tuple[str, ...]) -> ConfigurationError:
    """All problems of a scenario as one error."""
    text = f"{where}: the scenario is invalid:\n" + "\n".join(f"  {problem}" for problem in problems)
    return ConfigurationError(text, problems=problems)
