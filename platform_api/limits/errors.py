"""What a limit says no with.

ApiError
├── LimitExceededError     429  wait; carries what is left, and `retry-after`
├── OverLimitError         422  larger than a limit ever admits: waiting never helps, so no SDK tries again
└── UnavailableError       503  nobody can say (`limits.when_redis_is_down: refuse`)
"""

import math
from collections.abc import Sequence

from platform_api.errors import ApiError, InvalidError
from platform_api.limits.headers import draft_headers
from platform_api.limits.windows import Room, Verdict, Window

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""The problem type of draft-ietf-httpapi-ratelimit-headers."""


class LimitExceededError(ApiError):
    """Too much for now."""

    status = 429
    default_code = "rate_limit_exceeded"

    def __init__(self, verdict: Verdict) -> None:
        self.rooms: tuple[Room, ...] = verdict.rooms
        self.retry_after_s = max(1, math.ceil(verdict.retry_after_s))
        names = [window.name for window in verdict.refused]
        what = " and ".join(told(window) for window in verdict.refused)
        said = f"the limit of {what} is used up; try again in {self.retry_after_s} s"
        super().__init__(said, headers={"retry-after": str(self.retry_after_s), **draft_headers(verdict.rooms)})
        self.kind = QUOTA_EXCEEDED
        self.members = {"violated-policies": names}


class OverLimitError(InvalidError):
    """The request asks for more tokens than a limit ever holds."""

    default_code = "exceeds_token_limit"

    def __init__(self, tokens: int, windows: Sequence[Window]) -> None:
        what = " and ".join(told(window) for window in windows)
        super().__init__(
            f"the request may use {tokens} tokens, its prompt and its longest answer, over the limit of {what}: "
            "it can never pass; shorten the prompt, ask for fewer output tokens, or have the limit raised"
        )


def told(window: Window) -> str:
    """The window in words."""
    whose, unit, span = window.name.split("-")
    return f"{window.amount} {unit} a {span} of {'this key' if whose == 'key' else 'the organisation'}"
