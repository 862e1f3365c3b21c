"""How the cache does, and what would make it do better: by organisation and alias, in memory, bounded.

A miss is compared with the newest requests of the same alias: the part of the key in which the nearest one differs is
what broke the hit. Beside the cache run ghosts of it, which keep keys only: each has another life of answers, and what
it would have caught tells how long answers should live.
"""

import re
from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import ne

from bridge.caching.fingerprint import PARTS, RequestKey

MAX_GROUPS = 2_000
MAX_KEYS = 50_000
"""Keys that are remembered, of all aliases together."""
RECENT = 50
TTLS_S = (300.0, 900.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0, 604_800.0)
LEAST_REPEATS = 30
WORTH_IT = 0.05
"""Of repeats: less is no reason to change the life of answers."""
OFTEN = 0.3
"""Of misses that have a near relative: a part that breaks so many is worth a word."""
CHANGING = re.compile(r"\d+")
SYSTEM = PARTS.index("system")


@dataclass(frozen=True, slots=True)
class TtlShare:
    """Share of repeats that answers of this life would catch, and repeats that came after at most so long.

    A ghost's answers live from when they were made, so that a share can be less than what the distances suggest.
    """

    ttl_s: float
    share: float
    repeats_within: int


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
    recent: deque[tuple[tuple[str, ...], str]] = field(
        default_factory=lambda: deque[tuple[tuple[str, ...], str]](maxlen=RECENT)
    )
    """Parts of the newest requests, and a digest of the system prompt without its numbers."""
    repeats: int = 0
    caught: list[int] = field(default_factory=lambda: [0] * len(TTLS_S))
    """Repeats that a ghost of each life would have answered."""
    distances: list[int] = field(default_factory=lambda: [0] * (len(TTLS_S) + 1))
    """Repeats by the time since the request before: up to each life, and beyond all."""
    ttl_s: float = 3_600.0
    """The life of answers as it is."""


@dataclass(slots=True)
class _Seen:
    """When a request was last seen, and when each ghost made its answer."""

    last_s: float
    made_s: list[float]


class CacheStatistics:
    """Counts. One for a bridge."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[str, str], _Group] = OrderedDict()
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def looked_up(self, org_id: str, alias: str, key: RequestKey, now_s: float, *, ttl_s: float) -> None:
        """A request was looked up; a hit or a miss is told after it. `ttl_s`: how long its answer lives."""
        group = self._group(org_id, alias)
        group.lookups += 1
        group.ttl_s = ttl_s
        seen = self._seen.get(key.answer)
        if seen is None:
            self._seen[key.answer] = _Seen(now_s, [now_s] * len(TTLS_S))
            if len(self._seen) > MAX_KEYS:
                self._seen.popitem(last=False)
            return
        self._seen.move_to_end(key.answer)
        group.repeats += 1
        group.distances[bisect_left(TTLS_S, now_s - seen.last_s)] += 1
        seen.last_s = now_s
        for place, life_s in enumerate(TTLS_S):
            if now_s - seen.made_s[place] < life_s:
                group.caught[place] += 1
            else:
                seen.made_s[place] = now_s

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
        plain = _without_numbers(group, key, system)
        part, is_numbers_only = _what_differs(group, key, plain)
        group.misses[part] += 1
        group.numbers_only += is_numbers_only
        group.recent.append((key.parts, plain))

    def report(self, org_id: str, alias: str) -> CacheReport:
        """Everything counted so far."""
        group = self._groups.get((org_id, alias)) or _Group()
        shares = _ttl_shares(group)
        return CacheReport(
            alias=alias,
            lookups=group.lookups,
            exact_hits=group.exact_hits,
            semantic_hits=group.semantic_hits,
            saved_usd=group.saved_nano_usd / 1e9,
            misses_by_part=dict(group.misses.most_common()),
            repeats=group.repeats,
            ttl_shares=shares,
            advice=(*_advice_on_parts(group), *_advice_on_ttl(group, shares)),
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


def _without_numbers(group: _Group, key: RequestKey, system: str) -> str:
    """A digest of the system prompt without its numbers; mostly it is the one of the request before."""
    if group.recent and group.recent[-1][0][SYSTEM] == key.parts[SYSTEM]:
        return group.recent[-1][1]
    return blake2b(CHANGING.sub("#", system).encode(), digest_size=8).hexdigest()


def _what_differs(group: _Group, key: RequestKey, plain_system: str) -> tuple[str, bool]:
    """The part in which the nearest newest request differs, and whether only numbers of the system prompt do."""
    nearest, system, fewest = key.parts, "", len(PARTS)
    for parts, known_system in reversed(group.recent):
        n_differing = sum(map(ne, parts, key.parts))
        if 0 < n_differing < fewest:
            nearest, system, fewest = parts, known_system, n_differing
            if fewest == 1:
                break
    if fewest > 2:
        return "new", False
    differing = [name for name, mine, other in zip(PARTS, key.parts, nearest, strict=True) if mine != other]
    part = next((name for name in differing if name != "prompt"), "prompt")
    return part, part == "system" and system == plain_system


def _ttl_shares(group: _Group) -> tuple[TtlShare, ...]:
    if group.repeats == 0:
        return ()
    within = 0
    found: list[TtlShare] = []
    for place, ttl_s in enumerate(TTLS_S):
        within += group.distances[place]
        found.append(TtlShare(ttl_s, group.caught[place] / group.repeats, within))
    return tuple(found)


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


def _advice_on_ttl(group: _Group, shares: tuple[TtlShare, ...]) -> list[str]:
    """The shortest life that catches nearly all that the longest does, where it differs from what is set."""
    if group.repeats < LEAST_REPEATS:
        return []
    now = min(shares, key=lambda one: abs(one.ttl_s - group.ttl_s))
    most = max(one.share for one in shares)
    best = next(one for one in shares if one.share >= most - WORTH_IT)
    if best.ttl_s == now.ttl_s or (best.ttl_s > now.ttl_s and best.share - now.share < WORTH_IT):
        return []
    return [
        f"answers that live {_span(best.ttl_s)} would catch {best.share:.0%} of repeats;"
        f" {_span(now.ttl_s)} catches {now.share:.0%}"
    ]


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
