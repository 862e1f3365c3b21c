"""Prompts that mean nearly the same, in the same context: the semantic cache's index.

A context is everything of a request but its newest message. Within one, prompts are compared as unit vectors, and the
nearest one counts when it is near enough and no guard objects. The index is a list in the StateStore, so that processes
share it; each keeps what it has read as a matrix and reads on from there.
"""

import base64
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from bridge.caching.fingerprint import RequestKey
from bridge.caching.similar_prompts import difference
from bridge.config import SemanticCacheConfig
from bridge.state_store import StateStore
from bridge.text_embedding import TextEmbedder

Vector = npt.NDArray[np.float32]
MAX_CONTEXTS = 500
"""Contexts a process keeps in memory; the least used are read again when they are asked for."""
MAX_PROMPT_CHARS = 2_000
NEAREST = 5
"""How many near prompts are tried before it is a miss."""


class _Entry(msgspec.Struct):
    """One line of the shared list."""

    answer: str
    prompt: str
    vector: str
    """Base64 of 32-bit floats."""


@dataclass(slots=True)
class _Context:
    """What this process has read of one context's list."""

    n_read: int = 0
    answers: list[str] = field(default_factory=list[str])
    prompts: list[str] = field(default_factory=list[str])
    matrix: Vector = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Near:
    """A prompt that means the same: where its answer is, and how near it is."""

    answer: str
    similarity: float


class SemanticIndex:
    """Finds near prompts. One for a bridge."""

    def __init__(self, store: StateStore, embedder: TextEmbedder) -> None:
        self._store = store
        self._embedder = embedder
        self._contexts: OrderedDict[str, _Context] = OrderedDict()

    async def near(self, key: RequestKey, rules: SemanticCacheConfig) -> tuple[Near, ...]:
        """Prompts that mean the same as the request's, the nearest first."""
        if not self._is_usable(key):
            return ()
        context = await self._read(key.context)
        if not context.answers:
            return ()
        vector = self._vector(key.prompt)
        similarities = context.matrix @ vector
        best = np.argsort(-similarities)[: NEAREST * 2]
        found: list[Near] = []
        for position in map(int, best):
            similarity = float(similarities[position])
            if similarity < rules.threshold or len(found) == NEAREST:
                break
            if difference(key.prompt, context.prompts[position]) is None:
                found.append(Near(context.answers[position], similarity))
        return tuple(found)

    async def add(self, key: RequestKey, rules: SemanticCacheConfig, *, ttl_s: float) -> None:
        """The request has an answer now. A full list takes no more until it has expired."""
        if not self._is_usable(key):
            return
        context = await self._read(key.context)
        if len(context.answers) >= rules.max_entries or key.answer in context.answers:
            return
        vector = base64.b64encode(self._vector(key.prompt).tobytes()).decode()
        line = msgspec.json.encode(_Entry(key.answer, key.prompt, vector)).decode()
        await self._store.append(_list_key(key), line, ttl_s=ttl_s)

    def _is_usable(self, key: RequestKey) -> bool:
        return 0 < len(key.prompt) <= MAX_PROMPT_CHARS

    def _vector(self, prompt: str) -> Vector:
        return np.asarray(self._embedder.embed([prompt])[0], dtype=np.float32)

    async def _read(self, name: str) -> _Context:
        """The context, with what was added since the last look. A list that became shorter has begun again."""
        context = self._contexts.pop(name, None) or _Context()
        self._contexts[name] = context
        while len(self._contexts) > MAX_CONTEXTS:
            self._contexts.popitem(last=False)
        fresh, length = await self._store.tail(f"prompts:{name}", context.n_read)
        if length < context.n_read:
            context = self._contexts[name] = _Context()
            fresh, length = await self._store.tail(f"prompts:{name}", 0)
        if fresh:
            _take_in(context, fresh)
        context.n_read = length
        return context


def _list_key(key: RequestKey) -> str:
    return f"prompts:{key.context}"


def _take_in(context: _Context, lines: list[str]) -> None:
    rows: list[Vector] = []
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=_Entry)
            row = np.frombuffer(base64.b64decode(entry.vector), dtype=np.float32)
        except (msgspec.MsgspecError, ValueError):
            continue
        context.answers.append(entry.answer)
        context.prompts.append(entry.prompt)
        rows.append(row)
    if rows:
        added = np.stack(rows)
        context.matrix = added if context.matrix.size == 0 else np.concatenate([context.matrix, added])
