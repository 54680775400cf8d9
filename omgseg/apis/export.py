"""Results as files in the formats of COCO and YouTube-VIS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.structures import DetDataSample, TrackDataSample
from pycocotools import mask as coco_mask
from scipy.ndimage import find_objects
from torch import Tensor

from omgseg.apis.inputs import Clip
from omgseg.models.readout.results import encode_masks
from omgseg.structures import Vocabulary
from omgseg.structures.panoptic_png import write_panoptic_png
from omgseg.structures.png import write_png


class ResultFiles:
    """Collects the results of several inputs and writes them to a folder.

    ====================  ============================================================================
    ``vocabulary.json``   the words, :meth:`Vocabulary.load` reads it
    ``panoptic.json``     COCO panoptic; its PNGs are ``panoptic/<name>.png``. A frame of a video is an
                          image ``<video>/<frame>``, and a segment's id is the same in all its frames
    ``instances.json``    COCO instances of images, with ``score``
    ``tracks.json``       YouTube-VIS: the instances of videos, with ``score``
    ``prompts.json``      COCO instances, one a prompt, with ``point`` or ``box`` and ``score``
    ``semantic/``         PNGs of labels: positions in ``vocabulary.json``
    ``vos/``              PNGs of object numbers, 0 is background
    ====================  ============================================================================

    Categories get the ids of the vocabulary if all have one, else their position + 1.

    Args:
        folder: created if missing.
        vocabulary: of all the results.
    """

    def __init__(self, folder: str | Path, vocabulary: Vocabulary) -> None:
        self.folder = Path(folder)
        self.vocabulary = vocabulary
        ids = vocabulary.label_to_id
        self.category_ids: list[int] = list(range(1, len(ids) + 1)) if None in ids else ids
        self._images: list[dict[str, Any]] = []
        self._videos: list[dict[str, Any]] = []
        self._annotations: dict[str, list[dict[str, Any]]] = {}

    def add(self, name: str, clip: Clip, sample: DetDataSample | TrackDataSample) -> None:
        """Write the maps of a result now, keep the rest for :meth:`finish`.

        Args:
            name: of the image or video, unique; names its files.
            clip: the input of `sample`.
            sample: on the CPU.
        """
        files = [str(path) for path in clip.paths] or clip.frame_names
        if isinstance(sample, DetDataSample):
            self._add_frame(name, sample, files[0], {})
            return
        video_id = len(self._videos) + 1
        height, width = sample.ori_shape
        self._videos.append(
            {
                "id": video_id,
                "name": name,
                "width": width,
                "height": height,
                "length": len(sample),
                "file_names": files,
            }
        )
        for index, frame in enumerate(sample.video_data_samples):
            place = {"video_id": video_id, "frame_id": index}
            self._add_frame(f"{name}/{clip.frame_names[index]}", frame, files[index], place)
        if "pred_track_instances" in sample[0]:
            self._add_tracks(video_id, [frame.pred_track_instances for frame in sample.video_data_samples])

    def finish(self) -> list[Path]:
        """Write the JSON files and return them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        written = []
        if len(self.vocabulary):
            written.append(self.folder / "vocabulary.json")
            self.vocabulary.save(written[0])
        categories = [
            {**category.to_dict(), "id": category_id}
            for category, category_id in zip(self.vocabulary, self.category_ids, strict=True)
        ]
        for kind, kept in self._annotations.items():
            listed = {"videos": self._videos} if kind == "tracks" else {"images": self._images}
            if kind != "panoptic":  # whose annotations are images, not objects
                kept = [{"id": number, **annotation} for number, annotation in enumerate(kept, 1)]
            content = {"info": {"description": "omgseg predictions"}, **listed, "annotations": kept}
            written.append(self.folder / f"{kind}.json")
            written[-1].write_text(json.dumps({**content, "categories": categories}))
        return written

    def _add_frame(self, name: str, frame: DetDataSample, file: str, place: dict[str, int]) -> None:
        image_id = len(self._images) + 1
        height, width = frame.ori_shape
        self._images.append({"id": image_id, "file_name": file, "height": height, "width": width, **place})
        if "pred_panoptic_seg" in frame:
            self._add_panoptic(image_id, name, frame.pred_panoptic_seg.sem_seg[0].numpy())
        if "pred_instances" in frame:
            self._add_masks(image_id, frame)
        if "pred_sem_seg" in frame:
            labels = frame.pred_sem_seg.sem_seg[0].numpy()
            write_png(
                self.folder / "semantic" / f"{name}.png", labels.astype(_smallest(len(self.vocabulary)))
            )
        if "pred_vos_seg" in frame:
            objects = frame.pred_vos_seg.sem_seg[0].numpy()
            write_png(self.folder / "vos" / f"{name}.png", objects.astype(_smallest(int(objects.max()) + 1)))

    def _add_panoptic(self, image_id: int, name: str, panoptic: np.ndarray) -> None:
        ids = np.where(panoptic == len(self.vocabulary), 0, panoptic + 1)
        file = f"{name}.png"
        write_panoptic_png(self.folder / "panoptic" / file, ids)
        present, index, areas = np.unique(ids, return_inverse=True, return_counts=True)
        boxes = find_objects(index.reshape(ids.shape) + 1)
        segments = [
            {
                "id": segment_id,
                "category_id": self.category_ids[(segment_id - 1) % INSTANCE_OFFSET],
                "area": area,
                "bbox": [x.start, y.start, x.stop - x.start, y.stop - y.start],
                "iscrowd": 0,
            }
            for segment_id, area, (y, x) in zip(present.tolist(), areas.tolist(), boxes, strict=True)
            if segment_id
        ]
        self._annotations.setdefault("panoptic", []).append(
            {"image_id": image_id, "file_name": file, "segments_info": segments}
        )

    def _add_masks(self, image_id: int, frame: DetDataSample) -> None:
        found = frame.pred_instances
        prompted = "prompts" in frame
        kept = self._annotations.setdefault("prompts" if prompted else "instances", [])
        extra: list[dict[str, Any]]
        if prompted:
            extra = _prompt_fields(frame)
        else:
            extra = [{"category_id": self.category_ids[label]} for label in found.labels.tolist()]
        for segmentation, score, more in zip(
            encode_masks(found.masks), found.scores.tolist(), extra, strict=True
        ):
            annotation = {
                "image_id": image_id,
                **_mask_fields(segmentation),
                "iscrowd": 0,
                "score": round(score, 5),
            }
            kept.append({**annotation, **more})

    def _add_tracks(self, video_id: int, frames: list[Any]) -> None:
        kept = self._annotations.setdefault("tracks", [])
        for row, (label, score) in enumerate(
            zip(frames[0].labels.tolist(), frames[0].scores.tolist(), strict=True)
        ):
            fields = [_mask_fields(frame.masks[row]) for frame in frames]
            seen = [field["area"] > 0 for field in fields]
            kept.append(
                {
                    "video_id": video_id,
                    "category_id": self.category_ids[label],
                    "score": round(score, 5),
                    "iscrowd": 0,
                    "segmentations": _where(seen, [field["segmentation"] for field in fields]),
                    "bboxes": _where(seen, [field["bbox"] for field in fields]),
                    "areas": _where(seen, [field["area"] for field in fields]),
                }
            )


def _mask_fields(run_lengths: dict[str, Any]) -> dict[str, Any]:
    """``segmentation``, ``area`` and ``bbox`` of a compressed run-length mask, ready for JSON."""
    counts = run_lengths["counts"]
    counts = counts.decode("ascii") if isinstance(counts, bytes) else counts
    return {
        "segmentation": {"size": [int(side) for side in run_lengths["size"]], "counts": counts},
        "area": int(coco_mask.area(run_lengths)),
        "bbox": [int(value) for value in coco_mask.toBbox(run_lengths)],
    }


def original_prompts(frame: DetDataSample) -> tuple[str, Tensor]:
    """ "points" (N, 2) or "boxes" (N, 4) of a frame, in pixels of the original image."""
    ((kind, prompts),) = frame.prompts.items()
    factors = prompts.new_tensor(list(frame.scale_factor) * (prompts.shape[1] // 2))
    return kind, prompts / factors


def _prompt_fields(frame: DetDataSample) -> list[dict[str, list[float]]]:
    kind, prompts = original_prompts(frame)
    name = {"points": "point", "boxes": "box"}[kind]
    return [{name: [round(number, 2) for number in row]} for row in prompts.tolist()]


def _where(seen: list[bool], values: list[Any]) -> list[Any]:
    return [value if visible else None for visible, value in zip(seen, values, strict=True)]


def _smallest(count: int) -> type[np.unsignedinteger]:
    return np.uint8 if count <= 256 else np.uint16
