"""The model list as Anthropic's clients read it, on one page. Source: Anthropic API reference, "Models".

`created_at` is the epoch, which the reference gives for a date that is not known.
"""

from collections.abc import Mapping

import msgspec


def model_object(name: str, owner: str) -> bytes:
    """The body of `GET /v1/models/{model}`; the dialect has no place for an owner."""
    del owner
    return msgspec.json.encode(_item(name))


def models_list(owners: Mapping[str, str]) -> bytes:
    """The body of `GET /v1/models` from names and their owners."""
    names = list(owners)
    return msgspec.json.encode(
        {
            "data": [_item(name) for name in names],
            "has_more": False,
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
        }
    )


def _item(name: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
