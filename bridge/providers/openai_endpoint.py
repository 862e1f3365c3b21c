"""Path and headers of a request in the OpenAI dialect."""

from urllib.parse import urlsplit

from bridge.catalog.deployments import Deployment
from bridge.providers.compatible_vendors import Quirks


def path_for(target: Deployment, operation: str) -> str:
    """`operation` below the base URL; Ollama's own address gets the `/v1` of its compatible API."""
    has_version = urlsplit(target.base_url).path.rstrip("/").endswith("/v1")
    return operation if target.dialect != "ollama" or has_version else f"/v1{operation}"


def headers_for(target: Deployment, quirks: Quirks) -> dict[str, str]:
    """The credential in the vendor's header, and what the configuration adds."""
    headers = dict(target.headers)
    if target.api_key:
        if quirks.auth_header == "authorization":
            headers["authorization"] = f"Bearer {target.api_key}"
        else:
            headers[quirks.auth_header] = target.api_key
    return headers
