"""What is left, in the words of each kind of client.

Sources: OpenAI API reference, "Rate limits in headers"; Anthropic API reference, "Rate limits: response headers";
draft-ietf-httpapi-ratelimit-headers-11.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from platform_api.limits.windows import Room

Headers = list[tuple[bytes, bytes]]


def openai_headers(rooms: Sequence[Room]) -> Headers:
    """Of each unit, the window with the least left."""
    found: Headers = []
    for unit, room in _tightest(rooms):
        found += [
            (b"x-ratelimit-limit-" + unit, b"%d" % room.window.amount),
            (b"x-ratelimit-remaining-" + unit, b"%d" % room.left),
            (b"x-ratelimit-reset-" + unit, duration(room.full_in_s).encode()),
        ]
    return found


def anthropic_headers(rooms: Sequence[Room]) -> Headers:
    """Of each unit, the window with the least left."""
    found: Headers = []
    now = datetime.now(UTC) if rooms else None
    for unit, room in _tightest(rooms):
        assert now is not None
        reset = (now + timedelta(seconds=math.ceil(room.full_in_s))).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = b"anthropic-ratelimit-" + unit
        found += [
            (name + b"-limit", b"%d" % room.window.amount),
            (name + b"-remaining", b"%d" % room.left),
            (name + b"-reset", reset.encode()),
        ]
    return found


def draft_headers(rooms: Sequence[Room]) -> dict[str, str]:
    """All policies, and what is left of the one that binds most. Nothing without limits."""
    if not rooms:
        return {}
    policies = ", ".join(_policy(room) for room in rooms)
    least = min(rooms, key=lambda room: room.left / room.window.amount)
    left = f'"{least.window.name}";r={least.left};t={math.floor(least.next_in_s)}'
    return {"ratelimit-policy": policies, "ratelimit": left}


def duration(seconds: float) -> str:
    """`1h0m3s`, `6m0s`, `12s`: whole seconds, rounded up."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest}s" if minutes else f"{rest}s"
    return f"{minutes // 60}h{minutes % 60}m{rest}s"


def _policy(room: Room) -> str:
    unit = "" if room.window.unit == "requests" else ';qu="tokens"'
    return f'"{room.window.name}";q={room.window.amount};w={room.window.window_s}{unit}'


def _tightest(rooms: Sequence[Room]) -> list[tuple[bytes, Room]]:
    """The room with the least left of requests and of tokens, where there is a limit."""
    requests = tokens = None
    for room in rooms:
        if room.window.unit == "requests":
            requests = room if requests is None or room.left < requests.left else requests
        else:
            tokens = room if tokens is None or room.left < tokens.left else tokens
    return [(unit, room) for unit, room in ((b"requests", requests), (b"tokens", tokens)) if room is not None]
