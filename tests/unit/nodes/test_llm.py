import pytest
from pydantic import ValidationError

from bridge.chat import ImagePart, JsonFormat, RoutingOverrides, TextPart
from bridge.errors import UnavailableError
from bridge.json_types import JsonObject
from nodes.errors import InvalidInputError
from nodes.llm import LlmNode
from nodes.node import ModelUse
from nodes.template_text import TemplateTextError
from tests.support.fakes import FakeModels, call_record, inside, node_context, said

SCHEMA: JsonObject = {"type": "object", "required": ["risk"], "properties": {"risk": {"type": "number"}}}


async def test_a_prompt_is_rendered_over_vars_and_sent_with_the_defaults() -> None:
    models = FakeModels(said("Hello Ann"))
    node = LlmNode.model_validate(
        {"prompt": "Greet {{ who }}.", "system": "Be {{ tone }}", "vars": {"who": "{{ x }}", "tone": "kind"}}
    )

    output = await node.run(node_context(models))

    request = models.requests[0]
    assert [(m.role, m.text) for m in request.messages] == [("system", "Be kind"), ("user", "Greet {{ x }}.")]
    assert (request.model, request.max_output_tokens, request.response_format, request.routing) == (
        "balanced",
        1024,
        None,
        None,
    )
    assert output.model_dump() == {
        "text": "Hello Ann",
        "json": None,
        "tool_calls": [],
        "model": "mock/echo",
        "provider": "mock",
        "finish_reason": "stop",
        "usage": {"input_tokens": 10, "output_tokens": 5, "cached_tokens": 0},
        "cost_usd": 0.0015,
        "decision_id": None,
    }


async def test_a_schema_asks_for_json_and_the_validated_value_comes_out() -> None:
    models = FakeModels(said('{"risk": 0.5}', {"risk": 0.5}))

    output = await LlmNode.model_validate({"prompt": "p", "schema": SCHEMA}).run(node_context(models))

    assert models.requests[0].response_format == JsonFormat(schema=SCHEMA)
    assert output.json_value == {"risk": 0.5}


async def test_messages_tools_images_and_routing_reach_the_bridge() -> None:
    models = FakeModels(said("ok"))
    node = LlmNode.model_validate(
        {
            "messages": [
                {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "name": "f", "arguments": {"a": 1}}]},
                {"role": "tool", "content": "{{ r }}", "tool_call_id": "1"},
                {"content": [{"text": "see {{ r }}"}, {"image": "https://x.example/{{ r }}.png"}]},
            ],
            "vars": {"r": "7"},
            "images": ["data:image/png;base64,AA"],
            "tools": [{"name": "f", "description": "d", "parameters": {"type": "object"}}],
            "tool_choice": "required",
            "stop": "END",
            "seed": 3,
            "temperature": 0.5,
            "strategy": "cheapest",
            "candidates": ["a/b"],
            "fallback": ["c/d"],
            "region": "eu",
            "max_cost_usd": 0.1,
            "max_latency_ms": 900,
            "quality_floor": 0.5,
        }
    )

    await node.run(node_context(models))

    request = models.requests[0]
    assert request.messages[0].tool_calls[0].arguments == '{"a": 1}'
    assert (request.messages[1].text, request.messages[1].tool_call_id) == ("7", "1")
    assert request.messages[2].content == (
        TextPart("see 7"),
        ImagePart("https://x.example/7.png"),
        ImagePart("data:image/png;base64,AA"),
    )
    assert (request.tools[0].name, request.tool_choice, request.stop, request.seed) == ("f", "required", ("END",), 3)
    assert request.routing == RoutingOverrides("cheapest", ("a/b",), ("c/d",), ("eu",), 0.1, 900, 0.5)


async def test_an_inline_policy_stands_in_for_a_model_name() -> None:
    models = FakeModels(said("ok"))
    policy = {"strategy": "fastest", "candidates": ["a/b", "c/d"], "fallback": ["e/f"]}

    await LlmNode.model_validate({"prompt": "p", "model": policy, "strategy": "best"}).run(node_context(models))

    assert models.requests[0].model == "a/b"
    assert models.requests[0].routing == RoutingOverrides("best", ("a/b", "c/d"), ("e/f",))


async def test_a_re_ask_carries_the_last_error_to_the_model() -> None:
    models = FakeModels(said("ok"))

    await LlmNode.model_validate({"prompt": "p"}).run(node_context(models, re_ask="risk is missing"))

    assert "risk is missing" in models.requests[0].messages[-1].text


async def test_tokens_are_passed_on_while_they_come_and_the_call_is_kept() -> None:
    told: list[str] = []
    context = node_context(FakeModels(said("Hi!")), on_token=told.append)

    output = await LlmNode.model_validate({"prompt": "p"}).run(context)

    assert (told, output.text, len(context.facts.calls)) == (["H", "i", "!"], "Hi!", 1)


async def test_a_stream_is_closed_when_the_reader_stops() -> None:
    def stop(text: str) -> None:
        raise InterruptedError(text)

    models = FakeModels(said("Hi"))
    with pytest.raises(InterruptedError):
        await LlmNode.model_validate({"prompt": "p"}).run(node_context(models, on_token=stop))

    assert models.streams[0].is_closed


async def test_the_record_of_a_failed_call_is_kept_too() -> None:
    failed = UnavailableError("down", deployment="mock/echo")
    context = node_context(FakeModels(failed))
    record = call_record(context.call)
    failed.call = record  # pyright: ignore[reportAttributeAccessIssue]  # set by the gateway on its way out

    with pytest.raises(UnavailableError):
        await LlmNode.model_validate({"prompt": "p"}).run(context)

    assert context.facts.calls == [record]


@pytest.mark.parametrize(
    "block",
    [
        {},
        {"prompt": "p", "messages": [{"content": "x"}]},
        {"prompt": "p", "temprature": 1},
        {"prompt": "p", "max_tokens": "10"},
        {"prompt": "p", "max_tokens": 0},
        {"prompt": "p", "tools": [{"name": "no spaces allowed"}]},
        {"prompt": "p", "answer_schema": {}},
        {"messages": []},
    ],
)
def test_a_block_that_does_not_fit_is_refused(block: JsonObject) -> None:
    with pytest.raises(ValidationError):
        LlmNode.model_validate(block)


PART: JsonObject = {}
EMPTY_PART: JsonObject = {"messages": [{"content": [PART]}]}
PLAIN_HTTP: JsonObject = {"prompt": "p", "images": ["http://x/y.png"]}


@pytest.mark.parametrize("block", [PLAIN_HTTP, EMPTY_PART])
async def test_bad_images_and_empty_parts_fail_the_step(block: JsonObject) -> None:
    with pytest.raises(InvalidInputError):
        await LlmNode.model_validate(block).run(node_context())


async def test_a_name_that_vars_lack_fails_before_any_call() -> None:
    models = FakeModels()
    with pytest.raises(TemplateTextError, match="'missing' is undefined"):
        await LlmNode.model_validate({"prompt": "{{ missing }}"}).run(node_context(models))

    assert models.requests == []


def test_the_output_schema_carries_the_nodes_own_schema() -> None:
    with_schema = LlmNode.output_schema({"prompt": "p", "schema": SCHEMA})
    without = LlmNode.output_schema({"prompt": "p"})
    dynamic = LlmNode.output_schema({"prompt": "p", "schema": "${{ inputs.schema }}"})

    assert inside(with_schema, "properties", "json") == SCHEMA
    assert inside(without, "properties", "json") == {"type": "null"}
    assert inside(dynamic, "properties", "json") == {}


def test_the_bound_covers_every_model_that_may_be_asked() -> None:
    raw: JsonObject = {
        "prompt": "p",
        "vars": {"a": "${{ inputs.a }}"},
        "max_tokens": 50,
        "candidates": ["a/b"],
        "fallback": ["c/d"],
    }

    assert [(use.model, use.max_output_tokens) for use in LlmNode.model_uses(raw)] == [("a/b", 50), ("c/d", 50)]
    assert all(use.max_input_bytes > 32 * 1024 for use in LlmNode.model_uses(raw))
    assert LlmNode.model_uses({"prompt": "ab"}) == (ModelUse("balanced", 12, 1024),)


def test_templates_are_never_rendered_as_expressions() -> None:
    assert {"prompt", "messages", "system"} <= LlmNode.late_fields
    assert not LlmNode.is_replayable
