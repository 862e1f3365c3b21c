"""How much one rendering may make and how long it may take: counted by everything that makes or repeats values."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import cast

MAX_OUTPUT_CHARS = 2_000_000
MAX_MADE = 4_000_000
"""Characters that a rendering may make in all, intermediate values included."""
ELEMENT = 8
"""What an element of a list, a key or a number counts as, in characters."""
MAX_STEPS = 200_000
"""Loop passes and calls in all."""
TIMEOUT_S = 2.0
MAX_INTEGER_BITS = 1_024


class TemplateLimitError(Exception):
    """The rendering made too much or took too long."""


class Budget:
    """What is left of one rendering's allowance."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._until = time.monotonic() + timeout_s
        self._made = 0
        self._steps = 0

    def step(self) -> None:
        """Count one loop pass or call."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateLimitError(f"the template takes more than {MAX_STEPS} steps")
        if self._steps % 64 == 0:
            self._check_time()

    def make(self, size: int) -> None:
        """Count characters before or after they are made."""
        self._made += size
        if self._made > MAX_MADE:
            raise TemplateLimitError(f"the template makes more than {MAX_MADE} characters")
        self._check_time()

    def keep(self, value: object) -> object:
        """Count a value that was made, and return it; an iterator is counted while it is read."""
        if isinstance(value, Iterator):
            return self.passes(cast("Iterator[object]", value))
        self.make(size_of(value, MAX_MADE - self._made))
        return value

    def passes(self, values: Iterable[object]) -> Iterator[object]:
        """The same elements, each counted as a step."""
        for value in values:
            self.step()
            yield value

    def _check_time(self) -> None:
        if time.monotonic() > self._until:
            raise TemplateLimitError("the template takes too long")


current: ContextVar[Budget] = ContextVar("template_budget")
"""The budget of the rendering in progress."""


def size_of(value: object, most: int) -> int:
    """Characters in a value, `ELEMENT` for everything else in it, each time it occurs; stops just above `most`."""
    total = 0
    open_values = [value]
    while open_values and total <= most:
        part = open_values.pop()
        if isinstance(part, str | bytes):
            total += len(part) + ELEMENT
        elif isinstance(part, Mapping):
            total += ELEMENT
            for key, inner in cast("Mapping[object, object]", part).items():
                open_values.extend((key, inner))
        elif isinstance(part, Sequence | set | frozenset):
            total += ELEMENT
            open_values.extend(cast("Sequence[object]", part))
        else:
            total += ELEMENT
    return total
