"""A label from a fixed set, with a confidence."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import Field, model_validator

from bridge.chat import ChatRequest, JsonFormat, Message
from bridge.json_types import JsonObject, JsonValue
from nodes import model_options
from nodes.context import ChatResult, NodeContext
from nodes.errors import NodeError
from nodes.label_confidence import label_scores
from nodes.model_options import ModelChoice
from nodes.node import Block, ModelUse, Node, NodeOutput, node_type
from nodes.schemas import object_schema

MAX_CLASSES = 200
TOP_LOGPROBS = 20
TURN_BYTES = 64

Label = Annotated[str, Field(min_length=1, max_length=200)]


class LabelledText(Block):
    """An example of the task."""

    text: str
    label: str


class ClassifyOutput(NodeOutput):
    """The label, and how sure the model is of it."""

    label: str
    confidence: float = Field(ge=0, le=1)
    scores: dict[str, float] = Field(description="Every class with its share; they add up to 1.")
    confidence_from: Literal["logprobs", "answer"] = Field(
        description="logprobs: the model's own token probabilities. answer: the model gives none, so its answer is 1."
    )
    is_fallback: bool = Field(description="Was `fallback` taken because the confidence was below `min_confidence`?")


@node_type("classify")
class ClassifyNode(Node[ClassifyOutput]):
    """Put a text into one of the classes; the model can answer nothing else.

    The confidence comes from the probabilities of the answer's tokens where the provider gives them, shared among
    the classes. Where it gives none, the answer has confidence 1 and `confidence_from` says `answer`.
    """

    output_type = ClassifyOutput
    is_replayable = False
    asks_models_only = True
    model_fields_of_use: ClassVar[tuple[str, ...]] = ("model",)
    default_model: ClassVar[str | None] = model_options.DEFAULT_MODEL

    text: str = Field(description="What is to be classified.")
    classes: dict[Label, str] | Annotated[list[Label], Field(min_length=2, max_length=MAX_CLASSES)] = Field(
        description="Labels with what they mean, or labels alone; at least two."
    )
    model: ModelChoice = model_options.DEFAULT_MODEL
    examples: list[LabelledText] = Field(default_factory=list[LabelledText], description="Texts with their labels.")
    min_confidence: float = Field(default=0.0, ge=0, le=1, description="Below it `fallback` is taken.")
    fallback: str | None = Field(default=None, description="The label for unsure answers; need not be a class.")

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        labels = list(self.classes)
        if not 2 <= len(set(labels)) <= MAX_CLASSES:
            raise ValueError(f"classes names 2 to {MAX_CLASSES} different labels")
        unknown = [example.label for example in self.examples if example.label not in labels]
        if unknown:
            raise ValueError(f"examples name labels that are no classes: {', '.join(unknown)}")
        if self.min_confidence > 0 and self.fallback is None:
            raise ValueError("min_confidence needs a fallback label")
        return self

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """As always, with the written labels as the only values of `label`."""
        base = super().output_schema(raw)
        classes = raw.get("classes")
        labels = [label for label in classes if isinstance(label, str)] if isinstance(classes, Mapping | list) else []
        if not labels or any("${{" in label for label in labels):
            return base
        fallback = raw.get("fallback")
        extra = [fallback] if isinstance(fallback, str) and fallback not in labels else []
        if any("${{" in label for label in extra):
            return base
        share: JsonObject = {"type": "number", "minimum": 0, "maximum": 1}
        properties = cast("JsonObject", base["properties"])
        label: JsonObject = {"type": "string", "enum": [*labels, *extra]}
        scores = object_schema(dict.fromkeys(labels, share))
        return {**base, "properties": {**properties, "label": label, "scores": scores}}

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """One call; the answer is at most the longest label."""
        labels, examples = _labels(raw), raw.get("examples")
        n_turns = len(labels or range(MAX_CLASSES)) + (len(examples) if isinstance(examples, list) else 0) + 1
        size = n_turns * TURN_BYTES + 2 * model_options.input_bound(labels)
        return model_options.uses(raw, max_output_tokens=_max_tokens(labels), extra_bytes=size)

    async def run(self, context: NodeContext) -> ClassifyOutput:
        """Ask once. Raises BridgeError, or NodeError when the answer names no class."""
        result = await context.chat(self.request(), is_shown=False)
        labels = list(self.classes)
        label = _label(result, labels)
        scores = label_scores(result.response.logprobs, label, labels)
        shares = scores or {name: float(name == label) for name in labels}
        is_unsure = shares[label] < self.min_confidence and self.fallback is not None
        return ClassifyOutput(
            label=self.fallback if is_unsure and self.fallback is not None else label,
            confidence=shares[label],
            scores=shares,
            confidence_from="logprobs" if scores else "answer",
            is_fallback=is_unsure,
        )

    def request(self) -> ChatRequest:
        """The call: what the classes mean and the examples as earlier turns, the answer one of an enum.

        Of seven forms tried with the model in the box (135 M parameters, 20 texts, 3 classes) this one was right most
        often, and still only about as often as chance: examples ask that model for no judgement that matters.
        """
        labels = list(self.classes)
        meanings = self.classes if isinstance(self.classes, dict) else dict.fromkeys(labels, "")
        shown = [(meaning or label, label) for label, meaning in meanings.items()]
        shown += [(example.text, example.label) for example in self.examples]
        messages: list[Message] = []
        for text, label in shown:
            messages.append(Message.of("user", f"Classify: {text}"))
            messages.append(Message.of("assistant", json.dumps({"label": label}, ensure_ascii=False)))
        messages.append(Message.of("user", f"Classify: {self.text}"))
        schema = object_schema({"label": {"type": "string", "enum": labels}})
        return ChatRequest(
            model=model_options.chosen_model(self.model),
            messages=tuple(messages),
            temperature=0.0,
            max_output_tokens=_max_tokens(labels),
            response_format=JsonFormat(schema=schema, name="label"),
            logprobs=True,
            top_logprobs=TOP_LOGPROBS,
            routing=model_options.routing(self.model),
        )


def _labels(raw: JsonObject) -> list[str]:
    classes = raw.get("classes")
    if not isinstance(classes, Mapping | Sequence) or isinstance(classes, str):
        return []
    return [label for label in classes if isinstance(label, str)]


def _max_tokens(labels: Sequence[str]) -> int:
    """Room for the JSON around the longest label, a token a byte at worst."""
    longest = max((len(json.dumps(label).encode()) for label in labels), default=200)
    return 32 + longest


def _label(result: ChatResult, labels: Sequence[str]) -> str:
    parsed: JsonValue = result.parsed
    label = parsed.get("label") if isinstance(parsed, Mapping) else None
    if isinstance(label, str) and label in labels:
        return label
    raise NodeError(f"the model named no class: {result.response.text[:200]!r}", error_class="schema_violation")
