"""Toy images in the format of LVIS v1: a federated data set, without file names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from omgseg.structures import Vocabulary
from omgseg.toy.annotation import annotate
from omgseg.toy.categories import NOVEL_THINGS, THINGS, vocabulary
from omgseg.toy.world import SIZE, Scene, render
from omgseg.toy.writers import mask_fields, write_image, write_json

LVIS_IDS: tuple[int, ...] = tuple(sorted(THINGS).index(name) + 1 for name in THINGS)
"""World class of a thing -> category id: the alphabetical order, as in the official list."""
FOLDERS = ("val2017", "train2017")
"""Where the images of the val split lie, in turn: its authors divided COCO's images anew."""
NEGATIVES_STEP = 3
"""One in so many of the absent categories is known to be absent; of the others nobody looked."""


def lvis_vocabulary() -> Vocabulary:
    """The words of all toy things under the ids of the toy LVIS."""
    return Vocabulary(
        replace(category, id=number) for category, number in zip(vocabulary().things(), LVIS_IDS, strict=True)
    )


def write_lvis(root: Path, scenes: Iterable[Scene], first_id: int) -> None:
    """Write ``annotations/lvis_v1_val.json`` and its images. Novel things are rare, the others common or frequent.

    In every third image one category is marked as not labelled exhaustively.

    Args:
        root: the ``coco`` folder.
        first_id: image ids count from here; must not be those of other images in the folder.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, scene in enumerate(scenes, first_id):
        frame = render(scene)
        path = f"{FOLDERS[image_id % 2]}/{image_id:012d}.jpg"
        write_image(root / path, frame.image)
        own = [
            {
                "id": number,
                "image_id": image_id,
                "category_id": LVIS_IDS[segment.category],
                **mask_fields(segment.mask),
            }
            for number, segment in enumerate(annotate(scene, frame).segments(), len(annotations) + 1)
            if segment.instance
        ]
        annotations += own
        present = sorted({entry["category_id"] for entry in own})
        absent = [number for number in sorted(LVIS_IDS) if number not in present]
        images.append(
            {
                "id": image_id,
                "height": SIZE,
                "width": SIZE,
                "coco_url": f"http://images.cocodataset.org/{path}",
                "neg_category_ids": absent[image_id % NEGATIVES_STEP :: NEGATIVES_STEP],
                "not_exhaustive_category_ids": present[:1] if image_id % 3 == 0 else [],
            }
        )
    content = {"info": {"description": "omgseg toy world"}, "licenses": [], "images": images}
    write_json(
        root / "annotations" / "lvis_v1_val.json",
        {**content, "annotations": annotations, "categories": _categories(annotations)},
    )


def _categories(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    entries = []
    for number, name in sorted(zip(LVIS_IDS, THINGS, strict=True)):
        own = [entry for entry in annotations if entry["category_id"] == number]
        word = name.replace(" ", "_")
        entries.append(
            {
                "id": number,
                "name": word,
                "synonyms": [word],
                "synset": f"{word}.n.01",
                "def": f"a thing that is {name}",
                "frequency": "r" if name in NOVEL_THINGS else "cf"[number % 2],
                "image_count": len({entry["image_id"] for entry in own}),
                "instance_count": len(own),
            }
        )
    return entries
