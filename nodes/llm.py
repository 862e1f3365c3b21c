"""The bridge node: a prompt goes to a model, text or a validated object comes back."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from bridge.chat import ChatRequest, JsonFormat, Message, RoutingOverrides
from bridge.json_types import JsonObject
from nodes import model_options
from nodes.chat_blocks import MessageBlock, ToolBlock, ToolCallFacts, as_message, as_tool, image_part, tool_call_facts
from nodes.context import ChatResult, NodeContext
from nodes.model_options import ModelChoice, Names, Strategy, UsageFacts
from nodes.node import AnyJson, ModelUse, Node, NodeOutput, node_type
from nodes.schemas import literal_schema, with_inlined_refs, with_property
from nodes.template_text import render_off_loop


class LlmOutput(NodeOutput):
    """What a model answered, and who."""

    text: str = Field(description="The answer as text.")
    json_value: AnyJson = Field(default=None, alias="json", description="The validated value when `schema` was given.")
    tool_calls: list[ToolCallFacts] = Field(description="Calls the model asks for.")
    model: str = Field(description="What answered, as `provider/model`.")
    provider: str
    finish_reason: str = Field(description="stop, length, tool_calls, content_filter or other.")
    usage: UsageFacts
    cost_usd: float | None = Field(description="Null when a price is unknown.")
    decision_id: str | None = Field(description="The routing decision; the run page explains it.")


@node_type("llm")
class LlmNode(Node[LlmOutput]):
    """Ask a model. The bridge picks it, fails over and counts the cost; with `schema` the answer is checked JSON."""

    output_type = LlmOutput
    is_replayable = False
    asks_models_only = True
    template_fields: ClassVar[frozenset[str]] = frozenset({"prompt", "messages", "system"})
    model_fields_of_use: ClassVar[tuple[str, ...]] = ("model", "candidates", "fallback")
    default_model: ClassVar[str | None] = model_options.DEFAULT_MODEL

    model: ModelChoice = model_options.DEFAULT_MODEL
    prompt: str | None = Field(default=None, description="Jinja text over `vars`; or give `messages`.")
    messages: Annotated[list[MessageBlock], Field(min_length=1)] | None = Field(
        default=None, description="A whole conversation instead of `prompt`."
    )
    system: str | None = Field(default=None, description="Jinja text over `vars`: how the model should behave.")
    vars: dict[str, AnyJson] = Field(default_factory=dict, description="Values for the templates.")
    answer_schema: dict[str, AnyJson] | None = Field(
        default=None, alias="schema", description="JSON Schema of the answer; makes `json` of the output."
    )
    tools: list[ToolBlock] = Field(default_factory=list[ToolBlock], description="Functions the model may ask for.")
    tool_choice: str | None = Field(default=None, description="auto, none, required, or one tool's name.")
    images: list[str] = Field(default_factory=list, description="`https:` or `data:image/` URLs shown with the prompt.")
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int = Field(
        default=model_options.DEFAULT_MAX_TOKENS, ge=1, description="Most tokens of the answer; bounds its cost."
    )
    seed: int | None = None
    stop: Names | None = Field(default=None, description="Texts at which the answer ends.")
    strategy: Strategy | None = Field(default=None, description="Routing policy instead of the alias's own.")
    candidates: list[str] | None = Field(default=None, description="Models to choose among instead of the alias's.")
    fallback: list[str] | None = Field(default=None, description="Models asked in order when no candidate answers.")
    region: Names | None = Field(default=None, description="Regions in which the request may be served.")
    max_cost_usd: float | None = Field(default=None, gt=0, description="Candidates expected to cost more are left out.")
    max_latency_ms: float | None = Field(default=None, gt=0, description="Slower candidates are left out.")
    quality_floor: float | None = Field(default=None, ge=0, le=1, description="Candidates below it are left out.")

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
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
        """Every model that may be asked, once."""
        most = model_options.literal_int(raw, "max_tokens", model_options.DEFAULT_MAX_TOKENS)
        images = raw.get("images")
        n_images = len(images) if isinstance(images, list) else 0
        return model_options.uses(raw, max_output_tokens=most, extra_bytes=n_images * model_options.IMAGE_BYTES)

    async def run(self, context: NodeContext) -> LlmOutput:
        """Ask once; the bridge tries again elsewhere and re-asks for valid JSON by its own rules."""
        return llm_output(await context.chat(await self.request(re_ask=context.re_ask)))

    async def request(self, *, re_ask: str | None = None) -> ChatRequest:
        """The chat request of this block. Raises TemplateTextError, InvalidInputError."""
        messages = await self._messages()
        if re_ask is not None:
            messages.append(Message.of("user", f"The last answer was refused: {re_ask}\nAnswer again, corrected."))
        return ChatRequest(
            model=model_options.chosen_model(self.model),
            messages=tuple(messages),
            max_output_tokens=self.max_tokens,
            temperature=self.temperature,
            seed=self.seed,
            stop=model_options.names(self.stop),
            tools=tuple(as_tool(block) for block in self.tools),
            tool_choice=self.tool_choice,
            response_format=None if self.answer_schema is None else JsonFormat(schema=self.answer_schema),
            routing=model_options.routing(self.model, self._overrides()),
        )

    async def _messages(self) -> list[Message]:
        variables: JsonObject = self.vars
        made: list[Message] = []
        if self.system is not None:
            made.append(Message.of("system", await render_off_loop(self.system, variables)))
        if self.prompt is not None:
            made.append(Message.of("user", await render_off_loop(self.prompt, variables)))
        for block in self.messages or ():
            made.append(await as_message(block, variables))
        if self.images:
            last = made[-1]
            shown = tuple(image_part(url) for url in self.images)
            made[-1] = Message(role=last.role, content=(*last.content, *shown))
        return made

    def _overrides(self) -> RoutingOverrides:
        return RoutingOverrides(
            policy=self.strategy,
            candidates=tuple(self.candidates or ()),
            fallback=tuple(self.fallback or ()),
            regions=model_options.names(self.region),
            max_cost_usd=self.max_cost_usd,
            max_latency_ms=self.max_latency_ms,
            quality_floor=self.quality_floor,
        )


def llm_output(result: ChatResult) -> LlmOutput:
    """The bridge's answer as the node's output."""
    model, provider = model_options.answering_model(result.record, result.response)
    return LlmOutput.model_validate(
        {
            "text": result.response.text,
            "json": result.parsed,
            "tool_calls": [tool_call_facts(call) for call in result.response.tool_calls],
            "model": model,
            "provider": provider,
            "finish_reason": result.response.finish_reason or "other",
            "usage": model_options.usage_facts(result.response.usage),
            "cost_usd": model_options.cost_usd(result.record),
            "decision_id": result.record.decision.id if result.record.decision else None,
        }
    )
