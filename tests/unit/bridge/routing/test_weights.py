from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog.aliases import Aliases, Route
from bridge.catalog.deployments import Deployments
from bridge.catalog.models import ModelCatalog
from bridge.config import BridgeConfig, RampConfig
from bridge.decision import DeploymentState
from bridge.routing.weights import LEAST_LEARNED, MOST_LEARNED, learned, ramped, weights_now

START = datetime(2026, 11, 24, tzinfo=UTC)
RAMP = RampConfig(to={"b": 1.0, "a": 0.0}, starts_at=START, ends_at=START + timedelta(hours=10), steps=4)


def after(hours: float) -> dict[str, float]:
    return ramped({"a": 1.0, "b": 0.0}, RAMP, START + timedelta(hours=hours))


def test_a_ramp_goes_from_one_set_to_the_other_in_even_steps() -> None:
    assert after(-1) == {"a": 1.0, "b": 0.0}
    assert after(0)["b"] == pytest.approx(0.2)
    assert after(2.4)["b"] == pytest.approx(0.2)
    assert after(2.6)["b"] == pytest.approx(0.4)
    assert after(9.9)["b"] == pytest.approx(0.8)
    assert after(10) == {"a": 0.0, "b": 1.0}
    assert after(1000) == {"a": 0.0, "b": 1.0}


@given(st.floats(-5, 15), st.floats(0, 5))
def test_a_ramp_never_goes_back(hours: float, more: float) -> None:
    assert after(hours + more)["b"] >= after(hours)["b"]


def test_what_fails_or_is_slow_loses_weight() -> None:
    states = {
        "sound": DeploymentState(success_share=1.0, ttft_s=0.5),
        "failing": DeploymentState(success_share=0.5, ttft_s=0.5),
        "slow": DeploymentState(success_share=1.0, ttft_s=2.0),
    }
    found = learned(dict.fromkeys([*states, "unknown"], 2.0), states)

    assert found["sound"] > found["failing"]
    assert found["sound"] > found["slow"]
    assert found["unknown"] == 2.0


@given(st.floats(0, 1), st.floats(0.001, 1000), st.floats(0.001, 1000))
def test_nothing_starves_and_nothing_takes_all(success: float, own_s: float, other_s: float) -> None:
    states = {"a": DeploymentState(success_share=success, ttft_s=own_s), "b": DeploymentState(ttft_s=other_s)}

    assert LEAST_LEARNED <= learned({"a": 1.0, "b": 1.0}, states)["a"] <= MOST_LEARNED


def route(**rules: object) -> Route:
    config = BridgeConfig.parse(
        {"providers": {"mock": {}}, "aliases": {"x": {"candidates": ["mock/a", "mock/b"], **rules}}}
    )
    return Aliases(config, ModelCatalog(config, today=date(2026, 11, 24)), Deployments(config)).resolve("x")


def test_an_alias_of_fixed_weights_needs_no_others() -> None:
    assert weights_now(route(weights={"mock/a": 3}), {}, START) == {}


def test_a_ramp_changes_the_weights_given_and_leaves_others_alone() -> None:
    ramp = {"to": {"mock/a": 0.0}, "starts_at": START, "ends_at": START + timedelta(hours=1), "steps": 1}
    ramping = route(weights={"mock/a": 4}, ramp=ramp)

    assert weights_now(ramping, {}, START + timedelta(minutes=30)) == {"mock/a": 2.0, "mock/b": 1.0}
    assert weights_now(ramping, {}, START + timedelta(hours=2)) == {"mock/a": 0.0, "mock/b": 1.0}


def test_learned_weights_start_from_those_given() -> None:
    states = {"mock/a": DeploymentState(success_share=0.5)}
    found = weights_now(route(weights={"mock/a": 4}, learned_weights=True), states, START)

    assert found["mock/a"] == pytest.approx(4 * max(0.5**4, LEAST_LEARNED))
    assert found["mock/b"] == 1.0
