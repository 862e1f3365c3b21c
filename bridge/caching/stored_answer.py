"""An answer as it is stored."""

from pydantic import BaseModel, ConfigDict

from bridge.chat import ChatResponse, Usage


class StoredAnswer(BaseModel):
    """What is kept of an answer. It was complete and called no tool, so this is all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    reasoning: str
    refusal: str
    model: str
    usage: Usage | None
    cost_nano_usd: int | None = None
    """What it cost; a hit saves as much."""

    @classmethod
    def of(cls, response: ChatResponse, *, cost_nano_usd: int | None = None) -> "StoredAnswer":
        """The answer as it is stored."""
        return cls(
            text=response.text,
            reasoning=response.reasoning,
            refusal=response.refusal,
            model=response.model,
            usage=response.usage,
            cost_nano_usd=cost_nano_usd,
        )

    def restored(self) -> ChatResponse:
        """The answer again. Its usage is that of the call that was paid for."""
        return ChatResponse(
            text=self.text,
            finish_reason="stop",
            usage=self.usage,
            reasoning=self.reasoning,
            refusal=self.refusal,
            model=self.model,
        )
