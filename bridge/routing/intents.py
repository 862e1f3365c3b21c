"""How near a prompt is to the intents of an alias: the most similar of each intent's examples counts."""

from collections.abc import Sequence

from bridge.chat import ChatRequest
from bridge.config import AliasConfig
from bridge.text_embedding import TextEmbedder, local_embedder


class Intents:
    """Compares prompts with examples. The examples of an alias are embedded once."""

    def __init__(self, embedder: TextEmbedder | None = None) -> None:
        self._embedder = embedder
        self._examples: dict[str, dict[str, list[tuple[float, ...]]]] = {}

    def similarity(self, alias: str, rules: AliasConfig, request: ChatRequest) -> dict[str, float]:
        """Intent -> cosine similarity of the user's last words to its nearest example; empty without such words."""
        text = _last_words(request)
        if not text or not rules.intents:
            return {}
        prompt = self._embed((text,))[0]
        return {
            name: round(max(_dot(prompt, example) for example in examples), 6)
            for name, examples in self.examples_of(alias, rules).items()
        }

    def examples_of(self, alias: str, rules: AliasConfig) -> dict[str, list[tuple[float, ...]]]:
        """Intent -> the vectors of its examples. Asked for ahead of the first call, it spares that call the wait."""
        known = self._examples.get(alias)
        if known is None:
            known = {name: self._embed(intent.examples) for name, intent in rules.intents.items()}
            self._examples[alias] = known
        return known

    def _embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        if self._embedder is None:
            self._embedder = local_embedder()
        return self._embedder.embed(texts)


def _last_words(request: ChatRequest) -> str:
    return next((message.text for message in reversed(request.messages) if message.role == "user"), "").strip()


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))
