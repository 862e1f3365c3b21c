"""A/B tests in flows: which arm a step takes for a unit, and the exposures that say who saw what.

The assignment is `bridge.routing.assignment`: the same unit gets the same arm everywhere. An exposure is stored once
for each test and unit; the arm of the first one stays that unit's arm, whatever becomes of the weights.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bridge.json_types import JsonValue
from bridge.routing.assignment import assigned_arm, shares_of
from flows.plan import ExperimentRule
from flows.recordings import canonical


@dataclass(frozen=True, slots=True)
class Exposure:
    """A unit meets an arm for the first time."""

    org_id: str
    test: str
    unit_hash: str
    """SHA-256 of organisation, test and unit: the unit itself is not kept."""
    arm: str
    share: float
    """The probability with which a unit got this arm then, in (0, 1]."""
    flow: str
    run_id: str
    step_path: str
    at: datetime


class Exposures(Protocol):
    """Where exposures are kept."""

    async def expose(self, exposure: Exposure) -> str:
        """The unit's arm: that of its first exposure, else the one given, which is stored as the first."""
        ...


class MemoryExposures:
    """Exposures of this process: for tests, and for runs without a database."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, str], Exposure] = {}

    async def expose(self, exposure: Exposure) -> str:
        """The arm of the first exposure."""
        return self._first.setdefault((exposure.org_id, exposure.test, exposure.unit_hash), exposure).arm

    def all(self) -> tuple[Exposure, ...]:
        """What is kept, the first in time first."""
        return tuple(self._first.values())


@dataclass(frozen=True, slots=True)
class Asker:
    """Which step of which run asks for its arm."""

    org_id: str
    flow: str
    run_id: str
    step_path: str
    at: datetime


async def arm_of(rule: ExperimentRule, unit: JsonValue, exposures: Exposures, asker: Asker) -> str:
    """The arm for `unit`; the exposure is kept. A unit whose first arm is gone, or off, gets one of the others."""
    shares: Mapping[str, float] = {arm.name: arm.weight for arm in rule.arms}
    text = unit_text(unit)
    drawn = assigned_arm(rule.id, text, shares)
    exposure = Exposure(
        org_id=asker.org_id,
        test=rule.id,
        unit_hash=unit_hash(asker.org_id, rule.id, text),
        arm=drawn,
        share=shares_of(shares)[drawn],
        flow=asker.flow,
        run_id=asker.run_id,
        step_path=asker.step_path,
        at=asker.at,
    )
    first = await exposures.expose(exposure)
    return first if shares.get(first, 0) > 0 else drawn


def unit_text(unit: JsonValue) -> str:
    """A unit as text: equal values are the same unit."""
    return unit if isinstance(unit, str) else canonical(unit)


def unit_hash(org_id: str, test: str, unit: str) -> str:
    """What stands for the unit in stored exposures."""
    return hashlib.sha256("\x00".join((org_id, test, unit)).encode("utf-8", "surrogatepass")).hexdigest()
