"""The toy world's images in the official formats: COCO, ADE20K, Cityscapes, LVIS, Objects365, SA-1B and CrowdHuman."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.datasets.converters.ade20k import SPLITS, convert_ade20k
from omgseg.datasets.converters.cityscapes import convert_cityscapes
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import write_panoptic_png, write_png
from omgseg.toy.annotation import MIN_VISIBLE, VOID, Annotation, annotate
from omgseg.toy.categories import (
    BASE_THINGS,
    COCO_IDS,
    NAMES,
    NOVEL_THINGS,
    NUM_THINGS,
    STUFF,
    THINGS,
    vocabulary,
)
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
        instances: also write ``annotations/instances_{split}2017.json``, and boxes as a detector would find them,
            ``annotations/detections_{split}2017.json``.
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
        write_json(root / "annotations" / f"detections_{name}.json", [_detected(entry) for entry in objects])


def _detected(entry: dict[str, Any]) -> dict[str, Any]:
    """An object's box in a COCO result file, off by up to a tenth of its size."""
    random = np.random.default_rng(entry["id"])
    x, y, width, height = entry["bbox"]
    box = np.array([x, y, x + width, y + height]) + random.uniform(-0.1, 0.1, 4) * np.tile([width, height], 2)
    left, top, right, bottom = box.clip(0, SIZE).round(2).tolist()
    return {
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "score": round(float(random.uniform(0.5, 1)), 4),
    }


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


ADE20K_IDS: tuple[int, ...] = tuple(
    4 * index + 1 if index < NUM_THINGS else 28 * (index - NUM_THINGS) + 2 for index in range(len(NAMES))
)
"""World class -> category id; things and stuff alternate, as in the official list."""


def ade20k_vocabulary() -> Vocabulary:
    """All toy words, the novel ones too, under the ids of the toy ADE20K."""
    return Vocabulary(
        replace(category, id=number) for category, number in zip(vocabulary(), ADE20K_IDS, strict=True)
    )


def write_ade20k(root: Path, split: str, scenes: Iterable[Scene]) -> None:
    """Write ``images``, ``annotations`` and ``annotations_instance`` of a split, and convert them.

    Args:
        root: the folder ADEChallengeData2016.
        split: ``train`` or ``val``.
    """
    folder = SPLITS[split]
    semantic_values = np.zeros(VOID + 1, np.uint8)
    semantic_values[: len(NAMES)] = np.array(ADE20K_IDS) + 1
    instance_categories = np.zeros(VOID + 1, np.uint8)
    instance_categories[:NUM_THINGS] = np.argsort(np.argsort(ADE20K_IDS[:NUM_THINGS])) + 1
    for number, scene in enumerate(scenes, 1):
        frame = render(scene)
        annotation = annotate(scene, frame)
        name = f"ADE_{split}_{number:08d}"
        write_image(root / "images" / folder / f"{name}.jpg", frame.image)
        write_png(root / "annotations" / folder / f"{name}.png", semantic_values[annotation.classes])
        instances = annotation.instances.astype(np.uint8)
        channels = [instance_categories[annotation.classes], instances, np.zeros_like(instances)]
        write_png(root / "annotations_instance" / folder / f"{name}.png", np.stack(channels, -1))
    convert_ade20k(root, split, ade20k_vocabulary())


CITY = "toytown"
UNLABELED = 0
_THING_LABELS = (24, 25, 26, 27, 28, 31, 32, 33)  # person ... bicycle
_STUFF_LABELS = (7, 8, 11, 21, 23)  # road, sidewalk, building, vegetation, sky
LABEL_IDS: dict[int, int] = {
    **dict(zip((THINGS.index(name) for name in BASE_THINGS[::3]), _THING_LABELS, strict=True)),
    **dict(zip(range(NUM_THINGS, NUM_THINGS + len(STUFF)), _STUFF_LABELS, strict=True)),
}
"""World class -> label id, for the classes that occur: 8 base things, and all stuff."""
CITYSCAPES_THINGS: tuple[int, ...] = tuple(index for index in LABEL_IDS if index < NUM_THINGS)


def cityscapes_vocabulary() -> Vocabulary:
    """The toy words under the label ids for which they stand."""
    words = vocabulary()
    return Vocabulary(replace(words[index], id=label) for index, label in LABEL_IDS.items())


def write_cityscapes(root: Path, split: str, scenes: Iterable[Scene]) -> None:
    """Write ``leftImg8bit`` and ``gtFine`` of a split, and the official panoptic ground truth of ``val``.

    Args:
        root: the folder cityscapes.
        split: ``train`` or ``val``.
        scenes: of the things in ``CITYSCAPES_THINGS`` alone.
    """
    labels = np.full(VOID + 1, UNLABELED, np.uint16)
    labels[list(LABEL_IDS)] = list(LABEL_IDS.values())
    for number, scene in enumerate(scenes, 1):
        frame = render(scene)
        annotation = annotate(scene, frame)
        label_ids = labels[annotation.classes]
        numbers = annotation.instances.astype(np.uint16)  # official numbers start at 0
        instance_ids = np.where(numbers > 0, label_ids * 1000 + numbers - 1, label_ids).astype(np.uint16)
        name = f"{CITY}_{number:06d}_000019"
        write_png(root / "leftImg8bit" / split / CITY / f"{name}_leftImg8bit.png", frame.image)
        masks = root / "gtFine" / split / CITY
        write_png(masks / f"{name}_gtFine_instanceIds.png", instance_ids)
        write_png(masks / f"{name}_gtFine_labelIds.png", label_ids.astype(np.uint8))
    if split == "val":
        with redirect_stdout(StringIO()):
            convert_cityscapes(root, split)


LVIS_IDS: tuple[int, ...] = tuple(sorted(THINGS).index(name) + 1 for name in THINGS)
"""World class of a thing -> category id: the alphabetical order, as in the official list."""
FOLDERS = ("val2017", "train2017")
"""Where the images of the val split lie, in turn: its authors split COCO's images in another way."""
NEGATIVES_STEP = 3
"""One of so many absent categories is known to be absent; nobody has looked for the others."""


def lvis_vocabulary() -> Vocabulary:
    """The words of all toy things under the ids of the toy LVIS."""
    return Vocabulary(
        replace(category, id=number) for category, number in zip(vocabulary().things(), LVIS_IDS, strict=True)
    )


def write_lvis(root: Path, scenes: Iterable[Scene], first_id: int) -> None:
    """Write ``annotations/lvis_v1_val.json``, its images, and boxes as a detector would find them,
    ``annotations/lvis_v1_detections_val.json``. Novel things are rare, the others common or frequent.

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
        of_image = [
            {
                "id": number,
                "image_id": image_id,
                "category_id": LVIS_IDS[segment.category],
                **mask_fields(segment.mask),
            }
            for number, segment in enumerate(annotate(scene, frame).segments(), len(annotations) + 1)
            if segment.instance
        ]
        annotations += of_image
        present = sorted({entry["category_id"] for entry in of_image})
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
    write_json(
        root / "annotations" / "lvis_v1_detections_val.json", [_detected(entry) for entry in annotations]
    )


def _categories(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    entries = []
    for number, name in sorted(zip(LVIS_IDS, THINGS, strict=True)):
        of_category = [entry for entry in annotations if entry["category_id"] == number]
        word = name.replace(" ", "_")
        entries.append(
            {
                "id": number,
                "name": word,
                "synonyms": [word],
                "synset": f"{word}.n.01",
                "def": f"a thing that is {name}",
                "frequency": "r" if name in NOVEL_THINGS else "cf"[number % 2],
                "image_count": len({entry["image_id"] for entry in of_category}),
                "instance_count": len(of_category),
            }
        )
    return entries


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
    """Write the shard ``sa_000000/``: images, and for each a JSON file with the masks of its things and stuff.

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


def write_crowd_human(root: Path, split: str, scenes: Iterable[Scene]) -> None:
    """Write one split in CrowdHuman's format: ``annotation_{split}.odgt`` and ``Images/``; every thing is a person.

    ``fbox`` is the box of the whole shape, ``vbox`` that of what is seen. A thing that hardly shows is marked as
    ignored, and one that is hidden is left out. There are no heads, so no ``hbox``.
    """
    lines = []
    for number, scene in enumerate(scenes):
        frame, name = render(scene), f"{split}_{number:06d}"
        write_image(root / "Images" / f"{name}.jpg", frame.image)
        seen = ((thing, frame.thing == index) for index, thing in enumerate(scene.things))
        people = [
            _person(thing.box(), mask, box_id) for box_id, (thing, mask) in enumerate(seen) if mask.any()
        ]
        lines.append(json.dumps({"ID": name, "gtboxes": people}))
    (root / f"annotation_{split}.odgt").write_text("".join(f"{line}\n" for line in lines))


def _person(box: tuple[float, float, float, float], mask: np.ndarray, box_id: int) -> dict[str, Any]:
    x0, y0, x1, y1 = (round(edge, 2) for edge in box)
    extra = {"box_id": box_id, **({"ignore": 1} if mask.sum() < MIN_VISIBLE else {})}
    full = [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)]
    return {"tag": "person", "fbox": full, "vbox": bounding_box(mask), "extra": extra}
