"""The 16 failover scenarios of FailoverBench (failoverbench/failoverbench, methodology v0.1, MIT), in our own words.

Verdicts: `pass` the whole known answer with every check clean; `partial` rescued, but an advisory check failed;
`safe` not rescued, yet a bounded, typed error; `fail` a required check failed, a hang, or a cut answer that looked
finished.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.failover_upstream import HEALTHY, KNOWN_ANSWER, Behaviour, Plan

DEFAULT_WALL_S = 45.0


@dataclass(frozen=True, slots=True)
class Observed:
    """The caller's view of one request, and when attempts arrived."""

    text: str
    error: str | None
    model: str | None
    has_usage: bool
    wall_s: float
    primary_at_s: tuple[float, ...]
    fallback_at_s: tuple[float, ...]
    healthy_afterwards: bool | None = None
    """Was a healthy call answered after it? None: not tried."""

    @property
    def is_whole(self) -> bool:
        """Was the known answer given, and nothing else?"""
        return self.error is None and self.text.strip() == KNOWN_ANSWER.strip()

    @property
    def primary(self) -> int:
        """Attempts on the primary."""
        return len(self.primary_at_s)


Check = Callable[[Observed], bool]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table."""

    id: str
    fault: str
    primary: Plan
    wall_s: float = DEFAULT_WALL_S
    required: dict[str, Check] = field(default_factory=dict[str, Check])
    advisory: dict[str, Check] = field(default_factory=dict[str, Check])
    wants_error: bool = False
    """The ideal outcome is the provider's error."""
    fallback_prefills: bool = False
    """The fallback says that it continues answers, and refuses to."""
    then_healthy: bool = False
    """A healthy call is made afterwards."""


def always(behaviour: Behaviour) -> Plan:
    """Every attempt alike."""
    return lambda number, elapsed_s: behaviour


def first(behaviour: Behaviour) -> Plan:
    """The first attempt only."""
    return lambda number, elapsed_s: behaviour if number == 1 else HEALTHY


def within(limit_s: float) -> Check:
    """Over by then."""
    return lambda seen: seen.wall_s <= limit_s


def at_most(count: int, *, within_s: float | None = None) -> Check:
    """No more attempts on the primary, in the first seconds or at all."""

    def check(seen: Observed) -> bool:
        times = seen.primary_at_s
        if within_s is None:
            return len(times) <= count
        return sum(at - times[0] <= within_s for at in times) <= count if times else True

    return check


def no_cut_answer(seen: Observed) -> bool:
    """A cut answer was not passed off as a whole one."""
    return seen.error is not None or seen.is_whole


def healthy_afterwards(seen: Observed) -> bool:
    """The process survived."""
    return seen.healthy_afterwards is not False


SURVIVES = {"no cut answer": no_cut_answer, "healthy afterwards": healthy_afterwards}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "S01",
        "429 with Retry-After: 2, once",
        first(Behaviour(status=429, kind="rate_limit", retry_after_s=2)),
        20,
        {"no tight loop": at_most(2, within_s=1.5)},
        {
            "retried": lambda seen: seen.primary >= 2,
            "waited": lambda seen: seen.primary >= 2 and seen.primary_at_s[1] - seen.primary_at_s[0] >= 1.8,
        },
    ),
    Scenario(
        "S02",
        "429 without Retry-After, always",
        always(Behaviour(status=429, kind="rate_limit")),
        40,
        {"at most 4 in 3 s": at_most(4, within_s=3), "at most 6": at_most(6)},
    ),
    Scenario(
        "S03", "500, once", first(Behaviour(status=500)), 20, advisory={"retried": lambda seen: seen.primary >= 2}
    ),
    Scenario("S04", "503, always", always(Behaviour(status=503)), 40, {"at most 6": at_most(6)}),
    Scenario("S05", "reset before any byte, once", first(Behaviour(resets_first=True)), 20),
    Scenario(
        "S06",
        "nothing is sent for 120 s",
        always(Behaviour(silent=True)),
        130,
        {"within 100 s": within(100)},
        {"one attempt": lambda seen: seen.primary == 1},
    ),
    Scenario(
        "S07",
        "first token after 20 s",
        always(Behaviour(first_delay_s=20)),
        60,
        advisory={"within 15 s": within(15)},
    ),
    Scenario(
        "S08", "dies after 40 of 60 tokens", always(Behaviour(cut_after=40)), 40, {"no cut answer": no_cut_answer}
    ),
    Scenario(
        "S08c",
        "ends cleanly after 40 of 60 tokens",
        always(Behaviour(cut_after=40, ends_cleanly=True)),
        40,
        {"no cut answer": no_cut_answer},
    ),
    Scenario(
        "S09",
        "silent for 30 s after 20 tokens",
        always(Behaviour(stall_after=20, stall_s=30)),
        70,
        {"within 45 s": within(45), **SURVIVES},
        then_healthy=True,
    ),
    Scenario(
        "S10",
        "the tenth event is no JSON",
        always(Behaviour(broken_event=10)),
        30,
        SURVIVES,
        {"whole answer": lambda seen: seen.is_whole},
        then_healthy=True,
    ),
    Scenario(
        "S10b",
        "before the tenth event one that is no JSON",
        always(Behaviour(noise_before=10)),
        30,
        SURVIVES,
        {"whole answer in place": lambda seen: seen.is_whole and not seen.fallback_at_s},
    ),
    Scenario(
        "S11",
        "no end mark",
        always(Behaviour(no_end_mark=True)),
        30,
        {"within 8 s": within(8)},
        {"usage": lambda seen: seen.has_usage},
    ),
    Scenario(
        "S12",
        "context too long, always",
        always(Behaviour(kind="context_length")),
        20,
        {"one attempt": lambda seen: seen.primary == 1},
    ),
    Scenario(
        "S13",
        "refused by the content filter, always",
        always(Behaviour(kind="content_filter")),
        20,
        {"one attempt": lambda seen: seen.primary == 1},
        wants_error=True,
    ),
    Scenario(
        "S14",
        "dies after 40 tokens; the fallback refuses prefills",
        always(Behaviour(cut_after=40)),
        40,
        {
            "no cut answer": no_cut_answer,
            "not the prefill's error": lambda seen: "prefill" not in (seen.error or ""),
        },
        fallback_prefills=True,
    ),
    Scenario(
        "S16",
        "503 always; who answered?",
        always(Behaviour(status=503)),
        40,
        {"names the fallback": lambda seen: seen.model == "two/m", "at most 6": at_most(6)},
        {"usage": lambda seen: seen.has_usage},
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a scenario went."""

    word: str
    problems: tuple[str, ...]


def judged(scenario: Scenario, seen: Observed) -> Verdict:
    """The verdict by the table's criteria."""
    broken = [name for name, check in scenario.required.items() if not check(seen)]
    if seen.wall_s > scenario.wall_s:
        broken.append(f"took {seen.wall_s:.0f} s")
    if seen.error is None and not seen.is_whole:
        broken.append("a cut answer looked finished")
    if broken:
        return Verdict("fail", tuple(broken))
    if scenario.wants_error:
        return Verdict("pass", ()) if seen.error is not None else Verdict("partial", ("answered elsewhere",))
    if not seen.is_whole:
        return Verdict("safe", (seen.error or "",))
    missed = tuple(name for name, check in scenario.advisory.items() if not check(seen))
    return Verdict("partial", missed) if missed else Verdict("pass", ())
