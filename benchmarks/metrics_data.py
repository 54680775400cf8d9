"""Ground truth and damaged predictions for measuring metrics: seeded smooth random fields in place of images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from omgseg.evaluation.metrics.base import INSTANCE_OFFSET
from omgseg.structures import Category, Vocabulary
from omgseg.structures.label_png import write_panoptic_png, write_png, write_vipseg_panomask
from omgseg.structures.run_lengths import encode_masks

NUM_THINGS, NUM_STUFF = 12, 8
CELL = 64
"""Pixels between the random numbers that a field interpolates."""


@dataclass(frozen=True)
class MetricSizes:
    """How much is scored.

    Attributes:
        images: for PQ; also frames for VPQ and for J&F.
        instance_images: for AP.
        size: height and width of all of these but J&F's.
        vos_size: of J&F's.
        segments: of a panoptic image or frame.
        objects: predicted masks of an image for AP; half of them are found in the ground truth.
        vos_objects: objects of a sequence for J&F.
        clip: frames of a video.
        track_videos, track_frames: for the AP of tracks.
        tracks: predicted tracks of a video; one of twenty is found in the ground truth.
        bank: images that are drawn; the others repeat them under other ids.
    """

    images: int = 200
    instance_images: int = 500
    size: tuple[int, int] = (480, 640)
    vos_size: tuple[int, int] = (480, 854)
    segments: int = 20
    objects: int = 20
    vos_objects: int = 3
    clip: int = 25
    track_videos: int = 50
    track_frames: int = 30
    tracks: int = 100
    bank: int = 25


@dataclass(frozen=True)
class Scenes:
    """Samples as a metric's ``process`` gets them.

    Attributes:
        samples: one per image or video.
        images: images or frames in all of them.
        arguments: of the metric.
    """

    samples: list[dict[str, Any]]
    images: int
    arguments: dict[str, Any]


def make_vocabulary() -> Vocabulary:
    """Things and stuff with ids 0, 1, ...; id 0 is stuff, as in VIPSeg, whose masks cannot hold its instances."""
    return Vocabulary(
        Category(name=f"class {i}", is_thing=i >= NUM_STUFF, id=i) for i in range(NUM_STUFF + NUM_THINGS)
    )


def smooth_fields(rng: np.random.Generator, count: int, size: tuple[int, int]) -> np.ndarray:
    """Smooth random fields, float32 (count, H, W)."""
    height, width = size
    coarse = rng.standard_normal((count, height // CELL + 3, width // CELL + 3), dtype=np.float32)
    return np.stack([cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) for field in coarse])


def shifted(values: np.ndarray, pixels: int) -> np.ndarray:
    """The damage of all predictions: (..., H, W), moved to the lower right."""
    return np.roll(values, (pixels, pixels), axis=(-2, -1))


def _drifting(fields: np.ndarray, frames: int) -> np.ndarray:
    """The strongest field at each pixel, int64 (frames, H, W), while the fields move against each other."""
    moved = [
        np.stack([np.roll(field, t * (index % 5 - 2), axis=1) for index, field in enumerate(fields)])
        for t in range(frames)
    ]
    return np.stack([maps.argmax(axis=0) for maps in moved])


def _panoptic(rng: np.random.Generator, segments: int) -> tuple[np.ndarray, np.ndarray]:
    """Label and instance of each segment; stuff has instance 0, and no label twice."""
    stuff = min(NUM_STUFF, segments // 3)
    labels = np.concatenate(
        [NUM_THINGS + rng.permutation(NUM_STUFF)[:stuff], rng.integers(0, NUM_THINGS, segments - stuff)]
    )
    return labels, np.where(labels < NUM_THINGS, np.arange(segments) % 99 + 1, 0)


def panoptic_images(folder: Path, sizes: MetricSizes) -> Scenes:
    """For PQ: PNGs, their JSON, and predicted maps."""
    rng, vocabulary = np.random.default_rng(0), make_vocabulary()
    drawn, annotations, samples = [], [], []
    for number in range(min(sizes.bank, sizes.images)):
        index = smooth_fields(rng, sizes.segments, sizes.size).argmax(axis=0)
        labels, instances = _panoptic(rng, sizes.segments)
        write_panoptic_png(folder / "png" / f"{number}.png", index + 1)
        areas = np.bincount(index.ravel(), minlength=sizes.segments)
        segments = [
            {"id": i + 1, "category_id": vocabulary[int(labels[i])].id, "area": int(areas[i]), "iscrowd": 0}
            for i in np.flatnonzero(areas).tolist()
        ]
        encoded = (labels + INSTANCE_OFFSET * instances)[shifted(index, 4)].astype(np.int32)
        drawn.append((f"{number}.png", segments, encoded[None]))
    for image_id in range(sizes.images):
        name, segments, encoded = drawn[image_id % len(drawn)]
        annotations.append({"image_id": image_id, "file_name": name, "segments_info": segments})
        samples.append({"img_id": image_id, "pred_panoptic_seg": {"sem_seg": encoded}})
    categories = [{"id": c.id, "name": c.name, "isthing": int(c.is_thing)} for c in vocabulary]
    (folder / "panoptic.json").write_text(json.dumps({"annotations": annotations, "categories": categories}))
    arguments = dict(ann_file=str(folder / "panoptic.json"), seg_prefix=str(folder / "png"))
    return Scenes(samples, sizes.images, arguments)


def panoptic_videos(folder: Path, sizes: MetricSizes) -> Scenes:
    """For VPQ and STQ: VIPSeg's masks, and predicted maps."""
    rng, vocabulary = np.random.default_rng(1), make_vocabulary()
    labels, instances = _panoptic(rng, sizes.segments)
    ids = np.array(vocabulary.label_to_id)
    frames = []
    for t, index in enumerate(_drifting(smooth_fields(rng, sizes.segments, sizes.size), sizes.clip)):
        path = folder / "panomasks" / f"{t}.png"
        write_vipseg_panomask(path, ids[labels][index], instances[index])
        encoded = (labels + INSTANCE_OFFSET * instances)[shifted(index, 4)].astype(np.int32)
        frames.append({"seg_map_path": str(path), "pred_panoptic_seg": {"sem_seg": encoded[None]}})
    return _videos(frames, sizes.images)


def object_videos(folder: Path, sizes: MetricSizes) -> Scenes:
    """For J&F: DAVIS' masks, and predicted object numbers."""
    fields = smooth_fields(np.random.default_rng(2), sizes.vos_objects + 2, sizes.vos_size)
    frames = []
    for t, index in enumerate(_drifting(fields, sizes.clip)):
        objects = np.where(index <= sizes.vos_objects, index, 0)
        path = folder / "davis" / f"{t}.png"
        write_png(path, objects.astype(np.uint8))
        frames.append(
            {
                "seg_map_path": str(path),
                "pred_vos_seg": {"sem_seg": shifted(objects, 4)[None].astype(np.int32)},
            }
        )
    return _videos(frames, sizes.images)


def _videos(frames: list[dict[str, Any]], images: int) -> Scenes:
    """The same clip under several ids."""
    count = max(1, images // len(frames))
    samples = [{"video_id": n, "video_data_samples": frames} for n in range(count)]
    return Scenes(samples, count * len(frames), {})


def instance_images(folder: Path, sizes: MetricSizes) -> Scenes:
    """For AP: COCO's JSON, and stacks of predicted masks of which half are wrong."""
    rng, drawn, annotations, samples = np.random.default_rng(3), [], [], []
    height, width = sizes.size
    for _ in range(min(sizes.bank, sizes.instance_images)):
        masks = smooth_fields(rng, sizes.objects, sizes.size) > 1.2
        found = masks[: sizes.objects // 2]
        labels = rng.integers(0, NUM_THINGS, sizes.objects)
        drawn.append((encode_masks(found), labels, np.stack([shifted(m, s) for s, m in enumerate(masks)])))
    ids = make_vocabulary().label_to_id
    for image_id in range(sizes.instance_images):
        truth, labels, masks = drawn[image_id % len(drawn)]
        annotations += [
            _annotation(len(annotations) + n + 1, {"image_id": image_id}, ids[labels[n]], encoded)
            for n, encoded in enumerate(truth)
        ]
        scores = rng.random(len(labels), dtype=np.float32)
        predicted = {"masks": masks, "labels": labels, "scores": scores}
        samples.append({"img_id": image_id, "pred_instances": predicted})
    images = [{"id": i, "height": height, "width": width} for i in range(sizes.instance_images)]
    ann_file = _write_instances(folder / "instances.json", images=images, annotations=annotations)
    return Scenes(samples, sizes.instance_images, dict(ann_file=ann_file))


def track_videos(folder: Path, sizes: MetricSizes) -> Scenes:
    """For the AP of tracks: YouTube-VIS' JSON, and predicted tracks as run lengths."""
    rng, (height, width) = np.random.default_rng(4), sizes.size
    tracks, count = sizes.tracks, sizes.track_frames
    true = max(1, tracks // 20)
    fields = smooth_fields(rng, tracks, sizes.size) > 1.2
    frames = [np.stack([np.roll(m, 2 * t, axis=1) for m in fields]) for t in range(count)]
    truth = [encode_masks(masks[:true]) for masks in frames]
    guess = [encode_masks(np.stack([shifted(m, s) for s, m in enumerate(masks)])) for masks in frames]
    ids, annotations, samples = make_vocabulary().label_to_id, [], []
    for video_id in range(sizes.track_videos):
        labels, scores = rng.integers(0, NUM_THINGS, tracks), rng.random(tracks, dtype=np.float32)
        for row in range(true):
            masks = [frame[row] for frame in truth]
            entry = _annotation(len(annotations) + 1, {"video_id": video_id}, ids[labels[row]], masks[0])
            areas = [int(coco_mask.area(m)) for m in masks]
            boxes = [coco_mask.toBbox(m).tolist() for m in masks]
            entry |= dict(segmentations=masks, areas=areas, bboxes=boxes)
            annotations.append(entry)
        fixed = dict(instances_id=np.arange(tracks), labels=labels, scores=scores)
        predicted = [{"pred_track_instances": {**fixed, "masks": masks}} for masks in guess]
        samples.append({"video_id": video_id, "video_data_samples": predicted})
    videos = [dict(id=i, height=height, width=width, length=count) for i in range(sizes.track_videos)]
    ann_file = _write_instances(folder / "tracks.json", videos=videos, annotations=annotations)
    return Scenes(samples, sizes.track_videos * count, dict(ann_file=ann_file))


def _annotation(number: int, place: dict[str, int], category_id: int, mask: dict[str, Any]) -> dict[str, Any]:
    kept = {"id": number, **place, "category_id": category_id, "iscrowd": 0}
    return {**kept, "area": int(coco_mask.area(mask)), "segmentation": mask}


def _write_instances(path: Path, **content: Any) -> str:
    things = [{"id": c.id, "name": c.name} for c in make_vocabulary() if c.is_thing]
    path.write_text(json.dumps({**content, "categories": things}))
    return str(path)
