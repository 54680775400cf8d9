"""Choosing and reading the frames and masks of a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from omgseg.datasets.embedding_cache import FILL, EmbeddingCache, EmbeddingCacheError
from omgseg.datasets.segments import FrameMasks, mask_boxes, read_segments
from omgseg.files import file_sha256
from omgseg.registry import TRANSFORMS
from omgseg.structures.images import scaled_shape
from omgseg.structures.label_png import image_size, load_image, require_regular


@TRANSFORMS.register_module()
class SampleFrames(BaseTransform):
    """Pick a clip out of a video: frames in order of time, at a random start and a random equal distance.

    A video too short for the distance takes a smaller one; one with fewer frames than the clip repeats its
    last.

    Args:
        num_frames: frames of a clip.
        interval: the largest distance between consecutive frames of a clip.
    """

    def __init__(self, num_frames: int = 2, interval: int = 1) -> None:
        if num_frames < 1 or interval < 1:
            raise ValueError(
                f"SampleFrames: num_frames {num_frames} and interval {interval} must be at least 1"
            )
        self.num_frames = num_frames
        self.interval = interval

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        frames = results["frames"]
        steps = max(self.num_frames - 1, 1)
        step = np.random.randint(1, self.interval + 1)
        step = max(min(step, (len(frames) - 1) // steps), 1)
        start = np.random.randint(max(len(frames) - step * steps, 1))
        indices = np.minimum(start + step * np.arange(self.num_frames), len(frames) - 1)
        results["frames"] = [frames[index] for index in indices]
        return results


END_MARKERS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}
"""What a complete file ends with. OpenCV pads the missing part of a truncated file with grey and says
nothing."""
TAIL = 64
"""Some complete files have a few bytes after the end marker."""


@TRANSFORMS.register_module()
class LoadFrames(BaseTransform):
    """Read the frames of a clip as RGB, as stored: masks are drawn on the stored pixels, so EXIF turns are
    ignored.

    Adds ``imgs`` (T arrays uint8 (H, W, 3)), ``ori_shape`` and ``img_shape`` (H, W), ``scale_factor`` (w, h),
    ``flip``.

    Raises:
        FileNotFoundError: a frame is missing.
        OSError: a frame is truncated or not an image.
        ValueError: the frames of a clip differ in size.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        imgs = [read_rgb(frame["img_path"], results["readme_anchor"]) for frame in results["frames"]]
        for frame, img in zip(results["frames"], imgs, strict=True):
            if img.shape != imgs[0].shape:
                raise ValueError(
                    f"{frame['img_path']} has {img.shape[1]}x{img.shape[0]} pixels, the clip's first frame "
                    f"{imgs[0].shape[1]}x{imgs[0].shape[0]} (width x height); frames of a video must agree"
                )
        shape = imgs[0].shape[:2]
        results.update(imgs=imgs, ori_shape=shape, img_shape=shape, scale_factor=(1.0, 1.0), flip=False)
        return results


def read_rgb(path: str | Path, anchor: str) -> np.ndarray:
    """Read an image: uint8 (H, W, 3), RGB.

    Raises:
        FileNotFoundError: the file is missing; names the part of data/README.md that describes it.
        OSError: the file is truncated or not an image.
    """
    path = require_regular(path)
    try:
        image_size(path)
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} not found; see data/README.md#{anchor}") from None
    marker = END_MARKERS.get(path.suffix.lower())
    if marker is None or marker not in data[-TAIL:]:
        return np.asarray(load_image(path).convert("RGB"))
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    img = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if img is None:
        raise OSError(f"{path} is not an image; copy or download it again")
    return cv2.cvtColor(img, cv2.COLOR_BGR2RGB)


OBJECT_KEYS = ("gt_masks", "gt_labels", "gt_instance_ids", "gt_scores")
"""What has a row for each object; ``gt_scores`` only of pseudo labels."""
MASK_KEYS = ("gt_masks", "gt_ignored")
"""What has pixels, uint8 (n, T, H, W); ``gt_ignored`` only of pseudo labels."""


def select_objects(results: dict[str, Any], rows: np.ndarray) -> None:
    """Keep some objects of a sample, by indices or a bool (N,)."""
    for key in OBJECT_KEYS:
        if key in results:
            results[key] = results[key][rows]


@TRANSFORMS.register_module()
class LoadSegments(BaseTransform):
    """Read the masks of a clip; row i is the same object in all frames.

    Adds ``gt_masks`` uint8 (N, T, H, W) (an absent object is empty in that frame), ``gt_labels`` int64 (N,)
    and ``gt_instance_ids`` int64 (N,), in order of first appearance. Crowd regions are left out. Of pseudo labels
    the sure segments are read, with ``gt_scores`` float32 (N,); ``gt_ignored`` uint8 (1, T, H, W) has the ignored
    pixels, see :class:`PseudoLabels`.

    The first two options read what a tracker may see of a test video.

    Args:
        first_frame_only: the first frame alone, T = 1 (DAVIS).
        first_masks_only: each object in the first frame that has a mask of it, and nowhere else (YouTube-VOS).
            Only such frames are kept: T is their number, and ``gt_frames`` (T indices) says which they are.
            Frames without a mask file count as frames without a mask.
        boxes: also the boxes of an image's annotations, where a format has some (COCO and its relatives):
            ``gt_boxes`` float32 (N, 4), x1 y1 x2 y2 in pixels of the file. They may differ from those around the
            masks by a pixel; what has none gets the box around its mask. Masks must not be resized afterwards.

    Raises:
        FileNotFoundError, OSError, ValueError: see :func:`omgseg.datasets.segments.read_segments`.
    """

    def __init__(
        self, first_frame_only: bool = False, first_masks_only: bool = False, boxes: bool = False
    ) -> None:
        if first_frame_only and first_masks_only:
            raise ValueError("LoadSegments: choose one of first_frame_only and first_masks_only")
        self.first_frame_only = first_frame_only
        self.first_masks_only = first_masks_only
        self.boxes = boxes

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if self.first_masks_only:
            segments, results["gt_frames"] = _first_masks(results)
        else:
            frames = results["frames"][:1] if self.first_frame_only else results["frames"]
            segments = [read_segments(frame, results) for frame in frames]
        if results.get("pseudo_labels") is not None:
            segments = _keep_sure(segments, results)
        masks, ids = align_rows([(frame.masks, frame.ids) for frame in segments])
        labels = dict(
            zip(np.concatenate([s.ids for s in segments]), np.concatenate([s.labels for s in segments]))
        )
        if segments[0].scores is not None:
            scores = {index: score for s in segments for index, score in zip(s.ids, s.scores, strict=True)}
            results["gt_scores"] = np.array([scores[index] for index in ids], np.float32)
        results["gt_masks"] = masks
        results["gt_instance_ids"] = ids
        results["gt_labels"] = np.array([labels[index] for index in ids], np.int64)
        if self.boxes:
            around = mask_boxes(segments[0].masks)
            given = segments[0].boxes
            results["gt_boxes"] = around if given is None else np.where(np.isnan(given), around, given)
        return results


def _keep_sure(segments: list[FrameMasks], results: dict[str, Any]) -> list[FrameMasks]:
    """The sure segments of frames; adds ``gt_ignored``."""
    whole_map = results["seg_format"] == "coco_panoptic"
    parts = [results["pseudo_labels"].split(frame, whole_map) for frame in segments]
    results["gt_ignored"] = np.stack([ignored for _, ignored in parts])[None]
    return [sure for sure, _ in parts]


def _first_masks(results: dict[str, Any]) -> tuple[list[FrameMasks], list[int]]:
    """The segments of the frames that show new ones, these only, and the numbers of the frames."""
    found, numbers = [], []
    seen = np.zeros(0, np.int64)
    for number, frame in enumerate(results["frames"]):
        if "seg_map_path" not in frame:
            continue
        segments = read_segments(frame, results)
        new = ~np.isin(segments.ids, seen)
        if new.any():
            found.append(segments.select(new))
            numbers.append(number)
            seen = np.union1d(seen, segments.ids)
    if not found:
        raise ValueError(
            f"video {results['video_id']!r}: none of its masks holds an object; see "
            f"data/README.md#{results['readme_anchor']}"
        )
    return found, numbers


def align_rows(frames: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Stack the masks of frames so that a row is one object.

    Args:
        frames: T pairs of masks uint8 (n_t, H, W) and ids int64 (n_t,).

    Returns:
        masks uint8 (N, T, H, W) and ids int64 (N,), in order of first appearance.
    """
    if len(frames) == 1:
        return frames[0][0][:, None], frames[0][1]
    ids = np.array(
        list(dict.fromkeys(index for _, frame_ids in frames for index in frame_ids.tolist())), np.int64
    )
    row = {index: position for position, index in enumerate(ids.tolist())}
    masks = np.zeros((len(ids), len(frames), *frames[0][0].shape[1:]), np.uint8)
    for t, (frame_masks, frame_ids) in enumerate(frames):
        masks[[row[index] for index in frame_ids.tolist()], t] = frame_masks
    return masks, ids


@TRANSFORMS.register_module()
class LoadTeacherEmbedding(BaseTransform):
    """Read a teacher's embedding of the (first) frame, which is that of the whole image: it belongs after the resizing,
    and flips and crops do not go with it.

    Adds ``teacher_embedding``, a float16 tensor (E, h, w), and ``teacher``, the SHA-256 of the teacher's weights. The
    file is read a second time for its key, while the system still has it in memory: 1 ms for a photo of 1 MB.

    Args:
        cache: folder that ``tools/teacher_embeddings.py`` has filled.
        image_size: side of the square that the student's images are fitted into, in pixels. None: the teacher's.

    Raises:
        FileNotFoundError: the folder is no cache.
        EmbeddingCacheError: the image is not in it, or a shard is damaged.
        ValueError: the frame was cropped, flipped, or resized to another size than the teacher's.
    """

    def __init__(self, cache: str, image_size: int | None = None) -> None:
        self.cache = EmbeddingCache(cache)
        self.image_size = image_size or self.cache.teacher.image_size

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        path, size = results["frames"][0]["img_path"], (self.image_size, self.image_size)
        if results["flip"] or tuple(results["img_shape"]) != scaled_shape(results["ori_shape"], size):
            raise ValueError(
                f"{path}: the embeddings of {self.cache.folder} are of whole images of {size[0]} pixels; give the "
                f"dataset image_size={size}, and its pipeline Resize instead of crops and flips"
            )
        try:
            results["teacher_embedding"] = self.cache[file_sha256(path)]
        except KeyError:
            raise EmbeddingCacheError(
                f"{path} is not in {self.cache.folder}: it was added or changed since the teacher's embeddings were "
                f"computed; run {FILL} with the config of this training"
            ) from None
        results["teacher"] = self.cache.teacher.sha256
        return results
