"""Several models, one winner: how votes are counted, judges asked, failures survived, costs bounded."""

import asyncio
from dataclasses import replace

import pytest
from pydantic import ValidationError

from bridge.call_record import CallContext
from bridge.chat import ChatRequest, ChatResponse
from bridge.errors import BridgeError, BudgetExceededError, RateLimitedError, RejectedError, UnavailableError
from bridge.json_types import JsonObject, JsonValue
from evaluators.schema_check import schema_problems
from nodes import agreement
from nodes.compare import CompareNode, CompareOutput
from nodes.context import ChatResult
from nodes.errors import NodeError
from nodes.node import ModelUse
from tests.support.fakes import FakeModels, call_record, inside, node_context, said

BLOCK: JsonObject = {"models": ["one", "two", "three"], "prompt": "Say {{ word }}", "vars": {"word": "hi"}}
Said = str | BridgeError | tuple[ChatResponse, JsonValue]


class ByModel(FakeModels):
    """Answers by the name that is asked for, however the calls are ordered; counts how many run at once."""

    def __init__(self, answers: dict[str, Said | list[Said]]) -> None:
        super().__init__()
        self._by_model = answers
        self.running = self.most_running = 0

    async def chat(self, request: ChatRequest, context: CallContext) -> ChatResult:
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        given = self._by_model[request.model]
        answer = given.pop(0) if isinstance(given, list) else given
        if isinstance(answer, BridgeError):
            raise answer
        response, parsed = said(answer) if isinstance(answer, str) else answer
        return ChatResult(response=response, parsed=parsed, record=call_record(context, request.model))


async def compared(answers: dict[str, Said | list[Said]], **block: JsonValue) -> tuple[CompareOutput, ByModel]:
    models = ByModel(answers)
    output = await CompareNode.model_validate({**BLOCK, **block}).run(node_context(models))
    return output, models


def down(name: str) -> UnavailableError:
    return UnavailableError(f"{name} is down", deployment=name)


async def test_the_answer_that_most_models_give_wins_whatever_its_case_and_punctuation() -> None:
    output, models = await compared({"one": "No.", "two": "Yes", "three": " yes!\n"})

    assert (output.winner.model, output.winner.text, output.agreement) == ("two", "Yes", pytest.approx(2 / 3))
    assert [answer.model for answer in output.answers] == ["one", "two", "three"]
    assert {request.messages[-1].text for request in models.requests} == {"Say hi"}


async def test_where_no_two_agree_the_model_named_first_wins() -> None:
    output, _ = await compared({"one": "a", "two": "b", "three": "c"})

    assert (output.winner.model, output.agreement) == ("one", pytest.approx(1 / 3))


async def test_json_answers_are_compared_by_value() -> None:
    schema: JsonObject = {"type": "object", "properties": {"n": {"type": "integer"}}}
    output, models = await compared(
        {"one": said("{}", {"n": 1}), "two": said("x", {"a": 1, "n": 2}), "three": said("y", {"n": 2, "a": 1})},
        schema=schema,
    )

    assert (output.winner.model, output.winner.json_value) == ("two", {"a": 1, "n": 2})
    assert all(request.response_format is not None for request in models.requests)


async def test_a_model_that_fails_is_left_out_and_told() -> None:
    output, _ = await compared({"one": down("one"), "two": "x", "three": "   "})

    assert (output.winner.model, output.agreement) == ("two", 1.0)
    assert [(a.text, a.error, a.cost_usd) for a in output.answers] == [
        (None, "one is down", None),
        ("x", None, 0.0015),
        (None, "the answer is empty", None),
    ]


async def test_the_step_fails_when_no_model_answers_with_the_class_that_may_pass() -> None:
    slow = RateLimitedError("slow down", deployment="two", retry_after_s=7.0)
    with pytest.raises(
        NodeError, match=r"no model answered \(one: no; two: slow down; three: three is down\)"
    ) as caught:
        await compared({"one": RejectedError("no", deployment="one"), "two": slow, "three": down("three")})

    assert (caught.value.error_class, caught.value.retry_after_s) == ("rate_limit", 7.0)


@pytest.mark.parametrize("by", ["vote", "first_valid"])
async def test_a_spent_budget_fails_the_step_though_others_answered(by: str) -> None:
    spent = BudgetExceededError("spent", scope="run", limit_nano_usd=1, left_nano_usd=0)
    with pytest.raises(BudgetExceededError):
        await compared({"one": spent, "two": "x", "three": "y"}, by=by)


async def test_no_more_models_run_at_a_time_than_allowed() -> None:
    _, few = await compared({"one": "a", "two": "a", "three": "a"}, max_parallel=2)
    _, all_of_them = await compared({"one": "a", "two": "a", "three": "a"})

    assert (few.most_running, all_of_them.most_running) == (2, 3)


async def test_first_valid_asks_in_turn_and_stops_at_the_first_answer() -> None:
    output, models = await compared({"one": down("one"), "two": "x", "three": "y"}, by="first_valid")

    assert [request.model for request in models.requests] == ["one", "two"]
    assert (output.winner.model, output.agreement) == ("two", None)
    assert [answer.model for answer in output.answers] == ["one", "two"]


def verdict(letter: str) -> tuple[ChatResponse, JsonValue]:
    return said("", {"reason": "r", "best": letter})


async def test_the_judge_reads_the_answers_in_both_orders_without_the_models_names() -> None:
    output, models = await compared(
        {"one": "first", "two": "second", "three": "third", "boss": [verdict("B"), verdict("B")]},
        by="judge",
        judge="boss",
        criteria="short",
    )

    forward, backward = (request for request in models.requests if request.model == "boss")
    assert (output.winner.model, output.agreement) == ("two", 1.0)
    assert "short" in forward.messages[0].text
    assert forward.messages[1].text.index("first") < forward.messages[1].text.index("third")
    assert backward.messages[1].text.index("third") < backward.messages[1].text.index("first")
    assert not {"one", "two", "three"} & set(forward.messages[1].text.split())
    assert forward.response_format is not None
    assert inside(forward.response_format.schema, "properties", "best", "enum") == ["A", "B", "C"]


async def test_a_judge_that_favours_a_place_gives_half_an_agreement() -> None:
    answers: dict[str, Said | list[Said]] = {"one": "first", "two": "second", "three": "third"}
    output, _ = await compared({**answers, "boss": [verdict("C"), verdict("C")]}, by="judge", judge="boss")

    assert (output.winner.model, output.agreement) == ("one", 0.5)


async def test_a_single_valid_answer_needs_no_judge() -> None:
    output, models = await compared({"one": "x", "two": down("two"), "three": down("three")}, by="judge", judge="boss")

    assert (output.winner.text, output.agreement) == ("x", 1.0)
    assert "boss" not in {request.model for request in models.requests}


async def test_a_judge_that_names_no_answer_fails_the_step() -> None:
    boss: list[Said] = [verdict("Z")]
    with pytest.raises(NodeError, match="none of the answers") as caught:
        await compared({"one": "x", "two": "y", "three": "z", "boss": boss}, by="judge", judge="boss")

    assert caught.value.error_class == "schema_violation"


def test_a_judge_is_shown_the_beginning_of_long_texts_only() -> None:
    request = agreement.judge_request("ä" * 9_000, ["x" * 20_000, "y"], criteria="c", model="m")

    size = sum(len(message.text.encode()) for message in request.messages)
    assert 2 * agreement.MAX_SHOWN_BYTES < size <= agreement.judge_input_bound(18_000, 1, 2)


def test_the_bound_is_the_sum_of_the_models_and_the_judges_two_readings() -> None:
    block: JsonObject = {"models": ["a", "b"], "prompt": "hi", "max_tokens": 5}

    by_vote = CompareNode.model_uses(block)
    *models, judge = CompareNode.model_uses({**block, "by": "judge", "judge": "c"})

    assert [(use.model, use.max_output_tokens, use.calls) for use in by_vote] == [("a", 5, 1), ("b", 5, 1)]
    assert [use.model for use in models] == ["a", "b"]
    assert replace(judge, max_input_bytes=0) == ModelUse("c", 0, agreement.JUDGE_MAX_TOKENS, calls=2)
    assert judge.max_input_bytes > 2 * agreement.MAX_SHOWN_BYTES


@pytest.mark.parametrize("models", [["a"], ["a", "a"], [f"m{n}" for n in range(9)]])
def test_two_to_eight_different_models_are_compared(models: list[str]) -> None:
    with pytest.raises(ValidationError):
        CompareNode.model_validate({"models": models, "prompt": "x"})


@pytest.mark.parametrize("schema", [None, {"type": "object", "required": ["n"], "properties": {"n": {"const": 3}}}])
def test_the_fake_fits_the_schema_of_its_own_block(schema: JsonObject | None) -> None:
    block: JsonObject = {**BLOCK, **({"schema": schema} if schema else {})}

    assert schema_problems(CompareNode.output_schema(block), CompareNode.fake(block)) == ()
    if schema:
        assert inside(CompareNode.fake(block), "winner", "json", "n") == 3
