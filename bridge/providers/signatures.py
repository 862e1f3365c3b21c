"""Signatures of reasoning say whose they are: a provider refuses what another one signed."""

from bridge.chat import ReasoningPart

OF_GOOGLE = "google:"
"""Before every signature that Google made. Anthropic's stay as they are: its clients send them back themselves."""


def signed_by_google(text: str, signature: str) -> ReasoningPart:
    """A piece with Google's signature. Without text it is the signature of what was said, not of a thought."""
    return ReasoningPart(text, OF_GOOGLE + signature)


def google_signature(part: ReasoningPart) -> str | None:
    """The signature as Google gave it; None when another made it, or nobody."""
    return part.signature.removeprefix(OF_GOOGLE) if part.signature.startswith(OF_GOOGLE) else None
