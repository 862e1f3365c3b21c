"""POST /v1/embeddings. Source: OpenAI API reference, "Create embeddings"."""

import base64
from array import array
from functools import partial
from typing import Annotated, Literal

import msgspec

from bridge.embedding import EmbeddingRequest, EmbeddingResponse
from platform_api.limits.service import text_tokens
from platform_api.llm.body_reading import Name, decoded, refuse_unprintable
from platform_api.llm.call_headers import facts_of
from platform_api.llm.client_dialect import InvalidRequestError
from platform_api.llm.client_request import JSON, ClientRequest
from platform_api.llm.plane_parts import PlaneParts, caller_of, check_model, context_of

MAX_TEXTS = 2048


class EmbeddingsBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked. `user` does not change the answer and is passed over."""

    model: Name
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    user: str | None = None


_decoder = msgspec.json.Decoder(EmbeddingsBody)


async def embeddings(request: ClientRequest, parts: PlaneParts) -> None:
    """One vector a text. Raises InvalidRequestError."""
    caller = await caller_of(request, parts.authenticator)
    body = read_body(await request.body())
    check_model(caller, body.model)
    asked = EmbeddingRequest(body.model, texts_of(body), body.dimensions)
    async with parts.admission(request, caller, partial(text_tokens, asked.texts)) as admitted:
        result = await request.unless_gone(parts.bridge.embed(asked, context_of(request, caller)))
        record = result.record
        admitted.count(record)
        model = record.attempts[-1].model if record.attempts else result.response.model
        reply = _reply(result.response, model, as_base64=body.encoding_format == "base64")
        await request.answer(reply, [JSON, *facts_of(record, request.elapsed_ms())])


def read_body(raw: bytes) -> EmbeddingsBody:
    """The body, parsed once. Raises InvalidRequestError."""
    body = decoded(raw, _decoder)
    refuse_unprintable(body.model, "model")
    return body


def texts_of(body: EmbeddingsBody) -> tuple[str, ...]:
    """The texts to embed. Raises InvalidRequestError: there are none or too many, or they are tokens."""
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = tuple(one for one in given if isinstance(one, str))
    if len(texts) < len(given):
        said = "input must be text: a vocabulary belongs to one vendor's model, and the router may choose another"
        raise InvalidRequestError(said, param="input")
    if not 1 <= len(texts) <= MAX_TEXTS or not all(texts):
        raise InvalidRequestError(f"input must hold 1 to {MAX_TEXTS} texts, none of them empty", param="input")
    return texts


def _reply(response: EmbeddingResponse, model: str, *, as_base64: bool) -> bytes:
    items = [
        {"object": "embedding", "index": n, "embedding": _packed(vector) if as_base64 else vector}
        for n, vector in enumerate(response.vectors)
    ]
    used = 0 if response.usage is None else response.usage.input_tokens
    usage = {"prompt_tokens": used, "total_tokens": used}
    return msgspec.json.encode({"object": "list", "data": items, "model": model, "usage": usage})


def _packed(vector: tuple[float, ...]) -> str:
    """Little-endian 32-bit floats, which is what the SDKs ask for and unpack."""
    return base64.b64encode(array("f", vector).tobytes()).decode()
