"""Regular expressions from users, searched within limits of length and time.

The engine is the package `regex`: the syntax of Python's `re`, and a timeout checked inside the matching loop, so
that a pattern that backtracks for ever is stopped and frees its thread.
"""

from dataclasses import dataclass
from itertools import islice

import regex

MAX_PATTERN_CHARS = 2_000
MAX_TEXT_CHARS = 1_000_000
TIMEOUT_S = 0.25


class RegexError(Exception):
    """The pattern is wrong or too long, the text is too long, or the search took too long."""


@dataclass(frozen=True, slots=True)
class BoundedRegex:
    """A compiled pattern that can be searched a bounded time in a bounded text."""

    pattern: str
    compiled: "regex.Pattern[str]"

    def is_found(self, text: str, *, is_whole: bool = False, timeout_s: float = TIMEOUT_S) -> bool:
        """Does the pattern occur in `text`, or with `is_whole` match all of it?

        Raises:
            RegexError: The text is too long, or the time was up.
        """
        _check_length(text)
        search = self.compiled.fullmatch if is_whole else self.compiled.search
        try:
            return search(text, timeout=timeout_s, concurrent=True) is not None
        except TimeoutError as error:
            raise self._too_slow(timeout_s) from error

    def spans(self, text: str, *, most: int, timeout_s: float = TIMEOUT_S) -> list[tuple[int, int]]:
        """Start and end of the first `most` places that are not empty, in order; the time is for all of them.

        Raises:
            RegexError: The text is too long, or the time was up.
        """
        _check_length(text)
        try:
            places = (found.span() for found in self.compiled.finditer(text, timeout=timeout_s, concurrent=True))
            return list(islice((place for place in places if place[1] > place[0]), most))
        except TimeoutError as error:
            raise self._too_slow(timeout_s) from error

    def _too_slow(self, timeout_s: float) -> RegexError:
        return RegexError(f"the pattern {self.pattern!r} took longer than {timeout_s} s: simplify it")


def _check_length(text: str) -> None:
    if len(text) > MAX_TEXT_CHARS:
        raise RegexError(f"the text has {len(text)} characters; a pattern reads at most {MAX_TEXT_CHARS}")


def compile_regex(pattern: str, *, ignore_case: bool = False, is_multiline: bool = False) -> BoundedRegex:
    """The pattern, ready to search. Raises RegexError."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise RegexError(f"the pattern has {len(pattern)} characters; at most {MAX_PATTERN_CHARS} are allowed")
    flags = (regex.IGNORECASE if ignore_case else 0) | (regex.MULTILINE if is_multiline else 0)
    try:
        return BoundedRegex(pattern, regex.compile(pattern, flags))
    except (regex.error, OverflowError, RecursionError, ValueError) as error:
        raise RegexError(f"the pattern {pattern!r} is wrong: {error}") from error
