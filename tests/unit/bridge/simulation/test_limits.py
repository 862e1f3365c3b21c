from bridge.config import RateConfig
from bridge.simulation.limits import BURST_S, ProviderLimits

FREE = RateConfig()


def test_without_limits_every_call_is_let_in() -> None:
    limits = ProviderLimits()

    assert all(limits.wait_s("d", FREE, None, 1000, 0.0) == 0 for _ in range(100))


def test_a_bucket_empties_and_fills_again() -> None:
    limits, allowed = ProviderLimits(), RateConfig(requests_per_minute=60)
    let_in = sum(limits.wait_s("d", allowed, None, 1, 0.0) == 0 for _ in range(50))

    assert let_in == BURST_S
    assert 0 < limits.wait_s("d", allowed, None, 1, 0.0) <= 1.0
    assert limits.wait_s("d", allowed, None, 1, 1.01) == 0


def test_the_limit_of_the_moment_holds_beside_the_models_own() -> None:
    limits, allowed = ProviderLimits(), RateConfig(requests_per_minute=600)

    assert limits.wait_s("d", allowed, 6.0, 1, 0.0) == 0
    assert limits.wait_s("d", allowed, 6.0, 1, 0.0) > 9


def test_tokens_count_and_a_refused_call_takes_nothing() -> None:
    limits, allowed = ProviderLimits(), RateConfig(tokens_per_minute=6000, requests_per_minute=60)

    assert limits.wait_s("d", allowed, None, 900, 0.0) == 0
    assert limits.wait_s("d", allowed, None, 900, 0.0) == 8.0
    assert limits.wait_s("d", allowed, None, 100, 0.0) == 0


def test_a_call_larger_than_the_bucket_is_let_in_when_it_is_full() -> None:
    limits, allowed = ProviderLimits(), RateConfig(tokens_per_minute=60)

    assert limits.wait_s("d", allowed, None, 5000, 0.0) == 0
    assert limits.wait_s("d", allowed, None, 5000, 1.0) > 100


def test_calls_at_a_time() -> None:
    limits, allowed = ProviderLimits(), RateConfig(in_flight=1)

    with limits.in_flight("d"):
        assert limits.wait_s("d", allowed, None, 1, 0.0) > 0
        assert limits.wait_s("other", allowed, None, 1, 0.0) == 0
    assert limits.wait_s("d", allowed, None, 1, 0.0) == 0
