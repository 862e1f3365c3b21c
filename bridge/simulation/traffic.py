"""Who asks when, and what: the same calls for every policy of a scenario."""

import bisect
import hashlib
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.simulation.scenario import Scenario, Spread, TaskTraffic, Traffic

BYTES_PER_TOKEN = 4
TOPIC_WORDS = 8
SLOT_S = 60.0
"""The load is even within a slot."""
_VOCABULARY = (
    "invoice garden engine river contract violin medicine harbour ticket forest kitchen satellite novel "
    "bicycle tax camera desert password insurance bakery glacier keyboard wedding tractor museum battery "
    "orchestra passport volcano laundry democracy telescope recipe mortgage penguin elevator poetry warehouse "
    "dentist galaxy carpet election printer mushroom lawyer parachute sugar algorithm festival umbrella radio "
    "pension crocodile stadium blanket theorem coffee submarine lottery dialect hospital magnet ceramics "
    "airline vaccine chess thunder spreadsheet butcher canyon hotel enzyme puppet railway diamond podcast "
    "plumber monsoon library helmet auction cathedral yoga fossil router vineyard soldier calendar whale "
    "scaffold opera refund comet bridge lemon sculpture traffic sponge treaty drum cactus salary mosaic ferry "
    "lantern census piano warranty orchid helicopter beer tunnel microscope parliament sandwich anchor protein "
    "hurricane wallet"
)
_WORDS = tuple(_VOCABULARY.split())
"""What prompts are made of: eight words a topic, so that no two topics mean the same."""
LONGEST_PROMPT_TOKENS = 100_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One call as it will be made."""

    number: int
    at_s: float
    task: str
    topic: int
    """What is asked; the same topic of a task has the same right answer."""
    text: str
    prompt_tokens: int
    output_tokens: int
    is_stream: bool
    luck: float
    """In [0, 1): an answer is good when this is under the model's true quality. The same under every policy."""
    doubt: float
    """In [0, 1): a poor answer says so when this is under the model's share of such answers."""
    is_scored: bool
    """Will the router be told how good the answer was?"""


def arrivals(scenario: Scenario, seed: int) -> Iterator[Arrival]:
    """All calls of the scenario in the order of their times."""
    rng = random.Random(f"{seed}:traffic")  # noqa: S311  # no secret
    traffic = scenario.traffic
    times = arrival_times(traffic, scenario.hours, rng)
    names = list(traffic.tasks)
    shares = list(itertools.accumulate(task.share for task in traffic.tasks.values()))
    askers = {name: _Asker(name, task, seed) for name, task in traffic.tasks.items()}
    for number, at_s in enumerate(times):
        name = names[bisect.bisect(shares, rng.random() * shares[-1], hi=len(names) - 1)]
        topic, text, prompt_tokens, output_tokens = askers[name].ask(number, rng)
        yield Arrival(
            number=number,
            at_s=at_s,
            task=name,
            topic=topic,
            text=text,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            is_stream=rng.random() < traffic.tasks[name].stream_share,
            luck=rng.random(),
            doubt=rng.random(),
            is_scored=rng.random() < scenario.feedback.share,
        )


def arrival_times(traffic: Traffic, hours: float, rng: random.Random) -> list[float]:
    """`traffic.calls` moments in seconds, sorted: a Poisson process with the day's shape and its bursts."""
    slots = math.ceil(hours * 3600 / SLOT_S)
    loads = list(itertools.accumulate(_load(traffic, (slot + 0.5) * SLOT_S) for slot in range(slots)))
    times: list[float] = []
    for _ in range(traffic.calls):
        drawn = rng.random() * loads[-1]
        slot = bisect.bisect_right(loads, drawn, hi=slots - 1)
        times.append((slot + rng.random()) * SLOT_S)
    return sorted(min(at_s, hours * 3600) for at_s in times)


def drawn(spread: Spread, rng: random.Random) -> float:
    """One value of a quantity that varies."""
    return spread.median * math.exp(spread.spread * rng.gauss(0, 1)) if spread.spread else spread.median


def _load(traffic: Traffic, at_s: float) -> float:
    """Relative load at a moment: straight lines between the middles of the hours, times the bursts."""
    hour = (at_s / 3600 - 0.5) % 24
    before, share = int(hour), hour % 1
    shape = traffic.load_by_hour
    load = shape[before] * (1 - share) + shape[(before + 1) % 24] * share
    for burst in traffic.bursts:
        if burst.at_h * 3600 <= at_s < burst.at_h * 3600 + burst.minutes * 60:
            load *= burst.factor
    return load


class _Asker:
    """The prompts of one task."""

    def __init__(self, name: str, task: TaskTraffic, seed: int) -> None:
        self._name = name
        self._task = task
        self._seed = seed
        count = len(task.questions) or task.prompts
        self._ranks = None if count is None else list(itertools.accumulate((n + 1) ** -task.zipf for n in range(count)))
        self._sizes: dict[int, tuple[int, int]] = {}

    def ask(self, number: int, rng: random.Random) -> tuple[int, str, int, int]:
        """Topic, text, prompt tokens and output tokens of the next call."""
        if self._ranks is None:
            prompt_tokens, output_tokens = self._drawn_sizes(rng)
            return number, self._text(number, prompt_tokens), prompt_tokens, output_tokens
        topic = bisect.bisect(self._ranks, rng.random() * self._ranks[-1], hi=len(self._ranks) - 1)
        if topic not in self._sizes:
            self._sizes[topic] = self._drawn_sizes(random.Random(f"{self._seed}:{self._name}:{topic}"))  # noqa: S311
        prompt_tokens, output_tokens = self._sizes[topic]
        if self._task.questions:
            text = rng.choice(self._task.questions[topic])
            return topic, text, max(1, len(text.encode()) // BYTES_PER_TOKEN), output_tokens
        return topic, self._text(topic, prompt_tokens), prompt_tokens, output_tokens

    def _drawn_sizes(self, rng: random.Random) -> tuple[int, int]:
        prompt = min(max(1, round(drawn(self._task.prompt_tokens, rng))), LONGEST_PROMPT_TOKENS)
        return prompt, max(1, round(drawn(self._task.output_tokens, rng)))

    def _text(self, topic: int, tokens: int) -> str:
        """A prompt of about `tokens` tokens that no other topic of the task has."""
        length = tokens * BYTES_PER_TOKEN
        drawn_words = hashlib.blake2b(f"{self._name}/{topic}".encode(), digest_size=TOPIC_WORDS).digest()
        about = " ".join(_WORDS[byte % len(_WORDS)] for byte in drawn_words) + " "
        head = f"{self._name} {topic}: {about}"
        return head + (about * (length // len(about)))[: max(length - len(head), 0)]
