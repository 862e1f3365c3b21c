from datetime import UTC, datetime

import pytest

from bridge.gateway import Bridge
from bridge.simulation.all_knowing import AllKnowing, Choice
from bridge.simulation.conditions import Conditions
from bridge.simulation.contenders import contenders
from bridge.simulation.price_schedule import PriceSchedule
from bridge.simulation.scenario import Scenario
from bridge.simulation.traffic import Arrival
from tests.support.scenarios import scenario

START = datetime(2026, 1, 1, tzinfo=UTC)


def choice(day: Scenario, at_h: float, *, epsilon: float, luck: float = 0.9) -> Choice:
    conditions, prices = Conditions(day.world), PriceSchedule(day.world.events, START)
    entries = [one for one in Bridge(contenders(day)[0].config, transports={}).models() if one.name in day.world.models]
    wise = AllKnowing(entries, conditions, prices, starts_at=START, epsilon=epsilon)
    return wise.choice(
        Arrival(0, at_h * 3600, "talk", 0, "", 1000, 500, is_stream=False, luck=luck, doubt=0, is_scored=False)
    )


def test_the_cheapest_that_is_good_enough_is_chosen() -> None:
    day = scenario()
    cheaper, better = choice(day, 0, epsilon=0.2), choice(day, 0, epsilon=0.1)

    assert (cheaper.model, cheaper.cost_usd, cheaper.is_good) == ("near/a", pytest.approx(0.002), False)
    assert (better.model, better.cost_usd, better.is_good) == ("far/b", pytest.approx(0.006), True)


def test_who_is_down_is_not_chosen() -> None:
    day = scenario(events=[{"kind": "outage", "where": "near", "at_h": 1}])

    assert choice(day, 1.5, epsilon=0.2).model == "far/b"


def test_prices_of_the_moment_count() -> None:
    change = {"kind": "price", "where": "far/b", "at_h": 1, "input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2}
    chosen = choice(scenario(events=[change]), 1.5, epsilon=0.2)

    assert (chosen.model, chosen.cost_usd) == ("far/b", pytest.approx(0.0002))


def test_when_nobody_is_up_nothing_is_lost() -> None:
    day = scenario(events=[{"kind": "refused", "where": where, "at_h": 0} for where in ("near", "far")])

    assert choice(day, 0.5, epsilon=0.2) == Choice(None, 0.0, is_good=False)
