"""An embeddings call as values."""

from dataclasses import dataclass

from bridge.chat import Usage


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to embed. `model` is an alias or `provider/model`; `dimensions` shortens the vectors where offered."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """One vector a text, in the order of the texts: `[n_texts, dims]`."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None
    model: str = ""
