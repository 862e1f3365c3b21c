from collections.abc import Mapping

from bridge.simulation.conditions import FINE, Conditions, unknown_places
from bridge.simulation.scenario import World
from tests.support.scenarios import scenario


def world(*events: Mapping[str, object]) -> World:
    return scenario(events=list(events)).world


def test_an_outage_begins_and_ends() -> None:
    conditions = Conditions(world({"kind": "outage", "where": "near", "at_h": 1, "minutes": 30, "status": 502}))

    statuses = [conditions.at("near/a", at_s).status for at_s in (0, 3599, 3600, 5399, 5400)]
    assert statuses == [None, None, 502, 502, None]


def test_an_event_hits_its_provider_its_model_or_its_site_only() -> None:
    conditions = Conditions(
        world(
            {"kind": "silent", "where": "near", "at_h": 0},
            {"kind": "refused", "where": "far/b@eu", "at_h": 0},
        )
    )

    assert conditions.at("near/a", 1).is_silent
    assert conditions.at("near/a@eu", 1).is_silent
    assert conditions.at("far/b", 1) == FINE
    assert conditions.at("far/b@eu", 1).is_refused


def test_events_that_meet_add_up() -> None:
    conditions = Conditions(
        world(
            {"kind": "slow_down", "where": "near", "at_h": 0, "minutes": 120, "factor": 2},
            {"kind": "slow_down", "where": "near", "at_h": 1, "minutes": 30, "factor": 3},
            {"kind": "brown_out", "where": "near", "at_h": 1, "minutes": 30, "share": 0.5, "status": 500},
            {"kind": "cut_streams", "where": "near", "at_h": 1, "minutes": 30, "share": 0.25},
            {"kind": "rate_limit", "where": "near", "at_h": 1, "minutes": 30, "requests_per_minute": 9},
        )
    )

    worst = conditions.at("near/a", 3700)
    assert (worst.slowness, worst.brown_out_share, worst.brown_out_status) == (6, 0.5, 500)
    assert (worst.cut_share, worst.requests_per_minute, worst.is_up) == (0.25, 9, True)
    assert conditions.at("near/a", 5500).slowness == 2
    assert conditions.at("near/a", 7300) == FINE


def test_what_is_down_is_not_up() -> None:
    for kind in ("outage", "refused", "silent"):
        assert not Conditions(world({"kind": kind, "where": "near", "at_h": 0})).at("near/a", 1).is_up


def test_quality_may_differ_by_task() -> None:
    raw = {"models": {"near/a": {"quality": 0.8, "quality_at": {"code": 0.4}}, "far/b": {"quality": 0.9}}}
    conditions = Conditions(World.model_validate(raw))

    assert conditions.quality("near/a@eu", "code") == 0.4
    assert conditions.quality("near/a", "talk") == 0.8


def test_a_place_that_nobody_knows_is_found() -> None:
    events = [{"kind": "silent", "where": place, "at_h": 0} for place in ("near", "near/a", "nearby", "near/z")]

    assert unknown_places(world(*events), {"near": {}, "far": {}}) == ["nearby", "near/z"]
