import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.errors import NoScoreError, ScorerOptionsError
from evaluators.registry import make_scorer, options_schema, scorers
from evaluators.scorer import Answer, Example, Score, score_one, scorer, summarize


def test_the_first_set_is_registered_with_direction_and_range() -> None:
    known = scorers()

    assert {
        "exact",
        "contains",
        "starts_with",
        "regex",
        "numeric",
        "json_valid",
        "json_schema",
        "latency",
        "cost",
    } <= set(known)
    assert (known["latency"].direction, known["latency"].high) == ("lower", None)
    assert [name for name, kind in known.items() if kind.uses_model] == ["judge"]
    assert all(kind.summary for kind in known.values())


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("exat", {}, "did you mean 'exact'"),
        ("regex", {"patern": "a"}, "did you mean 'pattern'"),
        ("numeric", {"absolute": -1}, "absolute"),
        ("numeric", {"absolute": "1"}, "absolute"),
        ("contains", {"phrases": []}, "empty"),
        ("judge", {"rubric": "kind?"}, "none can be reached"),
    ],
)
def test_a_wrong_name_or_option_is_refused_with_the_way_out(
    name: str, options: dict[str, object], problem: str
) -> None:
    with pytest.raises(ScorerOptionsError, match=problem):
        make_scorer(name, options)  # pyright: ignore[reportArgumentType]  # wrong on purpose


def test_options_have_a_json_schema_with_the_names_users_write() -> None:
    schema = options_schema("json_schema")

    assert set(schema["properties"]) == {"schema", "allow_fence"}  # pyright: ignore[reportArgumentType]  # a map


def test_a_name_cannot_be_taken_twice() -> None:
    with pytest.raises(ValueError, match="already registered"):

        @scorer("exact")  # pyright: ignore[reportArgumentType]  # refused before it matters
        def another() -> None:  # pyright: ignore[reportUnusedFunction]  # refused before it is used
            """Nothing."""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_is_never_nan_or_infinite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Score(value=value, reason="")


async def test_whatever_a_scorer_raises_becomes_a_missing_value_with_the_reason() -> None:
    async def broken(example: Example, answer: Answer) -> Score:
        raise ZeroDivisionError("by zero")

    async def unsure(example: Example, answer: Answer) -> Score:
        raise NoScoreError("nothing to compare")

    async def not_a_number(example: Example, answer: Answer) -> Score:
        return Score(value=math.nan, reason="")

    assert await score_one(broken, Example(), Answer()) == Score(None, "ZeroDivisionError: by zero")
    assert await score_one(unsure, Example(), Answer()) == Score(None, "nothing to compare")
    assert (await score_one(not_a_number, Example(), Answer())).is_missing


def test_a_summary_counts_missing_values_and_bounds_the_mean() -> None:
    summary = summarize([Score(1, ""), Score(0.5, ""), Score(None, "lost"), Score(None, "lost")])

    assert (summary.n, summary.n_missing, summary.mean) == (4, 2, 0.75)
    assert (summary.lowest, summary.highest) == (0.375, 0.875)


def test_nothing_scored_has_no_mean_and_an_open_range_has_no_upper_bound() -> None:
    assert summarize([]).mean is None
    assert summarize([Score(None, "")]).mean is None
    assert summarize([Score(5, ""), Score(None, "")], high=None).highest is None
    assert summarize([Score(5, "")], high=None).highest == 5


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_mean_of_any_completion_lies_within_the_bounds(values: list[float | None]) -> None:
    summary = summarize([Score(value, "") for value in values])
    completed = sum(0.4 if value is None else value for value in values) / len(values)

    assert summary.lowest is not None
    assert summary.highest is not None
    assert summary.lowest - 1e-9 <= completed <= summary.highest + 1e-9


@pytest.mark.parametrize(
    ("name", "options", "answer", "value", "passed"),
    [
        ("latency", {"max_ms": 100.0}, Answer(latency_ms=100), 100, True),
        ("latency", {"max_ms": 100.0}, Answer(latency_ms=101), 101, False),
        ("latency", {}, Answer(latency_ms=3), 3, None),
        ("latency", {}, Answer(), None, None),
        ("cost", {"max_usd": 0.01}, Answer(cost_usd=0.02), 0.02, False),
        ("cost", {"max_usd": 0.0}, Answer(cost_usd=0), 0, True),
        ("cost", {"max_usd": 1.0}, Answer(), None, None),
    ],
)
async def test_operational_scorers_pass_up_to_the_bar_and_an_unknown_cost_is_not_zero(
    name: str, options: dict[str, float], answer: Answer, value: float | None, passed: bool | None
) -> None:
    score = await score_one(make_scorer(name, options), Example(), answer)

    assert (score.value, score.passed) == (value, passed)
