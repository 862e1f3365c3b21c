"""What the language knows and the engine cannot execute yet: an error where it is used, never silence."""

NODE_TYPES: frozenset[str] = frozenset()
TRIGGER_TYPES = frozenset({"event"})
SECTIONS = frozenset({"evaluations"})
STEP_KEYS: frozenset[str] = frozenset()
ON_EXCEED = frozenset({"ask"})


def message(what: str) -> str:
    """The text of the diagnostic `not_supported_yet`."""
    return f"{what} is part of the language, but this release cannot execute it yet"
