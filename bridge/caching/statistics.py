"""How the cache does, and what would make it do better: by organisation and alias, in memory, bounded.

A miss is compared with the newest requests of the same alias: the part of the key in which the nearest one differs is
what broke the hit. How long repeats lie apart tells what a longer life of answers would catch.
"""

import re
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.caching.fingerprint import PARTS, RequestKey

MAX_GROUPS = 2_000
MAX_KEYS = 5_000
RECENT = 50
TTLS_S = (300.0, 900.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0, 604_800.0)
LEAST_REPEATS = 30
WORTH_IT = 0.05
"""Of repeats: less is no reason to change the life of answers."""
OFTEN = 0.3
"""Of misses that have a near relative: a part that breaks so many is worth a word."""
CHANGING = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class TtlShare:
    """Share of repeats that answers of this life would catch."""

    ttl_s: float
    share: float


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What is known of one alias's cache in this process."""

    alias: str
    lookups: int
    exact_hits: int
    semantic_hits: int
    saved_usd: float
    """What the hits would have cost."""
    misses_by_part: Mapping[str, int]
    """Of misses with a near relative: the part of the key that differs. `new`: nothing like it was seen."""
    repeats: int
    ttl_shares: tuple[TtlShare, ...]
    advice: tuple[str, ...]

    @property
    def hit_rate(self) -> float:
        """Hits of lookups, in [0, 1]."""
        return (self.exact_hits + self.semantic_hits) / self.lookups if self.lookups else 0.0


@dataclass(slots=True)
class _Group:
    lookups: int = 0
    exact_hits: int = 0
    semantic_hits: int = 0
    saved_nano_usd: int = 0
    misses: Counter[str] = field(default_factory=Counter[str])
    numbers_only: int = 0
    """Misses in which the system prompts differ in their numbers alone."""
    recent: deque[tuple[Mapping[str, str], str]] = field(
        default_factory=lambda: deque[tuple[Mapping[str, str], str]](maxlen=RECENT)
    )
    """Parts of the newest requests, and the system prompt without its numbers."""
    last_seen_s: OrderedDict[str, float] = field(default_factory=OrderedDict[str, float])
    distances_s: list[float] = field(default_factory=list[float])


class CacheStatistics:
    """Counts. One for a bridge."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[str, str], _Group] = OrderedDict()

    def looked_up(self, org_id: str, alias: str, key: RequestKey, now_s: float) -> None:
        """A request was looked up; a hit or a miss is told after it."""
        group = self._group(org_id, alias)
        group.lookups += 1
        before_s = group.last_seen_s.pop(key.answer, None)
        if before_s is not None and len(group.distances_s) < MAX_KEYS:
            group.distances_s.append(now_s - before_s)
        group.last_seen_s[key.answer] = now_s
        if len(group.last_seen_s) > MAX_KEYS:
            group.last_seen_s.popitem(last=False)

    def hit(self, org_id: str, alias: str, *, is_semantic: bool, saved_nano_usd: int | None) -> None:
        """The look-up found an answer."""
        group = self._group(org_id, alias)
        if is_semantic:
            group.semantic_hits += 1
        else:
            group.exact_hits += 1
        group.saved_nano_usd += saved_nano_usd or 0

    def missed(self, org_id: str, alias: str, key: RequestKey, system: str) -> None:
        """The look-up found nothing."""
        group = self._group(org_id, alias)
        plain = CHANGING.sub("#", system)
        part, is_numbers_only = _what_differs(group, key, plain)
        group.misses[part] += 1
        group.numbers_only += is_numbers_only
        group.recent.append((key.parts, plain))

    def report(self, org_id: str, alias: str) -> CacheReport:
        """Everything counted so far."""
        group = self._groups.get((org_id, alias)) or _Group()
        shares = _ttl_shares(group.distances_s)
        return CacheReport(
            alias=alias,
            lookups=group.lookups,
            exact_hits=group.exact_hits,
            semantic_hits=group.semantic_hits,
            saved_usd=group.saved_nano_usd / 1e9,
            misses_by_part=dict(group.misses.most_common()),
            repeats=len(group.distances_s),
            ttl_shares=shares,
            advice=(*_advice_on_parts(group), *_advice_on_ttl(group.distances_s, shares)),
        )

    def aliases(self, org_id: str) -> tuple[str, ...]:
        """Aliases with look-ups of an organisation, sorted."""
        return tuple(sorted(alias for org, alias in self._groups if org == org_id))

    def _group(self, org_id: str, alias: str) -> _Group:
        group = self._groups.pop((org_id, alias), None) or _Group()
        self._groups[(org_id, alias)] = group
        while len(self._groups) > MAX_GROUPS:
            self._groups.popitem(last=False)
        return group


def _what_differs(group: _Group, key: RequestKey, plain_system: str) -> tuple[str, bool]:
    """The part in which the nearest newest request differs, and whether only numbers of the system prompt do."""
    nearest: tuple[str, ...] = PARTS
    system = ""
    for parts, known_system in reversed(group.recent):
        differing = tuple(name for name in PARTS if parts[name] != key.parts[name])
        if 0 < len(differing) < len(nearest):
            nearest, system = differing, known_system
    if len(nearest) > 2 or not group.recent:
        return "new", False
    others = [name for name in nearest if name != "prompt"]
    part = others[0] if others else "prompt"
    return part, part == "system" and system == plain_system


def _ttl_shares(distances_s: list[float]) -> tuple[TtlShare, ...]:
    total = len(distances_s)
    if total == 0:
        return ()
    return tuple(TtlShare(ttl_s, sum(one <= ttl_s for one in distances_s) / total) for ttl_s in TTLS_S)


def _advice_on_parts(group: _Group) -> list[str]:
    related = sum(count for part, count in group.misses.items() if part not in ("new", "prompt"))
    total = sum(group.misses.values())
    if total < LEAST_REPEATS:
        return []
    found: list[str] = []
    if group.numbers_only >= OFTEN * total:
        found.append(
            f"{group.numbers_only} of {total} misses differ from an earlier request only in numbers of the system"
            " prompt, such as a date or time: leave them out, or put them into the user's message"
        )
    elif related:
        part, count = max(
            ((part, group.misses[part]) for part in PARTS[:-1]), key=lambda pair: (pair[1], -PARTS.index(pair[0]))
        )
        if count >= OFTEN * total:
            found.append(f"{count} of {total} misses differ from an earlier request in the {part} only")
    return found


def _advice_on_ttl(distances_s: list[float], shares: tuple[TtlShare, ...]) -> list[str]:
    if len(distances_s) < LEAST_REPEATS:
        return []
    by_ttl = {share.ttl_s: share.share for share in shares}
    now = by_ttl[3_600.0]
    best = next((share for share in shares if share.share >= max(by_ttl.values()) - WORTH_IT), shares[-1])
    if abs(best.share - now) < WORTH_IT and best.ttl_s >= 3_600.0:
        return []
    return [f"answers that live {_span(best.ttl_s)} would catch {best.share:.0%} of repeats; 1 h catches {now:.0%}"]


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
