"""Toy videos with tracks, in the official layouts of YouTube-VIS and OVIS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omgseg.structures.run_lengths import encode_masks
from omgseg.toy.annotation import annotate
from omgseg.toy.categories import COCO_IDS
from omgseg.toy.coco import categories
from omgseg.toy.videos import Video
from omgseg.toy.world import SIZE, render
from omgseg.toy.writers import bounding_box, write_image, write_json


def write_youtube_vis_2019(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``annotations/youtube_vis_2019_{split}.json`` and ``{split}/JPEGImages/<video>/00000.jpg``."""
    ann_file = root / "annotations" / f"youtube_vis_2019_{split}.json"
    _write_tracks(ann_file, root / split / "JPEGImages", videos, include_novel=False)


def write_youtube_vis_2021(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``{split}/instances.json``, which lists all things, and ``{split}/JPEGImages/<video>/00000.jpg``."""
    folder = root / split
    _write_tracks(folder / "instances.json", folder / "JPEGImages", videos, include_novel=True)


def write_ovis(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``annotations_{split}.json`` and ``{split}/<video>/img_0000001.jpg``."""
    ann_file = root / f"annotations_{split}.json"
    _write_tracks(ann_file, root / split, videos, include_novel=False, frame_name="img_{:07d}.jpg", first=1)


def _write_tracks(
    ann_file: Path,
    images: Path,
    videos: Sequence[Video],
    include_novel: bool,
    frame_name: str = "{:05d}.jpg",
    first: int = 0,
) -> None:
    """Write the frames and the annotation file: one entry a track, ``null`` where it is not seen.

    Args:
        include_novel: categories list all things instead of the base ones.
        frame_name, first: how frames are named, and the number of the first one.
    """
    entries: list[dict[str, Any]] = []
    tracks: list[dict[str, Any]] = []
    for video_id, (scene, length) in enumerate(videos, 1):
        name = f"toy{video_id:04d}"
        file_names = [f"{name}/{frame_name.format(first + index)}" for index in range(length)]
        masks = []
        for index, file_name in enumerate(file_names):
            frame = render(scene, index)
            write_image(images / file_name, frame.image)
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
                    "segmentations": [None if mask is None else encode_masks([mask])[0] for mask in seen],
                    "areas": [None if mask is None else int(mask.sum()) for mask in seen],
                    "bboxes": [None if mask is None else bounding_box(mask) for mask in seen],
                    "iscrowd": 0,
                    **size,
                    "length": 1,
                }
            )
    content = {"info": {"description": "omgseg toy world"}, "licenses": [], "videos": entries}
    write_json(
        ann_file,
        {**content, "categories": categories(include_novel, things_only=True), "annotations": tracks},
    )
