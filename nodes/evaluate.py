"""Score a value with named scorers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self, cast

from pydantic import Field, model_validator

from bridge.chat import ChatRequest
from bridge.errors import BudgetExceededError
from bridge.json_types import JsonObject, JsonValue
from evaluators.errors import ScorerOptionsError
from evaluators.judge import MAX_OUTPUT_TOKENS as JUDGE_MAX_TOKENS
from evaluators.registry import make_scorer, scorers
from evaluators.scorer import Answer, Example, Score, score_one
from nodes import model_options
from nodes.context import ChatResult, NodeContext
from nodes.errors import InvalidInputError
from nodes.node import AnyJson, ModelUse, Node, NodeOutput, node_type
from nodes.schemas import has_expression, object_schema

INSTRUCTION_BYTES = 2_048
ScorerEntry = str | Annotated[dict[str, AnyJson], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class NamedScorer:
    """One wanted score: `label` is its name in the output."""

    label: str
    name: str
    options: JsonObject


class EvaluateOutput(NodeOutput):
    """The scores. A missing one is null, with the reason why."""

    scores: dict[str, float | None] = Field(description="By scorer; null where the value could not be scored.")
    passed: bool = Field(description="Did every score that has a bar meet it? A missing one does not.")
    reasons: dict[str, str]
    missing: list[str] = Field(description="Scorers that gave no score.")


@node_type("evaluate")
class EvaluateNode(Node[EvaluateOutput]):
    """Score a value. A score's bar is its `threshold`, else the scorer's own.

    A scorer is a name, `{name: N, option: value, ...}` or `{N: {option: value, ...}}`. `as` beside `name` is what it
    is called in the output; so are the keys of a map of scorers. For scorers where less is better (latency, cost) a
    threshold is the most.
    """

    output_type = EvaluateOutput
    is_replayable = False
    asks_models_only = True
    model_fields_of_use: ClassVar[tuple[str, ...]] = ()

    value: AnyJson = Field(description="What is scored: a text, or any JSON.")
    expected: AnyJson = Field(default=None, description="What a right value looks like, for scorers that compare.")
    input: AnyJson = Field(default=None, description="What the value answers, for judges.")
    scorers: list[ScorerEntry] | dict[str, ScorerEntry] = Field(
        default_factory=list[ScorerEntry], description="A list of scorers, or a map label -> scorer."
    )
    scorer: ScorerEntry | None = Field(default=None, description="One scorer instead of `scorers`.")
    threshold: float | dict[str, float] | None = Field(default=None, description="One for all, or by scorer.")
    latency_ms: float | None = Field(default=None, ge=0, description="For `latency`.")
    cost_usd: float | None = Field(default=None, ge=0, description="For `cost`.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.scorers) == (self.scorer is not None):
            raise ValueError("give either scorers or scorer")
        wanted = _wanted(self.scorers, self.scorer)
        labels = [one.label for one in wanted]
        if isinstance(self.threshold, dict):
            unknown = [name for name in self.threshold if name not in labels]
            if unknown:
                raise ValueError(f"threshold names {', '.join(unknown)}; the scorers are {', '.join(labels)}")
        unknown_names = [one.name for one in wanted if one.name not in scorers()]
        if unknown_names:
            shown = ", ".join(name or "without a name" for name in unknown_names)
            raise ValueError(f"unknown scorer {shown}; there are: {', '.join(scorers())}")
        return self

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """As always, with the labels of literal scorers as the names under `scores` and `reasons`."""
        base = super().output_schema(raw)
        wanted = _literal_wanted(raw)
        if not wanted:
            return base
        labels = [one.label for one in wanted]
        number: JsonObject = {"anyOf": [{"type": "number"}, {"type": "null"}]}
        properties = {
            **cast("JsonObject", base["properties"]),
            "scores": object_schema(dict.fromkeys(labels, number)),
            "reasons": object_schema(dict.fromkeys(labels, cast("JsonObject", {"type": "string"}))),
        }
        return {**base, "properties": properties}

    @classmethod
    def is_replayable_with(cls, raw: JsonObject) -> bool:
        """True when no judge is used."""
        return not _judges(raw)

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """One call per judge."""
        size = model_options.input_bound({key: raw[key] for key in ("value", "expected", "input") if key in raw})
        return tuple(
            ModelUse(
                model=str(judge.options.get("model", model_options.DEFAULT_MODEL)),
                max_input_bytes=size + model_options.input_bound(judge.options) + INSTRUCTION_BYTES,
                max_output_tokens=JUDGE_MAX_TOKENS,
            )
            for judge in _judges(raw)
        )

    async def run(self, context: NodeContext) -> EvaluateOutput:
        """Score with one scorer after the other. Raises InvalidInputError when a scorer cannot be made."""
        text = self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)
        answer = Answer(
            text=text,
            json=None if isinstance(self.value, str) else self.value,
            latency_ms=self.latency_ms,
            cost_usd=self.cost_usd,
        )
        example = Example(input=self.input, expected=self.expected)
        found: dict[str, Score] = {}
        for one in _wanted(self.scorers, self.scorer):
            found[one.label] = await self._score(context, one, example, answer)
        met = [self._is_met(one, found[one.label]) for one in _wanted(self.scorers, self.scorer)]
        return EvaluateOutput(
            scores={label: score.value for label, score in found.items()},
            passed=all(met),
            reasons={label: score.reason for label, score in found.items()},
            missing=[label for label, score in found.items() if score.is_missing],
        )

    async def _score(self, context: NodeContext, one: NamedScorer, example: Example, answer: Answer) -> Score:
        refused: list[BudgetExceededError] = []

        async def ask(request: ChatRequest) -> ChatResult:
            try:
                return await context.chat(request, is_shown=False)
            except BudgetExceededError as error:
                refused.append(error)
                raise

        try:
            made = make_scorer(one.name, one.options, ask=ask)
        except ScorerOptionsError as error:
            raise InvalidInputError(str(error)) from error
        score = await score_one(made, example, answer)
        if refused:
            raise refused[0]  # a spent budget stops the run; it is no property of the answer
        return score

    def _is_met(self, one: NamedScorer, score: Score) -> bool:
        if score.value is None:
            return False
        bar = self.threshold.get(one.label) if isinstance(self.threshold, dict) else self.threshold
        if bar is None:
            return score.passed is not False
        return score.value <= bar if scorers()[one.name].direction == "lower" else score.value >= bar


def _wanted(entries: Sequence[JsonValue] | Mapping[str, JsonValue], single: JsonValue) -> list[NamedScorer]:
    if single is not None:
        entries = [single]
    if isinstance(entries, Mapping):
        return [replace(_entry(entry), label=label) for label, entry in entries.items()]
    found: list[NamedScorer] = []
    for one in map(_entry, entries):
        n_before = sum(1 for other in found if other.label == one.label)
        found.append(replace(one, label=f"{one.label}_{n_before + 1}") if n_before else one)
    return found


def _entry(entry: JsonValue) -> NamedScorer:
    """A scorer as written; one without a name is named '' and refused as unknown."""
    if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
        name, label = str(entry["name"]), entry.get("as")
        options = {key: value for key, value in entry.items() if key not in {"name", "as"}}
        return NamedScorer(label if isinstance(label, str) else name, name, options)
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, options = next(iter(entry.items()))
        return NamedScorer(name, name, options if isinstance(options, Mapping) else {})
    name = entry if isinstance(entry, str) else ""
    return NamedScorer(name, name, {})


def _literal_wanted(raw: JsonObject) -> list[NamedScorer]:
    """The wanted scorers of an unrendered block; empty when they are not literal."""
    entries, single = raw.get("scorers", []), raw.get("scorer")
    if isinstance(entries, str) or not isinstance(entries, Sequence | Mapping):
        return []
    wanted = _wanted(entries, single)
    return [] if any(has_expression(one.name) or has_expression(one.label) for one in wanted) else wanted


def _judges(raw: JsonObject) -> list[NamedScorer]:
    known = scorers()
    return [one for one in _literal_wanted(raw) if one.name in known and known[one.name].uses_model]
