"""A model for the toy world that needs no training: right about the colours of things, and wrong about most else."""

from __future__ import annotations

from pathlib import Path

from omgseg.registry import SEGMENTERS
from omgseg.structures import NO_CLASS, Vocabulary
from tests.fakes import FakeSegmenter


@SEGMENTERS.register_module(force=True)
class ToyEyes(FakeSegmenter):
    """Names a red region with the first word that begins with "red", as "red plain". Its numbers are neither 0 nor 100,
    and as a score depends on the colour alone, many are equal: what ranks them depends on their order."""

    def _label_of(self, colour: str, words: Vocabulary) -> int:
        return next(
            (
                label
                for label, category in enumerate(words)
                if any(word.split()[:1] == [colour] for word in category.words)
            ),
            NO_CLASS,
        )


def write_eyes(file: Path) -> Path:
    """Write the model's config."""
    file.write_text(
        'custom_imports = dict(imports=["tests.chaos.toy_eyes"], allow_failed_imports=False)\n'
        'segmenter = dict(type="ToyEyes")\n'
    )
    return file
