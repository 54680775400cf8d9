"""Toy videos in the official layouts of YouTube-VIS, VIPSeg and DAVIS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omgseg.structures.vipseg_png import VOID_CLASS, write_vipseg_panomask
from omgseg.toy.annotation import VOID, Annotation, annotate
from omgseg.toy.categories import COCO_IDS, NAMES, NUM_THINGS, VIPSEG_IDS, class_color
from omgseg.toy.coco import categories
from omgseg.toy.world import SIZE, Scene, render
from omgseg.toy.writers import bounding_box, encode_rle, write_image, write_json

Video = tuple[Scene, int]
"""A scene and its number of frames."""


def write_youtube_vis(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``annotations/youtube_vis_2019_{split}.json`` (the official schema: one entry a track, ``null`` where it
    is not seen) and ``{split}/JPEGImages/<video>/``."""
    entries: list[dict[str, Any]] = []
    tracks: list[dict[str, Any]] = []
    for video_id, (scene, length) in enumerate(videos, 1):
        name = f"toy{video_id:04d}"
        file_names = [f"{name}/{index:05d}.jpg" for index in range(length)]
        masks = []
        for index, file_name in enumerate(file_names):
            frame = render(scene, index)
            write_image(root / split / "JPEGImages" / file_name, frame.image)
            masks.append(annotate(scene, frame).things())
        size = {"height": SIZE, "width": SIZE}
        entries.append({"id": video_id, **size, "length": length, "file_names": file_names})
        for instance in sorted(set().union(*masks)):
            seen = [frame_masks.get(instance) for frame_masks in masks]
            tracks.append(
                {
                    "id": len(tracks) + 1,
                    "video_id": video_id,
                    "category_id": COCO_IDS[scene.things[instance - 1].category],
                    "segmentations": [None if mask is None else encode_rle(mask) for mask in seen],
                    "areas": [None if mask is None else int(mask.sum()) for mask in seen],
                    "bboxes": [None if mask is None else bounding_box(mask) for mask in seen],
                    "iscrowd": 0,
                    **size,
                    "length": 1,
                }
            )
    content = {"info": {"description": "omgseg toy world"}, "licenses": [], "videos": entries}
    write_json(
        root / "annotations" / f"youtube_vis_2019_{split}.json",
        {**content, "categories": categories(include_novel=False, things_only=True), "annotations": tracks},
    )


def write_vipseg_categories(root: Path) -> None:
    """Write ``panoVIPSeg_categories.json``, the class list of the VIPSeg distribution, and the same as
    ``vocabulary.json`` for :meth:`omgseg.structures.Vocabulary.load`."""
    entries = [
        {
            "id": number,
            "name": NAMES[index],
            "isthing": int(index < NUM_THINGS),
            "supercategory": "",
            "color": list(class_color(index)),
        }
        for index, number in VIPSEG_IDS.items()
    ]
    write_json(root / "panoVIPSeg_categories.json", entries)
    write_json(root / "vocabulary.json", {"categories": entries})


def write_vipseg(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``imgs/<video>/``, ``panomasks/<video>/`` and the list ``{split}.txt``."""
    to_vipseg = np.full(256, VOID_CLASS, dtype=np.int32)
    for index, number in VIPSEG_IDS.items():
        to_vipseg[index] = number
    names = []
    for video_id, (scene, length) in enumerate(videos):
        name = f"{split}_toy{video_id:04d}"
        names.append(name)
        for index in range(length):
            frame = render(scene, index)
            annotation = annotate(scene, frame)
            write_image(root / "imgs" / name / f"{index:08d}.jpg", frame.image)
            write_vipseg_panomask(
                root / "panomasks" / name / f"{index:08d}.png",
                to_vipseg[annotation.classes],
                annotation.instances,
            )
    (root / f"{split}.txt").write_text("\n".join(names) + "\n")


def write_davis(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``JPEGImages/480p/``, ``Annotations/480p/`` (palette PNGs with the objects of the first frame, numbered
    from 1) and ``ImageSets/2017/{split}.txt``. 480p is the official folder's name; frames keep the toy's size."""
    names = []
    for video_id, (scene, length) in enumerate(videos):
        name = f"toy-{video_id:02d}"
        names.append(name)
        numbers = np.zeros(len(scene.things) + 1, dtype=np.uint8)
        for index in range(length):
            frame = render(scene, index)
            annotation = annotate(scene, frame)
            if index == 0:
                first = first_objects(annotation)
                numbers[first] = np.arange(1, len(first) + 1)
            write_image(root / "JPEGImages" / "480p" / name / f"{index:05d}.jpg", frame.image)
            _write_palette_png(
                root / "Annotations" / "480p" / name / f"{index:05d}.png", numbers[annotation.instances]
            )
    listing = root / "ImageSets" / "2017" / f"{split}.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("\n".join(names) + "\n")


def first_objects(annotation: Annotation) -> np.ndarray:
    """Instance numbers of the things in a frame, ascending."""
    return np.unique(annotation.instances[(annotation.instances > 0) & (annotation.classes != VOID)])


def _write_palette_png(path: Path, objects: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(objects, mode="P")
    image.putpalette(_palette().ravel().tolist())
    image.save(path)


def _palette() -> np.ndarray:
    """The palette of PASCAL VOC and DAVIS: the bits of a number spread over the channels' high bits."""
    numbers = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((numbers >> (3 * (bit % 3) + channel)) & 1) << (7 - bit)).astype(
                np.uint8
            )
    return palette
