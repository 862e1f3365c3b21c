"""How sure a model is of a label, read from the token probabilities of its JSON answer.

The label's first token decides: the probabilities of the alternatives that begin a class are summed per class and
normalised over the classes. A token that begins several classes is followed to the next token of the answer. A class
that no listed alternative begins counts with its upper bound, the smallest listed probability, so that the
confidence is never flattered. Where the probabilities are those before the JSON grammar is applied (the local model),
they say what the model itself would have written.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.json_types import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...]


def label_scores(logprobs: JsonObject | None, label: str, labels: Sequence[str]) -> dict[str, float]:
    """Share of every class, adding up to 1; empty when the answer carries no usable probabilities."""
    tokens = _tokens(logprobs)
    at = _first_of_label(tokens, label)
    if at is None:
        return {}
    weights = dict.fromkeys(labels, 0.0)
    open_labels = list(labels)
    written, reach = "", 1.0
    for index in range(at, len(tokens)):
        token = tokens[index]
        taken = written + (_begun(token.text) if index == at else token.text)
        still_open = [name for name in open_labels if _fits(name, taken)]
        for text, logprob in token.alternatives:
            begun = written + (_begun(text) if index == at else text)
            if not begun.strip('"') or begun == taken:
                continue
            fitting = [name for name in open_labels if _fits(name, begun)]
            for name in fitting:
                weights[name] += reach * math.exp(logprob) / len(fitting)
        reach *= math.exp(token.logprob)
        if still_open == [label] or label not in still_open:
            break
        written, open_labels = taken, still_open
    weights[label] += reach
    unseen = _unseen_bound(tokens[at])
    bounded = {name: weight or unseen for name, weight in weights.items()}
    total = math.fsum(bounded.values())
    return {name: weight / total for name, weight in bounded.items()} if total > 0 else {}


def _unseen_bound(token: _Token) -> float:
    """The most that a token outside the listed alternatives can have."""
    if not token.alternatives:
        return max(0.0, 1.0 - math.exp(token.logprob))
    return math.exp(min(logprob for _, logprob in token.alternatives))


def _first_of_label(tokens: Sequence[_Token], label: str) -> int | None:
    """Index of the token in which the label's text begins, after the colon of `"label":`."""
    text = "".join(token.text for token in tokens)
    colon = text.find(":")
    start = text.find(label, colon + 1)
    if colon < 0 or start < 0:
        return None
    position = 0
    for index, token in enumerate(tokens):
        position += len(token.text)
        if position > start:
            return index
    return None


def _begun(text: str) -> str:
    """The token without the quote or space that may stand before the label."""
    return text.lstrip(' "')


def _fits(label: str, begun: str) -> bool:
    """Could the label go on like this, or does it end within it?"""
    return label.startswith(begun) or begun.startswith(f'{label}"')


def _tokens(logprobs: JsonObject | None) -> list[_Token]:
    content = logprobs.get("content") if logprobs else None
    if not isinstance(content, Sequence) or isinstance(content, str):
        return []
    found: list[_Token] = []
    for entry in content:
        text, logprob = _pair(entry)
        if text is None or logprob is None or not isinstance(entry, Mapping):
            return []
        listed = entry.get("top_logprobs")
        others = (
            [_pair(other) for other in listed] if isinstance(listed, Sequence) and not isinstance(listed, str) else []
        )
        pairs = tuple((name, value) for name, value in others if name is not None and value is not None)
        found.append(_Token(text, logprob, pairs))
    return found


def _pair(entry: JsonValue) -> tuple[str | None, float | None]:
    if not isinstance(entry, Mapping):
        return None, None
    text, logprob = entry.get("token"), entry.get("logprob")
    number = float(logprob) if isinstance(logprob, int | float) and not isinstance(logprob, bool) else 1.0
    return (text if isinstance(text, str) else None), (number if number <= 0 else None)
