"""`data:` URLs taken apart: several dialects want the media type and the base64 text as fields."""

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes


@dataclass(frozen=True, slots=True)
class InlineData:
    """What a data URL holds. `data` is base64 text."""

    media_type: str
    data: str


def inline_data(url: str) -> InlineData | None:
    """The content of a `data:` URL (RFC 2397); None for any other URL."""
    if not url.startswith("data:"):
        return None
    head, _, payload = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if "base64" in parameters:
        return InlineData(media_type or "text/plain", payload)
    return InlineData(media_type or "text/plain", b64encode(unquote_to_bytes(payload)).decode())
