from datetime import UTC, datetime, timedelta

from bridge.chat import Usage
from bridge.gateway import Bridge
from bridge.simulation.contenders import contenders
from bridge.simulation.price_schedule import PriceSchedule
from tests.support.scenarios import scenario

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = scenario(
    events=[
        {"kind": "price", "where": "near/a", "at_h": 1, "input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2},
        {"kind": "price", "where": "near", "at_h": 2, "minutes": 60, "input_usd_per_mtok": 9, "output_usd_per_mtok": 9},
    ]
)


def test_a_price_changes_at_its_time_and_back() -> None:
    bridge = Bridge(contenders(DAY)[0].config, transports={})
    entries = {entry.name: entry for entry in bridge.models()}
    prices = PriceSchedule(DAY.world.events, START)
    usage = Usage(1_000_000, 1_000_000)

    def cost(model: str, hours: float) -> tuple[int | None, int | None]:
        at = START + timedelta(hours=hours)
        entry = entries[model]
        return prices.cost(entry, usage, at).nano_usd, prices.expected_nano_usd(entry, 1_000_000, 1_000_000, at)

    usd = 10**9
    assert [cost("near/a", hours)[0] for hours in (0, 0.99, 1, 1.99, 2, 2.99, 3)] == [
        3 * usd,
        3 * usd,
        usd * 3 // 10,
        usd * 3 // 10,
        18 * usd,
        18 * usd,
        usd * 3 // 10,
    ]
    assert all(cost("near/a", hours)[0] == cost("near/a", hours)[1] for hours in (0, 1.5, 2.5))
    assert cost("far/b", 2.5)[0] == 9 * usd


def test_a_cost_recomputes_from_the_row_it_was_billed_by() -> None:
    bridge = Bridge(contenders(DAY)[0].config, transports={})
    entry = next(entry for entry in bridge.models() if entry.name == "near/a")
    prices = PriceSchedule(DAY.world.events, START)
    usage = Usage(1200, 340)

    priced = prices.cost(entry, usage, START + timedelta(hours=2.5))

    assert priced.ref is not None
    assert prices.recompute(priced.ref, usage) == priced.nano_usd
