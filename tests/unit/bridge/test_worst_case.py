from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog.deployments import Deployment
from bridge.catalog.entries import ModelEntry
from bridge.catalog.prices import Prices
from bridge.chat import AudioPart, ChatRequest, DocumentPart, ImagePart, Message, Tool
from bridge.worst_case import affordable_tokens, attempt_bound_nano_usd, input_bound_tokens

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MINI = Deployment(
    "openai/gpt-4o-mini",
    "openai",
    "gpt-4o-mini",
    "openai",
    "http://x",
    ModelEntry("openai/gpt-4o-mini", "openai", "gpt-4o-mini", prices_of="openai"),
)


@given(st.text(max_size=200))
def test_the_input_bound_is_at_least_a_token_a_byte_and_sixteen_a_message(text: str) -> None:
    request = ChatRequest(model="m", messages=(Message.of("user", text), Message.of("assistant", text)))

    assert input_bound_tokens(request) >= 2 * (len(text.encode("utf-8", "replace")) + 16)


def test_an_image_counts_at_its_most() -> None:
    request = ChatRequest(model="m", messages=(Message("user", (ImagePart("https://x/y.png"),)),))

    assert input_bound_tokens(request) >= 50_000


def test_documents_and_recordings_count_at_their_most_and_no_model_takes_more_than_its_window() -> None:
    request = ChatRequest("m", (Message("user", (DocumentPart("https://x/y.pdf"), AudioPart("A" * 8000, "mp3"))),))

    assert input_bound_tokens(request) >= 1_000_000 + 1000
    assert input_bound_tokens(request, 200_000) == 200_000 + 16


def test_tools_count_with_what_a_provider_says_about_them() -> None:
    plain = ChatRequest("m", (Message.of("user", "hi"),))

    assert input_bound_tokens(replace(plain, tools=(Tool("look"),))) >= input_bound_tokens(plain) + 1000


def test_an_unknown_price_makes_the_bound_unknown() -> None:
    unknown = replace(MINI, name="acme/x", entry=ModelEntry("acme/x", "acme", "x"))
    request = ChatRequest(model="m", messages=(Message.of("user", "hi"),), max_output_tokens=10)
    prices = Prices()

    assert attempt_bound_nano_usd(prices, request, MINI, NOW) == (2 + 16) * 150 + 10 * 600
    assert attempt_bound_nano_usd(prices, request, unknown, NOW) is None
    assert attempt_bound_nano_usd(prices, replace(request, n=3), MINI, NOW) == (2 + 16) * 150 + 30 * 600
    assert affordable_tokens(prices, request, unknown, NOW, 10**9) is None


@given(st.integers(0, 10**9), st.integers(1, 4))
def test_what_is_left_buys_the_longest_answer_whose_worst_case_fits(left: int, n: int) -> None:
    prices, request = Prices(), ChatRequest(model="m", messages=(Message.of("user", "hi"),), n=n)
    bought = affordable_tokens(prices, request, MINI, NOW, left)
    assert bought is not None

    if bought >= 0:
        fits = attempt_bound_nano_usd(prices, replace(request, max_output_tokens=bought), MINI, NOW)
        assert fits is not None
        assert fits <= left
    beyond = attempt_bound_nano_usd(prices, replace(request, max_output_tokens=max(bought, -1) + 1), MINI, NOW)
    assert beyond is not None
    assert beyond > left
