"""How much a tenant may use: as written in modelbridge.yaml, in bodies of the API and in rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_AMOUNT = 10**12
Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]


class Rates(BaseModel):
    """Requests and tokens a minute and a day. null: no limit is set here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: Amount | None = Field(default=None, description="Of any 60 seconds.")
    tokens_per_minute: Amount | None = Field(default=None, description="Input and output together.")
    requests_per_day: Amount | None = Field(default=None, description="Of any 24 hours.")
    tokens_per_day: Amount | None = Field(default=None, description="Input and output together.")

    @classmethod
    def stored(cls, row: Mapping[str, object] | None) -> "Rates":
        """What a row holds. What this version does not know of it is passed over: it must not lock anybody out."""
        known = {name: value for name, value in (row or {}).items() if name in cls.model_fields}
        try:
            return cls.model_validate(known)
        except ValidationError:
            return NO_RATES

    def over(self, default: "Rates") -> "Rates":
        """These, and the default's where nothing is set."""
        return self.model_copy(update=default.set_amounts() | self.set_amounts())

    def within(self, ceiling: "Rates") -> "Rates":
        """These, nowhere above the ceiling."""
        own, most = self.set_amounts(), ceiling.set_amounts()
        return self.model_copy(update={name: min(own.get(name, amount), amount) for name, amount in most.items()})

    def set_amounts(self) -> dict[str, int]:
        """By field, where there is a limit."""
        return self.model_dump(exclude_none=True)

    def to_row(self) -> dict[str, int] | None:
        """What is stored; None when nothing is set."""
        return self.set_amounts() or None


NO_RATES = Rates()


class LimitsSection(BaseModel):
    """The section `limits` of modelbridge.yaml. Limits of keys count for each key alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Rates = Field(default=NO_RATES, description="Of every API key that has no limits of its own.")
    organization: Rates = Field(
        default=NO_RATES, description="Of every organisation, all its keys and people together."
    )
    plans: dict[str, Rates] = Field(
        default_factory=dict[str, Rates], description="In place of `organization`, by the organisation's plan."
    )
    when_redis_is_down: Literal["local", "refuse"] = Field(
        default="local", description="local: every process admits its share of each limit; refuse: 503."
    )
    replicas: int = Field(default=1, ge=1, le=10_000, description="Processes that share the limits; sizes that share.")


@dataclass(frozen=True, slots=True)
class OwnRates:
    """What the database says of a caller's limits."""

    key: Rates = NO_RATES
    organization: Rates = NO_RATES
    plan: str = ""

    def of_key(self, config: LimitsSection) -> Rates:
        """The key's limits: its own, and the default's where it has none."""
        return self.key.over(config.key)

    def of_organization(self, config: LimitsSection) -> Rates:
        """The organisation's limits: what the operator's file sets is the ceiling of its own."""
        return self.organization.within(config.plans.get(self.plan, config.organization))


NO_OWN_RATES = OwnRates()
