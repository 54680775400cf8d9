"""Toy images in the official COCO formats (https://cocodataset.org/#format-data): panoptic, and instances as RLE."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.structures.panoptic_png import write_panoptic_png
from omgseg.toy.annotation import Annotation, annotate
from omgseg.toy.categories import COCO_IDS, vocabulary
from omgseg.toy.world import SIZE, Scene, render
from omgseg.toy.writers import bounding_box, mask_fields, write_image, write_json

SEGMENT_ID_STEP = 1000
"""Segment id in the PNG = this * category id + instance: beyond one byte, as official ids are."""


def categories(include_novel: bool, things_only: bool = False) -> list[dict[str, Any]]:
    """The ``categories`` field."""
    return [
        {**category.to_dict(), "supercategory": category.name.split()[-1] if category.is_thing else "stuff"}
        for category in vocabulary(include_novel)
        if category.is_thing or not things_only
    ]


def _write_panoptic(folder: Path, stem: str, annotation: Annotation) -> list[dict[str, Any]]:
    """Write the PNG and return ``segments_info``."""
    ids = np.zeros(annotation.classes.shape, dtype=np.int32)
    segments_info = []
    for segment in annotation.segments():
        category_id = COCO_IDS[segment.category]
        segment_id = category_id * SEGMENT_ID_STEP + segment.instance
        ids[segment.mask] = segment_id
        segments_info.append(
            {
                "id": segment_id,
                "category_id": category_id,
                "area": int(segment.mask.sum()),
                "bbox": bounding_box(segment.mask),
                "iscrowd": 0,
            }
        )
    write_panoptic_png(folder / f"{stem}.png", ids)
    return segments_info


def write_coco(
    root: Path, split: str, scenes: Iterable[Scene], first_id: int, include_novel: bool, instances: bool
) -> None:
    """Write one split: ``{split}2017/``, ``annotations/panoptic_{split}2017.json`` and its PNG folder.

    Args:
        root: the ``coco`` folder.
        first_id: image ids count from here.
        include_novel: categories list all things instead of the base ones.
        instances: also write ``annotations/instances_{split}2017.json``.
    """
    name = f"{split}2017"
    images, panoptic, objects = [], [], []
    for image_id, scene in enumerate(scenes, first_id):
        frame = render(scene)
        annotation = annotate(scene, frame)
        stem = f"{image_id:012d}"
        write_image(root / name / f"{stem}.jpg", frame.image)
        images.append({"id": image_id, "file_name": f"{stem}.jpg", "height": SIZE, "width": SIZE})
        segments_info = _write_panoptic(root / "annotations" / f"panoptic_{name}", stem, annotation)
        panoptic.append({"image_id": image_id, "file_name": f"{stem}.png", "segments_info": segments_info})
        if instances:
            objects += _instances(annotation, image_id, first_id=len(objects) + 1)
    info = {"description": "omgseg toy world"}
    content = {"info": info, "licenses": [], "images": images}
    write_json(
        root / "annotations" / f"panoptic_{name}.json",
        {**content, "annotations": panoptic, "categories": categories(include_novel)},
    )
    if instances:
        things = categories(include_novel, things_only=True)
        write_json(
            root / "annotations" / f"instances_{name}.json",
            {**content, "annotations": objects, "categories": things},
        )


def _instances(annotation: Annotation, image_id: int, first_id: int) -> list[dict[str, Any]]:
    things = (segment for segment in annotation.segments() if segment.instance)
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": COCO_IDS[segment.category],
            **mask_fields(segment.mask),
            "iscrowd": 0,
        }
        for number, segment in enumerate(things, first_id)
    ]
