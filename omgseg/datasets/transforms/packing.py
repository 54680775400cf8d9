"""Prompts for the objects of an image, and from the pipeline's dict to what the model gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.structures import InstanceData

from omgseg.datasets.segments import mask_boxes
from omgseg.datasets.transforms.loading import select_objects
from omgseg.registry import TRANSFORMS
from omgseg.structures.prompts import innermost_point


@TRANSFORMS.register_module()
class SamplePrompts(BaseTransform):
    """Make prompts for objects of the (first) frame; objects without a prompt are removed.

    Adds ``prompts``: ``points`` float32 (N, 2), x y, or ``boxes`` float32 (N, 4), x1 y1 x2 y2, row by row
    those of ``gt_masks``, in pixels of the image that the model gets (the centre of the first pixel is 0.5),
    also where the masks stay at the original size. Belongs after all resizing and flipping.

    Args:
        max_prompts: objects to choose, at random. None: all.
        repeat: with fewer objects than `max_prompts`, prompt them again, elsewhere, until there are that many.
            An image with few objects then says as much about prompts as one with many.
        kind: "point" or "box".
        deterministic: the point farthest from the mask's edge, instead of a random one.
    """

    def __init__(
        self,
        max_prompts: int | None = 20,
        repeat: bool = False,
        kind: str = "point",
        deterministic: bool = False,
    ) -> None:
        if kind not in ("point", "box"):
            raise ValueError(f"SamplePrompts: kind {kind!r} must be 'point' or 'box'")
        if repeat and max_prompts is None:
            raise ValueError("SamplePrompts: repeat=True needs max_prompts")
        self.max_prompts = max_prompts
        self.repeat = repeat
        self.kind = kind
        self.deterministic = deterministic

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        rows = np.flatnonzero(results["gt_masks"][:, 0].any((1, 2)))
        if self.max_prompts is not None and len(rows) > self.max_prompts:
            rows = np.sort(np.random.choice(rows, self.max_prompts, replace=False))
        if self.repeat and len(rows):
            rows = np.resize(rows, self.max_prompts)
        select_objects(results, rows)
        masks = results["gt_masks"][:, 0]
        height, width = results["img_shape"]
        scale = np.array([width / masks.shape[2], height / masks.shape[1]], np.float32)
        if self.kind == "box":
            boxes = np.array([_box(mask) for mask in masks], np.float32).reshape(-1, 4)
            results["prompts"] = {"boxes": boxes * np.tile(scale, 2)}
        else:
            pick = innermost_point if self.deterministic else _random_point
            points = np.array([pick(mask) for mask in masks], np.float32).reshape(-1, 2)
            results["prompts"] = {"points": (points + 0.5) * scale}
        return results


def _random_point(mask: np.ndarray) -> tuple[int, int]:
    inside = np.flatnonzero(mask)
    y, x = divmod(int(inside[np.random.randint(len(inside))]), mask.shape[1])
    return x, y


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


FRAME_KEYS = ("img_path", "img_id", "frame_id", "seg_map_path", "segments_info")
CLIP_KEYS = ("ori_shape", "img_shape", "scale_factor", "flip", "tasks", "source")
VIDEO_KEYS = ("video_id", "video_length")
NUMBER_KEY = "sample_idx"
"""The number of a sample in its dataset; seeds of what is drawn in a test."""


@TRANSFORMS.register_module()
class PackClip(BaseTransform):
    """Make the model's input.

    Returns ``inputs``, uint8 (T, 3, h, w) RGB, and ``data_samples``: a ``DetDataSample`` for an image, a
    ``TrackDataSample`` of T of them for a clip. A frame with ground truth has ``gt_instances`` with
    ``labels`` (N,), ``masks`` bool (N, H, W), ``instances_ids`` (N,) and ``bboxes`` float32 (N, 4), those of the
    annotations where they were read (``gt_boxes``), else around the masks; rows are aligned over the frames of a clip.
    Where only boxes are known (the format ``boxes``), there are no ``masks``.
    Pseudo labels have ``scores`` float32 (N,) too, and a frame's ignored pixels are the one mask of
    ``ignored_instances``, bool (1, H, W).
    Sampled prompts are ``data_sample.prompts``, on the same rows. A teacher's embedding of the (first) frame is
    ``data_sample.teacher_embedding``, and ``teacher`` says whose it is (SHA-256 of its weights).
    Masks are those of the first frames, as many as there are, or those of the frames ``gt_frames``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        imgs = results["imgs"]
        inputs = np.empty((len(imgs), 3, *imgs[0].shape[:2]), np.uint8)
        for t, img in enumerate(imgs):
            inputs[t] = img.transpose(2, 0, 1)
        samples = [self._pack_frame(results, t) for t in range(len(imgs))]
        sample: DetDataSample | TrackDataSample = samples[0]
        if results["is_video"]:
            sample = TrackDataSample(metainfo={key: results[key] for key in CLIP_KEYS + VIDEO_KEYS})
            sample.video_data_samples = samples
        return {"inputs": torch.from_numpy(inputs), "data_samples": sample}

    def _pack_frame(self, results: dict[str, Any], t: int) -> DetDataSample:
        frame = results["frames"][t]
        metainfo = {key: results[key] for key in CLIP_KEYS}
        metainfo.update({key: results[key] for key in VIDEO_KEYS if key in results})
        metainfo.update({key: frame[key] for key in FRAME_KEYS if key in frame})
        if NUMBER_KEY in results:
            metainfo[NUMBER_KEY] = results[NUMBER_KEY]
        sample = DetDataSample(metainfo=metainfo)
        column = _column_of(results, t)
        if column is not None:
            masks = np.ascontiguousarray(results["gt_masks"][:, column]).view(np.bool_)
            known = {} if results.get("seg_format") == "boxes" else dict(masks=torch.from_numpy(masks))
            sample.gt_instances = InstanceData(
                labels=torch.from_numpy(results["gt_labels"]),
                **known,
                instances_ids=torch.from_numpy(results["gt_instance_ids"]),
                bboxes=torch.from_numpy(results["gt_boxes"] if "gt_boxes" in results else mask_boxes(masks)),
            )
            if "gt_scores" in results:
                sample.gt_instances.scores = torch.from_numpy(results["gt_scores"])
                ignored = np.ascontiguousarray(results["gt_ignored"][:, column]).view(np.bool_)
                sample.ignored_instances = InstanceData(masks=torch.from_numpy(ignored))
        if "prompts" in results and t == 0:
            sample.prompts = InstanceData(**{k: torch.from_numpy(v) for k, v in results["prompts"].items()})
        if "teacher_embedding" in results and t == 0:
            sample.set_field(results["teacher_embedding"], "teacher_embedding", dtype=torch.Tensor)
            sample.set_metainfo({"teacher": results["teacher"]})
        return sample


def _column_of(results: dict[str, Any], t: int) -> int | None:
    """Where ``gt_masks`` holds frame t, if it does."""
    if "gt_masks" not in results:
        return None
    columns = results.get("gt_frames", range(results["gt_masks"].shape[1]))
    return columns.index(t) if t in columns else None
