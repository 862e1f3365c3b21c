import pytest

from bridge.json_types import JsonValue
from evaluators.errors import ScorerOptionsError
from evaluators.registry import make_scorer
from evaluators.scorer import Answer, Example, score_one

SCHEMA = {
    "type": "object",
    "required": ["risk"],
    "properties": {"risk": {"type": "number", "maximum": 1}, "code": {"type": "string", "pattern": "^[a-z]+$"}},
}


@pytest.mark.parametrize(
    ("options", "text", "value"),
    [
        ({}, '{"a": [1, null]}', 1),
        ({}, "3", 1),
        ({}, "{a: 1}", 0),
        ({}, "NaN", 0),
        ({}, "", 0),
        ({}, "[" * 100_000, 0),
        ({}, '```json\n{"a": 1}\n```', 0),
        ({"allow_fence": True}, '```json\n{"a": 1}\n```', 1),
    ],
)
async def test_json_valid(options: dict[str, JsonValue], text: str, value: float) -> None:
    assert (await score_one(make_scorer("json_valid", options), Example(), Answer(text=text))).value == value


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ('{"risk": 0.5}', 1, "fits"),
        ('{"risk": 2}', 0, "/risk: 2 is greater than the maximum"),
        ("{}", 0, "'risk' is a required property"),
        ("not JSON", 0, "no JSON"),
        ('{"risk": 0, "code": "A"}', 0, "/code: does not match"),
    ],
)
async def test_json_schema_says_where_the_answer_does_not_fit(text: str, value: float, reason: str) -> None:
    score = await score_one(make_scorer("json_schema", {"schema": SCHEMA}), Example(), Answer(text=text))

    assert score.value == value
    assert reason in score.reason


async def test_the_parsed_value_is_preferred_to_the_text() -> None:
    answer = Answer(text="see above", json={"risk": 1})

    assert (await score_one(make_scorer("json_schema", {"schema": SCHEMA}), Example(), answer)).passed


async def test_without_a_schema_the_expected_value_is_it_and_without_both_there_is_no_score() -> None:
    scorer = make_scorer("json_schema")

    assert (await score_one(scorer, Example(expected={"type": "integer"}), Answer(text="4"))).value == 1
    assert (await score_one(scorer, Example(), Answer(text="4"))).is_missing
    assert (await score_one(scorer, Example(expected={"type": "integre"}), Answer(text="4"))).is_missing


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "integre"}, "no valid JSON Schema"),
        ({"items": {"patternProperties": {"^a": {}}}}, "patternProperties"),
    ],
)
def test_an_unusable_schema_is_refused_when_the_scorer_is_made(schema: JsonValue, problem: str) -> None:
    with pytest.raises(ScorerOptionsError, match=problem):
        make_scorer("json_schema", {"schema": schema})


async def test_a_remote_reference_is_not_fetched() -> None:
    scorer = make_scorer("json_schema", {"schema": {"$ref": "http://127.0.0.1:9/schema.json"}})

    score = await score_one(scorer, Example(), Answer(text="1"))

    assert score.is_missing
    assert "cannot be applied" in score.reason


async def test_a_pattern_in_a_schema_that_backtracks_for_ever_is_stopped() -> None:
    scorer = make_scorer("json_schema", {"schema": {"type": "string", "pattern": "(a|aa)+$"}})

    assert (await score_one(scorer, Example(), Answer(json="a" * 60 + "!"))).is_missing
