import pytest

from bridge.config import ProviderConfig, RateConfig
from bridge.rate_limits import Grant
from bridge.throttle import DeploymentThrottle, limits_of


def throttle(**limits: float) -> DeploymentThrottle:
    rate = RateConfig.model_validate(limits)
    return DeploymentThrottle({"busy": ProviderConfig(limits=rate), "free": ProviderConfig()})


async def test_a_deployment_without_limits_always_has_room() -> None:
    free = throttle(requests_per_minute=1)

    assert None not in [await free.take("free/m", 10**9, 0.0) for _ in range(50)]
    assert free.wait_s("free/m", 10**9, 0.0) == 0
    assert free.wait_s("unknown/m", 1, 0.0) == 0


async def test_every_deployment_of_a_provider_has_the_limit_for_itself() -> None:
    busy = throttle(requests_per_minute=1)

    assert await busy.take("busy/a", 1, 0.0) is not None
    assert await busy.take("busy/a", 1, 0.0) is None
    assert await busy.take("busy/b", 1, 0.0) is not None


async def test_the_wait_that_is_told_is_the_wait_that_helps() -> None:
    busy = throttle(requests_per_minute=60, burst_s=1)
    assert await busy.take("busy/a", 1, 100.0) is not None

    assert busy.wait_s("busy/a", 1, 100.25) == pytest.approx(0.75)
    assert await busy.take("busy/a", 1, 100.9) is None
    assert await busy.take("busy/a", 1, 101.0) is not None


async def taken(busy: DeploymentThrottle, tokens: int) -> Grant:
    grant = await busy.take("busy/a", tokens, 0.0)
    assert grant is not None
    return grant


async def test_unused_tokens_make_room_again_but_never_more_than_were_taken() -> None:
    busy = throttle(tokens_per_minute=6000)
    first, second = await taken(busy, 3000), await taken(busy, 3000)
    assert await busy.take("busy/a", 2500, 0.0) is None

    await busy.settle(first, 500, 0.0)
    third = await taken(busy, 2500)
    for grant in (first, second, third, first, second, third):
        await busy.settle(grant, 0, 0.0)
    assert busy.wait_s("busy/a", 6000, 0.0) == 0
    await taken(busy, 6000)
    assert await busy.take("busy/a", 60, 0.0) is None


async def test_tokens_beyond_the_bound_count_too() -> None:
    busy = throttle(tokens_per_minute=6000)
    await busy.settle(await taken(busy, 1000), 5000, 0.0)

    assert await busy.take("busy/a", 1001, 0.0) is None
    assert await busy.take("busy/a", 1000, 0.0) is not None


async def test_a_bound_larger_than_the_limit_waits_for_all_of_it_and_is_paid_off() -> None:
    busy = throttle(tokens_per_minute=6000)
    grant = await taken(busy, 9000)

    assert busy.wait_s("busy/a", 9000, 0.0) == pytest.approx(90)
    await busy.settle(grant, 3000, 0.0)
    assert busy.wait_s("busy/a", 9000, 0.0) == pytest.approx(30)


def test_limits_come_from_the_configuration() -> None:
    rate = RateConfig(requests_per_minute=60, tokens_per_minute=6000, burst_s=30)

    requests, tokens = limits_of("p/m", rate)

    assert (requests.unit, requests.amount, requests.burst) == ("requests", 60, 30)
    assert (tokens.unit, tokens.amount, tokens.burst, tokens.lends) == ("tokens", 6000, 3000, True)
    assert limits_of("p/m", RateConfig()) == ()
