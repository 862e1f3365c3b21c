"""May the answer to one prompt stand for another that means nearly the same? What vectors cannot tell.

Mean vectors of words are blind to order and weak on what turns an answer around: a number, a negation, a name, a pair
of opposites. Each guard refuses when such a thing differs. A refusal costs a call; a wrong hit costs trust.
"""

import re

NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
QUOTED = re.compile(r"[\"'`\u201c\u2018]([^\"'`\u201d\u2019]{1,200})[\"'`\u201d\u2019]")
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_NEGATIONS = """
no not never none nobody nothing neither nor without except unless cannot can't don't doesn't didn't won't isn't aren't
wasn't weren't shouldn't wouldn't couldn't mustn't haven't hasn't avoid stop
"""
_FILLERS = """
a an the of to in on at for with and or is are was were be been do does did can could would should will shall may might
must i me my we us our you your he she it its they them their this that these those please kindly just so hi hello hey
thanks thank tell show give let know what's whats what which who whom how when where why there here about as by from
into than then also some any get want need like help explain say
"""
_DIRECTIONS = "from to before after over under between into above below since until by"
NEGATIONS = frozenset(_NEGATIONS.split())
FILLERS = frozenset(_FILLERS.split())
"""Words that may come and go without changing what is asked."""
DIRECTIONS = frozenset(_DIRECTIONS.split())
"""Fillers whose place among the others matters."""
OPPOSITES = (
    "increase decrease", "more less", "most least", "max min", "maximum minimum", "first last", "before after",
    "buy sell", "enable disable", "open close", "start end", "import export", "encrypt decrypt", "add remove",
    "login logout", "best worst", "high low", "highest lowest", "long short", "old new", "oldest newest", "up down",
    "left right", "in out", "on off", "true false", "accept reject", "include exclude", "allow deny", "lock unlock",
    "pros cons", "advantages disadvantages", "hot cold", "win lose", "push pull", "upload download", "male female",
    "men women", "asc desc", "ascending descending", "credit debit", "sender receiver", "cause effect", "legal illegal",
    "safe unsafe", "possible impossible", "with without", "above below", "north south", "east west", "mother father",
    "son daughter", "morning evening", "day night", "summer winter", "positive negative", "private public",
)  # fmt: skip
OPPOSITE: dict[str, str] = {}
for _pair in OPPOSITES:
    _one, _other = _pair.split()
    OPPOSITE[_one], OPPOSITE[_other] = _other, _one
LARGEST_ADDITION = 1
"""Words of weight that one prompt may have more than the other. None may be exchanged for another."""


def difference(one: str, other: str) -> str | None:
    """Why the prompts do not mean the same, in a word; None when nothing speaks against it."""
    if sorted(NUMBER.findall(one)) != sorted(NUMBER.findall(other)):
        return "numbers"
    if sorted(_quoted(one)) != sorted(_quoted(other)):
        return "quotes"
    mine, theirs = _words(one), _words(other)
    if sorted(word for word in mine if word in NEGATIONS) != sorted(word for word in theirs if word in NEGATIONS):
        return "negation"
    if _names(one) != _names(other):
        return "names"
    return _words_differ(mine, theirs)


def _words_differ(mine: list[str], theirs: list[str]) -> str | None:
    left, right = _weighty(mine), _weighty(theirs)
    only_left, only_right = set(left) - set(right), set(right) - set(left)
    if any(OPPOSITE.get(word) in only_right for word in only_left):
        return "opposites"
    if (only_left and only_right) or max(len(only_left), len(only_right)) > LARGEST_ADDITION:
        return "words"
    shared = set(left) & set(right)
    if _order(left, shared) != _order(right, shared):
        return "order"
    return None


def _quoted(text: str) -> list[str]:
    return [found.strip().lower() for found in QUOTED.findall(text)]


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text.replace("\u2019", "'"))]


def _weighty(words: list[str]) -> list[str]:
    """Words that carry meaning, plurals as their singular."""
    return [_stem(word) for word in words if word in DIRECTIONS or word not in FILLERS]


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _order(words: list[str], shared: set[str]) -> list[str]:
    return [word for word in words if word in shared]


def _names(text: str) -> set[str]:
    """Capitalised words that do not begin a sentence, and words in capitals: names, codes, units."""
    found: set[str] = set()
    for sentence in re.split(r"[.!?:\n]+\s*", text):
        words = WORD.findall(sentence)
        found.update(word.lower() for word in words[1:] if word[0].isupper() and word != "I")
        found.update(word.lower() for word in words[:1] if len(word) > 1 and word.isupper())
    return found
