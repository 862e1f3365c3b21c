from typing import Any

from bridge.chat import ChatRequest, ImagePart, JsonFormat, Message, TextPart, Tool, ToolCall
from bridge.providers.compatible_vendors import VENDORS, Quirks
from bridge.providers.openai_chat_request import body_of, is_closed
from tests.support.wire import asking

PLAIN = Quirks()
QUIRKS = {vendor.name: vendor.quirks for vendor in VENDORS}
ADD = Tool("add", "adds", {"type": "object", "properties": {"x": {"type": "integer"}}})
SUB = Tool("sub")


def body(request: ChatRequest, quirks: Quirks = PLAIN, *, stream: bool = False) -> dict[str, Any]:
    return dict(body_of(request, "m", quirks, stream=stream))


def test_what_nobody_set_is_not_sent() -> None:
    assert body(asking("hi")) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_every_parameter_has_its_field() -> None:
    sent = body(
        asking(
            max_output_tokens=5,
            temperature=0.0,
            top_p=0.5,
            stop=("a", "b"),
            seed=7,
            n=2,
            frequency_penalty=0.1,
            presence_penalty=0.2,
            logprobs=True,
            top_logprobs=3,
            reasoning_effort="low",
        )
    )

    assert sent | {"messages": []} == {
        "model": "m",
        "messages": [],
        "max_tokens": 5,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["a", "b"],
        "seed": 7,
        "n": 2,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 3,
        "reasoning_effort": "low",
    }


def test_openai_takes_the_output_limit_under_its_new_name() -> None:
    assert body(asking(max_output_tokens=5), QUIRKS["openai"])["max_completion_tokens"] == 5
    assert "max_tokens" not in body(asking(max_output_tokens=5), QUIRKS["openai"])


def test_mistral_has_its_own_words_for_seed_and_required() -> None:
    sent = body(asking(seed=7, tools=(ADD,), tool_choice="required", logprobs=True), QUIRKS["mistral"])

    assert sent["random_seed"] == 7
    assert sent["tool_choice"] == "any"
    assert "seed" not in sent
    assert "logprobs" not in sent


def test_usage_of_a_stream_is_asked_for_only_where_it_must_be() -> None:
    assert body(asking(), stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(asking(), QUIRKS["mistral"], stream=True)


def test_foreign_tool_call_ids_are_made_to_fit_and_still_match_their_results() -> None:
    turns = (
        Message("assistant", tool_calls=(ToolCall("call_abcdefghijklmnop", "add", "{}"),)),
        Message("tool", (TextPart("3"),), tool_call_id="call_abcdefghijklmnop"),
    )
    call, result = body(ChatRequest("m", turns), QUIRKS["mistral"])["messages"]

    assert len(call["tool_calls"][0]["id"]) == 9
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]


def test_an_assistant_turn_of_tool_calls_alone_has_null_content() -> None:
    turn = Message("assistant", tool_calls=(ToolCall("a", "add", '{"x": 1}'),))
    (sent,) = body(ChatRequest("m", (turn,)))["messages"]

    assert sent == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}}],
    }


def test_images_turn_the_content_into_parts() -> None:
    turn = Message("user", (TextPart("look"), ImagePart("https://x/a.png"), ImagePart("data:,", "low")))
    (sent,) = body(ChatRequest("m", (turn,)))["messages"]

    assert sent["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}},
    ]


def test_a_tool_that_must_be_called_is_named() -> None:
    sent = body(asking(tools=(ADD, SUB), tool_choice="sub", parallel_tool_calls=False))

    assert sent["tool_choice"] == {"type": "function", "function": {"name": "sub"}}
    assert sent["parallel_tool_calls"] is False
    assert sent["tools"][1]["function"] == {"name": "sub", "parameters": {"type": "object", "properties": {}}}


def test_where_no_tool_can_be_named_it_is_the_only_one_offered() -> None:
    sent = body(asking(tools=(ADD, SUB), tool_choice="sub"), QUIRKS["local"])

    assert [tool["function"]["name"] for tool in sent["tools"]] == ["sub"]
    assert sent["tool_choice"] == "required"


def test_tool_fields_without_tools_are_not_sent() -> None:
    assert "parallel_tool_calls" not in body(asking(parallel_tool_calls=True))


def test_a_schema_is_sent_with_a_name_that_is_allowed() -> None:
    sent = body(asking(response_format=JsonFormat({"type": "object"}, name="My answer!")))

    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "My_answer_", "schema": {"type": "object"}, "strict": True},
    }


def test_json_without_a_schema_is_json_mode() -> None:
    assert body(asking(response_format=JsonFormat()))["response_format"] == {"type": "json_object"}


def test_strict_is_only_promised_to_openai_for_schemas_it_accepts() -> None:
    def strict(schema: dict[str, Any]) -> bool:
        sent = body(asking(response_format=JsonFormat(schema)), QUIRKS["openai"])
        return sent["response_format"]["json_schema"]["strict"]

    closed = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert strict(closed)
    assert not strict({**closed, "required": []})
    assert not strict({**closed, "additionalProperties": True})
    assert not strict({"type": "object"})


def test_one_open_object_deep_inside_opens_the_whole_schema() -> None:
    inner: dict[str, Any] = {"type": "object", "properties": {"b": {}}, "required": ["b"]}
    closed_inner = {**inner, "additionalProperties": False}

    def around(schema: dict[str, Any]) -> dict[str, Any]:
        array = {"type": "array", "items": {"anyOf": [schema]}}
        return {"type": "object", "properties": {"a": array}, "required": ["a"], "additionalProperties": False}

    assert is_closed(around(closed_inner))
    assert not is_closed(around(inner))
