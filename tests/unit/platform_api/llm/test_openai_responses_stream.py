import json
from typing import Any

from bridge.chat import ChatResponse, ReasoningPart, StreamChunk, ToolCallDelta, Usage
from platform_api.llm.client_dialect import AnswerFacts
from platform_api.llm.openai_responses_request import read_body
from platform_api.llm.openai_responses_stream import ResponseEncoder
from tests.support.answers import result_of

FACTS = AnswerFacts("1", "acme/m", 7)
ASKED = read_body(b'{"model": "m", "input": "hi"}')


def events(raw: bytes) -> list[dict[str, Any]]:
    blocks = [block for block in raw.decode().split("\n\n") if block]
    return [json.loads(block.split("\n", 1)[1].removeprefix("data: ")) for block in blocks]


def test_every_item_is_added_filled_and_done() -> None:
    encoder = ResponseEncoder(FACTS, ASKED)
    raw = encoder.chunk(StreamChunk(reasoning="hm"))
    raw += encoder.chunk(StreamChunk(reasoning_parts=(ReasoningPart("hm", "s1"),)))
    raw += encoder.chunk(StreamChunk(text="It ", tool_calls=()))
    raw += encoder.chunk(StreamChunk(text="rains."))
    raw += encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, "c1", "look", "{"), ToolCallDelta(1, "c2", "see"))))
    raw += encoder.chunk(StreamChunk(tool_calls=(ToolCallDelta(0, arguments="}"), ToolCallDelta(1, arguments="{}"))))
    raw += encoder.end(result_of(ChatResponse("It rains.", "tool_calls", Usage(3, 5))))
    found = events(raw)

    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    done = [event for event in found if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in done] == [0, 1, 2, 3]
    output = found[-1]["response"]["output"]
    assert output == [event["item"] for event in done]
    assert output[0]["encrypted_content"] == "s1"
    assert output[1]["content"][0]["text"] == "It rains."
    assert [(item["call_id"], item["arguments"]) for item in output[2:]] == [("c1", "{}"), ("c2", "{}")]
    assert (found[-1]["type"], found[-1]["response"]["usage"]["total_tokens"]) == ("response.completed", 8)


def test_a_refusal_is_a_part_of_its_own() -> None:
    encoder = ResponseEncoder(FACTS, ASKED)
    raw = encoder.chunk(StreamChunk(refusal="No."))
    raw += encoder.end(result_of(ChatResponse("", "content_filter", None, refusal="No.")))
    found = events(raw)

    assert found[-1]["type"] == "response.incomplete"
    assert found[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]
