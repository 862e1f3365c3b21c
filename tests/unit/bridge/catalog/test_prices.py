from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from genai_prices import calc_price
from genai_prices.types import Usage as PricedTokens
from hypothesis import given
from hypothesis import strategies as st

from bridge.call_record import PriceRef
from bridge.catalog.entries import ModelEntry
from bridge.catalog.models import ModelCatalog
from bridge.catalog.prices import Prices
from bridge.chat import Usage
from bridge.config import BridgeConfig
from bridge.money import to_nano_usd

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ACME = {
    "providers": {"acme": {"dialect": "openai", "base_url": "http://127.0.0.1:1/v1"}, "mock": {}},
    "models": {
        "acme/llama-70b": {"input_usd_per_mtok": 0.6, "output_usd_per_mtok": 0.9, "cache_read_usd_per_mtok": 0.1}
    },
}


def entry(name: str) -> ModelEntry:
    return ModelCatalog(BridgeConfig.parse(ACME), today=date(2026, 11, 24)).get(name)


MINI, GEMINI, SONNET = entry("openai/gpt-4o-mini"), entry("google/gemini-2.5-pro"), entry("anthropic/claude-sonnet-4-5")
LLAMA, MOCK, LOCAL = entry("acme/llama-70b"), entry("mock/anything"), entry("local/smollm2")
PRICED = [MINI, GEMINI, SONNET, LLAMA]

token_counts = st.integers(min_value=0, max_value=400_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    given_input = draw(token_counts)
    read = draw(st.integers(0, given_input))
    written = draw(st.integers(0, given_input - read))
    return Usage(given_input, draw(token_counts), cached_tokens=read, cache_write_tokens=written)


def test_a_listed_price_is_applied_to_the_nano_dollar() -> None:
    assert Prices().cost(MINI, Usage(1000, 500), NOW).nano_usd == 450_000


def test_cached_and_cache_written_tokens_are_part_of_the_input() -> None:
    usage = Usage(10_000, 500, cached_tokens=8000, cache_write_tokens=1000)

    assert Prices().cost(SONNET, usage, NOW).nano_usd == 16_650_000


def test_past_a_tier_the_whole_request_costs_the_higher_rate() -> None:
    prices = Prices()

    assert prices.cost(GEMINI, Usage(200_000, 100), NOW).nano_usd == 251_000_000
    assert prices.cost(GEMINI, Usage(200_001, 100), NOW).nano_usd == 501_502_500


def test_a_configured_price_replaces_the_listed_one() -> None:
    usage = Usage(1_000_000, 1_000_000, cached_tokens=400_000)

    assert Prices().cost(LLAMA, usage, NOW).nano_usd == 360_000_000 + 40_000_000 + 900_000_000


def test_an_unknown_price_is_none_and_never_zero() -> None:
    prices = Prices()

    unknown = entry("acme/other")

    assert prices.cost(unknown, Usage(10, 10), NOW).nano_usd is None
    assert prices.cost(unknown, Usage(10, 10), NOW).ref is None
    assert prices.worst_case_nano_usd(unknown, 10, 10, NOW) is None


@pytest.mark.parametrize("free", [MOCK, LOCAL])
def test_what_runs_on_this_machine_is_known_to_cost_nothing(free: ModelEntry) -> None:
    priced = Prices().cost(free, Usage(1000, 1000), NOW)

    assert priced.nano_usd == 0
    assert priced.ref is not None
    assert Prices().worst_case_nano_usd(free, 1000, 1000, NOW) == 0


def test_a_price_row_is_named_by_provider_model_start_and_hash() -> None:
    ref = Prices().cost(MINI, Usage(1, 1), NOW).ref

    assert ref is not None
    provider, model, _start, digest = ref.row.split("|")
    assert (provider, model, len(digest)) == ("openai", "gpt-4o-mini", 16)
    assert ref.data_version.startswith("genai-prices ")


def test_a_price_of_another_day_has_another_row() -> None:
    nova = entry("openai/gpt-5.6-sol")
    prices = Prices()
    refs = {prices.cost(nova, Usage(1, 1), day).ref for day in (datetime(2026, 7, 30, tzinfo=UTC), NOW)}

    assert len(refs) == 2


@given(st.sampled_from(PRICED), usages())
def test_a_cost_recomputes_from_the_recorded_row_and_usage(priced: ModelEntry, usage: Usage) -> None:
    prices = Prices()
    cost = prices.cost(priced, usage, NOW)

    assert cost.ref is not None
    assert prices.recompute(cost.ref, usage) == cost.nano_usd


def test_a_row_that_the_data_does_not_have_recomputes_to_nothing() -> None:
    assert Prices().recompute(PriceRef("openai|gpt-4o-mini|-|0123456789abcdef", "x"), Usage(1, 1)) is None


@given(st.sampled_from([MINI, GEMINI, SONNET]), usages())
def test_costs_are_those_of_genai_prices(priced: ModelEntry, usage: Usage) -> None:
    tokens = PricedTokens(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    theirs = calc_price(tokens, priced.model_id, provider_id=priced.provider, genai_request_timestamp=NOW).total_price

    assert Prices().cost(priced, usage, NOW).nano_usd == to_nano_usd(theirs)


@given(st.sampled_from(PRICED), usages(), st.integers(0, 1000), st.integers(0, 1000))
def test_no_usage_within_the_limits_costs_more_than_the_worst_case(
    priced: ModelEntry, usage: Usage, spare_bytes: int, spare_tokens: int
) -> None:
    prices = Prices()
    worst = prices.worst_case_nano_usd(
        priced, usage.input_tokens + spare_bytes, usage.output_tokens + spare_tokens, NOW
    )
    cost = prices.cost(priced, usage, NOW).nano_usd

    assert worst is not None
    assert cost is not None
    assert 0 <= cost <= worst


@given(st.sampled_from(PRICED), st.integers(-50, 50), st.integers(-50, 50), st.integers(-50, 500))
def test_absurd_usage_never_raises_and_never_costs_less_than_nothing(
    priced: ModelEntry, given_input: int, output: int, cached: int
) -> None:
    cost = Prices().cost(priced, Usage(given_input, output, cached_tokens=cached), NOW).nano_usd

    assert cost is not None
    assert cost >= 0


def test_a_price_written_as_a_fraction_is_taken_as_the_decimal_it_reads() -> None:
    assert LLAMA.price_override is not None
    assert LLAMA.price_override.input_usd_per_mtok == Decimal("0.6")
