"""Scorers of JSON answers: is it JSON, does it fit a schema."""

import asyncio
import json
import re
from typing import Annotated, cast

from pydantic import JsonValue as AnyJson
from pydantic import WithJsonSchema

from bridge.json_types import JsonObject, JsonValue
from evaluators.errors import NoScoreError, ScorerOptionsError
from evaluators.schema_check import SchemaCheckError, check_schema, schema_problems
from evaluators.scorer import Answer, Example, Score, Scorer, scorer

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL | re.IGNORECASE)
_NOTHING = object()
Schema = Annotated[dict[str, AnyJson], WithJsonSchema({"type": "object"})]


@scorer("json_valid")
def json_valid(*, allow_fence: bool = False) -> Scorer:
    """1 when the answer is JSON (`allow_fence`: also inside one Markdown code fence). NaN and Infinity are no JSON."""

    async def score(example: Example, answer: Answer) -> Score:
        del example
        value, problem = _read(answer, allow_fence)
        is_met = value is not _NOTHING
        return Score(value=float(is_met), reason=problem or "valid JSON", passed=is_met)

    return score


@scorer("json_schema")
def json_schema(*, schema: Schema | None = None, allow_fence: bool = True) -> Scorer:
    """1 when the answer is JSON that fits `schema` (2020-12); without it the expected value is the schema."""
    if schema is not None:
        try:
            check_schema(cast("JsonObject", schema))
        except SchemaCheckError as error:
            raise ScorerOptionsError(f"scorer json_schema: {error}") from error

    async def score(example: Example, answer: Answer) -> Score:
        chosen = schema if schema is not None else example.expected
        if not isinstance(chosen, dict):
            raise NoScoreError("there is no schema: give `schema`, or one as the expected value")
        value, problem = _read(answer, allow_fence)
        if value is _NOTHING:
            return Score(value=0.0, reason=problem, passed=False)
        try:
            check_schema(cast("JsonObject", chosen))
            problems = await asyncio.to_thread(schema_problems, cast("JsonObject", chosen), cast("JsonValue", value))
        except SchemaCheckError as error:
            raise NoScoreError(str(error)) from error
        return Score(value=float(not problems), reason="; ".join(problems) or "fits the schema", passed=not problems)

    return score


def _read(answer: Answer, allow_fence: bool) -> tuple[object, str]:
    """The answer as JSON and no problem, or `_NOTHING` and what is wrong."""
    if answer.json is not None:
        return answer.json, ""
    text = answer.text
    fenced = _FENCE.match(text) if allow_fence else None
    try:
        return json.loads(fenced.group(1) if fenced else text, parse_constant=_refuse_constant), ""
    except (ValueError, RecursionError) as error:
        return _NOTHING, f"no JSON: {error}"


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")
