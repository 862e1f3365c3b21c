from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.routing.draws import SeededDraws


def test_the_numbers_are_those_of_the_published_generator() -> None:
    draws = SeededDraws(1234567)

    assert [draws.getrandbits(64) for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@given(st.integers(0, 2**64 - 1))
def test_the_same_seed_draws_the_same(seed: int) -> None:
    one, other = SeededDraws(seed), SeededDraws(seed)

    assert [one.random() for _ in range(5)] == [other.random() for _ in range(5)]
    assert all(0 <= one.random() < 1 for _ in range(20))


def test_neighbouring_seeds_draw_evenly() -> None:
    tenths = Counter(int(SeededDraws(seed).random() * 10) for seed in range(10_000))

    assert max(tenths.values()) < 1150
    assert min(tenths.values()) > 850


def test_fewer_bits_are_the_upper_ones_and_more_than_a_word_are_refused() -> None:
    assert SeededDraws(5).getrandbits(8) == SeededDraws(5).getrandbits(64) >> 56
    with pytest.raises(ValueError, match="64 bits"):
        SeededDraws(5).getrandbits(65)
