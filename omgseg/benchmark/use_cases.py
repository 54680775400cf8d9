"""What a user waits for: an image, an image that is to be clicked on, a click."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from omgseg.inference import OMGSegInferencer


def make_picture(size: tuple[int, int]) -> np.ndarray:
    """RGB uint8 (H, W, 3): bright boxes on a gradient.

    Args:
        size: (width, height).
    """
    width, height = size
    random = np.random.default_rng(0)
    rows, columns = np.ogrid[:height, :width]
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0], picture[..., 1] = columns * 255 // width, rows * 255 // height
    picture[..., 2] = (rows + columns) % 256
    for _ in range(12):
        left, top = random.integers(0, (width, height))
        picture[top : top + height // 5, left : left + width // 6] = random.integers(256, size=3)
    return picture


def measure_use(
    seg: OMGSegInferencer, picture: np.ndarray, repeats: int, num_clicks: int
) -> dict[str, dict[str, float]]:
    """Medians of a whole image (panoptic), of setting an image and of clicks on it, each at another place.

    The three take turns, so that a machine's other work disturbs all alike; the first turn does not count.

    Args:
        picture: RGB uint8 (H, W, 3).
        repeats: images.
        num_clicks: clicks in all.
    """
    height, width = picture.shape[:2]
    random = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {"image": [], "set_image": [], "click": []}
    for turn in range(repeats + 1):
        clicks = random.uniform(0, (width, height), (-(-num_clicks // repeats), 2))
        runs: list[tuple[str, Callable[[], Any]]] = [
            ("image", lambda: seg(picture)),
            ("set_image", lambda: seg.interactive.set_image(picture)),
            *(("click", lambda click=click: seg.interactive.predict(points=[click])) for click in clicks),
        ]
        for name, run in runs:
            duration = _seconds_of(run)
            if turn:
                seconds[name].append(duration)
    image, set_image, click = (statistics.median(values) for values in seconds.values())
    return {
        "image": {"seconds": image},
        "set_image": {"seconds": set_image},
        "click": {"milliseconds": 1e3 * click, "per_second": 1 / click, "share_of_image": click / image},
    }


def _seconds_of(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    if torch.accelerator.is_available():  # set_image does not wait for it
        torch.accelerator.synchronize()
    return time.perf_counter() - start
