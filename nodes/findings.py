"""What a guard found in a text: where, and by which rule; never the text itself. And the text with it masked."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`start` and `end` are characters of the text; both None: it is said of the whole text."""

    rule: str
    kind: str
    start: int | None = None
    end: int | None = None
    detail: str = ""

    @property
    def is_maskable(self) -> bool:
        """Is there a place to mask?"""
        return self.start is not None and self.end is not None

    def place(self) -> str:
        """Rule, kind and place in a few words, fit for a log."""
        return f"{self.rule} {self.kind}" + (f" at {self.start}-{self.end}" if self.is_maskable else "")


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of the text. Where places overlap, what comes first in `findings` stays."""
    kept: list[Finding] = []
    taken: set[int] = set()
    for finding in findings:
        places = range(finding.start or 0, finding.end or 0)
        if taken.isdisjoint(places):
            taken.update(places)
            kept.append(finding)
    return sorted(kept, key=lambda one: (one.start is None, one.start or 0))


def masked(text: str, findings: Sequence[Finding]) -> str:
    """The text with every place replaced by the kind of what stood there, as `[EMAIL]`. Places may overlap."""
    made: list[str] = []
    position = 0
    placed = [one for one in findings if one.start is not None and one.end is not None]
    for one in sorted(placed, key=lambda finding: (finding.start or 0, -(finding.end or 0))):
        start, end = one.start or 0, one.end or 0
        if end <= position:
            continue
        if start >= position:
            made += [text[position:start], f"[{one.kind.upper()}]"]
        position = end
    return "".join([*made, text[position:]])


@dataclass(frozen=True, slots=True)
class PlainText:
    """A text as rules read it: invisible characters gone, full-width and styled letters plain.

    `places` maps its characters to those of the original; None: they are the same.
    """

    text: str
    places: tuple[int, ...] | None = None

    @classmethod
    def of(cls, text: str) -> "PlainText":
        """Plain reading of `text`."""
        if text.isascii():
            return cls(text)
        kept, places = list[str](), list[int]()
        for index, character in enumerate(text):
            if unicodedata.category(character) == "Cf":
                continue
            for plain in unicodedata.normalize("NFKC", character):
                kept.append(plain)
                places.append(index)
        return cls("".join(kept), tuple(places))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original's place of the characters `start` to `end` of the plain text; `end` > `start`."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1
