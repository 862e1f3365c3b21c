"""What a failed attempt calls for: one of five remedies, told from the error."""

from typing import Literal

from bridge.errors import ContentFilterError, ContextLengthError, CredentialError, ProviderError, RateLimitedError

Remedy = Literal["retry", "rotate", "next", "narrow", "stop"]
"""`retry` here after a pause, `rotate` to the deployment's next key, go on to the `next` deployment, go on to those
that are not dead for this request (`narrow`), or `stop`: nobody else is asked.
"""


def remedy_for(error: ProviderError, *, has_spare_key: bool, may_refuse_elsewhere: bool) -> Remedy:
    """The remedy. `may_refuse_elsewhere`: refused content may be shown to the alias's fallbacks."""
    if isinstance(error, ContentFilterError):
        return "narrow" if may_refuse_elsewhere else "stop"
    if isinstance(error, ContextLengthError):
        return "narrow"
    if not error.try_next:
        return "stop"
    if has_spare_key and isinstance(error, CredentialError | RateLimitedError):
        return "rotate"
    return "retry" if error.retryable else "next"
