"""From the bytes of a body to a typed value, with the field at fault named when it is not one."""

from typing import TypeVar

import msgspec

from platform_api.llm.client_dialect import InvalidRequestError

BodyT = TypeVar("BodyT")


def decoded(raw: bytes, decoder: msgspec.json.Decoder[BodyT]) -> BodyT:
    """The body, parsed once. Raises InvalidRequestError: no JSON, too deep, or a field of the wrong kind."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        raise InvalidRequestError(str(error), param=place.rstrip("`") or _missing_field(text)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error


def _missing_field(text: str) -> str | None:
    """`Object missing required field `x`` names its field in the text itself."""
    return text.split("`")[1] if text.startswith("Object missing required field") else None
