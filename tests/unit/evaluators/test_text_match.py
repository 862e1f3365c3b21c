import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.json_types import JsonValue
from evaluators.errors import ScorerOptionsError
from evaluators.registry import make_scorer
from evaluators.scorer import Answer, Example, Score, score_one
from evaluators.text_match import exact


async def scored(name: str, options: dict[str, JsonValue], expected: JsonValue, text: str) -> Score:
    return await score_one(make_scorer(name, options), Example(expected=expected), Answer(text=text))


@pytest.mark.parametrize(
    ("name", "options", "expected", "text", "value"),
    [
        ("exact", {}, "Paris", " Paris\n", 1),
        ("exact", {}, "Paris", "paris", 0),
        ("exact", {"ignore_case": True}, "STRASSE", "straße", 1),
        ("exact", {"trim": False}, "Paris", " Paris", 0),
        ("exact", {}, "caf\u00e9", "cafe\u0301", 1),
        ("contains", {"phrases": ["refund", "14 days"]}, None, "A REFUND takes 14 days.", 1),
        ("contains", {"phrases": ["refund", "14 days"]}, None, "A refund takes long.", 0),
        ("contains", {"phrases": ["refund", "14 days"], "mode": "any"}, None, "A refund takes long.", 1),
        ("contains", {"phrases": ["a"], "mode": "any"}, None, "b", 0),
        ("contains", {"ignore_case": False}, "Refund", "a refund", 0),
        ("contains", {}, ["a", "b"], "b a", 1),
        ("starts_with", {"prefix": "Dear"}, None, "  Dear customer", 1),
        ("starts_with", {}, ["Hi", "Hello"], "Hello you", 1),
        ("starts_with", {}, "Hi", "oh, Hi", 0),
        ("regex", {"pattern": r"\bA-\d{4}\b"}, None, "order A-1234 is late", 1),
        ("regex", {"pattern": r"\d+", "whole": True}, None, "12a", 0),
        ("regex", {"pattern": "ERROR", "ignore_case": True}, None, "error", 1),
        ("regex", {"pattern": "^b$", "multiline": True}, None, "a\nb", 1),
        ("regex", {}, "^ok", "ok then", 1),
    ],
)
async def test_text_scorers(
    name: str, options: dict[str, JsonValue], expected: JsonValue, text: str, value: float
) -> None:
    score = await scored(name, options, expected, text)

    assert (score.value, score.passed) == (value, bool(value))


@pytest.mark.parametrize(
    ("options", "expected", "text", "value"),
    [
        ({}, 42, "The answer is 42.", 1),
        ({}, "1,234.5", "1234.50 euros", 1),
        ({}, 0.3, "0.1 + 0.2 = 0.3", 1),
        ({"extract": "first"}, 7, "7 of 9", 1),
        ({"extract": "only"}, 7, "7 of 9", 0),
        ({"extract": "whole"}, 7, "7 apples", 0),
        ({"extract": "whole"}, -7.5e3, " -7.5e3 ", 1),
        ({"absolute": 0.5}, 10, "10.5", 1),
        ({"absolute": 0.5}, 10, "10.51", 0),
        ({"relative": 0.1}, -100, "-110", 1),
        ({"relative": 0.1}, 100, "111", 0),
        ({}, 10, "no figure", 0),
        ({}, 3, "version v3.2.1b", 0),
    ],
)
async def test_numeric_reads_a_number_and_allows_the_tolerance(
    options: dict[str, JsonValue], expected: JsonValue, text: str, value: float
) -> None:
    assert (await scored("numeric", options, expected, text)).value == value


@pytest.mark.parametrize(
    ("name", "expected"),
    [("exact", None), ("contains", None), ("contains", 5), ("regex", 5), ("numeric", "many"), ("numeric", True)],
)
async def test_an_unusable_expected_value_gives_a_missing_score_not_a_zero(name: str, expected: JsonValue) -> None:
    score = await scored(name, {}, expected, "text")

    assert score.is_missing
    assert "expected value" in score.reason


async def test_exact_compares_json_values_as_json() -> None:
    async def value(expected: JsonValue, got: JsonValue) -> float | None:
        return (await score_one(exact(), Example(expected=expected), Answer(json=got))).value

    assert await value({"a": [1, None]}, {"a": [1.0, None]}) == 1
    assert await value({"a": 1}, {"a": True}) == 0
    assert await value([1], [1, 2]) == 0


async def test_a_pattern_that_backtracks_for_ever_is_stopped_and_has_no_score() -> None:
    score = await scored("regex", {"pattern": "(a|aa)+$"}, None, "a" * 60 + "!")

    assert score.is_missing
    assert "took longer" in score.reason


@pytest.mark.parametrize("options", [{"pattern": "("}, {"pattern": "a" * 3_000}, {"pattern": "(?P<n>a)(?P<n"}])
def test_a_wrong_or_huge_pattern_is_refused_when_the_scorer_is_made(options: dict[str, JsonValue]) -> None:
    with pytest.raises(ScorerOptionsError, match="pattern"):
        make_scorer("regex", options)


@given(st.text(max_size=50), st.text(max_size=50), st.booleans())
async def test_exact_is_one_exactly_for_equal_texts_and_stays_in_range(
    first: str, second: str, ignore_case: bool
) -> None:
    same = await score_one(exact(ignore_case=ignore_case), Example(expected=first), Answer(text=first))
    other = await score_one(exact(ignore_case=ignore_case), Example(expected=first), Answer(text=second))

    assert same.value == 1
    assert other.value in {0, 1}
