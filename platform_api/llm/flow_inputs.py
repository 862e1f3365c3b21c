"""From a chat to a flow's inputs, and from its outputs to an answer. Pure."""

import json
from collections.abc import Mapping
from typing import Any, cast

from bridge.chat import ChatRequest, Message
from bridge.json_types import JsonObject
from platform_api.llm.client_dialect import InvalidRequestError

MESSAGE_NAMES = ("message", "prompt", "question", "query", "input", "text")
"""Inputs that take the last user message, the first that a flow declares; else its only text input."""
HISTORY_NAMES = ("history", "messages")
"""Inputs that take the earlier turns, as a list of `{role, content}`."""
ANSWER_NAMES = ("answer", "text", "output", "reply", "message")
"""Outputs that are the answer, where there are several; else all of them are, as JSON."""
INPUTS_HEADER = "x-modelbridge-inputs"


def flow_inputs(schema: JsonObject, request: ChatRequest, given: str | None) -> dict[str, Any]:
    """What the flow is given: `given` (a JSON object, from the header), the last user message, the turns before it.

    Raises:
        InvalidRequestError: `given` is no JSON object, or the flow has no input for the message.
    """
    inputs = _given(given)
    declared = cast("Mapping[str, Mapping[str, Any]]", schema.get("properties") or {})
    last = next((n for n in range(len(request.messages) - 1, -1, -1) if request.messages[n].role == "user"), None)
    if last is None:
        raise InvalidRequestError("a flow answers a user's message, and there is none", param="messages")
    name = next((one for one in MESSAGE_NAMES if one in declared), None) or _only_text(declared, inputs)
    if name is not None:
        inputs.setdefault(name, request.messages[last].text)
    elif any(one not in inputs for one in declared):
        said = f"this flow has no text input for the message: give its inputs {', '.join(declared)} in {INPUTS_HEADER}"
        raise InvalidRequestError(said, param="model")
    history = next((one for one in HISTORY_NAMES if one in declared), None)
    if history is not None:
        inputs.setdefault(history, [_turn(message) for message in request.messages[:last]])
    return inputs


def answer_text(outputs: Mapping[str, Any]) -> str:
    """The outputs as an answer."""
    named = {name: outputs[name] for name in ANSWER_NAMES if isinstance(outputs.get(name), str)}
    only = next(iter(outputs.values())) if len(outputs) == 1 else None
    if isinstance(only, str):
        return only
    if named:
        return str(next(iter(named.values())))
    return json.dumps(dict(outputs), ensure_ascii=False)


def _given(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise InvalidRequestError(f"{INPUTS_HEADER} is no JSON: {error}", param=INPUTS_HEADER) from error
    if not isinstance(value, dict):
        raise InvalidRequestError(f"{INPUTS_HEADER} must hold a JSON object", param=INPUTS_HEADER)
    return cast("dict[str, Any]", value)


def _only_text(declared: Mapping[str, Mapping[str, Any]], inputs: Mapping[str, Any]) -> str | None:
    texts = [name for name, one in declared.items() if one.get("type") == "string" and name not in inputs]
    return texts[0] if len(texts) == 1 else None


def _turn(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.text}
