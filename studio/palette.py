"""Colours with a fixed meaning, in light and dark. Text tones have contrast 4.5:1 on the page, series colours 3:1."""

import hashlib
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Tone:
    """One colour, spelled for both themes."""

    light: str
    dark: str

    def on(self, scheme: Scheme) -> str:
        """The spelling for `scheme`."""
        return self.light if scheme == "light" else self.dark


CACHED = Tone("#0f766e", "#2dd4bf")
MUTED = Tone("#64748b", "#94a3b8")
GRID = Tone("#e2e8f0", "#243044")
TEXT = Tone("#0f172a", "#e6eaf2")
PANEL = Tone("#f6f7f9", "#131a26")

SERIES = ("#4f46e5", "#0d9488", "#d97706", "#db2777", "#0284c7", "#7c3aed", "#65a30d")
OTHER = "#64748b"


def series_color(name: str) -> str:
    """The colour of a model (or provider): the same on every page and in every process."""
    digest = hashlib.blake2b(name.encode(), digest_size=2).digest()
    return SERIES[int.from_bytes(digest, "big") % len(SERIES)]
