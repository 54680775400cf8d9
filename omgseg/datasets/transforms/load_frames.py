"""Reading the images of a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from omgseg.registry import TRANSFORMS
from omgseg.structures.png import image_size, load_image, require_regular

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
