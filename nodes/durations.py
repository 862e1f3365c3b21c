"""Durations as flows write them: `500ms`, `30s`, `15m`, `4h`, `7d`."""

import re

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def seconds(text: str) -> float:
    """The duration in seconds. ValueError when the text is none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 500ms, 30s, 15m, 4h or 7d")
    return float(match[1]) * _UNITS_S[match[2]]
