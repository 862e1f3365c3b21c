"""Recorded generateContent requests, of Google's SDK and of others: as our ChatRequest, and in comparable form."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, ContentPart, DocumentPart, ImagePart, JsonFormat, Message, TextPart, Tool, ToolCall
from bridge.providers.google_gemini_request import UNSIGNED
from tests.support.wire import deployment

Fields = dict[str, Any]
SIGNATURES_OF_NOBODY = frozenset({UNSIGNED, "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="})
"""Two spellings of the stand-in for a signature."""
OURS: dict[str, frozenset[str]] = {
    "contents": frozenset(),
    "systemInstruction": frozenset(),
    "tools": frozenset({"functionDeclarations"}),
    "toolConfig": frozenset({"functionCallingConfig"}),
    "generationConfig": frozenset(
        {
            "maxOutputTokens",
            "temperature",
            "stopSequences",
            "responseMimeType",
            "responseJsonSchema",
            "responseModalities",
            "thinkingConfig",
        }
    ),
}
"""What our requests can express. `responseModalities` says text, which is the default."""
PARTS = frozenset({"text", "functionCall", "functionResponse", "fileData", "inlineData", "thoughtSignature"})
FILES = ("image/", "text/", "application/pdf")
"""Audio and video by address have no part of ours."""


def recorded_target(record: Fields) -> Deployment:
    """The deployment that the record's path names."""
    address, _, rest = record["request"]["path"].partition("/models/")
    target = deployment(dialect="gemini", base_url=f"https://google.test{address.replace('<', '').replace('>', '')}")
    return replace(target, model_id=rest.partition(":")[0])


def expressible(body: Fields) -> bool:
    """Does the request use nothing that ours have no word for?"""
    for name, value in body.items():
        allowed = OURS.get(name)
        if allowed is None or not isinstance(value, dict | list):
            return False
        places = cast("list[Fields]", value if isinstance(value, list) else [value])
        if allowed and any(set(place) - allowed for place in places):
            return False
    mode = body.get("toolConfig", {}).get("functionCallingConfig", {})
    names = mode.get("allowedFunctionNames", [])
    parts = [part for turn in body["contents"] for part in turn["parts"]]
    files = [part["fileData"]["mimeType"] for part in parts if "fileData" in part]
    return len(names) < 2 and all(set(part) <= PARTS for part in parts) and all(f.startswith(FILES) for f in files)


def request_of(body: Fields) -> ChatRequest:
    """The chat request that says the same."""
    config, mode = body.get("generationConfig", {}), body.get("toolConfig", {}).get("functionCallingConfig", {})
    system = [Message.of("system", _text(body["systemInstruction"]))] if "systemInstruction" in body else []
    declared = [one for tool in body.get("tools", ()) for one in tool["functionDeclarations"]]
    is_json = "responseMimeType" in config
    word = {"AUTO": "auto", "ANY": "required", "NONE": "none"}.get(mode.get("mode"))
    return ChatRequest(
        model="m",
        messages=(*system, *(message for turn in body["contents"] for message in _messages(turn))),
        max_output_tokens=config.get("maxOutputTokens"),
        temperature=config.get("temperature"),
        stop=tuple(config.get("stopSequences", ())),
        reasoning_effort=_effort(config.get("thinkingConfig")),
        tools=tuple(_tool(one, is_strict=mode.get("mode") == "VALIDATED") for one in declared),
        tool_choice=mode.get("allowedFunctionNames", [word])[0],
        response_format=JsonFormat(config.get("responseJsonSchema")) if is_json else None,
    )


def comparable(body: Mapping[str, Any]) -> Fields:
    """What matters of a body: neighbours of one side joined, ids and the place of a schema left out."""
    turns: list[tuple[str, list[Fields]]] = []
    for turn in body["contents"]:
        parts = [_plain_part(part) for part in turn["parts"] if part.get("text") != "" or len(part) > 1]
        if turns and turns[-1][0] == turn["role"]:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((turn["role"], parts))
    config = {name: value for name, value in body.get("generationConfig", {}).items() if name != "responseModalities"}
    if config.get("thinkingConfig", {}).get("includeThoughts") is False:  # the default
        config["thinkingConfig"] = {
            name: v for name, v in config["thinkingConfig"].items() if name != "includeThoughts"
        }
    declared = [one for tool in body.get("tools", ()) for one in tool["functionDeclarations"]]
    return {
        "contents": turns,
        "system": _text(body["systemInstruction"]) if "systemInstruction" in body else None,
        "generationConfig": config,
        "tools": [(one["name"], one.get("description", ""), _schema(one)) for one in declared],
        "calling": body.get("toolConfig", {}).get("functionCallingConfig"),
    }


def camel(value: Any) -> Any:
    """The same with the names of the protocol in camel case: the API takes both spellings."""
    names = {name: "".join(w.title() if n else w for n, w in enumerate(name.split("_"))) for name in _SNAKES}
    if isinstance(value, dict):
        return {names.get(str(name), name): camel(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # JSON
    return [camel(one) for one in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]  # JSON


_SNAKES = (
    "inline_data",
    "mime_type",
    "file_data",
    "file_uri",
    "function_call",
    "function_response",
    "thought_signature",
    "parameters_json_schema",
    "system_instruction",
    "thinking_budget",
)


def _effort(thinking: Fields | None) -> str | None:
    if thinking is None:
        return None
    return "none" if thinking.get("thinkingBudget") == 0 else thinking["thinkingLevel"]


def _tool(declared: Fields, *, is_strict: bool) -> Tool:
    return Tool(declared["name"], declared.get("description", ""), _schema(declared), strict=is_strict or None)


def _schema(declared: Fields) -> Fields:
    return declared.get("parametersJsonSchema") or declared.get("parameters") or {}


def _text(content: Fields) -> str:
    return "\n\n".join(part["text"] for part in content["parts"])


def _messages(turn: Fields) -> list[Message]:
    """One message for each result of a tool, one for everything else."""
    results = [_result(part["functionResponse"]) for part in turn["parts"] if "functionResponse" in part]
    content = tuple(_content(part) for part in turn["parts"] if {"text", "fileData", "inlineData"} & set(part))
    calls = tuple(_call(part) for part in turn["parts"] if "functionCall" in part)
    if not content and not calls:
        return results
    said = Message("assistant" if turn["role"] == "model" else "user", content, tool_calls=calls)
    return [*results, said]


def _result(response: Fields) -> Message:
    said = (TextPart(json.dumps(response["response"])), *(_content(part) for part in response.get("parts", ())))
    return Message("tool", said, tool_call_id=response.get("id", response["name"]), name=response["name"])


def _call(part: Fields) -> ToolCall:
    call, signature = part["functionCall"], part.get("thoughtSignature", "")
    known = "" if signature in SIGNATURES_OF_NOBODY else signature
    return ToolCall(call.get("id", call["name"]), call["name"], json.dumps(call["args"]), known)


def _content(part: Fields) -> ContentPart:
    if "text" in part:
        return TextPart(part["text"])
    file = part.get("fileData") or part["inlineData"]
    url = file["fileUri"] if "fileUri" in file else f"data:{file['mimeType']};base64,{file['data']}"
    return ImagePart(url) if file["mimeType"].startswith("image/") else DocumentPart(url)


def _plain_part(part: Fields) -> Fields:
    """Without the ids of calls and the stand-in for a signature."""
    kept = {name: value for name, value in part.items() if str(value) not in SIGNATURES_OF_NOBODY}
    for name in ("functionCall", "functionResponse"):
        if name in kept:
            kept[name] = {key: value for key, value in kept[name].items() if key != "id"}
    return kept
