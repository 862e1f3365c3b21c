"""From the bytes of a body to a typed value, with the field at fault named when it is not one."""

import re
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Annotated, TypeVar

import msgspec

from platform_api.llm.client_dialect import InvalidRequestError

BodyT = TypeVar("BodyT")

MAX_DEPTH = 256
"""Levels of a body: what walks it behind us needs room on the stack too."""
MAX_SAID_CHARS = 300
"""Of a message: what it quotes of the body may be of any length."""
TokenLimit = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
TopK = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
"""Of a model, a tool, a call."""

_STRING = re.compile(rb'"[^"]*"')
_NO_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_LACKS = re.compile(r"^Object (?:missing required|contains unknown) field `(.*)`$", re.DOTALL)


def decoded(
    raw: bytes, decoder: msgspec.json.Decoder[BodyT], reasons: Mapping[str, str] = MappingProxyType({})
) -> BodyT:
    """The body, parsed once. `reasons`: what is said of fields that are known and not served.

    Raises:
        InvalidRequestError: It is no JSON, too deep, or a field is of the wrong kind, missing or unknown.
    """
    try:
        if not raw.isascii():
            raw.decode()  # the decoder does not look into what it skips
        refuse_deep(raw, None)
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _refused(str(error), reasons) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"the body is not valid JSON: {_why(raw, error)}") from error


def refuse_deep(json_text: bytes, param: str | None) -> None:
    """Raises InvalidRequestError for JSON that nests deeper than `MAX_DEPTH`; nearly free where it is short or flat."""
    if json_text.count(b"{") + json_text.count(b"[") <= MAX_DEPTH:
        return
    unescaped = json_text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in json_text else json_text
    brackets = _STRING.sub(b"", unescaped.translate(None, _NO_STRUCTURE))
    if max(accumulate(1 if each in b"[{" else -1 for each in brackets), default=0) > MAX_DEPTH:
        raise InvalidRequestError(f"{param or 'the body'} nests deeper than {MAX_DEPTH} levels", param=param)


def refuse_unprintable(name: str, param: str) -> None:
    """Raises InvalidRequestError for a name that could not stand in a header or a log."""
    if not name.isprintable():
        raise InvalidRequestError("must hold no control characters", param=param)


def _refused(text: str, reasons: Mapping[str, str]) -> InvalidRequestError:
    """The refusal of a field, by its place: `messages[0].role`."""
    found = _PLACE.search(text)
    place = "" if found is None else found.group(1)
    said = text if found is None else text[: found.start()]
    lacking = _LACKS.match(said)
    if lacking is not None:
        place = f"{place}.{lacking.group(1)}".lstrip(".")
    place = place.replace("[...]", "")[:MAX_SAID_CHARS]
    field = place.partition("[")[0]
    if field in reasons:
        return InvalidRequestError(f"{field}: not supported ({reasons[field]})", param=field)
    said = said[:MAX_SAID_CHARS]
    return InvalidRequestError(f"{place}: {said}" if place else said, param=place or None)


def _why(raw: bytes, error: Exception) -> str:
    if not raw.strip():
        return "it is empty"
    if isinstance(error, RecursionError):
        return f"it nests deeper than {MAX_DEPTH} levels"
    if "truncated" in str(error) and raw.rstrip().endswith(b"}"):
        return "it ends too early, or holds half of a surrogate pair"
    return str(error)[:MAX_SAID_CHARS]
