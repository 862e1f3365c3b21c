"""Texts as vectors of their meaning."""

from typing import Annotated, ClassVar

from pydantic import Field

from bridge.embedding import EmbeddingRequest, InputType
from bridge.json_types import JsonObject
from nodes import model_options
from nodes.context import NodeContext
from nodes.model_options import EMBEDDING_MODEL, EmbeddingModel
from nodes.node import ModelUse, Node, NodeOutput, node_type

MAX_TEXTS = 2_048


class EmbedOutput(NodeOutput):
    """One vector a text, in the order of the texts: `[n_texts, dimensions]`."""

    vectors: Annotated[list[Annotated[list[float], Field(min_length=1)]], Field(min_length=1)]
    dimensions: int = Field(ge=1)
    model: str = Field(description="What embedded them, as `provider/model`. Vectors of two models do not compare.")
    cost_usd: float | None = Field(description="Null when a price is unknown.")


@node_type("embed")
class EmbedNode(Node[EmbedOutput]):
    """Turn texts into vectors: similar meaning, high cosine similarity.

    To search documents by meaning, let `ingest` and `retrieve` do it: they keep the vectors in an index.
    """

    output_type = EmbedOutput
    is_replayable = False
    model_fields_of_use: ClassVar[tuple[str, ...]] = ("model",)
    default_model: ClassVar[str | None] = EMBEDDING_MODEL

    texts: Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)] = Field(description="What is embedded.")
    model: EmbeddingModel = EMBEDDING_MODEL
    dimensions: int | None = Field(default=None, ge=1, le=16_384, description="Shorter vectors, where a model can.")
    input_type: InputType | None = Field(
        default=None, description="What the texts are for, where a model embeds questions and documents differently."
    )

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """Every text is read once; there is no answer to pay for."""
        return model_options.embedding_uses(raw, model_options.input_bound(raw.get("texts")))

    async def run(self, context: NodeContext) -> EmbedOutput:
        """Embed. Raises BridgeError."""
        request = EmbeddingRequest(self.model, tuple(self.texts), self.dimensions, self.input_type)
        result = await context.embed(request)
        vectors = [list(vector) for vector in result.response.vectors]
        return EmbedOutput(
            vectors=vectors,
            dimensions=len(vectors[0]),
            model=model_options.embedding_model(result),
            cost_usd=model_options.cost_usd(result.record),
        )
