"""The chunks of an index that answer a question best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bridge.embedding import EmbeddingRequest
from bridge.json_types import JsonObject
from nodes import model_options
from nodes.context import NodeContext
from nodes.errors import NodeError
from nodes.model_options import EMBEDDING_MODEL, EmbeddingModel
from nodes.node import AnyJson, ModelUse, Node, NodeOutput, node_type
from nodes.vector_index import FactName, Hit, IndexName, IndexShape, Scalar

MAX_HITS = 100
RANK_CONSTANT = 60
"""Source: Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
Methods", SIGIR 2009."""
DEPTH = 4
"""With `hybrid`, each of the two searches gives this many times `top_k`."""

FoundBy = Literal["meaning", "words", "both"]


class FoundDocument(NodeOutput):
    """A chunk that was found."""

    id: str = Field(description="Of its document.")
    chunk: int = Field(ge=0, description="Its place in the document, from 0.")
    text: str
    score: float = Field(description="Cosine similarity to the query, -1 to 1.")
    found_by: FoundBy
    metadata: dict[str, AnyJson]


class RetrieveOutput(NodeOutput):
    """What was found, the best first."""

    documents: list[FoundDocument]
    count: int = Field(ge=0)
    cost_usd: float | None = Field(description="Of embedding the query. Null when a price is unknown.")


@dataclass(frozen=True, slots=True)
class Found:
    """A hit and the searches that gave it."""

    hit: Hit
    by: FoundBy


@node_type("retrieve")
class RetrieveNode(Node[RetrieveOutput]):
    """Search an index that `ingest` filled, by meaning, and with `hybrid` by words too.

    `hybrid` joins both searches by reciprocal rank: what either ranks high comes first. Names, numbers and codes are
    then found although their meaning is like anything's. The index must hold vectors of `model`.
    """

    output_type = RetrieveOutput
    is_replayable = False
    model_fields_of_use: ClassVar[tuple[str, ...]] = ("model",)
    default_model: ClassVar[str | None] = EMBEDDING_MODEL

    index: IndexName
    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    top_k: int = Field(default=5, ge=1, le=MAX_HITS, description="Most chunks.")
    min_score: float | None = Field(
        default=None, ge=-1, le=1, description="Least similarity of what is found by meaning; words need none."
    )
    filter: dict[FactName, Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=100)]] = Field(
        default_factory=dict,
        max_length=20,
        description="Only documents whose metadata has this value, or one of these; every entry must hold.",
    )
    hybrid: bool = False
    model: EmbeddingModel = EMBEDDING_MODEL
    dimensions: int | None = Field(default=None, ge=1, le=16_384, description="As it was ingested with.")

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """The query once."""
        return model_options.embedding_uses(raw, model_options.input_bound(raw.get("query")))

    async def run(self, context: NodeContext) -> RetrieveOutput:
        """Search.

        Raises:
            NodeError: There is no such index.
            IndexMismatchError: It holds vectors of another model or length.
            BridgeError: The query could not be embedded.
        """
        index, org_id = context.outside.vectors, context.call.org_id
        shape = await index.shape(org_id, self.index)
        if shape is None:
            raise NodeError(f"there is no index {self.index}: an `ingest` step makes it", error_class="invalid_request")
        if "/" in self.model and self.model != shape.model:
            shape.check(self.index, IndexShape(self.model, shape.dimensions))
        result = await context.embed(EmbeddingRequest(self.model, (self.query,), self.dimensions, "query"))
        vector = result.response.vectors[0]
        shape.check(self.index, IndexShape(model_options.embedding_model(result), len(vector)))
        depth = self.top_k * DEPTH if self.hybrid else self.top_k
        by_meaning = await index.nearest(org_id, self.index, vector, limit=depth, where=self.filter)
        if self.min_score is not None:
            by_meaning = [hit for hit in by_meaning if hit.similarity >= self.min_score]
        by_words: Sequence[Hit] = ()
        if self.hybrid:
            by_words = await index.matching(org_id, self.index, self.query, vector, limit=depth, where=self.filter)
        found = fused(by_meaning, by_words)[: self.top_k]
        return RetrieveOutput(
            documents=[_shown(one) for one in found],
            count=len(found),
            cost_usd=model_options.cost_usd(result.record),
        )


def fused(by_meaning: Sequence[Hit], by_words: Sequence[Hit]) -> list[Found]:
    """Both rankings as one: each hit counts 1 / (60 + rank) in each; among equals the more similar comes first."""
    weights: dict[tuple[str, int], float] = {}
    hits: dict[tuple[str, int], Hit] = {}
    ranked = [[(hit.document, hit.number) for hit in ranking] for ranking in (by_meaning, by_words)]
    for hit in (*by_meaning, *by_words):
        hits.setdefault((hit.document, hit.number), hit)
    for ranking in ranked:
        for rank, key in enumerate(ranking, start=1):
            weights[key] = weights.get(key, 0.0) + 1.0 / (RANK_CONSTANT + rank)
    in_meaning, in_words = set(ranked[0]), set(ranked[1])
    order = sorted(hits, key=lambda key: (-weights[key], -hits[key].similarity))
    return [
        Found(hits[key], "both" if key in in_meaning & in_words else "meaning" if key in in_meaning else "words")
        for key in order
    ]


def _shown(found: Found) -> FoundDocument:
    hit = found.hit
    return FoundDocument.model_validate(
        {
            "id": hit.document,
            "chunk": hit.number,
            "text": hit.text,
            "score": hit.similarity,
            "found_by": found.by,
            "metadata": dict(hit.facts),
        }
    )
