"""A text cut into pieces that overlap, at the ends of paragraphs, sentences or words where there are such."""

from collections.abc import Iterator

BREAKS = ("\n\n", "\n", ". ", "! ", "? ", "; ", ", ", " ")
"""Where a piece may end, the best first; the mark belongs to the piece."""
LEAST_SHARE = 0.6
"""A piece is cut at a break no earlier than this share of its size."""


def pieces(text: str, *, size: int, overlap: int) -> Iterator[str]:
    """Pieces of at most `size` characters, without space around them; each begins at most `overlap` before the end of
    the one before.

    Together they hold every word. `overlap` must be smaller than half of `size`; a text of spaces has none.
    """
    start, end = 0, len(text)
    while start < end:
        stop = _stop(text, start, size)
        piece = text[start:stop].strip()
        if piece:
            yield piece
        if stop >= end:
            return
        start = _restart(text, start, stop, overlap)


def _stop(text: str, start: int, size: int) -> int:
    """Where the piece that begins at `start` ends."""
    most = start + size
    if most >= len(text):
        return len(text)
    least = start + int(size * LEAST_SHARE)
    for mark in BREAKS:
        found = text.rfind(mark, least, most)
        if found >= 0:
            return found + len(mark) if found + len(mark) <= most else most
    return most


def _restart(text: str, start: int, stop: int, overlap: int) -> int:
    """Where the next piece begins: `overlap` before the end, moved on to the beginning of a word."""
    back = max(stop - overlap, start + 1)
    if back >= stop or text[back - 1].isspace():
        return min(back, stop)
    space = text.find(" ", back, stop)
    return space + 1 if space >= 0 else back
