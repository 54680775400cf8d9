"""An index of a sample that also says which random numbers its augmentation draws."""

from __future__ import annotations


class SeededIndex(int):
    """A sample's index with a seed for this time it is drawn.

    A batch sampler that yields these makes augmentation independent of which process loads a sample, of how many
    processes there are, and of what was loaded before: resumed training sees what uninterrupted training sees.

    Attributes:
        seed: of numpy's generator, below 2**32.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __getnewargs__(self) -> tuple[int, int]:
        return int(self), self.seed
