"""The vocabularies that ship with the package, one JSON file each."""

from __future__ import annotations

import os
from pathlib import Path

from omgseg.messages import did_you_mean
from omgseg.structures import Vocabulary

FOLDER = Path(__file__).parent
OWN_FOLDER_VARIABLE = "OMGSEG_VOCABULARIES"
"""Environment variable: a folder whose JSON files stand in for the shipped ones of the same name."""


def shipped_vocabularies() -> list[str]:
    """Names that :func:`load_vocabulary` knows."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def unknown_category(file: str | Path, category_id: int, vocabulary: Vocabulary) -> ValueError:
    """The error for a category id of a file, annotations or a mask, that the vocabulary does not have."""
    size = f"the vocabulary of {len(vocabulary)} categories"
    if str(file).endswith(".json"):
        return ValueError(
            f"{file}: category_id {category_id} of an annotation is not in {size}; vocabulary=None takes the "
            "file's own 'categories'"
        )
    return ValueError(f"{file}: category id {category_id} is not in {size}")


def load_vocabulary(name_or_path: str | Path) -> Vocabulary:
    """Load a vocabulary by name (``"coco_panoptic"``) or from a file, see :meth:`Vocabulary.load`.

    A file of that name in the folder ``$OMGSEG_VOCABULARIES`` comes first: other words for the same ids, without a
    change to any config. The shipped files keep the datasets' category ids and kinds. Where an official name is not a
    word (``"wall-other-merged"``) or is ambiguous (COCO's ``"mouse"`` is the computer's), a plain word stands
    instead, as names are text for CLIP.

    Raises:
        FileNotFoundError: neither a shipped name nor a file.
        ValueError: the file is not a vocabulary.
    """
    own_folder = os.environ.get(OWN_FOLDER_VARIABLE)
    for folder in (Path(own_folder).expanduser(), FOLDER) if own_folder else (FOLDER,):
        if (folder / f"{name_or_path}.json").is_file():
            return Vocabulary.load(folder / f"{name_or_path}.json")
    if not Path(name_or_path).is_file():
        raise FileNotFoundError(
            f"vocabulary {str(name_or_path)!r} is neither a file nor one of "
            f"{', '.join(shipped_vocabularies())}{did_you_mean(name_or_path, shipped_vocabularies())}"
        )
    return Vocabulary.load(name_or_path)
