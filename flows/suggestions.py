"""The nearest known name to a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is closest to `name`, None when none is near."""
    names = sorted(known)
    by_folded = {other.lower().replace("-", "_"): other for other in names}
    folded = name.lower().replace("-", "_")
    if folded in by_folded:
        return by_folded[folded]
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return close[0]
    extended = [other for other in names if len(name) >= 3 and (other.startswith(name) or name.startswith(other))]
    return min(extended, key=len) if extended else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A suggestion sentence, None when nothing is near."""
    near = nearest(name, known)
    return f"did you mean `{near}`?" if near else None
