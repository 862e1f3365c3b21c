"""One question to several models, and one winner among their answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import Field, model_validator

from bridge.chat import ChatRequest, JsonFormat, Message
from bridge.errors import BridgeError, BudgetExceededError, ErrorClass
from bridge.json_types import JsonObject, JsonValue
from nodes import agreement, model_options
from nodes.context import ChatResult, NodeContext
from nodes.errors import NodeError
from nodes.node import AnyJson, ModelUse, Node, NodeOutput, node_type
from nodes.schemas import has_expression, literal_schema, with_inlined_refs, with_property
from nodes.template_text import render_off_loop

MAX_MODELS = len(agreement.LETTERS)
JUDGE_READINGS = 2
"""The answers are read in both orders: a judge favours places."""

PASSING = frozenset({"rate_limit", "timeout", "unavailable"})

ModelName = Annotated[str, Field(min_length=1)]


class Winner(NodeOutput):
    """The answer that won."""

    model: str = Field(description="As named in `models`.")
    text: str
    json_value: AnyJson = Field(default=None, alias="json", description="The validated value when `schema` was given.")


class ComparedAnswer(NodeOutput):
    """What one model answered; `text` is null when it did not."""

    model: str = Field(description="As named in `models`.")
    text: str | None
    json_value: AnyJson = Field(default=None, alias="json")
    error: str | None = Field(description="Why it did not answer.")
    cost_usd: float | None = Field(description="Null when unknown, or when it did not answer.")


class CompareOutput(NodeOutput):
    """The winner among the answers."""

    winner: Winner
    answers: list[ComparedAnswer] = Field(description="In the order of `models`; those that were asked.")
    agreement: float | None = Field(
        description="Share of the votes that the winner has: of equal answers, or of the judge's two readings. "
        "Null by first_valid."
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One model's answer or refusal."""

    model: str
    result: ChatResult | None = None
    error: BridgeError | NodeError | None = None

    @property
    def error_class(self) -> ErrorClass:
        """What retry and on_error would read."""
        return "internal" if self.error is None else self.error.error_class

    def facts(self) -> ComparedAnswer:
        """As the output shows it."""
        return ComparedAnswer.model_validate(
            {
                "model": self.model,
                "text": self.result.response.text if self.result else None,
                "json": self.result.parsed if self.result else None,
                "error": str(self.error) if self.error else None,
                "cost_usd": model_options.cost_usd(self.result.record) if self.result else None,
            }
        )


@node_type("compare")
class CompareNode(Node[CompareOutput]):
    """Ask several models the same and take one answer. The step fails only when none of them answers.

    `vote`: the answer that most models give, JSON compared by value; among as many, that of the model named first.
    `judge`: a model reads the answers, without their models' names, in both orders; where its readings differ, the
    answer of the model named first wins with an agreement of 0.5.
    `first_valid`: one model after the other, in the order given; the first valid answer ends it.
    Valid is what is not empty and, with `schema`, fits it.
    """

    output_type = CompareOutput
    is_replayable = False
    template_fields: ClassVar[frozenset[str]] = frozenset({"prompt", "system"})
    model_fields_of_use: ClassVar[tuple[str, ...]] = ("models", "judge")

    models: Annotated[list[ModelName], Field(min_length=2, max_length=MAX_MODELS)] = Field(
        description="Aliases or `provider/model`, each once."
    )
    prompt: str = Field(description="Jinja text over `vars`.")
    system: str | None = Field(default=None, description="Jinja text over `vars`: how the models should behave.")
    vars: dict[str, AnyJson] = Field(default_factory=dict, description="Values for the templates.")
    by: Literal["vote", "judge", "first_valid"] = "vote"
    answer_schema: dict[str, AnyJson] | None = Field(
        default=None, alias="schema", description="JSON Schema of the answers; makes `json` of them."
    )
    judge: ModelName = Field(default=model_options.DEFAULT_MODEL, description="The model that judges.")
    criteria: str = Field(
        default="It is correct, complete and to the point.", max_length=4_000, description="What the judge looks at."
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int = Field(default=model_options.DEFAULT_MAX_TOKENS, ge=1, description="Of each answer.")
    max_parallel: int = Field(default=4, ge=1, le=MAX_MODELS, description="Models asked at a time.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise ValueError("models names one of them twice")
        return self

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """As always, with the node's own `schema` as that of every `json`; null without one."""
        base = super().output_schema(raw)
        own = literal_schema(raw.get("schema")) if "schema" in raw else {"type": "null"}
        if own is None:
            return base
        value = with_inlined_refs(own)
        properties = cast("dict[str, JsonObject]", base["properties"])
        answers = properties["answers"]
        nullable: JsonObject = {"anyOf": [value, {"type": "null"}]}
        answers = {**answers, "items": with_property(cast("JsonObject", answers["items"]), "json", nullable)}
        return with_property(
            with_property(base, "answers", answers), "winner", with_property(properties["winner"], "json", value)
        )

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """Every model once, and the judge's two readings of all answers."""
        named = raw.get("models")
        models = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
        most = model_options.literal_int(raw, "max_tokens", model_options.DEFAULT_MAX_TOKENS)
        size = model_options.input_bound({key: part for key, part in raw.items() if key not in {"models", "judge"}})
        uses = [ModelUse(name, size, most) for name in models if not has_expression(name)]
        judge = raw.get("judge", model_options.DEFAULT_MODEL)
        if raw.get("by") == "judge" and isinstance(judge, str) and not has_expression(judge):
            read = agreement.judge_input_bound(size, model_options.input_bound(raw.get("criteria", "")), len(models))
            uses.append(ModelUse(judge, read, agreement.JUDGE_MAX_TOKENS, calls=JUDGE_READINGS))
        return tuple(uses)

    async def run(self, context: NodeContext) -> CompareOutput:
        """Ask and choose.

        Raises:
            NodeError: No model gave a valid answer, or the judge named none of them.
            BridgeError: A budget is spent, or the judge could not be asked.
        """
        prompt = await render_off_loop(self.prompt, self.vars)
        messages = [Message.of("user", prompt)]
        if self.system is not None:
            messages.insert(0, Message.of("system", await render_off_loop(self.system, self.vars)))
        ask = self._ask_in_turn if self.by == "first_valid" else self._ask_all
        asked = await ask(context, tuple(messages))
        refused = next((one.error for one in asked if isinstance(one.error, BudgetExceededError)), None)
        if refused is not None:
            raise refused  # a spent budget is no property of a model
        valid = [one for one in asked if one.result is not None]
        if not valid:
            raise _nobody_answered(asked)
        texts = [(one.result.response.text, one.result.parsed) for one in valid if one.result is not None]
        choice = await self._chosen(context, prompt, texts)
        won, (text, value) = valid[choice.index], texts[choice.index]
        return CompareOutput(
            winner=Winner.model_validate({"model": won.model, "text": text, "json": value}),
            answers=[one.facts() for one in asked],
            agreement=None if self.by == "first_valid" else choice.agreement,
        )

    async def _chosen(
        self, context: NodeContext, question: str, texts: Sequence[tuple[str, JsonValue]]
    ) -> agreement.Choice:
        if self.by == "vote":
            return agreement.most_common(texts)
        if self.by == "first_valid" or len(texts) == 1:
            return agreement.Choice(0, 1.0)
        shown = [text for text, _ in texts]
        readings: list[int] = []
        for order in (shown, shown[::-1]):
            request = agreement.judge_request(question, order, criteria=self.criteria, model=self.judge)
            readings.append(agreement.chosen_index(await context.chat(request, is_shown=False), len(shown)))
        return agreement.from_verdicts(readings[0], len(shown) - 1 - readings[1])

    async def _ask_in_turn(self, context: NodeContext, messages: tuple[Message, ...]) -> list[_Asked]:
        asked: list[_Asked] = []
        for model in self.models:
            asked.append(await self._ask(context, model, messages))
            if asked[-1].result is not None or isinstance(asked[-1].error, BudgetExceededError):
                break
        return asked

    async def _ask_all(self, context: NodeContext, messages: tuple[Message, ...]) -> list[_Asked]:
        room = asyncio.Semaphore(self.max_parallel)

        async def one(model: str) -> _Asked:
            async with room:
                return await self._ask(context, model, messages)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(model), name=f"compare {model}") for model in self.models]
        return [task.result() for task in tasks]

    async def _ask(self, context: NodeContext, model: str, messages: tuple[Message, ...]) -> _Asked:
        """The model's answer, or what it failed with."""
        request = ChatRequest(
            model=model,
            messages=messages,
            max_output_tokens=self.max_tokens,
            temperature=self.temperature,
            response_format=None if self.answer_schema is None else JsonFormat(schema=self.answer_schema),
        )
        try:
            result = await context.chat(request, is_shown=False)
        except BridgeError as error:
            return _Asked(model, error=error)
        if not result.response.text.strip():
            return _Asked(model, error=NodeError("the answer is empty", error_class="schema_violation"))
        return _Asked(model, result=result)


def _nobody_answered(asked: Sequence[_Asked]) -> NodeError:
    """One error of all: of the first that may pass by itself, else of the first."""
    said = "; ".join(f"{one.model}: {one.error}" for one in asked)
    passing = [one for one in asked if one.error_class in PASSING]
    waits = [getattr(one.error, "retry_after_s", None) for one in passing]
    return NodeError(
        f"compare: no model answered ({said})",
        error_class=(passing or asked)[0].error_class,
        retry_after_s=max((wait for wait in waits if wait is not None), default=None),
    )
