"""An embeddings call as values."""

from dataclasses import dataclass
from typing import Literal

from bridge.chat import Usage

InputType = Literal["query", "document"]


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to embed. `model` is an alias or `provider/model`; `dimensions` shortens the vectors where offered."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    input_type: InputType | None = None
    """What the texts are for, where a model embeds questions and documents differently."""


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """One vector a text, in the order of the texts: `[n_texts, dims]`."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None
    model: str = ""
