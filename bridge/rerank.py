"""A rerank call as values."""

from dataclasses import dataclass

from bridge.chat import Usage


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Documents to put in the order of their relevance to a query. `top_n` None: all of them."""

    model: str
    query: str
    documents: tuple[str, ...]
    top_n: int | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One document's place. `index` counts from 0 in the order of the request; `score` is the provider's own."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class RerankResponse:
    """The documents, most relevant first. `search_units` is what Cohere bills by."""

    results: tuple[Ranked, ...]
    usage: Usage | None
    model: str = ""
    search_units: int | None = None
