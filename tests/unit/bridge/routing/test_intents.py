from collections.abc import Sequence

import pytest

from bridge.chat import ChatRequest, Message
from bridge.config import AliasConfig, IntentConfig
from bridge.routing.intents import Intents

WORDS = ("code", "python", "weather", "rain")


class WordCounter:
    """A TextEmbedder over four words; counts how often it is asked."""

    def __init__(self) -> None:
        self.n_texts = 0

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.n_texts += len(texts)
        return [self._one(text) for text in texts]

    @staticmethod
    def _one(text: str) -> tuple[float, ...]:
        counts = [float(text.split().count(word)) for word in WORDS]
        length = sum(count * count for count in counts) ** 0.5
        return tuple(count / length if length else 0.0 for count in counts)


RULES = AliasConfig(
    policy="semantic",
    candidates=("mock/a", "mock/b"),
    intents={
        "programming": IntentConfig(examples=("python code", "code"), candidates=("mock/a",)),
        "outdoors": IntentConfig(examples=("weather rain",), candidates=("mock/b",)),
    },
)


def asking(*texts: str) -> ChatRequest:
    roles = ("user", "assistant")
    return ChatRequest("x", tuple(Message.of(roles[n % 2], text) for n, text in enumerate(texts)))


def test_the_nearest_example_of_an_intent_counts() -> None:
    found = Intents(WordCounter()).similarity("x", RULES, asking("code please"))

    assert found == {"programming": 1.0, "outdoors": 0.0}


def test_the_last_words_of_the_user_are_compared() -> None:
    found = Intents(WordCounter()).similarity("x", RULES, asking("code", "yes?", "rain"))

    assert found["outdoors"] == pytest.approx(0.7071, abs=1e-4)
    assert found["programming"] == 0.0


def test_examples_are_embedded_once() -> None:
    counter = WordCounter()
    intents = Intents(counter)
    for _ in range(5):
        intents.similarity("x", RULES, asking("rain"))

    assert counter.n_texts == 3 + 5


def test_nothing_is_compared_when_the_user_said_nothing() -> None:
    assert Intents(WordCounter()).similarity("x", RULES, ChatRequest("x", ())) == {}
    assert Intents(WordCounter()).similarity("x", AliasConfig(candidates=("mock/a",)), asking("rain")) == {}
