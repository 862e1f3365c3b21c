"""Scorers that compare texts: exact, contains, starts_with, regex, numeric."""

import asyncio
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

import regex
from pydantic import Field

from bridge.json_types import JsonValue
from evaluators.bounded_regex import BoundedRegex, RegexError, compile_regex
from evaluators.errors import NoScoreError, ScorerOptionsError
from evaluators.scorer import Answer, Example, Score, Scorer, scorer

_NUMBER = regex.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?!\w)")
_SHOWN_CHARS = 80


@scorer("exact")
def exact(*, ignore_case: bool = False, trim: bool = True) -> Scorer:
    """1 when the answer equals the expected value: as text, or as JSON when the expected value is no text."""

    async def score(example: Example, answer: Answer) -> Score:
        if example.expected is None:
            raise NoScoreError("the example has no expected value")
        if not isinstance(example.expected, str):
            is_same = _is_same_json(answer.json, example.expected)
            return _verdict(is_same, f"the value {'equals' if is_same else 'differs from'} the expected one")
        wanted, got = (_folded(text, ignore_case, trim) for text in (example.expected, answer.text))
        return _verdict(got == wanted, f"{_shown(answer.text)} against {_shown(example.expected)}")

    return score


@scorer("contains")
def contains(
    *, phrases: list[str] | None = None, mode: Literal["all", "any"] = "all", ignore_case: bool = True
) -> Scorer:
    """1 when all (or any) of the phrases occur in the answer. Without `phrases` the expected value names them."""
    if phrases is not None and not phrases:
        raise ScorerOptionsError("scorer contains: phrases is empty")

    async def score(example: Example, answer: Answer) -> Score:
        wanted = phrases or _expected_texts(example)
        text = _folded(answer.text, ignore_case, False)
        missing = [phrase for phrase in wanted if _folded(phrase, ignore_case, False) not in text]
        is_met = not missing if mode == "all" else len(missing) < len(wanted)
        return _verdict(
            is_met, f"missing: {', '.join(_shown(phrase) for phrase in missing)}" if missing else "all found"
        )

    return score


@scorer("starts_with")
def starts_with(*, prefix: str | None = None, ignore_case: bool = False, trim: bool = True) -> Scorer:
    """1 when the answer begins with `prefix`, or with one of the expected texts when there is none."""

    async def score(example: Example, answer: Answer) -> Score:
        wanted = [prefix] if prefix is not None else _expected_texts(example)
        text = _folded(answer.text, ignore_case, trim)
        is_met = any(text.startswith(_folded(part, ignore_case, False)) for part in wanted)
        return _verdict(is_met, f"the answer begins {_shown(answer.text)}")

    return score


@scorer("regex")
def regex_match(
    *, pattern: str | None = None, whole: bool = False, ignore_case: bool = False, multiline: bool = False
) -> Scorer:
    """1 when the pattern occurs in the answer (`whole`: matches all of it). Without `pattern` the expected value is it.

    Patterns are bounded in length and time; a search that runs out of time has no score.
    """
    ready = _compiled(pattern, ignore_case, multiline) if pattern is not None else None

    async def score(example: Example, answer: Answer) -> Score:
        try:
            chosen = ready or compile_regex(_expected_text(example), ignore_case=ignore_case, is_multiline=multiline)
            is_found = await asyncio.to_thread(chosen.is_found, answer.text, is_whole=whole)
        except RegexError as error:
            raise NoScoreError(str(error)) from error
        return _verdict(is_found, f"{chosen.pattern!r} {'matches' if is_found else 'does not match'}")

    return score


@scorer("numeric")
def numeric(
    *,
    absolute: Annotated[float, Field(ge=0)] = 0.0,
    relative: Annotated[float, Field(ge=0)] = 0.0,
    extract: Literal["last", "first", "only", "whole"] = "last",
) -> Scorer:
    """1 when the number in the answer is within the tolerance of the expected one.

    The tolerance is the larger of `absolute` and `relative` x the expected number. `extract` says which number of
    the text counts; `only` wants exactly one, `whole` nothing but a number. Thousands may be grouped by commas.
    """

    async def score(example: Example, answer: Answer) -> Score:
        wanted = _as_number(example.expected)
        if wanted is None:
            raise NoScoreError("the expected value is no number")
        got = _as_number(answer.json) if isinstance(answer.json, int | float) else _extracted(answer.text, extract)
        if got is None:
            return _verdict(False, f"no number ({extract}) in {_shown(answer.text)}")
        tolerance = max(Decimal(str(absolute)), Decimal(str(relative)) * abs(wanted))
        off = abs(got - wanted)
        return _verdict(off <= tolerance, f"{got} is {off} off {wanted}, {tolerance} is allowed")

    return score


def _compiled(pattern: str, ignore_case: bool, multiline: bool) -> BoundedRegex:
    try:
        return compile_regex(pattern, ignore_case=ignore_case, is_multiline=multiline)
    except RegexError as error:
        raise ScorerOptionsError(f"scorer regex: {error}") from error


def _verdict(is_met: bool, reason: str) -> Score:
    return Score(value=1.0 if is_met else 0.0, reason=reason, passed=is_met)


def _folded(text: str, ignore_case: bool, trim: bool) -> str:
    plain = unicodedata.normalize("NFC", text)
    plain = plain.strip() if trim else plain
    return plain.casefold() if ignore_case else plain


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...")


def _expected_text(example: Example) -> str:
    if not isinstance(example.expected, str):
        raise NoScoreError("the expected value is no text")
    return example.expected


def _expected_texts(example: Example) -> list[str]:
    expected = example.expected
    if isinstance(expected, str):
        return [expected]
    if isinstance(expected, list) and expected:
        texts = [part for part in expected if isinstance(part, str)]
        if len(texts) == len(expected):
            return texts
    raise NoScoreError("the expected value is neither a text nor a list of texts")


def _is_same_json(first: JsonValue, second: JsonValue) -> bool:
    """Equality as JSON: 1 equals 1.0, true does not equal 1."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_is_same_json(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_is_same_json, first, second))
    return first == second


def _as_number(value: JsonValue) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        number = Decimal(str(value))
        return number if number.is_finite() else None
    return _parsed(value.strip()) if isinstance(value, str) else None


def _extracted(text: str, which: str) -> Decimal | None:
    if which == "whole":
        return _parsed(text.strip())
    found = _NUMBER.findall(text)
    if not found or (which == "only" and len(found) != 1):
        return None
    return _parsed(found[0] if which == "first" else found[-1])


def _parsed(text: str) -> Decimal | None:
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return Decimal(text.replace(",", ""))
    except InvalidOperation:
        return None
