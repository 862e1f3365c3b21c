"""How every command ends: an exit code, one clear line on standard error, JSON on request.

Codes: 0 done, 1 the thing asked about failed, 2 wrong usage, file or configuration, 3 waiting or inconclusive,
4 a service cannot be reached, 130 interrupted.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from rich.console import Console

FAILED: Final = 1
INVALID: Final = 2
WAITING: Final = 3
UNREACHABLE: Final = 4
INTERRUPTED: Final = 130

out = Console()
"""Results, for people."""
err = Console(stderr=True)
"""Progress and problems."""


class CommandError(Exception):
    """Ends the command with `code` after printing the message as one line."""

    def __init__(self, message: str, code: int = INVALID) -> None:
        super().__init__(message)
        self.code = code


def print_json(value: Mapping[str, object] | Sequence[object]) -> None:
    """One JSON document on standard output."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str)
    sys.stdout.write(text.decode() + "\n")


def money(usd: float | None) -> str:
    """Dollars for people: more digits for small amounts, an em dash for unknown."""
    if usd is None:
        return "—"
    if usd == 0:
        return "$0"
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.4f}" if usd >= 0.0001 else f"${usd:.9f}".rstrip("0")


def seconds(value_s: float | None) -> str:
    """A duration for people."""
    if value_s is None:
        return "—"
    if value_s < 1:
        return f"{value_s * 1000:.0f} ms"
    return f"{value_s:.1f} s" if value_s < 60 else f"{int(value_s // 60)} m {int(value_s % 60):02d} s"
