from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.routing.assignment import assigned_arm, shares_of

UNITS = [f"user-{number}" for number in range(4000)]
ARMS = {"control": 0.7, "new": 0.3}


@given(st.text(), st.text())
def test_a_unit_always_gets_the_same_arm(experiment: str, unit: str) -> None:
    assert assigned_arm(experiment, unit, ARMS) == assigned_arm(experiment, unit, dict(reversed(ARMS.items())))


def test_arms_get_their_shares() -> None:
    seen = Counter(assigned_arm("trial", unit, ARMS) for unit in UNITS)

    assert seen["new"] / len(UNITS) == pytest.approx(0.3, abs=0.025)


def test_a_new_arm_takes_units_and_moves_none_between_the_others() -> None:
    before = {unit: assigned_arm("trial", unit, ARMS) for unit in UNITS}
    after = {unit: assigned_arm("trial", unit, {**ARMS, "third": 0.5}) for unit in UNITS}
    moved = {unit for unit in UNITS if before[unit] != after[unit]}

    assert {after[unit] for unit in moved} == {"third"}
    assert len(moved) / len(UNITS) == pytest.approx(1 / 3, abs=0.03)


def test_experiments_are_independent_of_each_other() -> None:
    both = Counter((assigned_arm("one", unit, ARMS), assigned_arm("two", unit, ARMS)) for unit in UNITS)

    assert both["new", "new"] / len(UNITS) == pytest.approx(0.09, abs=0.02)


def test_an_arm_without_a_share_gets_nobody_and_no_share_at_all_is_refused() -> None:
    assert {assigned_arm("trial", unit, {"a": 1.0, "b": 0.0}) for unit in UNITS[:200]} == {"a"}
    with pytest.raises(ValueError, match="no arm"):
        assigned_arm("trial", "u", {"a": 0.0})


def test_shares_are_scaled_to_one() -> None:
    assert shares_of({"a": 1.0, "b": 3.0}) == {"a": 0.25, "b": 0.75}
