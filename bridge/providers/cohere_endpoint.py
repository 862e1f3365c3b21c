"""Headers of a request to Cohere, the same for chat, embeddings and rerank."""

from bridge.catalog.deployments import Deployment


def headers_for(target: Deployment) -> dict[str, str]:
    """The credential, and what the configuration adds."""
    headers = dict(target.headers)
    if target.api_key:
        headers["authorization"] = f"Bearer {target.api_key}"
    return headers
