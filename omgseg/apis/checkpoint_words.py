"""The words of a training, read from its checkpoint without building a model."""

from __future__ import annotations

import json
from pathlib import Path

from omgseg.engine import read_checkpoint
from omgseg.engine.hooks import META_KEY
from omgseg.structures import Vocabulary


def checkpoint_words(checkpoint: str | Path) -> Vocabulary | None:
    """The vocabulary that :class:`~omgseg.engine.VocabularyHook` left in a checkpoint; None if there is none.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: it is no checkpoint.
    """
    words = (read_checkpoint(checkpoint).get("meta") or {}).get(META_KEY)
    return Vocabulary.from_dict(json.loads(words)) if words else None
