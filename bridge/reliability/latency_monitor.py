"""How long a deployment takes: two peak-sensitive averages and quantiles of the whole answer."""

import math

TAU_S = 30.0
RELATIVE_ERROR = 0.02
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
SKETCH_SAMPLES = 2000
"""When a sketch holds this many, all counts are halved: old samples fade."""
SMALLEST_S = 1e-4
HALF_LIFE_S = 1800.0
"""After so long a sample counts half. What was slow is forgotten after a while, and gets another chance: without
calls it could never show that it has become faster."""
FADE_STEP_S = 60.0
NEGLIGIBLE = 0.01
ENOUGH_SAMPLES = 20
"""With fewer nothing is said about what is slow."""


class PeakEwma:
    """An average that jumps to peaks at once and decays with time constant `tau_s`.

    Source: Twitter Finagle, "Peak EWMA" load balancer.
    """

    def __init__(self, tau_s: float = TAU_S) -> None:
        self._tau_s = tau_s
        self._value: float | None = None
        self._at_s = 0.0

    @property
    def value(self) -> float | None:
        """None before the first sample."""
        return self._value

    def add(self, sample: float, now_s: float) -> None:
        """Take in one sample."""
        if self._value is None or sample > self._value:
            self._value = sample
        else:
            keep = math.exp(-max(now_s - self._at_s, 0.0) / self._tau_s)
            self._value = self._value * keep + sample * (1 - keep)
        self._at_s = now_s


class LogSketch:
    """Quantiles with a relative error of 2 %. Source: Masson, Rim, Lee, "DDSketch" (2019)."""

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self._total = 0.0
        self._known: dict[float, float] = {}
        """Quantiles that were worked out since the last sample."""

    @property
    def total(self) -> float:
        """Samples that count, faded ones in part."""
        return self._total

    def add(self, sample_s: float) -> None:
        """Take in one sample."""
        index = math.ceil(math.log(max(sample_s, SMALLEST_S), GAMMA))
        self._counts[index] = self._counts.get(index, 0.0) + 1
        self._total += 1
        self._known = {}
        if self._total >= SKETCH_SAMPLES:
            self._counts = {key: count / 2 for key, count in self._counts.items() if count >= 1}
            self._total = sum(self._counts.values())

    def fade(self, factor: float) -> None:
        """Let every sample so far count less."""
        self._known = {}
        self._counts = {key: count * factor for key, count in self._counts.items() if count * factor > NEGLIGIBLE}
        self._total = sum(self._counts.values())

    def quantile(self, share: float) -> float | None:
        """The value under which `share` of the samples lie; None without samples."""
        if self._total == 0:
            return None
        known = self._known.get(share)
        if known is None:
            known = self._known[share] = self._worked_out(share)
        return known

    def _worked_out(self, share: float) -> float:
        wanted, seen = share * self._total, 0.0
        index = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= wanted:
                break
        return 2 * GAMMA**index / (GAMMA + 1)


class LatencyMonitor:
    """Time to first token, time per output token, and quantiles of the total, of one deployment."""

    def __init__(self) -> None:
        self._ttft = PeakEwma()
        self._per_token = PeakEwma()
        self._total = LogSketch()
        self._first = LogSketch()
        self._faded_at_s = 0.0

    def add(self, *, total_s: float, ttft_s: float | None, output_tokens: int, now_s: float) -> None:
        """Take in one whole answer. Without a TTFT (no stream) its time counts per token only from `output_tokens`."""
        self._fade(now_s)
        self._total.add(total_s)
        if ttft_s is not None:
            self._ttft.add(ttft_s, now_s)
            self._first.add(ttft_s)
        if output_tokens > 0:
            known_ttft_s = ttft_s if ttft_s is not None else min(self._ttft.value or 0.0, total_s)
            self._per_token.add(max(total_s - known_ttft_s, 0.0) / output_tokens, now_s)

    @property
    def ttft_s(self) -> float | None:
        """Predicted time to first token. Unstreamed answers only: 0, since all of their time is counted per token."""
        if self._ttft.value is None and self._per_token.value is not None:
            return 0.0
        return self._ttft.value

    @property
    def s_per_output_token(self) -> float | None:
        """Predicted seconds for each token after the first."""
        return self._per_token.value

    def quantile_s(self, share: float, now_s: float) -> float | None:
        """Quantile of whole answers, in seconds; None while there are too few fresh ones to tell."""
        self._fade(now_s)
        return self._total.quantile(share) if self._total.total >= ENOUGH_SAMPLES else None

    def slow_s(self, share: float, *, is_stream: bool) -> float | None:
        """Quantile of whole answers, of a stream's first content; None before there are enough samples."""
        sketch = self._first if is_stream else self._total
        return sketch.quantile(share) if sketch.total >= ENOUGH_SAMPLES else None

    def _fade(self, now_s: float) -> None:
        passed_s = now_s - self._faded_at_s
        if passed_s < FADE_STEP_S:
            return
        self._faded_at_s = now_s
        factor = 0.5 ** (passed_s / HALF_LIFE_S)
        self._total.fade(factor)
        self._first.fade(factor)
