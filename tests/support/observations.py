"""Observations with defaults, for tests of what is learned from calls."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bridge.learning.observations import Observation

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""


def observation(hours: float = 0.0, **facts: object) -> Observation:
    """An answered call, `hours` after the start."""
    plain = Observation(
        at=START + timedelta(hours=hours),
        org_id="org",
        task="triage",
        alias="fast",
        model="acme/m",
        deployment="acme/m",
        input_tokens=400,
        output_tokens=100,
        latency_s=1.0,
        ttft_s=None,
        cost_nano_usd=100_000,
        is_success=True,
    )
    return replace(plain, **facts)  # pyright: ignore[reportArgumentType]  # facts by name
