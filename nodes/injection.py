"""Texts that try to steer a model instead of being read by it, by the phrases and marks that such texts use.

It finds what is known and plain. A clean text is no proof: what a model may do must not depend on this alone.
"""

import re
from collections.abc import Mapping
from functools import cache

from evaluators.bounded_regex import BoundedRegex, compile_regex
from nodes.findings import Finding, PlainText, without_overlaps

_GAP = r"[\s\W]{1,12}"
_BEFORE = r"(?:previous|prior|above|earlier|preceding|former|foregoing|existing|original|system|all|any|your|my|the)"
_RULES = (
    r"(?:instructions?|prompts?|rules?|directions?|guidelines?|commands?|messages?|context|programming|constraints?)"
)
_SHUN = (
    r"(?:ignore|disregard|forget|override|overrule|bypass|neglect|skip|drop|do not follow|don't follow|stop following)"
)
_WORDS = r"(?:[\w']{1,20}[\s\W]{1,6}){0,4}"

_PHRASES: Mapping[str, str] = {
    "override": (
        rf"\b{_SHUN}{_GAP}{_WORDS}{_BEFORE}{_GAP}{_WORDS}{_RULES}\b"
        r"|\b(?:ignore|disregard|forget)\s+(?:everything|all|anything)\s+(?:above|before|you|that|previous|prior)\b"
        r"|\b(?:new|updated|real|actual)\s+(?:system\s+)?(?:instructions?|prompt)\s*:"
        r"|\bignorier\w*\s+(?:alle\s+|die\s+|deine\s+){0,2}(?:vorherigen|bisherigen|obigen|vorigen)\b"
        r"|\bignore[zr]?\s+(?:toutes\s+)?(?:les\s+|tes\s+|vos\s+)?(?:instructions?|consignes)\s+(?:pr[ée]c[ée]dentes?|ci-dessus)"
        r"|\b(?:ignora|ignore|olvida)\s+(?:todas\s+)?(?:las\s+|tus\s+)?instrucciones\s+(?:anteriores|previas)"
    ),
    "role": (
        r"\byou\s+are\s+(?:now|no\s+longer)\s+(?:an?\s|in\s|the\s|called\s|going\s|bound\s|free\b|dan\b|(?-i:[A-Z]{3,})\b)"
        r"|\b(?:pretend|act|behave|respond)\s+(?:to\s+be|as\s+if\s+you|as\s+though\s+you)\b.{0,60}\b(?:no|without|any)\b"
        r"|\b(?:developer|god|jailbreak|dan|unrestricted|unfiltered|debug|sudo)\s+mode\b"
        r"|\bdo\s+anything\s+now\b"
        r"|\bwithout\s+(?:any\s+)?(?:restrictions?|filters?|limitations?|censorship)\b.{0,40}\b(?:answer|respond|reply)\b"
    ),
    "reveal": (
        rf"\b(?:reveal|print|show|repeat|output|display|leak|tell\s+me|give\s+me|what\s+(?:is|are|was|were))\s+{_WORDS}"
        r"(?:(?:system|initial|hidden|secret|original|full|developer)\s+(?:prompts?|instructions?|messages?)"
        r"|(?:instructions?|prompts?|messages?|text)\s+(?:above|you\s+were\s+given))\b"
        r"|\brepeat\s+(?:everything|all|the\s+(?:words|text))\s+above\b"
    ),
    "markup": (
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>"
        r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
        r"|^\s{0,3}(?:#{1,4}\s{0,2})?(?:system|assistant)\s{0,2}:\s"
        r"|</?(?:system|assistant|system_prompt|instructions?)>"
    ),
    "exfiltration": r"!\[[^\]\n]{0,200}\]\(\s{0,3}https?://[^)\s]{1,500}[?&][^)\s]{0,1000}=[^)\s]{0,1000}\)",
}
MAX_PLACES = 1_000
"""Of each kind."""
TIMEOUT_S = 10.0
_HIDDEN = re.compile(r"[\U000e0000-\U000e007f]+|[\u202a-\u202e\u2066-\u2069]+|[\u200b-\u200d\u2060\ufeff]{4,}")
"""Tag characters (text that nobody sees), marks that turn the order of reading, runs of characters without width."""


def injection(original: str, plain: PlainText) -> list[Finding]:
    """Every place that looks like an attempt, in the order of the text. Raises RegexError when the time is up."""
    found = [Finding("injection", "hidden", *match.span()) for match in _HIDDEN.finditer(original)]
    for kind, pattern in _patterns().items():
        places = pattern.spans(plain.text, most=MAX_PLACES, timeout_s=TIMEOUT_S)
        found += [Finding("injection", kind, *plain.span(start, end)) for start, end in places]
    return without_overlaps(found)


@cache
def _patterns() -> Mapping[str, BoundedRegex]:
    return {kind: compile_regex(phrase, ignore_case=True, is_multiline=True) for kind, phrase in _PHRASES.items()}
