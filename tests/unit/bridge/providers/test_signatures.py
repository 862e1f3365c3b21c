from typing import Any

from bridge.chat import ChatRequest, Message, ReasoningPart, TextPart, ToolCall
from bridge.providers.anthropic_messages_request import body_of as anthropic_body
from bridge.providers.google_gemini_request import body_of as gemini_body
from bridge.providers.signatures import google_signature, signed_by_google
from tests.support.wire import deployment

TARGET = deployment()
THOUGHTS = (signed_by_google("Hm.", "g1"), signed_by_google("", "g2"), ReasoningPart("So.", "a1"), ReasoningPart("?"))
ASKED = ChatRequest("m", (Message("assistant", (TextPart("said"),), reasoning=THOUGHTS), Message.of("user", "and?")))


def turn(body: Any, name: str) -> Any:
    return body[name][0]


def test_a_signature_of_google_is_told_from_others() -> None:
    assert google_signature(signed_by_google("Hm.", "g1")) == "g1"
    assert google_signature(ReasoningPart("So.", "a1")) is None
    assert google_signature(ReasoningPart("?")) is None


def test_google_gets_back_what_google_signed_and_nothing_else() -> None:
    assert turn(gemini_body(ASKED, TARGET), "contents") == {
        "role": "model",
        "parts": [
            {"text": "Hm.", "thought": True, "thoughtSignature": "g1"},
            {"text": "said"},
            {"text": "", "thoughtSignature": "g2"},
        ],
    }


def test_anthropic_does_not_get_what_google_signed() -> None:
    assert turn(anthropic_body(ASKED, TARGET, stream=False), "messages")["content"] == [
        {"type": "thinking", "thinking": "So.", "signature": "a1"},
        {"type": "text", "text": "said"},
    ]


def test_a_call_goes_back_with_its_signature() -> None:
    asked = ChatRequest("m", (Message("assistant", tool_calls=(ToolCall("c", "add", "{}", "g3"),)),))

    assert turn(gemini_body(asked, TARGET), "contents")["parts"] == [
        {"functionCall": {"id": "c", "name": "add", "args": {}}, "thoughtSignature": "g3"}
    ]
