"""Providers that need no `dialect` and no `base_url` in a configuration: both are known by name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """Where a provider is reached and what it speaks. Sources: the vendors' API references, checked 2026-11-23."""

    dialect: str
    base_url: str
    """As the vendor's own SDK takes it: with `/v1` for the OpenAI dialect, without a version for the others."""
    key_variable: str | None
    """The environment variable that holds its key by custom; None: it asks for none."""
    prices_of: str | None = None
    """Its id in genai-prices; None: not there."""
    ttft_s_per_ktok: float = 0.0
    """How much longer its first content may take for every 1,000 tokens of the prompt."""


LOCAL = "local"
MOCK = "mock"
MOCK_SCHEME = "mock://"
"""Of base URLs that lead to a mock of its own, whatever the provider's name."""
FREE_PROVIDERS = frozenset({LOCAL, MOCK})

KNOWN_PROVIDERS: dict[str, KnownProvider] = {
    "openai": KnownProvider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "openai"),
    "anthropic": KnownProvider("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", "anthropic"),
    "google": KnownProvider("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY", "google"),
    "cohere": KnownProvider("cohere", "https://api.cohere.com", "COHERE_API_KEY", "cohere"),
    "groq": KnownProvider("openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq"),
    "together": KnownProvider("openai", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "together"),
    "mistral": KnownProvider("openai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral"),
    "deepseek": KnownProvider("openai", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek"),
    "perplexity": KnownProvider("openai", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", "perplexity"),
    "openrouter": KnownProvider("openai", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter"),
    "huggingface": KnownProvider("openai", "https://router.huggingface.co/v1", "HF_TOKEN", None),
    "ollama": KnownProvider("ollama", "http://127.0.0.1:11434", None, None),
    LOCAL: KnownProvider("openai", "local://llama", None, None, ttft_s_per_ktok=30.0),
    MOCK: KnownProvider("openai", "mock://provider", None, None),
}


def default_providers() -> dict[str, dict[str, str]]:
    """The `providers` section that stands when no configuration file exists: every known vendor whose key is set
    (`${env:NAME}` is for the reader of the environment to fill in), and the model in the box.
    """
    keyed = {
        name: {"api_key": f"${{env:{known.key_variable}}}"}
        for name, known in KNOWN_PROVIDERS.items()
        if known.key_variable is not None
    }
    return {**keyed, LOCAL: {}}
