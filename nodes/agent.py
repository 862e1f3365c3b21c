"""A model that works towards a goal with tools, within limits of steps, time and money."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from bridge.json_types import JsonObject
from nodes import model_options
from nodes.agent_loop import MAX_TOLD_CHARS, AgentLoop, AgentRules
from nodes.agent_tools import MAX_TOOLS_BYTES, AgentTool, open_toolbox
from nodes.context import NodeContext
from nodes.durations import seconds
from nodes.errors import NodeError
from nodes.model_options import ModelChoice
from nodes.node import AnyJson, ModelUse, Node, NodeOutput, node_type
from nodes.schemas import literal_schema, with_inlined_refs, with_property

LONGEST_S = 3_600.0
BYTES_PER_TOKEN = 8


class AgentStep(NodeOutput):
    """One thing the agent did."""

    kind: Literal["model", "tool"]
    name: str = Field(description="The model that answered, or the tool.")
    arguments: AnyJson = Field(default=None, description="Of a tool call.")
    text: str = Field(description="What the model said, or the tool answered.")
    is_error: bool = Field(default=False, description="The tool call could not be executed, or failed.")
    cost_usd: float | None = Field(default=0.0, description="Of a model call; null when a price is unknown.")


class PendingCall(NodeOutput):
    """A call that needs a person's approval and was not made."""

    tool: str
    arguments: AnyJson


class AgentOutput(NodeOutput):
    """The answer, and how it came about."""

    text: str
    json_value: AnyJson = Field(default=None, alias="json", description="The validated value when `schema` was given.")
    steps: list[AgentStep] = Field(description="Every model call and every tool call, in order.")
    pending: list[PendingCall] = Field(description="Calls of tools under `approve`: not made, for a person to decide.")
    ended_by: Literal["answer", "max_steps", "budget"] = Field(description="What made it answer.")
    cost_usd: float | None = Field(description="Of its model calls; null when a price is unknown.")


@node_type("agent")
class AgentNode(Node[AgentOutput]):
    """Let a model work towards `goal` with tools, at most `max_steps` model calls; the last one must answer.

    What a tool answers is data from outside: give an agent no tool that this data must not reach. A call that does not
    fit, or fails, is told to the model. Tools under `approve` are never called: what the model wanted is in `pending`,
    for an `approve` step after this one.
    """

    output_type = AgentOutput
    is_replayable = False
    model_fields_of_use: ClassVar[tuple[str, ...]] = ("model",)
    default_model: ClassVar[str | None] = model_options.DEFAULT_MODEL

    goal: Annotated[str, Field(min_length=1, max_length=50_000)]
    model: ModelChoice = model_options.DEFAULT_MODEL
    system: Annotated[str, Field(max_length=20_000)] | None = Field(default=None, description="How it should behave.")
    tools: list[AgentTool] = Field(default_factory=list[AgentTool])
    approve: list[str] = Field(default_factory=list, description="Tools that are not called without a person.")
    max_steps: int = Field(default=8, ge=1, le=50, description="Model calls at most.")
    budget: float | None = Field(
        default=None, gt=0, description="US dollars for model calls: none is begun that is expected to exceed it."
    )
    answer_schema: dict[str, AnyJson] | None = Field(
        default=None,
        alias="schema",
        description="JSON Schema of the answer; makes `json`, by one more call if need be.",
    )
    max_tokens: int = Field(default=model_options.DEFAULT_MAX_TOKENS, ge=1, description="Of each model call.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    timeout: str = Field(default="5m", description="Longest time in all; at most 1h.")

    @field_validator("timeout")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        if not 0 < seconds(value) <= LONGEST_S:
            raise ValueError(f"the time must be longer than nothing and at most {LONGEST_S:g} s")
        return value

    @model_validator(mode="after")
    def _names_are_its_own(self) -> Self:
        names = [tool.name for tool in self.tools if tool.name is not None]
        if len(set(names)) < len(names):
            raise ValueError("two tools have the same name")
        return self

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """As always, with the node's own `schema` as that of `json`; null without one."""
        base = super().output_schema(raw)
        if "schema" not in raw:
            return with_property(base, "json", {"type": "null"})
        own = literal_schema(raw["schema"])
        return with_property(base, "json", {} if own is None else with_inlined_refs(own))

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """As many calls as it may make, each with all that may have been said by then."""
        calls = model_options.literal_int(raw, "max_steps", 8) + (1 if isinstance(raw.get("schema"), Mapping) else 0)
        most = model_options.literal_int(raw, "max_tokens", model_options.DEFAULT_MAX_TOKENS)
        said = calls * most * BYTES_PER_TOKEN + MAX_TOLD_CHARS * 4 + MAX_TOOLS_BYTES
        return model_options.uses(raw, max_output_tokens=most, extra_bytes=said, calls=calls)

    async def run(self, context: NodeContext) -> AgentOutput:
        """Work until there is an answer. Raises NodeError, BridgeError."""
        limit_s = seconds(self.timeout)
        try:
            async with asyncio.timeout(limit_s), AsyncExitStack() as stack:
                loop = AgentLoop(self._rules(), await open_toolbox(self.tools, context, stack), context)
                return AgentOutput.model_validate(await loop.run(self.goal))
        except TimeoutError as error:
            raise NodeError(f"agent: no answer within {limit_s:g} s", error_class="timeout") from error

    def _rules(self) -> AgentRules:
        return AgentRules(
            model=model_options.chosen_model(self.model),
            routing=model_options.routing(self.model),
            system=self.system,
            max_steps=self.max_steps,
            budget_usd=self.budget,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            needs_approval=frozenset(self.approve),
            schema=cast("JsonObject | None", self.answer_schema),
        )
