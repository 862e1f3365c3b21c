"""Check a text against rules before it goes on: pass it, mask what was found, or stop."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import Field, ValidationError, model_validator

from bridge.json_types import JsonObject, JsonValue
from evaluators.bounded_regex import RegexError, compile_regex
from evaluators.schema_check import SchemaCheckError, check_schema, schema_problems
from nodes import model_options
from nodes.classify import ClassifyNode
from nodes.context import NodeContext
from nodes.errors import InvalidInputError, NodeError
from nodes.findings import Finding, PlainText, masked, without_overlaps
from nodes.injection import injection
from nodes.node import AnyJson, Block, ModelUse, Node, NodeOutput, node_type
from nodes.personal_data import KINDS, PersonalKind, personal_data
from nodes.schemas import has_expression

MAX_TEXT_CHARS = 200_000
MAX_FINDINGS = 1_000
SHOWN_FINDINGS = 5
MAX_PATTERNS = 50
NO_TOPIC = "none of these"
TopicName = Annotated[str, Field(min_length=1, max_length=100)]
Keywords = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(min_length=1, max_length=500)]


class LengthRule(Block):
    """How long the text may be, in characters."""

    min: int | None = Field(default=None, ge=0)
    max: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("length needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("length: min is above max")
        return self


class TopicsRule(Block):
    """What the text may not be about."""

    deny: dict[TopicName, str | Keywords] = Field(
        min_length=1,
        max_length=50,
        description="Topic -> what it means, judged by a model; or -> words, any of which gives it away.",
    )
    min_confidence: float = Field(default=0.5, ge=0, le=1, description="A less sure judgement counts as no finding.")

    def meanings(self) -> dict[str, str]:
        """The topics that a model judges."""
        return {name: meaning for name, meaning in self.deny.items() if isinstance(meaning, str)}


class Rules(Block):
    """What is looked for. At least one."""

    pii: bool | Annotated[list[PersonalKind], Field(min_length=1)] = Field(
        default=False, description=f"true, or some of: {', '.join(KINDS)}."
    )
    injection: bool = Field(default=False, description="Attempts to steer a model; finds what is known and plain.")
    regex: dict[TopicName, str] = Field(
        default_factory=dict, max_length=MAX_PATTERNS, description="Name -> pattern that may not occur."
    )
    length: LengthRule | None = None
    json_schema: dict[str, AnyJson] | None = Field(
        default=None, alias="schema", description="JSON Schema that the text, read as JSON, has to fit."
    )
    topics: TopicsRule | None = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not any((self.pii, self.injection, self.regex, self.length, self.json_schema is not None, self.topics)):
            raise ValueError("rules is empty: give at least one of pii, injection, regex, length, schema, topics")
        try:
            for pattern in self.regex.values():
                compile_regex(pattern)
            if self.json_schema is not None:
                check_schema(self.json_schema)
        except (RegexError, SchemaCheckError) as error:
            raise ValueError(str(error)) from error
        return self


class FindingFacts(NodeOutput):
    """One finding. It never holds what was found."""

    rule: str = Field(description="pii, injection, regex, length, schema or topics.")
    kind: str = Field(description="What kind of it: `email`, a pattern's name, a topic.")
    start: int | None = Field(description="First character in the checked text; null: it is said of the whole.")
    end: int | None = Field(description="The character after the last.")
    detail: str


class GuardOutput(NodeOutput):
    """Whether the text may be used, and the text to use."""

    passed: bool = Field(description="Nothing was found, or all of it is masked.")
    findings: list[FindingFacts]
    text: str = Field(description="The text; with `mask`, without what was found.")


@node_type("guard")
class GuardNode(Node[GuardOutput]):
    """Check a text against rules.

    `block` fails the step with class `content_filter` when anything is found; `mask` replaces what was found by its
    kind, as `[EMAIL]`, and does not pass what has no place to mask (length, schema, topics); `flag` reports only.
    Errors and logs name rules and places, never the text. Personal data is found by its form and check digits.
    """

    output_type = GuardOutput
    is_replayable = False
    model_fields_of_use: ClassVar[tuple[str, ...]] = ("model",)

    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] = Field(description="What is checked.")
    rules: Rules
    action: Literal["block", "mask", "flag"] = "block"
    model: str = Field(default=model_options.DEFAULT_MODEL, min_length=1, description="Judges topics with a meaning.")

    @classmethod
    def is_replayable_with(cls, raw: JsonObject) -> bool:
        """True when no model is asked."""
        return not _meanings(raw)

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """One call when a topic has a meaning; else none."""
        meanings = _meanings(raw)
        if not meanings:
            return ()
        classes: JsonObject = {**meanings, NO_TOPIC: list(meanings)}
        model = raw.get("model", model_options.DEFAULT_MODEL)
        return ClassifyNode.model_uses({"text": raw.get("text", ""), "classes": classes, "model": model})

    async def run(self, context: NodeContext) -> GuardOutput:
        """Look for everything, then act.

        Raises:
            NodeError: Something was found and the action is `block`.
            InvalidInputError: A pattern took too long.
            BridgeError: The model that judges topics could not be asked.
        """
        try:
            found = await asyncio.to_thread(self._found)
        except (RegexError, SchemaCheckError) as error:
            raise InvalidInputError(f"guard: {error}") from error
        found += await self._judged_topics(context)
        if found and self.action == "block":
            raise NodeError(f"guard: {_shown(found)}", error_class="content_filter")
        is_masked = self.action == "mask"
        left = [one for one in found if not (is_masked and one.is_maskable)]
        return GuardOutput(
            passed=not left,
            findings=[_facts(one) for one in found[:MAX_FINDINGS]],
            text=masked(self.text, found) if is_masked else self.text,
        )

    def _found(self) -> list[Finding]:
        rules, plain = self.rules, PlainText.of(self.text)
        found: list[Finding] = []
        if rules.pii:
            found += personal_data(plain, KINDS if rules.pii is True else rules.pii)
        if rules.injection:
            found += injection(self.text, plain)
        for name, pattern in rules.regex.items():
            places = compile_regex(pattern).spans(self.text, most=MAX_FINDINGS)
            found += [Finding("regex", name, start, end) for start, end in places]
        if rules.topics is not None:
            found += _worded_topics(plain, rules.topics)
        if rules.length is not None:
            found += _length_findings(self.text, rules.length)
        if rules.json_schema is not None:
            found += _schema_findings(self.text, rules.json_schema)
        return found

    async def _judged_topics(self, context: NodeContext) -> list[Finding]:
        topics = self.rules.topics
        meanings = topics.meanings() if topics is not None else {}
        if topics is None or not meanings or not self.text.strip():
            return []
        try:
            judge = ClassifyNode.model_validate(
                {
                    "text": self.text,
                    "classes": {**meanings, NO_TOPIC: f"anything else than {', '.join(meanings)}"},
                    "model": self.model,
                }
            )
        except ValidationError as error:
            raise InvalidInputError(f"guard: topics cannot be judged: {error.errors()[0]['msg']}") from error
        judged = await judge.run(context)
        if judged.label == NO_TOPIC or judged.confidence < topics.min_confidence:
            return []
        return [Finding("topics", judged.label, detail=f"judged with confidence {judged.confidence:.2f}")]


def _worded_topics(plain: PlainText, topics: TopicsRule) -> list[Finding]:
    """Where a topic's words stand, as whole words in any case."""
    found: list[Finding] = []
    for name, words in topics.deny.items():
        if isinstance(words, str):
            continue
        for word in words:
            escaped = r"\s+".join(map(_escaped, word.split()))
            pattern = compile_regex(rf"(?<!\w){escaped}(?!\w)", ignore_case=True)
            places = pattern.spans(plain.text, most=MAX_FINDINGS)
            found += [Finding("topics", name, *plain.span(start, end)) for start, end in places]
    return without_overlaps(found)


def _escaped(word: str) -> str:
    return "".join(character if character.isalnum() else f"\\{character}" for character in word)


def _length_findings(text: str, rule: LengthRule) -> list[Finding]:
    if rule.min is not None and len(text) < rule.min:
        return [Finding("length", "min", detail=f"{len(text)} characters, at least {rule.min} wanted")]
    if rule.max is not None and len(text) > rule.max:
        return [Finding("length", "max", detail=f"{len(text)} characters, at most {rule.max} allowed")]
    return []


def _schema_findings(text: str, schema: JsonObject) -> list[Finding]:
    """Only where it does not fit: the library's messages quote the value."""
    try:
        value = cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError):
        return [Finding("schema", "no_json", detail="the text is no JSON")]
    problems = schema_problems(schema, value)
    return [Finding("schema", "misfit", detail=f"does not fit at {problem.partition(': ')[0]}") for problem in problems]


def _facts(finding: Finding) -> FindingFacts:
    return FindingFacts(
        rule=finding.rule, kind=finding.kind, start=finding.start, end=finding.end, detail=finding.detail
    )


def _shown(found: Sequence[Finding]) -> str:
    more = f" and {len(found) - SHOWN_FINDINGS} more" if len(found) > SHOWN_FINDINGS else ""
    return "found " + ", ".join(one.place() for one in found[:SHOWN_FINDINGS]) + more


def _meanings(raw: JsonObject) -> JsonObject:
    """The topics of an unrendered block that a model judges; an expression counts as one."""
    rules = raw.get("rules")
    topics = rules.get("topics") if isinstance(rules, Mapping) else None
    deny = topics.get("deny") if isinstance(topics, Mapping) else None
    if isinstance(deny, Mapping):
        return {name: meaning for name, meaning in deny.items() if isinstance(meaning, str)}
    return {"unknown": deny} if has_expression(deny) else {}
