"""When to change the provider, and when to stay: advice that does not flap.

A change is advised only after the same rival was ahead by a margin for several looks in a row, with enough calls on
both sides; going back to where the last change came from asks for a larger margin. Two thresholds and a delay: a
Schmitt trigger with debounce.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bridge.learning.observations import NOT_ENOUGH

MARGIN = 0.05
"""How far ahead the rival must be, as a share of the incumbent's score."""
RETURN_MARGIN = 0.12
"""The same for going back."""
LOOKS = 3
"""In a row."""
MAX_CHANGES = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """How one provider, model or deployment did since the last look."""

    score: float
    """In [0, 1], 1 best: the router's weighted score."""
    calls: int
    terms: Mapping[str, float] = field(default_factory=dict[str, float])
    """The score's parts by name, each in [0, 1]."""


@dataclass(frozen=True, slots=True)
class SwitchAdvice:
    """What to do now, and why in one sentence."""

    action: Literal["stay", "watch", "switch"]
    incumbent: str
    rival: str | None
    lead: float
    """Of the rival over the incumbent, as a share of the incumbent's score; negative: behind."""
    looks: int
    """How many looks in a row the rival was far enough ahead."""
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """A switch that was made."""

    at: datetime
    before: str
    after: str
    reason: str


class SwitchAdvisor:
    """Watches one choice (an alias, a task). `incumbent` is what is used now."""

    def __init__(
        self, incumbent: str, *, margin: float = MARGIN, return_margin: float = RETURN_MARGIN, looks: int = LOOKS
    ) -> None:
        self._incumbent = incumbent
        self._margin = margin
        self._return_margin = return_margin
        self._looks_needed = looks
        self._rival: str | None = None
        self._looks = 0
        self._changes: list[Change] = []

    @property
    def incumbent(self) -> str:
        """What is used now."""
        return self._incumbent

    @property
    def changes(self) -> tuple[Change, ...]:
        """The switches so far, oldest first; the newest hundred."""
        return tuple(self._changes)

    def look(self, standings: Mapping[str, Standing], at: datetime) -> SwitchAdvice:
        """Compare once. An advised switch is taken as made: the rival is the incumbent from then on."""
        mine = standings.get(self._incumbent)
        rivals = {name: one for name, one in standings.items() if name != self._incumbent and one.calls >= NOT_ENOUGH}
        if mine is None or mine.calls < NOT_ENOUGH:
            have = 0 if mine is None else mine.calls
            return self._stay(None, 0.0, f"not enough data: {NOT_ENOUGH - have} more calls of {self._incumbent} needed")
        if not rivals:
            return self._stay(None, 0.0, f"no other choice has {NOT_ENOUGH} calls to compare with")
        best = max(rivals, key=lambda name: (rivals[name].score, name))
        lead = (rivals[best].score - mine.score) / max(mine.score, 1e-9)
        if lead < self._needed(best):
            return self._stay(best, lead, self._too_little(best, lead))
        self._looks = self._looks + 1 if best == self._rival else 1
        self._rival = best
        why = _why(mine, rivals[best])
        if self._looks < self._looks_needed:
            reason = f"{best} is ahead by {lead:.0%} ({why}) in {self._looks} of {self._looks_needed} looks"
            return SwitchAdvice("watch", self._incumbent, best, lead, self._looks, reason)
        return self._switch(best, lead, why, at)

    def _needed(self, rival: str) -> float:
        is_return = bool(self._changes) and self._changes[-1].before == rival
        return self._return_margin if is_return else self._margin

    def _too_little(self, rival: str, lead: float) -> str:
        if lead <= 0:
            return f"{self._incumbent} is the best: {rival} is behind by {-lead:.0%}"
        return f"{rival} is ahead by {lead:.1%} only; a switch needs {self._needed(rival):.0%}"

    def _stay(self, rival: str | None, lead: float, reason: str) -> SwitchAdvice:
        self._rival, self._looks = None, 0
        return SwitchAdvice("stay", self._incumbent, rival, lead, 0, reason)

    def _switch(self, rival: str, lead: float, why: str, at: datetime) -> SwitchAdvice:
        before, looks = self._incumbent, self._looks
        reason = f"{rival} was ahead of {before} for {looks} looks in a row, now by {lead:.0%}: {why}"
        self._changes = [*self._changes, Change(at, before, rival, reason)][-MAX_CHANGES:]
        self._incumbent, self._rival, self._looks = rival, None, 0
        return SwitchAdvice("switch", before, rival, lead, looks, reason)


def _why(mine: Standing, rival: Standing) -> str:
    """The terms in which the rival leads most."""
    leads = {name: rival.terms[name] - value for name, value in mine.terms.items() if name in rival.terms}
    gains = sorted((name for name, lead in leads.items() if lead > 0), key=lambda name: (-leads[name], name))
    return "better " + " and ".join(gains[:2]) if gains else "better score"
