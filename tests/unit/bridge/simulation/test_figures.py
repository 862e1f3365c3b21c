from typing import get_args

import pytest

from bridge.simulation.figures import FigureName, Figures, quantile, wilson


def test_a_quantile_is_the_smallest_value_that_covers_its_share() -> None:
    ordered = [float(n) for n in range(1, 101)]

    assert [quantile(ordered, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert quantile([4.0], 0.5) == 4.0
    assert quantile([], 0.5) is None


def test_wilsons_interval_agrees_with_the_published_one() -> None:
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_every_name_is_a_figure() -> None:
    assert set(get_args(FigureName)) <= set(Figures.__slots__)
