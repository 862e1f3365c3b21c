import pytest
from pydantic import ValidationError

from bridge.errors import BudgetExceededError, UnavailableError
from bridge.json_types import JsonObject, JsonValue
from nodes.errors import InvalidInputError
from nodes.evaluate import EvaluateNode, EvaluateOutput
from tests.support.fakes import FakeModels, inside, node_context, said

JUDGE: JsonObject = {"judge": {"rubric": "Is it kind?", "model": "best"}}


async def scored(block: JsonObject, models: FakeModels | None = None) -> EvaluateOutput:
    return await EvaluateNode.model_validate(block).run(node_context(models))


async def test_every_scorer_gives_a_score_and_a_reason() -> None:
    output = await scored(
        {
            "value": "Dear Ann, 42",
            "expected": 42,
            "scorers": [{"contains": {"phrases": ["ann"]}}, "numeric", "json_valid"],
        }
    )

    assert output.scores == {"contains": 1.0, "numeric": 1.0, "json_valid": 0.0}
    assert set(output.reasons) == {"contains", "numeric", "json_valid"}
    assert (output.passed, output.missing) == (False, [])


@pytest.mark.parametrize(
    ("threshold", "passed"),
    [
        (None, True),
        (0.5, True),
        (1.0, True),
        ({"exact": 1.0}, True),
        ({"latency": 10.0}, False),
        ({"latency": 30.0}, True),
    ],
)
async def test_a_threshold_is_the_least_or_where_less_is_better_the_most(threshold: JsonValue, passed: bool) -> None:
    block: JsonObject = {"value": "a", "expected": "a", "scorers": ["exact"], "threshold": threshold}
    if isinstance(threshold, dict):
        block = {**block, "scorers": ["exact", "latency"], "latency_ms": 20.0}

    assert (await scored(block)).passed is passed


async def test_a_missing_score_is_null_named_and_never_passes() -> None:
    output = await scored({"value": "a", "scorer": "exact"})

    assert (output.scores, output.missing, output.passed) == ({"exact": None}, ["exact"], False)


async def test_labels_come_from_a_map_or_are_numbered() -> None:
    two: list[JsonValue] = [{"contains": {"phrases": ["a"]}}, {"contains": {"phrases": ["b"]}}]

    assert (await scored({"value": "a", "scorers": two})).scores == {"contains": 1.0, "contains_2": 0.0}
    named: list[JsonValue] = [
        {"name": "contains", "phrases": ["a"]},
        {"name": "regex", "as": "short", "pattern": "^.$"},
    ]
    assert (await scored({"value": "a", "scorers": named})).scores == {"contains": 1.0, "short": 1.0}
    assert (await scored({"value": "a", "scorers": {"polite": two[0], "json": "json_valid"}})).scores == {
        "polite": 1.0,
        "json": 0.0,
    }


async def test_a_value_that_is_no_text_is_scored_as_json() -> None:
    block: JsonObject = {"value": {"a": [1]}, "expected": {"a": [1.0]}, "scorers": ["exact", "json_valid"]}

    assert (await scored(block)).scores == {"exact": 1.0, "json_valid": 1.0}


async def test_a_judge_asks_the_model_and_its_call_is_kept() -> None:
    models = FakeModels(said("", {"reason": "warm", "grade": 5}))
    context = node_context(models)

    output = await EvaluateNode.model_validate(
        {"value": "Hi", "input": "greet", "scorers": [JUDGE], "threshold": 0.9}
    ).run(context)

    assert (output.scores, output.passed) == ({"judge": 1.0}, True)
    assert "warm" in output.reasons["judge"]
    assert models.requests[0].model == "best"
    assert len(context.facts.calls) == 1


async def test_a_judge_that_cannot_be_reached_is_missing_but_a_spent_budget_stops_the_step() -> None:
    down = UnavailableError("down", deployment="d")
    spent = BudgetExceededError("spent", scope="run", limit_nano_usd=1, left_nano_usd=0)

    assert (await scored({"value": "x", "scorers": [JUDGE]}, FakeModels(down))).missing == ["judge"]
    with pytest.raises(BudgetExceededError):
        await scored({"value": "x", "scorers": [JUDGE]}, FakeModels(spent))


@pytest.mark.parametrize(
    "block",
    [
        {"value": "x"},
        {"value": "x", "scorers": ["exact"], "scorer": "exact"},
        {"value": "x", "scorers": ["exat"]},
        {"value": "x", "scorers": ["exact"], "threshold": {"contains": 1.0}},
        {"value": "x", "scorers": [{"exact": {"trim": True}, "numeric": {"absolute": 1.0}}]},
    ],
)
def test_a_block_that_makes_no_sense_is_refused(block: JsonObject) -> None:
    with pytest.raises(ValidationError):
        EvaluateNode.model_validate(block)


async def test_wrong_options_fail_the_step_with_the_way_out() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'pattern'"):
        await scored({"value": "x", "scorers": [{"regex": {"patern": "x"}}]})


def test_only_a_judge_costs_and_must_not_be_repeated() -> None:
    judged: JsonObject = {"value": "${{ nodes.a.output.text }}", "scorers": ["exact", JUDGE]}

    assert [(use.model, use.calls) for use in EvaluateNode.model_uses(judged)] == [("best", 1)]
    assert EvaluateNode.model_uses(judged)[0].max_input_bytes > 32 * 1024
    assert not EvaluateNode.is_replayable_with(judged)
    assert EvaluateNode.is_replayable_with({"value": "x", "scorers": ["exact"]})
    assert EvaluateNode.model_uses({"value": "x", "scorer": "exact"}) == ()


def test_the_output_schema_names_the_scores() -> None:
    assert inside(
        EvaluateNode.output_schema({"value": "x", "scorers": ["exact", JUDGE]}), "properties", "scores", "required"
    ) == ["exact", "judge"]
