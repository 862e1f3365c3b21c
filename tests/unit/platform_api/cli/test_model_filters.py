from dataclasses import replace
from datetime import date

import pytest

from bridge.catalog.entries import ModelEntry
from platform_api.cli.model_filters import ModelFilter

PLAIN = ModelEntry("a/m", "a", "m")
RICH = ModelEntry(
    "b/n",
    "b",
    "n",
    capabilities=frozenset({"chat", "vision"}),
    context_window=200_000,
    regions=frozenset({"eu"}),
    input_usd_per_mtok=1.0,
    output_usd_per_mtok=4.0,
    deprecated_on=date(2026, 6, 30),
)


@pytest.mark.parametrize(
    "wanted",
    [
        ModelFilter(names=frozenset({"b/n"})),
        ModelFilter(provider="b"),
        ModelFilter(capabilities=frozenset({"chat", "vision"})),
        ModelFilter(region="eu"),
        ModelFilter(min_context=200_000),
        ModelFilter(max_input_usd_per_mtok=1.0),
        ModelFilter(max_output_usd_per_mtok=4.0),
    ],
)
def test_what_is_unknown_of_a_model_does_not_meet_a_condition(wanted: ModelFilter) -> None:
    assert wanted.of([PLAIN, RICH]) == [RICH]


@pytest.mark.parametrize(
    "wanted",
    [
        ModelFilter(min_context=200_001),
        ModelFilter(max_input_usd_per_mtok=0.99),
        ModelFilter(capabilities=frozenset({"audio"})),
        ModelFilter(today=date(2026, 7, 1)),
    ],
)
def test_a_model_that_misses_a_condition_is_left_out(wanted: ModelFilter) -> None:
    assert RICH not in wanted.of([RICH])


def test_on_its_last_day_a_model_is_still_there() -> None:
    assert ModelFilter(today=date(2026, 6, 30)).of([RICH]) == [RICH]


def test_a_free_model_is_within_any_price() -> None:
    free = replace(PLAIN, is_free=True)

    assert ModelFilter(max_input_usd_per_mtok=0).of([free]) == [free]


def test_without_conditions_all_are_shown() -> None:
    assert ModelFilter().of([PLAIN, RICH]) == [PLAIN, RICH]
