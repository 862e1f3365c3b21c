from datetime import timedelta

import pytest

from bridge.catalog.entries import ModelEntry
from bridge.decision import QualityEstimate
from bridge.learning.arbitrage import Yardstick, family, opportunities
from bridge.learning.observations import NotEnoughDataError
from tests.support.observations import START, observation

CHAT = frozenset({"chat", "stream"})
PRICES = {"acme/m": 1.0, "cheap/m": 0.5, "better/n": 0.25, "worse/o": 0.1, "same-price/m": 0.98, "unknown/m": None}
QUALITY = {"acme/m": (0.80, 0.75), "better/n": (0.85, 0.79), "worse/o": (0.79, 0.60)}


def entry(name: str, capabilities: frozenset[str] = CHAT) -> ModelEntry:
    provider, _, model_id = name.partition("/")
    return ModelEntry(name, provider, model_id, capabilities=capabilities)


def cost_of(there: ModelEntry, input_tokens: int, output_tokens: int) -> int | None:
    price = PRICES[there.name]
    return None if price is None else round((input_tokens + output_tokens) * 200 * price)


def quality_of(task: str, there: ModelEntry) -> QualityEstimate | None:
    known = QUALITY.get(there.name)
    return None if known is None else QualityEstimate(*known)


BY = Yardstick(cost_of, quality_of, START + timedelta(days=3))
CALLS = [observation(n) for n in range(40)]


def test_the_same_model_elsewhere_is_an_opportunity_without_risk() -> None:
    (found,) = opportunities(CALLS, [entry("acme/m"), entry("cheap/m")], BY)

    assert (found.cheaper, found.is_same_model, found.quality_risk) == ("cheap/m", True, 0.0)
    assert found.saving_share == pytest.approx(0.5)
    assert found.saving_usd_per_month == pytest.approx(40 * 50_000 / 1e9 * 10)
    assert "cheap/m serves the same model" in found.sentence


def test_another_model_must_be_as_good_by_its_lower_bound() -> None:
    found = opportunities(CALLS, [entry(name) for name in ("acme/m", "better/n", "worse/o")], BY)

    assert [one.cheaper for one in found] == ["better/n"]
    assert found[0].quality_risk == pytest.approx(0.01)


def test_the_largest_saving_comes_first() -> None:
    found = opportunities(CALLS, [entry(name) for name in ("acme/m", "cheap/m", "better/n")], BY)

    assert [one.cheaper for one in found] == ["better/n", "cheap/m"]


@pytest.mark.parametrize("other", [entry("same-price/m"), entry("unknown/m"), entry("cheap/m", frozenset({"chat"}))])
def test_what_saves_little_has_no_price_or_can_do_less_is_no_opportunity(other: ModelEntry) -> None:
    assert opportunities(CALLS, [entry("acme/m"), other], BY) == ()


def test_the_saving_is_what_the_calls_would_have_cost_there() -> None:
    mixed = [observation(n, input_tokens=100 * n, output_tokens=n, cost_nano_usd=101 * n * 200) for n in range(1, 41)]

    (found,) = opportunities(mixed, [entry("acme/m"), entry("cheap/m")], BY)

    replayed = sum(cost_of(entry("cheap/m"), one.input_tokens, one.output_tokens) or 0 for one in mixed)
    assert found.cost_there_usd == pytest.approx(replayed / 1e9)


def test_under_thirty_calls_nothing_is_said() -> None:
    with pytest.raises(NotEnoughDataError) as refusal:
        opportunities(CALLS[:10], [entry("acme/m"), entry("cheap/m")], BY)

    assert refusal.value.missing == 20


def test_a_model_without_quality_is_never_advised_in_place_of_another() -> None:
    PRICES["new/x"] = 0.01

    assert opportunities(CALLS, [entry("acme/m"), entry("new/x")], BY) == ()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "llama-3.3-70b-versatile"),
        ("openai/gpt-oss-120b", "gpt-oss-120b"),
        ("Qwen/Qwen3-32B-fp8", "qwen3-32b"),
    ],
)
def test_vendors_names_of_the_same_weights_are_one_family(left: str, right: str) -> None:
    assert family(left) == family(right)


def test_different_sizes_are_different_families() -> None:
    assert family("llama-3.3-70b") != family("llama-3.1-8b")
