"""What the traffic looks like: by hour, task and size, and prompts that resemble each other.

Prompts are grouped as they come by leader clustering over unit vectors: one joins the nearest group when it is near
enough, else it begins one. Source: Hartigan, "Clustering Algorithms" (1975), chapter 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC

from bridge.learning.observations import Observation
from bridge.learning.predictor import quantile

SIZES = (("under 250", 250), ("250 to 1,000", 1_000), ("1,000 to 4,000", 4_000), ("4,000 to 16,000", 16_000))
LARGEST = "over 16,000"
NEAR = 0.6
"""Least cosine similarity to a group's centre."""
MAX_CLUSTERS = 200
MAX_TASKS = 500
SAMPLES = 200
EXAMPLE_CHARS = 120


@dataclass(slots=True)
class _Tally:
    calls: int = 0
    failures: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    latencies: list[float] = field(default_factory=list[float])

    def add(self, one: Observation) -> None:
        self.calls += 1
        self.failures += not one.is_success
        self.cached += one.is_cached
        self.input_tokens += one.input_tokens
        self.output_tokens += one.output_tokens
        self.cost_nano_usd += one.cost_nano_usd or 0
        if len(self.latencies) < SAMPLES:
            self.latencies.append(one.latency_s)
        else:
            self.latencies[self.calls % SAMPLES] = one.latency_s


@dataclass(frozen=True, slots=True)
class TrafficShare:
    """One row of a pattern: an hour, a task, a size or a group of prompts."""

    name: str
    calls: int
    share: float
    """Of all calls, in [0, 1]."""
    failure_share: float
    cached_share: float
    mean_input_tokens: float
    mean_output_tokens: float
    cost_usd: float
    latency_p50_s: float


@dataclass(frozen=True, slots=True)
class PromptCluster:
    """Prompts that resemble each other, with one of them as the example."""

    example: str
    traffic: TrafficShare
    tightness: float
    """Mean cosine similarity of its prompts to the centre."""


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """All patterns; the shares of clusters are of the grouped prompts.

    Hours are UTC; `busiest_hours` hold a quarter of the calls or more.
    """

    calls: int
    by_hour: tuple[TrafficShare, ...]
    by_task: tuple[TrafficShare, ...]
    by_size: tuple[TrafficShare, ...]
    clusters: tuple[PromptCluster, ...]
    busiest_hours: tuple[int, ...]


@dataclass(slots=True)
class _Cluster:
    centre: tuple[float, ...]
    example: str
    tally: _Tally = field(default_factory=_Tally)
    similarity_sum: float = 0.0


class TrafficPatterns:
    """Collects patterns of one organisation's calls. Memory is bounded: rare tasks and groups fall together."""

    def __init__(self) -> None:
        self._all = _Tally()
        self._hours: dict[int, _Tally] = {}
        self._tasks: dict[str, _Tally] = {}
        self._sizes: dict[str, _Tally] = {}
        self._clusters: list[_Cluster] = []
        self._grouped = 0

    def observe(self, one: Observation) -> None:
        """Count one call."""
        self._all.add(one)
        self._hours.setdefault(one.at.astimezone(UTC).hour, _Tally()).add(one)
        task = one.task if one.task in self._tasks or len(self._tasks) < MAX_TASKS else "(other)"
        self._tasks.setdefault(task, _Tally()).add(one)
        self._sizes.setdefault(_size_of(one.input_tokens), _Tally()).add(one)

    def group(self, one: Observation, prompt: str, vector: Sequence[float]) -> None:
        """Put one call's prompt into a group by its unit vector. Groups are shares of the prompts given here."""
        self._grouped += 1
        self._join(one, prompt, tuple(vector))

    def report(self) -> TrafficReport:
        """Everything counted so far; rows by falling number of calls, hours in their order."""
        total = max(self._all.calls, 1)
        hours = tuple(_row(f"{hour:02d}:00", self._hours[hour], total) for hour in sorted(self._hours))
        sizes = [name for name, _ in SIZES] + [LARGEST]
        clusters = sorted(self._clusters, key=lambda one: -one.tally.calls)
        return TrafficReport(
            calls=self._all.calls,
            by_hour=hours,
            by_task=_rows(self._tasks, total),
            by_size=tuple(_row(name, self._sizes[name], total) for name in sizes if name in self._sizes),
            clusters=tuple(
                PromptCluster(
                    one.example,
                    _row(one.example, one.tally, max(self._grouped, 1)),
                    one.similarity_sum / one.tally.calls,
                )
                for one in clusters
            ),
            busiest_hours=self._busiest(),
        )

    def _join(self, one: Observation, prompt: str, vector: tuple[float, ...]) -> None:
        nearest, similarity = None, -1.0
        for cluster in self._clusters:
            near = _dot(cluster.centre, vector)
            if near > similarity:
                nearest, similarity = cluster, near
        is_full = len(self._clusters) >= MAX_CLUSTERS
        if nearest is None or (similarity < NEAR and not is_full):
            nearest, similarity = _Cluster(vector, prompt[:EXAMPLE_CHARS]), 1.0
            self._clusters.append(nearest)
        elif similarity >= NEAR:
            nearest.centre = _moved(nearest.centre, vector, 1 / (nearest.tally.calls + 1))
        nearest.tally.add(one)
        nearest.similarity_sum += similarity

    def _busiest(self) -> tuple[int, ...]:
        wanted, found, seen = self._all.calls / 4, list[int](), 0
        for hour, tally in sorted(self._hours.items(), key=lambda item: (-item[1].calls, item[0])):
            if seen >= wanted:
                break
            found.append(hour)
            seen += tally.calls
        return tuple(sorted(found))


def _size_of(input_tokens: int) -> str:
    return next((name for name, limit in SIZES if input_tokens < limit), LARGEST)


def _rows(tallies: dict[str, _Tally], total: int) -> tuple[TrafficShare, ...]:
    ordered = sorted(tallies.items(), key=lambda item: (-item[1].calls, item[0]))
    return tuple(_row(name, tally, total) for name, tally in ordered)


def _row(name: str, tally: _Tally, total: int) -> TrafficShare:
    calls = max(tally.calls, 1)
    return TrafficShare(
        name=name,
        calls=tally.calls,
        share=tally.calls / total,
        failure_share=tally.failures / calls,
        cached_share=tally.cached / calls,
        mean_input_tokens=tally.input_tokens / calls,
        mean_output_tokens=tally.output_tokens / calls,
        cost_usd=tally.cost_nano_usd / 1e9,
        latency_p50_s=quantile(tally.latencies, 0.5) if tally.latencies else 0.0,
    )


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _moved(centre: Sequence[float], vector: Sequence[float], share: float) -> tuple[float, ...]:
    """The centre a bit nearer to the vector, of unit length again."""
    mixed = [a * (1 - share) + b * share for a, b in zip(centre, vector, strict=True)]
    length = sum(part * part for part in mixed) ** 0.5
    return tuple(part / length for part in mixed) if length > 0 else tuple(centre)
