from datetime import UTC, datetime

import pytest

from bridge.catalog.deployments import Deployment
from bridge.clock import FrozenClock
from bridge.errors import CredentialError, ProviderError, RateLimitedError, UnavailableError
from bridge.reliability.key_ring import KeyRing
from tests.support.wire import deployment

TARGET = deployment(api_key="first-key", spare_keys=("second-key", "third-key"))


class TenantKeys:
    """Organisation `byok` has a key of its own at `acme`."""

    def api_key(self, org_id: str, provider: str) -> str | None:
        return "their-key" if (org_id, provider) == ("byok", "acme") else None


def ring(clock: FrozenClock | None = None) -> KeyRing:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    return KeyRing(refused_key_s=300, clock=clock or FrozenClock(start), credentials=TenantKeys())


def keys(targets: tuple[Deployment, ...]) -> list[str | None]:
    return [one.api_key for one in targets]


def test_the_spare_keys_follow_in_order() -> None:
    assert keys(ring().usable(TARGET, "acme")) == ["first-key", "second-key", "third-key"]


@pytest.mark.parametrize(
    ("error", "until_s"),
    [
        (CredentialError("no", deployment="x"), 300),
        (RateLimitedError("slow", deployment="x", retry_after_s=20.0), 20),
        (RateLimitedError("slow", deployment="x"), 1),
    ],
)
def test_a_refused_or_spent_key_is_left_out_for_a_while(error: ProviderError, until_s: float) -> None:
    clock = FrozenClock(datetime(2026, 11, 24, tzinfo=UTC))
    one = ring(clock)
    one.failed(one.usable(TARGET, "o")[1], error)
    clock.advance(until_s - 0.5)
    assert keys(one.usable(TARGET, "o")) == ["first-key", "third-key"]
    clock.advance(1)
    assert keys(one.usable(TARGET, "o")) == ["first-key", "second-key", "third-key"]


def test_an_outage_says_nothing_about_the_key() -> None:
    one = ring()
    one.failed(TARGET, UnavailableError("down", deployment="x"))

    assert len(one.usable(TARGET, "o")) == 3


def test_an_organisation_with_its_own_key_never_uses_the_operators() -> None:
    one = ring()
    assert keys(one.usable(TARGET, "byok")) == ["their-key"]
    one.failed(one.usable(TARGET, "byok")[0], CredentialError("no", deployment="x"))

    assert one.usable(TARGET, "byok") == ()
    assert len(one.usable(TARGET, "o")) == 3


def test_keys_are_remembered_by_hash_only() -> None:
    one = ring()
    one.failed(TARGET, CredentialError("no", deployment="x"))

    assert "first-key" not in repr(vars(one))
