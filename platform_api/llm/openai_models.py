"""The model list as OpenAI's clients read it. Source: OpenAI API reference, "Models"."""

from collections.abc import Iterator

import msgspec


def model_object(name: str, owner: str, *, created: int) -> bytes:
    """The body of `GET /v1/models/{model}`."""
    return msgspec.json.encode({"id": name, "object": "model", "created": created, "owned_by": owner})


def models_list(names: Iterator[tuple[str, str]], *, created: int) -> bytes:
    """The body of `GET /v1/models` from pairs of model name and owner."""
    items = [{"id": name, "object": "model", "created": created, "owned_by": owner} for name, owner in names]
    return msgspec.json.encode({"object": "list", "data": items})
