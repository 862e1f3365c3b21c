"""Documents into a vector index."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from bridge.embedding import EmbeddingRequest
from bridge.json_types import JsonObject
from nodes import model_options
from nodes.chunking import pieces
from nodes.context import NodeContext
from nodes.errors import InvalidInputError
from nodes.model_options import EMBEDDING_MODEL, EmbeddingModel
from nodes.node import Block, ModelUse, Node, NodeOutput, node_type
from nodes.vector_index import Chunk, Document, FactName, IndexName, IndexShape, Scalar

MAX_DOCUMENTS = 1_000
MAX_CHUNKS = 10_000
MAX_DOCUMENT_CHARS = 5_000_000
DEFAULT_SIZE = 1_000
DEFAULT_OVERLAP = 150

DocumentId = Annotated[str, Field(min_length=1, max_length=512)]


class DocumentBlock(Block):
    """One document."""

    id: DocumentId | None = Field(default=None, description="What it is updated by; without one, its text is its id.")
    text: Annotated[str, Field(max_length=MAX_DOCUMENT_CHARS)]
    metadata: dict[FactName, Scalar] = Field(
        default_factory=dict[str, Scalar], max_length=50, description="What `retrieve` can filter by."
    )

    @field_validator("text")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("the text of a document is empty")
        return text

    @property
    def name(self) -> str:
        """Its id, or one made of its text."""
        return self.id or _sha256(self.text)[:32]


class IngestOutput(NodeOutput):
    """What was stored."""

    count: int = Field(ge=0, description="Documents that were new or had changed.")
    unchanged: int = Field(ge=0, description="Documents that were there already, the same.")
    removed: int = Field(ge=0, description="Documents of `remove` that were there.")
    chunks: int = Field(ge=0, description="Chunks of the documents that were stored.")
    embedded: int = Field(ge=0, description="Texts that had to be embedded: chunks the index did not know.")
    cost_usd: float | None = Field(description="Null when a price is unknown.")


@node_type("ingest")
class IngestNode(Node[IngestOutput]):
    """Cut documents into chunks, embed them and keep them in an index of the organisation, for `retrieve`.

    A document takes the place of the one with its id. What did not change is neither embedded nor stored again, so
    that ingesting twice is like once. The first ingest makes the index; from then on it holds vectors of that model
    and length only.
    """

    output_type = IngestOutput
    is_replayable = False
    model_fields_of_use: ClassVar[tuple[str, ...]] = ("model",)
    default_model: ClassVar[str | None] = EMBEDDING_MODEL

    index: IndexName
    documents: Annotated[list[DocumentBlock], Field(max_length=MAX_DOCUMENTS)] = Field(
        default_factory=list[DocumentBlock], description="`{id, text, metadata}`; only `text` is required."
    )
    remove: Annotated[list[DocumentId], Field(max_length=MAX_DOCUMENTS)] = Field(
        default_factory=list[str], description="Ids of documents to take out."
    )
    model: EmbeddingModel = EMBEDDING_MODEL
    dimensions: int | None = Field(default=None, ge=1, le=16_384, description="Shorter vectors, where a model can.")
    size: int = Field(default=DEFAULT_SIZE, ge=50, le=8_000, description="Characters of a chunk at most.")
    overlap: int = Field(default=DEFAULT_OVERLAP, ge=0, description="Characters that neighbours share at most.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.overlap * 2 >= self.size:
            raise ValueError("overlap must be less than half of size")
        names = [document.name for document in self.documents]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise ValueError(f"two documents have the id {twice!r}")
        return self

    @classmethod
    def model_uses(cls, raw: JsonObject) -> tuple[ModelUse, ...]:
        """Every text once, and the overlap of its chunks: at most as much again."""
        return model_options.embedding_uses(raw, 2 * model_options.input_bound(raw.get("documents", [])))

    async def run(self, context: NodeContext) -> IngestOutput:
        """Store what is new.

        Raises:
            IndexMismatchError: The index holds vectors of another model or length.
            InvalidInputError: There are too many chunks.
            BridgeError: Embedding failed; nothing was stored.
        """
        index, org_id = context.outside.vectors, context.call.org_id
        known = await index.shape(org_id, self.index)
        if known is not None and "/" in self.model and self.model != known.model:
            known.check(self.index, IndexShape(self.model, known.dimensions))
        wanted = {document.name: (self._digest(document), document) for document in self.documents}
        stored = await index.digests(org_id, self.index, list(wanted))
        changed = {name: document for name, (digest, document) in wanted.items() if stored.get(name) != digest}
        cut = {name: self._cut(document) for name, document in changed.items()}
        if sum(map(len, cut.values())) > MAX_CHUNKS:
            raise InvalidInputError(f"ingest: more than {MAX_CHUNKS} chunks; give fewer documents, or a larger size")
        vectors, shape, cost_usd, n_embedded = await self._embedded(context, known, cut)
        if shape is not None and changed:
            documents = [
                Document(
                    id=name,
                    digest=wanted[name][0],
                    facts=dict(document.metadata),
                    chunks=[Chunk(text, digest, vectors[digest]) for digest, text in cut[name]],
                )
                for name, document in changed.items()
            ]
            await index.put(org_id, self.index, shape, documents)
        gone = [name for name in self.remove if name not in wanted]
        return IngestOutput(
            count=len(changed),
            unchanged=len(wanted) - len(changed),
            removed=await index.remove(org_id, self.index, gone) if gone and known is not None else 0,
            chunks=sum(map(len, cut.values())),
            embedded=n_embedded,
            cost_usd=cost_usd,
        )

    async def _embedded(
        self, context: NodeContext, known: IndexShape | None, cut: Mapping[str, Sequence[tuple[str, str]]]
    ) -> tuple[dict[str, Sequence[float]], IndexShape | None, float | None, int]:
        """A vector for every chunk, by digest; the shape of all; what it cost; how many were not known before."""
        texts = {digest: text for chunks in cut.values() for digest, text in chunks}
        vectors: dict[str, Sequence[float]] = {}
        if known is not None and texts and self.dimensions in {None, known.dimensions}:
            vectors |= await context.outside.vectors.vectors(context.call.org_id, self.index, list(texts))
        missing = [digest for digest in texts if digest not in vectors]
        if not missing:
            return vectors, known, 0.0, 0
        request = EmbeddingRequest(self.model, tuple(texts[d] for d in missing), self.dimensions, "document")
        result = await context.embed(request)
        shape = IndexShape(model_options.embedding_model(result), len(result.response.vectors[0]))
        if known is not None:
            known.check(self.index, shape)
        vectors |= dict(zip(missing, result.response.vectors, strict=True))
        return vectors, shape, model_options.cost_usd(result.record), len(missing)

    def _cut(self, document: DocumentBlock) -> list[tuple[str, str]]:
        """Digest and text of each chunk."""
        return [(_sha256(piece), piece) for piece in pieces(document.text, size=self.size, overlap=self.overlap)]

    def _digest(self, document: DocumentBlock) -> str:
        """Of everything that decides what is stored."""
        facts = json.dumps(document.metadata, sort_keys=True, ensure_ascii=False)
        return _sha256(json.dumps([document.text, facts, self.size, self.overlap], ensure_ascii=False))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
