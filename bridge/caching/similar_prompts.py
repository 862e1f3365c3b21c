"""May the answer to one prompt stand for another that means nearly the same? What vectors cannot tell.

Mean vectors of words are blind to order and weak on what turns an answer around: a number, a negation, a name, who or
when, can or must. So two prompts pass only when, politeness, articles and ways of asking aside, they have the same
words in the same order, and the same numbers, names, quotations and signs. A refusal costs a call; a wrong hit costs
trust. English; in other languages nothing is set aside, so that only spelling, case and punctuation may differ.
"""

import re
from dataclasses import dataclass

NUMBER = re.compile(r"(?:(?<!\S)[-\u2212])?\d+(?:[.,:/-]\d+)*")
QUOTED = re.compile(
    r"(?<!\w)[\"'`\u201c\u2018]([^\"`\u201c\u201d]{1,300}?)[\"'`\u201d\u2019](?!\w)|\u00ab([^\u00bb]{1,300})\u00bb"
)
SYMBOL = re.compile(r"[^\w\s.,;:!?'\"\u201c\u201d\u2018\u2019`()\u2026\u2013\u2014-]|_|(?<=\s)[-\u2013](?=\s)")
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
PLAIN = re.compile(r"[^\s.,;:!?]+(?:[.,:][^\s.,;:!?]+)*")
SENTENCE_END = re.compile(r"[.!?:\n]+\s*")
CONTRACTED = re.compile(r"\b(what|where|who|how|when|why|that|it|there|here)'(?:s|re)\b")
NOT = re.compile(r"n't\b|\b(can|won|don|doesn|didn|isn|aren|wasn|weren|shouldn|wouldn|couldn|haven|hasn|hadn|mustn)t\b")
HOW_TO = re.compile(r"\bhow (?:(?:do|can|could) (?:i|we|you|one)|to)\b")
_POLITE = r"please|kindly|hello|hi|hey|thanks|thank you|(?:can|could|would|will) you(?: please)?|i want to know"
OPENING = re.compile(
    rf"^(?:(?:{_POLITE}|i would like to know|i'd like to know|do you know|tell me|let me know)\b[\s,.:!]*)+"
)
CLOSING = re.compile(r"(?:[\s,.!]*\b(?:please|thanks|thank you|kindly)\b[\s.!?]*)+$")

NEGATIONS = frozenset(
    [
        "no",
        "not",
        "never",
        "none",
        "nobody",
        "nothing",
        "neither",
        "nor",
        "without",
        "except",
        "unless",
        "cannot",
        "hardly",
    ]
)
SET_ASIDE = frozenset(
    ["a", "an", "the", "any", "is", "are", "am", "be", "do", "does", "what", "which", "there", "it's", "whats"]
)
"""Words that come and go with the way of asking."""
ASKING = frozenset(
    [
        "who",
        "whom",
        "whose",
        "when",
        "where",
        "why",
        "how",
        "was",
        "were",
        "did",
        "had",
        "been",
        "will",
        "would",
        "shall",
        "should",
        "may",
        "might",
        "must",
        "can",
        "could",
    ]
)
"""Words whose place may change with the way of asking, but not they: person, time, place, reason, tense, permission."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What two prompts must have in common, in the order in which a difference is told."""

    numbers: tuple[str, ...]
    symbols: tuple[str, ...]
    quotes: tuple[str, ...]
    negations: tuple[str, ...]
    asking: tuple[str, ...]
    names: frozenset[str]
    words: tuple[str, ...]


def meaning_of(prompt: str) -> Meaning:
    """What must not differ. Made once a prompt; comparing is cheap."""
    straight = prompt.replace("\u2019", "'")
    spoken = _without_politeness(straight.lower())
    words = WORD.findall(spoken)
    return Meaning(
        numbers=tuple(NUMBER.findall(straight)),
        symbols=tuple(SYMBOL.findall(straight)),
        quotes=tuple(" ".join(pair).strip() for pair in QUOTED.findall(prompt)),
        negations=tuple(sorted(word for word in words if word in NEGATIONS)),
        asking=tuple(word for word in words if word in ASKING),
        names=_names(straight),
        words=tuple(word for word in words if word not in SET_ASIDE and word not in ASKING),
    )


def plain_of(prompt: str) -> str:
    """The prompt as it is compared by vectors: case, punctuation and politeness weigh in them more than they mean."""
    return " ".join(PLAIN.findall(_without_politeness(prompt.replace("\u2019", "'").lower())))


def difference(one: Meaning, other: Meaning) -> str | None:
    """Why the prompts do not mean the same, in a word; None when nothing speaks against it."""
    for name in ("numbers", "symbols", "quotes", "negations", "asking", "names"):
        if getattr(one, name) != getattr(other, name):
            return name
    if one.words != other.words:
        return "order" if sorted(one.words) == sorted(other.words) else "words"
    return None


def _without_politeness(text: str) -> str:
    """The prompt in lower case, contractions written out, without greetings and other ways to begin and end."""
    plain = NOT.sub(lambda found: f"{found.group(1) or ''} not", CONTRACTED.sub(r"\1 is", text.strip()))
    return HOW_TO.sub("how", CLOSING.sub("", OPENING.sub("", plain)))


def _names(text: str) -> frozenset[str]:
    """Capitalised words that do not begin a sentence, and words in capitals: names, codes, units."""
    found: set[str] = set()
    for sentence in SENTENCE_END.split(text):
        words = WORD.findall(sentence)
        found.update(word for word in words[1:] if word[0].isupper() and word not in ("I", "Please", "Thanks"))
        found.update(word for word in words[:1] if len(word) > 1 and word.isupper())
    return frozenset(word.lower() for word in found if not word.startswith("I'"))
