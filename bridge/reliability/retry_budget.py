"""A cap on retries as a share of traffic: three dead providers and 20 calls must not become 180 attempts."""


class RetryBudget:
    """Tokens: every call puts in `share`, every retry takes one. Up to `burst` may be saved; it starts full."""

    def __init__(self, *, share: float, burst: float) -> None:
        self._share = share
        self._burst = burst
        self._tokens = burst

    def call_made(self) -> None:
        """One more call."""
        self._tokens = min(self._burst, self._tokens + self._share)

    def take(self) -> bool:
        """May one more retry be made?"""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
