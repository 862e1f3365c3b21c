"""What an attempt may cost at most: the rule for what is held before anything is sent.

No token is shorter than a byte, every price is the dearest that may apply, and the answer is as long as the limit that
is sent. Nothing is dispatched before its money is held.
"""

from dataclasses import replace
from datetime import datetime

from bridge.catalog.deployments import Deployment
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, DocumentPart, ImagePart, TextPart
from bridge.tokens import prompt_bytes

IMAGE_BOUND_TOKENS = 50_000
"""More than any model of the catalogue counts for one image."""
DOCUMENT_BOUND_TOKENS = 1_000_000
"""A thousand pages, which no provider goes beyond, at a thousand tokens; a model's window is less, where known."""
BYTES_PER_AUDIO_TOKEN = 8
"""Of base64 text: the thinnest coding of speech takes a thousand bytes a second, no model counts 100 tokens for it."""
TOOL_USE_BOUND_TOKENS = 1_000
"""What a provider says to the model about tools, on top of the tools themselves."""


def input_bound_tokens(request: ChatRequest, window_tokens: int | None = None) -> int:
    """No tokenizer makes more input tokens of the request: a token is at least one byte; other media at the most."""
    media = _media_tokens(request)
    within = media if window_tokens is None else min(media, window_tokens)
    return prompt_bytes(request) + within + (TOOL_USE_BOUND_TOKENS if request.tools else 0)


def attempt_bound_nano_usd(prices: Prices, request: ChatRequest, target: Deployment, at: datetime) -> int | None:
    """What one attempt at `target` costs at most; None when its price is unknown.

    The request must carry its output limit.
    """
    output_tokens = (request.max_output_tokens or 0) * max(request.n, 1)
    given = input_bound_tokens(request, target.entry.context_window)
    return prices.worst_case_nano_usd(target, given, output_tokens, at, has_media=_media_tokens(request) > 0)


def dispatched_bound_nano_usd(prices: Prices, request: ChatRequest, target: Deployment, at: datetime) -> int | None:
    """The same for any attempt: where no output limit is sent, the model's own; None when nothing is known of it."""
    if request.max_output_tokens is None:
        entry = target.entry
        longest = entry.max_output_tokens or entry.context_window
        if longest is None:
            return 0 if entry.is_free else None
        request = replace(request, max_output_tokens=longest)
    return attempt_bound_nano_usd(prices, request, target, at)


def affordable_tokens(
    prices: Prices, request: ChatRequest, target: Deployment, at: datetime, left_nano_usd: int
) -> int | None:
    """The longest answer whose worst case fits into what is left; None when its price is unknown or sets no limit."""
    given = input_bound_tokens(request, target.entry.context_window)
    bought = prices.affordable_output_tokens(target, given, left_nano_usd, at, has_media=_media_tokens(request) > 0)
    return None if bought is None else bought // max(request.n, 1)


def _media_tokens(request: ChatRequest) -> int:
    """Of everything that is no text; media have prices of their own."""
    total = 0
    for message in request.messages:
        for part in message.content:
            if isinstance(part, TextPart):
                continue
            if isinstance(part, ImagePart):
                total += IMAGE_BOUND_TOKENS
            elif isinstance(part, DocumentPart):
                total += DOCUMENT_BOUND_TOKENS
            else:
                total += len(part.data) // BYTES_PER_AUDIO_TOKEN + 1
    return total
