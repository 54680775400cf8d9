"""The toy world's videos in the official formats: YouTube-VIS, OVIS, VIPSeg, VSPW, DAVIS and YouTube-VOS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.structures.label_png import VOID_CLASS, object_image, write_vipseg_panomask, write_vspw_mask
from omgseg.structures.run_lengths import encode_masks
from omgseg.toy.annotation import VOID, Annotation, annotate
from omgseg.toy.categories import COCO_IDS, NAMES, VIPSEG_IDS, vipseg_vocabulary
from omgseg.toy.image_files import categories
from omgseg.toy.world import SIZE, Scene, World, render
from omgseg.toy.writers import bounding_box, write_image, write_json

Video = tuple[Scene, int]
"""A scene and its number of frames."""


def sample_videos(
    world: World,
    count: int,
    lengths: tuple[int, int],
    seed: int,
    things: tuple[int, int] = (2, 4),
    accept: Callable[[Scene, int], bool] | None = None,
) -> list[Video]:
    """Scenes with a length.

    Args:
        lengths: bounds of the number of frames, both included.
        things: bounds of the number of things, both included.
        accept: which scenes (with their length) are taken. Default: those that show at least two things in their
            first frame.
    """
    rng = np.random.default_rng((seed, count))
    accept = accept or (lambda scene, _: len(things_of_frame(scene, 0)) >= 2)
    videos: list[Video] = []
    while len(videos) < count:
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        scene = world.video_scene(length, things)
        if accept(scene, length):
            videos.append((scene, length))
    return videos


def an_object_enters_later(scene: Scene, length: int) -> bool:
    """Whether a thing is seen in the first frame, and a new one in a later frame."""
    first = things_of_frame(scene, 0)
    later = [things_of_frame(scene, index) for index in range(1, length)]
    return len(first) > 0 and bool(np.setdiff1d(np.concatenate(later), first).size)


def things_of_frame(scene: Scene, index: int) -> np.ndarray:
    """Instance numbers of the things that are annotated in a frame, ascending."""
    return visible_things(annotate(scene, render(scene, index)))


def visible_things(annotation: Annotation) -> np.ndarray:
    """Instance numbers of the things in a frame, ascending."""
    return np.unique(annotation.instances[(annotation.instances > 0) & (annotation.classes != VOID)])


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
    """Write the frames and the annotation file: one entry per track, ``null`` where it is not seen.

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


def write_vipseg_categories(root: Path) -> None:
    """Write ``panoVIPSeg_categories.json``, the class list of the VIPSeg distribution, and the same as
    ``vocabulary.json`` for :meth:`omgseg.structures.Vocabulary.load`."""
    entries = [{**category.to_dict(), "supercategory": ""} for category in vipseg_vocabulary()]
    entries.sort(key=lambda entry: entry["id"])
    write_json(root / "panoVIPSeg_categories.json", entries)
    write_json(root / "vocabulary.json", {"categories": entries})


def write_vipseg(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``imgs/<video>/``, ``panomasks/<video>/`` and the list ``{split}.txt``."""
    to_vipseg = _vipseg_ids()
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
    _write_list(root, split, names)


def write_vspw(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``data/<video>/origin/``, ``data/<video>/mask/``, the list ``{split}.txt`` and
    ``label_num_dic_final.json``. Categories have VIPSeg's ids."""
    to_vipseg = _vipseg_ids()
    names = []
    for video_id, (scene, length) in enumerate(videos):
        name = f"{video_id}_{split}"
        names.append(name)
        for index in range(length):
            frame = render(scene, index)
            write_image(root / "data" / name / "origin" / f"{index:08d}.jpg", frame.image)
            write_vspw_mask(
                root / "data" / name / "mask" / f"{index:08d}.png",
                to_vipseg[annotate(scene, frame).classes],
            )
    _write_list(root, split, names)
    numbers = {category.name: category.id + 1 for category in vipseg_vocabulary()}
    write_json(root / "label_num_dic_final.json", {"others": 0, **numbers})


def _vipseg_ids() -> np.ndarray:
    """Lookup (256,): class in an annotation -> category id, ``VOID_CLASS`` for void."""
    table = np.full(256, VOID_CLASS, dtype=np.int32)
    for index, number in VIPSEG_IDS.items():
        table[index] = number
    return table


def _write_list(root: Path, split: str, names: Sequence[str]) -> None:
    (root / f"{split}.txt").write_text("\n".join(names) + "\n")


YOUTUBE_VOS_STEP = 5
"""The official frames are every fifth of their video, and are named so."""


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
                first = visible_things(annotation)
                numbers[first] = np.arange(1, len(first) + 1)
            write_image(root / "JPEGImages" / "480p" / name / f"{index:05d}.jpg", frame.image)
            _write_palette_png(
                root / "Annotations" / "480p" / name / f"{index:05d}.png", numbers[annotation.instances]
            )
    listing = root / "ImageSets" / "2017" / f"{split}.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("\n".join(names) + "\n")


def write_youtube_vos(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``{split}/JPEGImages/``, ``{split}/meta.json`` and ``{split}/Annotations/``: palette PNGs of the frames in
    which objects appear first, and of these objects only. Objects count from 1 in the order of their appearance."""
    folder = root / split
    meta = {}
    for video_id, (scene, length) in enumerate(videos):
        name = f"toy{video_id:04d}"
        numbers = np.zeros(len(scene.things) + 1, dtype=np.uint8)
        objects: dict[str, dict] = {}
        for index in range(length):
            frame = render(scene, index)
            annotation = annotate(scene, frame)
            stem = f"{YOUTUBE_VOS_STEP * index:05d}"
            write_image(folder / "JPEGImages" / name / f"{stem}.jpg", frame.image)
            visible = visible_things(annotation)
            new = visible[numbers[visible] == 0]
            numbers[new] = np.arange(1, len(new) + 1) + len(objects)
            for thing in new:
                objects[str(numbers[thing])] = {
                    "category": NAMES[scene.things[thing - 1].category],
                    "frames": [],
                }
            for thing in visible:
                objects[str(numbers[thing])]["frames"].append(stem)
            if len(new):
                shown = np.where(np.isin(annotation.instances, new), numbers[annotation.instances], 0)
                _write_palette_png(folder / "Annotations" / name / f"{stem}.png", shown.astype(np.uint8))
        meta[name] = {"objects": objects}
    write_json(folder / "meta.json", {"videos": meta})


def _write_palette_png(path: Path, objects: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    object_image(objects).save(path)
