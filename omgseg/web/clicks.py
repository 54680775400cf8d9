"""The clicks of one visitor on one picture, and the mask they gave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from omgseg.structures.run_lengths import encode_masks

SHORTEST_VIEW, LONGEST_VIEW = 720, 1600
"""Pixels of the longer side of what is shown: small pictures are enlarged, large ones would be slow to send again."""
GREEN, RED, WHITE = (22, 163, 74), (220, 38, 38), (255, 255, 255)


@dataclass(frozen=True)
class Step:
    """A prompt, and the result after it.

    Attributes:
        point: (x, y) in pixels of the picture, with its label 1 (of the object) or 0 (not of it); or
        box: (x1, y1, x2, y2).
        result: a ``SegmentationResult`` of one mask, without pixels.
    """

    result: Any
    point: tuple[int, int, int] | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Clicks:
    """What a visitor did so far; small, as it is kept between requests.

    Attributes:
        path: the picture.
        scale: pixels that are shown for one of the picture.
        steps: the prompts in their order.
        corner: the first corner of a box that is not finished.
    """

    path: str
    scale: float = 1.0
    steps: tuple[Step, ...] = ()
    corner: tuple[int, int] | None = None

    @property
    def result(self) -> Any | None:
        """The newest result."""
        return self.steps[-1].result if self.steps else None

    @property
    def points(self) -> list[tuple[int, int, int]]:
        """(x, y, label) of each click."""
        return [step.point for step in self.steps if step.point is not None]

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """The box, which is the first prompt where there is one."""
        return self.steps[0].box if self.steps else None

    def undone(self) -> Clicks:
        """Without the last click."""
        if self.corner is not None:
            return replace(self, corner=None)
        return replace(self, steps=self.steps[:-1])

    def box_to(self, x: int, y: int) -> tuple[int, int, int, int] | None:
        """The box between the first corner and this one; None where it has no area."""
        left, right = sorted((self.corner[0], x))
        top, bottom = sorted((self.corner[1], y))
        return (left, top, right, bottom) if right > left and bottom > top else None


def view_scale(height: int, width: int) -> float:
    """How much a picture is enlarged (by whole numbers, to stay sharp) or made smaller to be shown."""
    longest = max(height, width)
    return LONGEST_VIEW / longest if longest > LONGEST_VIEW else max(SHORTEST_VIEW // longest, 1)


def resized(picture: np.ndarray, scale: float) -> np.ndarray:
    """A picture (H, W, 3) as it is shown."""
    if scale == 1:
        return picture
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method)


def draw_view(view: np.ndarray, clicks: Clicks) -> np.ndarray:
    """The mask and the prompts over a picture.

    Args:
        view: RGB uint8 (h, w, 3), the picture as it is shown.

    Returns:
        A new one.
    """
    result = clicks.result
    if result is not None and len(result):
        height, width = view.shape[:2]
        mask = cv2.resize(result.masks[0].astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        view = result.replace(size=(height, width), rles=encode_masks([mask]), image=None).draw(
            view, labels=False, by="identity"
        )
    return _with_marks(np.ascontiguousarray(view).copy(), clicks)


def _with_marks(picture: np.ndarray, clicks: Clicks) -> np.ndarray:
    """Draw + in green, - in red, the box and its first corner in white, onto this picture."""

    def shown(*values: int) -> tuple[int, ...]:
        return tuple(round((value + 0.5) * clicks.scale) for value in values)

    radius = max(6, round(min(picture.shape[:2]) / 60))
    width = max(2, radius // 4)
    if clicks.box is not None:
        left, top, right, bottom = shown(*clicks.box)
        cv2.rectangle(picture, (left, top), (right, bottom), (0, 0, 0), width + 2, cv2.LINE_AA)
        cv2.rectangle(picture, (left, top), (right, bottom), WHITE, width, cv2.LINE_AA)
    if clicks.corner is not None:
        for color, line in (((0, 0, 0), width + 2), (WHITE, width)):
            cv2.drawMarker(
                picture, shown(*clicks.corner), color, cv2.MARKER_CROSS, 4 * radius, line, cv2.LINE_AA
            )
    for column, row, label in clicks.points:
        x, y = shown(column, row)
        cv2.circle(picture, (x, y), radius + width, WHITE, -1, cv2.LINE_AA)
        cv2.circle(picture, (x, y), radius, GREEN if label else RED, -1, cv2.LINE_AA)
        arm = radius // 2
        cv2.line(picture, (x - arm, y), (x + arm, y), WHITE, width)
        if label:
            cv2.line(picture, (x, y - arm), (x, y + arm), WHITE, width)
    return picture
