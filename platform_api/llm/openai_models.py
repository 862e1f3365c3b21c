"""The model list as OpenAI's clients read it. Source: OpenAI API reference, "Models".

`created` is 0: the catalogue does not know when a vendor made a model.
"""

from collections.abc import Mapping

import msgspec


def model_object(name: str, owner: str) -> bytes:
    """The body of `GET /v1/models/{model}`."""
    return msgspec.json.encode(_item(name, owner))


def models_list(owners: Mapping[str, str]) -> bytes:
    """The body of `GET /v1/models` from names and their owners."""
    return msgspec.json.encode({"object": "list", "data": [_item(name, owner) for name, owner in owners.items()]})


def _item(name: str, owner: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
