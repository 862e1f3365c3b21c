"""Random numbers of one decision: cheap to seed, and the same in every version of Python."""

from typing import Protocol

MASK = 2**64 - 1
UNIT = 2.0**-53
GAMMA = 0x9E3779B97F4A7C15


class Draws(Protocol):
    """What policies draw from; `random.Random` is one."""

    def random(self) -> float:
        """In [0, 1)."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """`k` random bits."""
        ...


class SeededDraws:
    """SplitMix64: seeding costs nothing, where a Mersenne twister fills 624 words for the two that are read.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
    """

    def __init__(self, seed: int) -> None:
        self._state = seed & MASK

    def random(self) -> float:
        self._state = state = (self._state + GAMMA) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        return ((state ^ (state >> 31)) >> 11) * UNIT

    def getrandbits(self, k: int, /) -> int:
        if not 0 < k <= 64:
            raise ValueError("between 1 and 64 bits")
        self._state = state = (self._state + GAMMA) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        return (state ^ (state >> 31)) >> (64 - k)
