"""Messages, tools and images as they are written in a `with:` block, and how they become a chat request's parts."""

import json
from typing import Literal, cast

from pydantic import Field

from bridge.chat import ContentPart, ImagePart, Message, TextPart, Tool, ToolCall
from bridge.json_types import JsonObject, JsonValue
from nodes.errors import InvalidInputError
from nodes.node import AnyJson, Block, NodeOutput
from nodes.template_text import render_off_loop

TOOL_NAME = r"^[a-zA-Z0-9_-]{1,64}$"


class PartBlock(Block):
    """A piece of a message: text or an image."""

    text: str | None = Field(default=None, description="Jinja text over `vars`.")
    image: str | None = Field(default=None, description="An `https:` or `data:image/` URL, or a template of one.")


class ToolCallBlock(Block):
    """A tool call that the model made earlier."""

    id: str
    name: str
    arguments: AnyJson = Field(default=None, description="A map, or JSON text.")


class MessageBlock(Block):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"] = "user"
    content: str | list[PartBlock] = Field(default="", description="Jinja text over `vars`, or a list of parts.")
    tool_calls: list[ToolCallBlock] = Field(default_factory=list[ToolCallBlock])
    tool_call_id: str | None = Field(default=None, description="On `tool` messages: the call that is answered.")


class ToolBlock(Block):
    """A function the model may ask for. It is not run: the calls are in the output's `tool_calls`."""

    name: str = Field(pattern=TOOL_NAME)
    description: str = ""
    parameters: dict[str, AnyJson] = Field(default_factory=dict, description="JSON Schema of the arguments.")
    strict: bool | None = None


class ToolCallFacts(NodeOutput):
    """A call the model asks for. `arguments` is the parsed JSON, or the text as it came when it is none."""

    id: str
    name: str
    arguments: AnyJson


def as_tool(block: ToolBlock) -> Tool:
    """The tool as the bridge takes it."""
    parameters: JsonObject = block.parameters or {"type": "object", "properties": {}}
    return Tool(name=block.name, description=block.description, parameters=parameters, strict=block.strict)


async def as_message(block: MessageBlock, variables: JsonObject) -> Message:
    """The message with its templates rendered. Raises TemplateTextError, InvalidInputError."""
    parts: list[ContentPart] = []
    if isinstance(block.content, str):
        parts += [TextPart(await render_off_loop(block.content, variables))] if block.content else []
    else:
        for part in block.content:
            parts.append(await _as_part(part, variables))
    calls = tuple(ToolCall(id=call.id, name=call.name, arguments=_as_json(call.arguments)) for call in block.tool_calls)
    return Message(role=block.role, content=tuple(parts), tool_calls=calls, tool_call_id=block.tool_call_id)


def image_part(url: str) -> ImagePart:
    """The image, if its address is one that providers take. Raises InvalidInputError."""
    if not url.startswith(("https://", "data:image/")):
        raise InvalidInputError(f"an image is an https: or data:image/ URL, not {url[:60]!r}")
    return ImagePart(url)


def tool_call_facts(call: ToolCall) -> ToolCallFacts:
    """The call as an output shows it."""
    try:
        arguments = cast("JsonValue", json.loads(call.arguments or "{}"))
    except ValueError:
        arguments = call.arguments
    return ToolCallFacts.model_validate({"id": call.id, "name": call.name, "arguments": arguments})


async def _as_part(part: PartBlock, variables: JsonObject) -> ContentPart:
    if (part.text is None) == (part.image is None):
        raise InvalidInputError("a message part has either text or image")
    if part.text is not None:
        return TextPart(await render_off_loop(part.text, variables))
    return image_part(await render_off_loop(part.image or "", variables))


def _as_json(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
