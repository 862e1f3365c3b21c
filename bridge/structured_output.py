"""JSON answers: ask in the strongest way a model offers, read the JSON out of what comes, validate, ask again once."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, Literal, cast

import jsonschema
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.exceptions import best_match as _best_match  # pyright: ignore[reportUnknownVariableType]  # untyped there
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from bridge.catalog.deployments import Deployment
from bridge.chat import ChatRequest, JsonFormat, Message
from bridge.errors import SchemaViolationError, UnsupportedFeatureError
from bridge.json_types import JsonObject, JsonValue

JsonMode = Literal["native", "json_object", "prompt"]

MAX_ANSWER_CHARS = 2_000_000
MAX_SHOWN_CHARS = 200
_NOTHING_ELSE: Registry[Any] = Registry()
"""No document but the schema itself: the library's own default fetches what a schema refers to."""
_FENCE = re.compile(r"```[a-zA-Z0-9_-]*[ \t]*\r?\n(.*?)```", re.DOTALL)


def json_mode(capabilities: Collection[str]) -> JsonMode:
    """How a model with `capabilities` is asked: by schema, by JSON mode and words, or by words alone."""
    if "json_schema" in capabilities:
        return "native"
    return "json_object" if "json_object" in capabilities else "prompt"


def shaped_for(request: ChatRequest, target: Deployment) -> ChatRequest:
    """The request as `target` can be asked for its `response_format`; unchanged when none is wanted."""
    wanted = request.response_format
    if wanted is None:
        return request
    mode = json_mode(target.entry.capabilities)
    if mode == "native" and wanted.schema is not None:
        return request
    told = _with_instruction(request.messages, instruction(wanted))
    has_json_mode = mode == "json_object" or (mode == "native" and wanted.schema is None)
    return replace(request, messages=told, response_format=JsonFormat(name=wanted.name) if has_json_mode else None)


def instruction(wanted: JsonFormat) -> str:
    """The words that ask for the format."""
    if wanted.schema is None:
        return "Answer with one JSON value and nothing else: no explanation, no code fence."
    schema = json.dumps(wanted.schema, ensure_ascii=False, separators=(",", ":"), default=dict)
    return (
        "Answer with one JSON value that is valid against this JSON Schema, and nothing else: no explanation, no code"
        f" fence.\n{schema}"
    )


def answered_json(text: str, wanted: JsonFormat) -> JsonValue:
    """The JSON value in `text`, validated.

    Raises:
        SchemaViolationError: There is none, or it does not validate; `problem` is fit to be shown to the model.
        UnsupportedFeatureError: The schema itself is no valid JSON Schema.
    """
    value = extract_json(text)
    if wanted.schema is not None:
        problem = schema_problem(value, wanted.schema)
        if problem is not None:
            raise SchemaViolationError(problem, text=text)
    return value


def schema_problem(value: JsonValue, schema: JsonObject) -> str | None:
    """Why `value` is not valid against `schema`, with the place where; None when it is.

    Raises:
        UnsupportedFeatureError: The schema itself is no valid JSON Schema, or refers to what is not within it; nothing
            is ever fetched.
    """
    try:
        jsonschema.Draft202012Validator.check_schema(schema)  # pyright: ignore[reportUnknownMemberType]  # untyped there
        _check_references(schema)
        validator = jsonschema.Draft202012Validator(schema, registry=_NOTHING_ELSE)
        errors = list(validator.iter_errors(value))  # pyright: ignore[reportUnknownMemberType, reportArgumentType]  # untyped there
    except SchemaError as error:
        raise UnsupportedFeatureError(f"the schema of the answer is invalid: {_clipped(error.message)}") from error
    except Unresolvable as error:
        said = f"the schema of the answer refers to {_clipped(error.ref)!r}, which is not within it"
        raise UnsupportedFeatureError(said) from error
    except RecursionError as error:
        raise UnsupportedFeatureError("the schema of the answer refers to itself without end") from error
    error = cast("ValidationError | None", _best_match(errors))
    if error is None:
        return None
    place = "/" + "/".join(str(step) for step in error.absolute_path)
    others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"at {place}: {_clipped(error.message)}{others}"


def _check_references(schema: JsonObject) -> None:
    """Raises Unresolvable. Parts with a base of their own (`$id`) are checked when they are used."""
    references: list[str] = []
    waiting: list[object] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            members = cast("dict[str, object]", part)
            if part is not schema and "$id" in members:
                continue
            references += [each for key in ("$ref", "$dynamicRef") if isinstance(each := members.get(key), str)]
            waiting += members.values()
        elif isinstance(part, list):
            waiting += cast("list[object]", part)
    if not references:
        return
    base = str(schema.get("$id", ""))
    resource = Resource[Any](contents=schema, specification=DRAFT202012)
    resolver = _NOTHING_ELSE.with_resource(base, resource).resolver(base)
    for reference in references:
        resolver.lookup(reference)


def extract_json(text: str) -> JsonValue:
    """The JSON value in an answer: the whole text, else a fenced block, else the first object or array that parses.

    Raises:
        SchemaViolationError: There is none.
    """
    if len(text) > MAX_ANSWER_CHARS:
        raise SchemaViolationError("the answer is too long to be read as JSON", text=text[:MAX_SHOWN_CHARS])
    stripped = text.strip()
    try:
        return json.loads(stripped, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        pass
    for candidate in _candidates(stripped):
        return candidate
    shown = _clipped(stripped) if stripped else "nothing"
    raise SchemaViolationError(f"the answer is no JSON, but: {shown}", text=text)


def re_ask(request: ChatRequest, answer: str, problem: str) -> ChatRequest:
    """The request once more, with the failed answer and what is wrong with it."""
    complaint = f"That answer is not valid: {problem}. Answer again with the corrected JSON value only."
    turns = (Message.of("assistant", answer), Message.of("user", complaint))
    return replace(request, messages=(*request.messages, *(turn for turn in turns if turn.text)))


def _candidates(text: str) -> Iterator[JsonValue]:
    for block in _FENCE.findall(text):
        try:
            yield json.loads(block.strip(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            continue
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    for start in _openings(text):
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        yield value


MAX_OPENINGS = 64


def _openings(text: str) -> Iterator[int]:
    """Where an object or array may begin; bounded, since every trial reads on."""
    for count, match in enumerate(re.finditer(r"[{\[]", text)):
        if count == MAX_OPENINGS:
            return
        yield match.start()


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is no JSON")


def _with_instruction(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """The words at the end of the first system message, else as a new one in front."""
    for position, message in enumerate(messages):
        if message.role == "system":
            told = Message.of("system", f"{message.text}\n\n{words}")
            return (*messages[:position], told, *messages[position + 1 :])
    return (Message.of("system", words), *messages)


def _clipped(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 3] + "..."
