"""Meaning of short texts as vectors, computed in this process: no network, no GPU, 0.1 ms a text.

Source: wordllama (`l2_supercat`, 256 dimensions): the mean of token vectors, scaled to unit length. Good at saying what
a text is about; blind to word order, so whoever needs more than "about the same thing" adds checks of their own.
"""

import logging
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

MAX_CHARS = 8000
"""What follows is not read: a page or two says what a text is about."""


class TextEmbedder(Protocol):
    """Texts to vectors of unit length; similar meaning, high dot product."""

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """One vector a text, in order: `[n_texts, dims]`. A text without words is all zeros, so like nothing."""
        ...


class LocalEmbedder:
    """wordllama with the weights of its own wheel, read at first use (under a second). Safe to share by threads."""

    def __init__(self) -> None:
        self._model: WordLlamaInference | None = None
        self._loading = threading.Lock()

    @property
    def is_loaded(self) -> bool:
        """Will `embed` answer at once?"""
        return self._model is not None

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        model = self._loaded()
        return [_embedded(model, text) for text in texts]

    def _loaded(self) -> "WordLlamaInference":
        if self._model is None:
            with self._loading:
                if self._model is None:
                    self._model = _load()
        return self._model


@cache
def local_embedder() -> TextEmbedder:
    """The embedder of this process; its weights are read at first use."""
    return LocalEmbedder()


def _embedded(model: "WordLlamaInference", text: str) -> tuple[float, ...]:
    """One text at a time: a batch is padded to its longest text, which costs more than it gains here."""
    tokens: list[int] = model.tokenizer.encode(text[:MAX_CHARS], add_special_tokens=False).ids
    if not tokens:
        return (0.0,) * int(model.embedding.shape[1])
    mean = model.embedding[tokens].mean(axis=0)
    length = float((mean @ mean) ** 0.5)
    return tuple((mean / length).tolist()) if length > 0 else tuple(mean.tolist())


def _load() -> "WordLlamaInference":
    """The model, from files of the wheel alone."""
    root, bystander = logging.getLogger(), logging.NullHandler()
    root.addHandler(bystander)  # importing wordllama calls logging.basicConfig, which a root with a handler ignores
    try:
        import wordllama
    finally:
        root.removeHandler(bystander)
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    model.tokenizer.no_padding()
    return model
