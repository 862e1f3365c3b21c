"""Counts what the calls of one day came to."""

from collections import Counter

from bridge.call_record import AttemptRecord, CallRecord
from bridge.simulation.all_knowing import AllKnowing
from bridge.simulation.figures import Figures, quantile, wilson
from bridge.simulation.providers import SimulatedAnswer
from bridge.simulation.traffic import Arrival


class Tally:
    """Everything that figures are made of."""

    def __init__(self, all_knowing: AllKnowing) -> None:
        self._all_knowing = all_knowing
        self._latency_s: list[float] = []
        self._ttft_s: list[float] = []
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._served_by: Counter[str] = Counter()
        self._cost_nano_usd = 0
        self._answered_cost_usd = 0.0
        self._wanted_cost_usd = 0.0

    def add(self, call: Arrival, record: CallRecord, text: str | None, *, took_s: float, ttft_s: float | None) -> bool:
        """Take in one call; `text` is None when it was not answered. Was it answered well?"""
        counts = self._counts
        counts["calls"] += 1
        self._cost_nano_usd += record.cost_nano_usd or 0
        if record.cache != "off":
            counts["looked_up"] += 1
        for attempt in record.attempts:
            self._attempted(record, attempt)
        wanted = self._all_knowing.choice(call)
        counts["wanted_good"] += wanted.is_good
        if text is None:
            self._errors[record.error_class or record.status] += 1
            return False
        self._latency_s.append(took_s)
        if ttft_s is not None:
            self._ttft_s.append(ttft_s)
        self._answered_cost_usd += (record.cost_nano_usd or 0) / 1e9
        self._wanted_cost_usd += wanted.cost_usd
        is_good = self._judged(call, record, text)
        counts["good"] += is_good
        return is_good

    def figures(self) -> Figures:
        """The day so far."""
        counts, answered = self._counts, len(self._latency_s)
        latency, ttft = sorted(self._latency_s), sorted(self._ttft_s)
        calls, cost_usd = counts["calls"], self._cost_nano_usd / 1e9
        low, high = wilson(counts["good"], answered)
        has_answers = answered > 0
        return Figures(
            calls=calls,
            answered=answered,
            availability=_share(answered, calls) or 0.0,
            cost_usd=cost_usd,
            usd_per_1000_answers=1000 * cost_usd / answered if has_answers else None,
            quality=_share(counts["good"], answered),
            quality_low=low if has_answers else None,
            quality_high=high if has_answers else None,
            latency_p50_s=quantile(latency, 0.5),
            latency_p95_s=quantile(latency, 0.95),
            latency_p99_s=quantile(latency, 0.99),
            ttft_p50_s=quantile(ttft, 0.5),
            ttft_p95_s=quantile(ttft, 0.95),
            ttft_p99_s=quantile(ttft, 0.99),
            attempts_per_call=_share(counts["attempts"], calls) or 0.0,
            probes=counts["probes"],
            probes_failed=counts["probes_failed"],
            cache_hit_rate=_share(counts["hits"], counts["looked_up"]),
            false_hit_rate=_share(counts["false_hits"], counts["hits"]),
            cost_regret=self._answered_cost_usd / self._wanted_cost_usd - 1 if self._wanted_cost_usd > 0 else None,
            quality_regret=_share(counts["wanted_good"] - counts["good"], calls) or 0.0,
            served_by=dict(sorted(self._served_by.items())),
            errors=dict(sorted(self._errors.items())),
        )

    def _attempted(self, record: CallRecord, attempt: AttemptRecord) -> None:
        self._counts["attempts"] += 1
        known = None if record.decision is None else record.decision.snapshot.deployments.get(attempt.deployment)
        if known is not None and known.circuit != "closed":
            self._counts["probes"] += 1
            self._counts["probes_failed"] += attempt.outcome != "succeeded"

    def _judged(self, call: Arrival, record: CallRecord, text: str) -> bool:
        """Is it a good answer, and to this question?"""
        answer = SimulatedAnswer.read(text)
        is_to_the_point = answer is not None and (answer.task, answer.topic) == (call.task, call.topic)
        if record.cache == "hit":
            self._counts["hits"] += 1
            self._counts["false_hits"] += not is_to_the_point
            self._served_by["cache"] += 1
        elif record.attempts:
            self._served_by[record.attempts[-1].deployment] += 1
        return is_to_the_point and answer is not None and answer.is_good


def _share(part: int, whole: int) -> float | None:
    return None if whole == 0 else part / whole
