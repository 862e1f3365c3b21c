"""Who gets which arm of an experiment: the same unit always the same one."""

import math
from collections.abc import Mapping
from hashlib import sha256


def assigned_arm(experiment: str, unit: str, shares: Mapping[str, float]) -> str:
    """The arm of `unit`; over many units each arm gets its share. A new arm takes units from the others, and moves
    none between them; an arm that goes gives its units away, and moves no other.

    Weighted rendezvous hashing over sha256. Source: Schindelhauer and Schomaker, "Weighted distributed hash tables"
    (2005), logarithmic method.

    Raises:
        ValueError: No arm has a share above 0.
    """
    live = {arm: share for arm, share in shares.items() if share > 0}
    if not live:
        raise ValueError(f"experiment {experiment!r} has no arm with a share above 0")
    return min(live, key=lambda arm: (_waiting_time(experiment, unit, arm, live[arm]), arm))


def shares_of(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares scaled to sum 1."""
    total = sum(share for share in shares.values() if share > 0)
    return {arm: max(share, 0.0) / total if total > 0 else 0.0 for arm, share in shares.items()}


def _waiting_time(experiment: str, unit: str, arm: str, share: float) -> float:
    """Exponential with rate `share`, drawn by hash: the first of several is each with probability of its share."""
    text = "\x00".join((experiment, unit, arm))
    drawn = int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return -math.log((drawn + 0.5) / 2**64) / share
