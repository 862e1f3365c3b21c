"""Vendors that speak the OpenAI dialect with an accent: a table of quirks, found by provider name or host.

Sources: the vendors' API references, checked 2026-11-23.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from bridge.catalog.deployments import Deployment


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a vendor's requests differ from the plain dialect."""

    output_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed_field: Literal["seed", "random_seed"] | None = "seed"
    has_stream_options: bool = True
    """Must usage be asked for in streams? False: it comes unasked, and asking may be refused."""
    required_tool_word: str = "required"
    has_named_tool_choice: bool = True
    """May `tool_choice` name one tool? Otherwise that tool alone is offered and made mandatory."""
    tool_call_id_length: int | None = None
    """Exact length of tool call ids; foreign ones are replaced by a hash."""
    unsupported: frozenset[str] = frozenset()
    """Fields that are refused or ignored; they are hints, so they are left out."""
    auth_header: Literal["authorization", "api-key"] = "authorization"
    has_byte_vectors: bool = False
    """Do embeddings come as signed bytes?"""
    has_strict_schemas: bool = False
    """Does `strict: true` promise (and demand) the closed subset of JSON Schema?"""
    has_top_k: bool = False
    """Is there a `top_k`? OpenAI's own API has none."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One row: quirks, and the hosts by which a vendor is known under another provider name."""

    name: str
    quirks: Quirks
    hosts: tuple[str, ...] = ()


GENERIC = Vendor("generic", Quirks())
_NO_LOGPROBS = frozenset({"logprobs", "top_logprobs"})

VENDORS: tuple[Vendor, ...] = (
    Vendor(
        "openai", Quirks(output_limit_field="max_completion_tokens", has_strict_schemas=True), hosts=("api.openai.com",)
    ),
    Vendor(
        "azure",
        Quirks(output_limit_field="max_completion_tokens", has_strict_schemas=True, auth_header="api-key"),
        hosts=(".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"),
    ),
    Vendor(
        "groq",
        Quirks(output_limit_field="max_completion_tokens", unsupported=_NO_LOGPROBS),
        hosts=("api.groq.com",),
    ),
    Vendor("together", Quirks(has_top_k=True), hosts=("api.together.xyz", "api.together.ai")),
    Vendor(
        "mistral",
        Quirks(
            seed_field="random_seed",
            has_stream_options=False,
            required_tool_word="any",
            tool_call_id_length=9,
            unsupported=_NO_LOGPROBS | {"reasoning_effort"},
        ),
        hosts=("api.mistral.ai",),
    ),
    Vendor("huggingface", Quirks(), hosts=("router.huggingface.co",)),
    Vendor("openrouter", Quirks(has_top_k=True), hosts=("openrouter.ai",)),
    Vendor(
        "perplexity",
        Quirks(
            seed_field=None,
            has_stream_options=False,
            has_byte_vectors=True,
            has_top_k=True,
            unsupported=_NO_LOGPROBS | {"stop", "n", "parallel_tool_calls"},
        ),
        hosts=("api.perplexity.ai",),
    ),
    Vendor(
        "deepseek",
        Quirks(seed_field=None, unsupported=frozenset({"n", "parallel_tool_calls", "reasoning_effort"})),
        hosts=("api.deepseek.com",),
    ),
    Vendor("ollama", Quirks(unsupported=frozenset({"n", "parallel_tool_calls"}) | _NO_LOGPROBS)),
    Vendor("local", Quirks(has_named_tool_choice=False, unsupported=frozenset({"reasoning_effort"}), has_top_k=True)),
)
_BY_NAME = {vendor.name: vendor for vendor in VENDORS}


def vendor_of(target: Deployment) -> Vendor:
    """The row for a deployment: by the host it is reached at, else by its provider's name, else the plain dialect."""
    return _vendor(target.base_url, "ollama" if target.dialect == "ollama" else target.provider)


@lru_cache(maxsize=1024)
def _vendor(base_url: str, name: str) -> Vendor:
    host = (urlsplit(base_url).hostname or "").lower()
    for vendor in VENDORS:
        if any(host == known or (known.startswith(".") and host.endswith(known)) for known in vendor.hosts):
            return vendor
    return _BY_NAME.get(name, GENERIC)
