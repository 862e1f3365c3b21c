"""Successes and failures of the last minute, in buckets."""

from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    number: int = -1
    successes: int = 0
    failures: int = 0


class RollingWindow:
    """Counts outcomes over the last `window_s` seconds, a bucket at a time. Time only moves forward."""

    def __init__(self, *, window_s: float, buckets: int) -> None:
        self._bucket_s = window_s / buckets
        self._ring = [_Bucket() for _ in range(buckets)]

    def add(self, now_s: float, *, is_success: bool) -> None:
        """Count one outcome."""
        number = int(now_s / self._bucket_s)
        bucket = self._ring[number % len(self._ring)]
        if bucket.number != number:
            bucket.number, bucket.successes, bucket.failures = number, 0, 0
        if is_success:
            bucket.successes += 1
        else:
            bucket.failures += 1

    def counts(self, now_s: float) -> tuple[int, int]:
        """Successes and failures inside the window."""
        oldest = int(now_s / self._bucket_s) - len(self._ring) + 1
        successes = failures = 0
        for bucket in self._ring:
            if bucket.number >= oldest:
                successes += bucket.successes
                failures += bucket.failures
        return successes, failures

    def success_share(self, now_s: float) -> float | None:
        """Share of successes in [0, 1]; None without an outcome."""
        successes, failures = self.counts(now_s)
        total = successes + failures
        return None if total == 0 else successes / total

    def clear(self) -> None:
        """Forget everything."""
        self._ring = [_Bucket() for _ in self._ring]
