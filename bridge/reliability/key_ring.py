"""Which of a deployment's keys an attempt uses: the caller's own, else the operator's, without refused ones."""

import hashlib
from dataclasses import replace

from bridge.catalog.deployments import CredentialSource, Deployment
from bridge.clock import Clock
from bridge.errors import CredentialError, ErrorClass, ProviderError, RateLimitedError

NOT_THE_DEPLOYMENTS: frozenset[ErrorClass] = frozenset({"auth", "rate_limit"})
"""Failures of a key. While another key is left, and with a tenant's own, they tell nothing of the deployment."""
SPENT_S = 1.0
"""For so long a rate-limited key is left alone when the provider does not say."""
MANY_MARKS = 1000


class KeyRing:
    """Keys of all deployments. Remembers by hash which were refused or spent, and for how long."""

    def __init__(self, *, refused_key_s: float, clock: Clock, credentials: CredentialSource | None = None) -> None:
        self._refused_key_s = refused_key_s
        self._clock = clock
        self._credentials = credentials
        self._marks: dict[str, float] = {}
        """Digest of a key at a deployment -> until when it is not used."""

    def tenant_key(self, target: Deployment, org_id: str) -> str | None:
        """The organisation's own key at the target's provider."""
        return None if self._credentials is None else self._credentials.api_key(org_id, target.provider)

    def usable(self, target: Deployment, org_id: str) -> tuple[Deployment, ...]:
        """The target once for each key that may be used now, in order; empty when all were refused or are spent."""
        own = self.tenant_key(target, org_id)
        if own is not None:
            return self._unmarked((replace(target, api_key=own, spare_keys=()),))
        if not target.spare_keys:
            return self._unmarked((target,)) if self._marks else (target,)
        return self._unmarked((target, *(replace(target, api_key=key) for key in target.spare_keys)))

    def failed(self, keyed: Deployment, error: ProviderError) -> None:
        """An attempt with this key failed: a refused or spent key is left alone for a while."""
        if keyed.api_key is None:
            return
        if isinstance(error, CredentialError):
            self._mark(keyed, self._refused_key_s)
        elif isinstance(error, RateLimitedError):
            self._mark(keyed, SPENT_S if error.retry_after_s is None else error.retry_after_s)

    def _mark(self, keyed: Deployment, seconds: float) -> None:
        now_s = self._clock.monotonic()
        if len(self._marks) > MANY_MARKS:
            self._marks = {digest: until_s for digest, until_s in self._marks.items() if until_s > now_s}
        self._marks[_digest(keyed)] = now_s + seconds

    def _unmarked(self, keyed: tuple[Deployment, ...]) -> tuple[Deployment, ...]:
        now_s = self._clock.monotonic()
        return tuple(one for one in keyed if self._marks.get(_digest(one), 0.0) <= now_s)


def _digest(keyed: Deployment) -> str:
    """A key may be refused for one model and good for another: it is remembered with the deployment."""
    return hashlib.sha256(f"{keyed.name}\n{keyed.api_key or ''}".encode()).hexdigest()
