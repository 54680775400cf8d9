"""Toy training images in the layouts of Objects365 v2 (with pseudo masks) and SA-1B."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from omgseg.structures import Vocabulary
from omgseg.toy.annotation import annotate
from omgseg.toy.categories import vocabulary
from omgseg.toy.coco import categories
from omgseg.toy.world import SIZE, Scene, render
from omgseg.toy.writers import mask_fields, write_image, write_json

OBJECTS365_OFFSET = 100
"""A category's id is its id in the toy COCO plus this."""
PATCHES = 2
IMAGE_SIZE = {"height": SIZE, "width": SIZE}


def objects365_vocabulary() -> Vocabulary:
    """The base things under the ids of the toy Objects365."""
    things = vocabulary(include_novel=False).things()
    return Vocabulary(replace(thing, id=thing.id + OBJECTS365_OFFSET) for thing in things)


def write_objects365(root: Path, scenes: Iterable[Scene]) -> None:
    """Write ``train/patch<N>/`` and ``annotations/objects365_v2_train_masks.json``.

    Args:
        root: the folder objects365v2.
    """
    ids = [category.id for category in vocabulary()]
    images, annotations = [], []
    for image_id, scene in enumerate(scenes, 1):
        frame = render(scene)
        name = f"patch{image_id % PATCHES}/objects365_v1_{image_id:08d}.jpg"
        write_image(root / "train" / name, frame.image)
        images.append({"id": image_id, "file_name": f"images/v1/{name}", **IMAGE_SIZE})
        for segment in annotate(scene, frame).segments():
            if segment.instance:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": ids[segment.category] + OBJECTS365_OFFSET,
                        **mask_fields(segment.mask),
                        "iscrowd": 0,
                    }
                )
    things = [
        {**entry, "id": entry["id"] + OBJECTS365_OFFSET}
        for entry in categories(include_novel=False, things_only=True)
    ]
    write_json(
        root / "annotations" / "objects365_v2_train_masks.json",
        {"images": images, "annotations": annotations, "categories": things},
    )


def write_sa1b(root: Path, scenes: Iterable[Scene]) -> None:
    """Write the shard ``sa_000000/``: an image and a JSON file with the masks of its things and stuff each.

    Args:
        root: the folder sa1b.
    """
    shard = root / "sa_000000"
    for image_id, scene in enumerate(scenes, 1):
        frame = render(scene)
        write_image(shard / f"sa_{image_id}.jpg", frame.image)
        annotations = [
            {
                "id": 1000 * image_id + number,
                **mask_fields(segment.mask),
                "predicted_iou": 1.0,
                "stability_score": 1.0,
                "crop_box": [0, 0, SIZE, SIZE],
                "point_coords": [[float(line[0]) for line in segment.mask.nonzero()[::-1]]],
            }
            for number, segment in enumerate(annotate(scene, frame).segments())
        ]
        image = {"image_id": image_id, "width": SIZE, "height": SIZE, "file_name": f"sa_{image_id}.jpg"}
        write_json(shard / f"sa_{image_id}.json", {"image": image, "annotations": annotations})
