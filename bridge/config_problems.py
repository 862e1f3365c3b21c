"""Pydantic's complaints as sentences a person can act on: path, what is wrong, and the name that was meant."""

import difflib
from collections.abc import Sequence
from types import NoneType
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

LITERAL = "literal_error"
UNKNOWN_KEY = "extra_forbidden"


def problems_of(error: ValidationError, root: type[BaseModel]) -> tuple[str, ...]:
    """One sentence per problem, in the order of the document."""
    return tuple(dict.fromkeys(_sentence(detail, root) for detail in error.errors()))


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that `name` most likely means, None when none is near."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return found[0] if found else None


def _sentence(detail: ErrorDetails, root: type[BaseModel]) -> str:
    path = ".".join(str(part) for part in detail["loc"] if not _is_internal(part))
    if detail["type"] == UNKNOWN_KEY:
        return f"{path}: unknown key{_hint(str(detail['loc'][-1]), _keys_at(detail['loc'][:-1], root))}"
    if detail["type"] == LITERAL:
        expected = str(detail.get("ctx", {}).get("expected", ""))
        allowed = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        return f"{path}: {detail['input']!r} is not one of {', '.join(allowed)}{_hint(str(detail['input']), allowed)}"
    message = detail["msg"]
    return f"{path}: {message[:1].lower()}{message[1:]}"


def _is_internal(part: int | str) -> bool:
    return isinstance(part, str) and part.startswith(("function-", "nullable"))


def _hint(name: str, known: Sequence[str]) -> str:
    meant = nearest(name, known)
    if meant is not None:
        return f"; did you mean {meant!r}?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 30 else ""


def _keys_at(path: tuple[int | str, ...], root: type[BaseModel]) -> list[str]:
    """Names of the fields of the model that stands at `path`, walking maps and nested models."""
    here: object = root
    for part in path:
        if not _is_internal(part):
            model = _as_model(here)
            here = _unwrapped(_value_type(here) if model is None else _field_type(model, str(part)))
    model = _as_model(here)
    return [] if model is None else list(model.model_fields)


def _as_model(annotation: object) -> type[BaseModel] | None:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return cast("type[BaseModel]", annotation) if is_model else None


def _field_type(model: type[BaseModel], name: str) -> object:
    field = model.model_fields.get(name)
    return None if field is None else field.annotation


def _value_type(annotation: object) -> object:
    """The type of a map's values, or of a list's or tuple's items."""
    arguments = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    return arguments[-1] if arguments else None


def _unwrapped(annotation: object) -> object:
    """`Annotated[T, ...]` and `T | None` as T; other annotations as they are."""
    metadata = getattr(cast("Any", annotation), "__metadata__", None)
    if metadata is not None:
        return get_args(annotation)[0]
    arguments = get_args(annotation)
    is_optional = len(arguments) == 2 and arguments[1] is NoneType
    return arguments[0] if is_optional else annotation
