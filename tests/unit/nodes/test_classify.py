import json
from math import log

import pytest
from pydantic import ValidationError

from bridge.chat import ChatResponse
from bridge.json_types import JsonObject, JsonValue
from nodes.classify import ClassifyNode
from nodes.errors import NodeError
from nodes.label_confidence import label_scores
from tests.support.fakes import FakeModels, inside, node_context, said

CLASSES = {"billing": "invoices and refunds", "outage": "service is down", "other": "anything else"}
BLOCK: JsonObject = {"text": "My invoice is wrong", "classes": CLASSES}


def tokens(*parts: tuple[str, float, dict[str, float]]) -> JsonObject:
    """Log probabilities as providers write them: token, probability, alternatives."""
    return {
        "content": [
            {
                "token": token,
                "logprob": log(p),
                "top_logprobs": [
                    {"token": other, "logprob": log(share)} for other, share in {token: p, **others}.items()
                ],
            }
            for token, p, others in parts
        ]
    }


def labelled(label: str, logprobs: JsonObject | None = None) -> tuple[ChatResponse, JsonValue]:
    response = ChatResponse(text=json.dumps({"label": label}), finish_reason="stop", usage=None, logprobs=logprobs)
    return response, {"label": label}


async def test_the_model_may_answer_with_nothing_but_a_class() -> None:
    models = FakeModels(labelled("billing"))
    node = ClassifyNode.model_validate(
        {**BLOCK, "examples": [{"text": "site is down", "label": "outage"}], "model": "cheapest"}
    )

    output = await node.run(node_context(models))

    request = models.requests[0]
    assert request.response_format is not None
    assert inside(request.response_format.schema, "properties", "label", "enum") == ["billing", "outage", "other"]
    assert (request.model, request.temperature, request.logprobs) == ("cheapest", 0.0, True)
    assert [message.role for message in request.messages] == ["user", "assistant"] * 4 + ["user"]
    assert [message.text for message in request.messages[:2]] == [
        "Classify: invoices and refunds",
        '{"label": "billing"}',
    ]
    assert request.messages[6].text == "Classify: site is down"
    assert (output.label, output.confidence, output.confidence_from) == ("billing", 1.0, "answer")
    assert output.scores == {"billing": 1.0, "outage": 0.0, "other": 0.0}


async def test_the_confidence_is_the_share_among_the_classes() -> None:
    logprobs = tokens(
        ('{"', 1, {}), ("label", 1, {}), ('": "', 1, {}), ("bill", 0.6, {"out": 0.2, "xyz": 0.1}), ("ing", 1, {})
    )

    output = await ClassifyNode.model_validate(BLOCK).run(node_context(FakeModels(labelled("billing", logprobs))))

    assert output.confidence_from == "logprobs"
    assert output.confidence == pytest.approx(0.6 / 0.9)
    assert output.scores == pytest.approx({"billing": 0.6 / 0.9, "outage": 0.2 / 0.9, "other": 0.1 / 0.9})


async def test_below_min_confidence_the_fallback_is_taken() -> None:
    logprobs = tokens(('{"label": ', 1, {}), ('"bill', 0.4, {'"out': 0.4, '"oth': 0.2}), ("ing", 1, {}))
    block = {**BLOCK, "min_confidence": 0.5, "fallback": "human"}

    output = await ClassifyNode.model_validate(block).run(node_context(FakeModels(labelled("billing", logprobs))))

    assert (output.label, output.is_fallback, output.confidence) == ("human", True, pytest.approx(0.4))


def test_classes_that_begin_alike_are_told_apart_by_the_next_token() -> None:
    logprobs = tokens(('{"label": "', 1, {}), ("out", 0.9, {"bill": 0.1}), ("age", 0.75, {"look": 0.25}))

    scores = label_scores(logprobs, "outage", ["outage", "outlook", "billing"])

    assert scores == pytest.approx({"outage": 0.675, "outlook": 0.225, "billing": 0.1})


def test_a_label_that_is_the_beginning_of_another_ends_with_the_quote() -> None:
    logprobs = tokens(('{"label": "', 1, {}), ("out", 1, {}), ('"}', 0.8, {"age": 0.2}))

    assert label_scores(logprobs, "out", ["out", "outage"]) == pytest.approx({"out": 0.8, "outage": 0.2})


@pytest.mark.parametrize(
    "logprobs", [None, {}, {"content": []}, {"content": [{"token": 3}]}, {"content": [{"token": "x", "logprob": -1}]}]
)
def test_unusable_probabilities_give_no_scores(logprobs: JsonObject | None) -> None:
    assert label_scores(logprobs, "a", ["a", "b"]) == {}


async def test_an_answer_outside_the_classes_fails_the_step() -> None:
    with pytest.raises(NodeError, match="no class") as caught:
        await ClassifyNode.model_validate(BLOCK).run(node_context(FakeModels(said("spam", {"label": "spam"}))))

    assert caught.value.error_class == "schema_violation"


async def test_the_answer_is_not_streamed_to_readers() -> None:
    told: list[str] = []
    await ClassifyNode.model_validate(BLOCK).run(node_context(FakeModels(labelled("other")), on_token=told.append))

    assert told == []


@pytest.mark.parametrize(
    "block",
    [
        {"text": "x", "classes": ["only"]},
        {"text": "x", "classes": {"a": "", "b": ""}, "examples": [{"text": "t", "label": "c"}]},
        {"text": "x", "classes": ["a", "b"], "min_confidence": 0.5},
        {"text": "x", "classes": ["a", "a"]},
        {"text": "x"},
    ],
)
def test_a_block_that_makes_no_sense_is_refused(block: JsonObject) -> None:
    with pytest.raises(ValidationError):
        ClassifyNode.model_validate(block)


def test_the_output_schema_knows_the_labels() -> None:
    known = ClassifyNode.output_schema({**BLOCK, "fallback": "human"})
    unknown = ClassifyNode.output_schema({"text": "x", "classes": "${{ inputs.classes }}"})

    assert inside(known, "properties", "label", "enum") == ["billing", "outage", "other", "human"]
    assert inside(known, "properties", "scores", "required") == ["billing", "outage", "other"]
    assert inside(unknown, "properties", "label", "type") == "string"


def test_the_answer_is_bounded_by_the_longest_label() -> None:
    assert ClassifyNode.model_uses(BLOCK)[0].max_output_tokens == 32 + len('"billing"')
