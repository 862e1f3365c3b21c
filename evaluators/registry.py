"""All scorers by name, and one made from its name and options."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from bridge.json_types import JsonObject
from evaluators.errors import ScorerOptionsError
from evaluators.scorer import AskModel, Scorer, ScorerKind, registered

BUILT_IN = (
    "evaluators.json_match",
    "evaluators.judge",
    "evaluators.operational",
    "evaluators.text_match",
)


def scorers() -> Mapping[str, ScorerKind]:
    """Every registered scorer by name, the built-in ones included."""
    _load_built_in()
    return registered()


def options_schema(name: str) -> JsonObject:
    """JSON Schema of a scorer's options. Raises ScorerOptionsError when it does not exist."""
    return cast("JsonObject", _options_model(_kind(name).factory).model_json_schema())


def make_scorer(name: str, options: JsonObject | None = None, *, ask: AskModel | None = None) -> Scorer:
    """The scorer `name` with `options`; judges also need `ask`.

    Raises:
        ScorerOptionsError: Unknown name, unknown or unfit options (all are named), or a judge without a model.
    """
    kind = _kind(name)
    given = options or {}
    model = _options_model(kind.factory)
    _refuse_unknown(name, given, [field.removesuffix("_") for field in model.model_fields])
    try:
        checked = model.model_validate(dict(given))
    except ValidationError as error:
        found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise ScorerOptionsError(f"scorer {name}: {'; '.join(found)}") from error
    arguments = {field.removesuffix("_"): getattr(checked, field) for field in model.model_fields}
    if not kind.uses_model:
        return kind.factory(**arguments)
    if ask is None:
        raise ScorerOptionsError(f"scorer {name} asks a model, and none can be reached here")
    return kind.factory(**arguments, ask=ask)


def _kind(name: str) -> ScorerKind:
    known = scorers()
    if name not in known:
        raise ScorerOptionsError(f"unknown scorer {name!r}{_did_you_mean(name, list(known))}")
    return known[name]


def _refuse_unknown(name: str, given: JsonObject, known: list[str]) -> None:
    for key in given:
        if key not in known:
            raise ScorerOptionsError(f"scorer {name} has no option {key!r}{_did_you_mean(key, known)}")


def _did_you_mean(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    listed = ", ".join(known) or "none"
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {listed}"


@cache
def _options_model(factory: Callable[..., Scorer]) -> type[BaseModel]:
    """A pydantic class of the factory's keyword parameters, `ask` left out; `_` ends its names: `schema` is taken."""
    hints = get_type_hints(factory, include_extras=True)
    fields: dict[str, Any] = {
        f"{parameter.name}_": (
            hints[parameter.name],
            Field(... if parameter.default is Parameter.empty else parameter.default, alias=parameter.name),
        )
        for parameter in signature(factory).parameters.values()
        if parameter.name != "ask"
    }
    return create_model(f"{factory.__name__}_options", __config__=ConfigDict(extra="forbid", strict=True), **fields)


@cache
def _load_built_in() -> None:
    for module in BUILT_IN:
        import_module(module)
