"""Prompts that mean nearly the same, in the same context: the semantic cache's index.

A context is everything of a request but its newest message. Within one, prompts are compared as unit vectors, and the
nearest one counts when it is near enough and no guard objects. The index is a list in the StateStore, so that processes
share it; each keeps what it has read as a matrix and reads on from there. The oldest prompts go first.
"""

import base64
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from bridge.caching.fingerprint import RequestKey
from bridge.caching.similar_prompts import difference, meaning_of, plain_of
from bridge.config import SemanticCacheConfig
from bridge.state_store import StateStore
from bridge.text_embedding import TextEmbedder

Vector = npt.NDArray[np.float32]
MAX_HELD = 20_000
"""Prompts of all contexts that a process keeps in memory; contexts least used are read again when asked for."""
MAX_PROMPT_CHARS = 2_000
NEAREST = 20
"""How many near prompts the guards look at before it is a miss."""


class _Entry(msgspec.Struct):
    """One line of the shared list."""

    answer: str
    prompt: str
    vector: str
    """Base64 of 32-bit floats."""


@dataclass(slots=True)
class _Context:
    """What this process has read of one context's list. Rows of `matrix` belong to `answers` and `prompts`."""

    position: str = ""
    answers: list[str] = field(default_factory=list[str])
    prompts: list[str] = field(default_factory=list[str])
    matrix: Vector = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def take_in(self, entries: list[tuple[_Entry, Vector]], most: int) -> None:
        """Add prompts; of the same answer and past `most`, the newest stay."""
        fresh = {entry.answer for entry, _ in entries}
        kept = [place for place, answer in enumerate(self.answers) if answer not in fresh]
        kept = kept[max(len(kept) + len(entries) - most, 0) :]
        entries = entries[-most:]
        self.answers = [self.answers[place] for place in kept] + [entry.answer for entry, _ in entries]
        self.prompts = [self.prompts[place] for place in kept] + [entry.prompt for entry, _ in entries]
        rows = [vector for _, vector in entries]
        self.matrix = np.stack(rows) if not kept else np.concatenate([self.matrix[kept], np.stack(rows)])

    def forget(self, answer: str) -> None:
        """The answer is gone."""
        kept = [place for place, one in enumerate(self.answers) if one != answer]
        self.answers = [self.answers[place] for place in kept]
        self.prompts = [self.prompts[place] for place in kept]
        self.matrix = self.matrix[kept]


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
        self._n_held = 0

    async def near(self, key: RequestKey, rules: SemanticCacheConfig) -> tuple[Near, ...]:
        """Prompts that mean the same as the request's, the nearest first."""
        if not _is_usable(key):
            return ()
        context = await self._read(key.context, rules.max_entries)
        if not context.answers:
            return ()
        vector = self._vector(key.prompt)
        similarities = context.matrix @ vector
        meaning = meaning_of(key.prompt)
        found: list[Near] = []
        for place in map(int, np.argsort(-similarities)[:NEAREST]):
            similarity = float(similarities[place])
            if similarity < rules.threshold:
                break
            if difference(meaning, meaning_of(context.prompts[place])) is None:
                found.append(Near(context.answers[place], similarity))
        return tuple(found)

    async def add(self, key: RequestKey, rules: SemanticCacheConfig, *, ttl_s: float) -> None:
        """The request has an answer now."""
        if not _is_usable(key):
            return
        vector = base64.b64encode(self._vector(key.prompt).tobytes()).decode()
        line = msgspec.json.encode(_Entry(key.answer, key.prompt, vector)).decode()
        await self._store.append(_list_of(key.context), line, keep=rules.max_entries, ttl_s=ttl_s)

    def forget(self, key: RequestKey, answer: str) -> None:
        """A prompt whose answer is no longer stored. Others find that out for themselves."""
        context = self._contexts.get(key.context)
        if context is not None:
            before = len(context.answers)
            context.forget(answer)
            self._n_held += len(context.answers) - before

    def _vector(self, prompt: str) -> Vector:
        return np.asarray(self._embedder.embed([plain_of(prompt)])[0], dtype=np.float32)

    async def _read(self, name: str, most: int) -> _Context:
        """The context, with what was added since the last look."""
        context = self._contexts.setdefault(name, _Context())
        self._contexts.move_to_end(name)
        position = context.position
        lines, upto = await self._store.tail(_list_of(name), position)
        if lines and context.position == position:  # nobody else has read on meanwhile
            context.position = upto
            before = len(context.answers)
            entries = _entries_in(lines)
            if entries:
                context.take_in(entries, most)
            if self._contexts.get(name) is context:
                self._n_held += len(context.answers) - before
        while self._n_held > MAX_HELD and len(self._contexts) > 1:
            self._n_held -= len(self._contexts.popitem(last=False)[1].answers)
        return context


def _is_usable(key: RequestKey) -> bool:
    return 0 < len(key.prompt) <= MAX_PROMPT_CHARS


def _list_of(context: str) -> str:
    return f"prompts:{context}"


def _entries_in(lines: list[str]) -> list[tuple[_Entry, Vector]]:
    """What can be read of the lines, the last one of each answer."""
    found: dict[str, tuple[_Entry, Vector]] = {}
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=_Entry)
            vector = np.frombuffer(base64.b64decode(entry.vector), dtype=np.float32)
        except (msgspec.MsgspecError, ValueError):
            continue
        found.pop(entry.answer, None)
        found[entry.answer] = entry, vector
    return list(found.values())
