"""Asks a platform over HTTP instead of the database of this machine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from platform_api.cli.outcome import FAILED, INVALID, UNREACHABLE, CommandError

if TYPE_CHECKING:
    from platform_api.settings import Settings

TIMEOUT_S = 330.0

Api = Annotated[str | None, typer.Option("--api", help="A platform's address, instead of this machine's database.")]
Key = Annotated[str | None, typer.Option("--key", help="An API key of that platform.")]


def post(settings: "Settings", path: str, body: Mapping[str, Any], **params: str) -> dict[str, Any]:
    """The answer of the platform that the settings name. Raises CommandError."""
    import httpx

    assert settings.api_url is not None
    key = settings.api_key.get_secret_value() if settings.api_key is not None else ""
    url = f"{settings.api_url.rstrip('/')}{path}"
    try:
        answered = httpx.post(
            url, json=dict(body), params=params, headers={"authorization": f"Bearer {key}"}, timeout=TIMEOUT_S
        )
        told = cast("object", answered.json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise CommandError(f"{settings.api_url} gives no answer: {error}", UNREACHABLE) from error
    said = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    if answered.is_success:
        return said
    raise CommandError(f"{settings.api_url}: {said.get('detail') or answered.status_code}", _code(answered.status_code))


def _code(status: int) -> int:
    if status in {400, 401, 403, 404, 422}:
        return INVALID
    return UNREACHABLE if status in {502, 503, 504} else FAILED
