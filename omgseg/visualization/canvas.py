"""An image to draw on: masks, outlines, labels and prompts. Small images are enlarged until text is readable."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from omgseg.visualization.palette import Color

READABLE_SIDE = 320  # pixels of the shorter side below which an image is enlarged


def zoom_for(height: int, width: int) -> int:
    """The whole number by which an image of this size is enlarged."""
    return max(1, -(-READABLE_SIDE // min(height, width)))


class Canvas:
    """Draws over a copy of an image.

    Coordinates and masks that the methods take are those of the given image; what is drawn is in the size of the
    enlarged one.

    Args:
        image: uint8 RGB (H, W, 3).

    Raises:
        ValueError: the image has another type or shape.
    """

    def __init__(self, image: np.ndarray) -> None:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected a uint8 RGB image (H, W, 3), got {image.dtype} {image.shape}")
        self.shape = image.shape[:2]
        self.zoom = zoom_for(*self.shape)
        height, width = self.shape
        size = (width * self.zoom, height * self.zoom)
        self.pixels = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_LINEAR)
        self._labels: list[tuple[tuple[int, int], str]] = []

    def _enlarge(self, mask: np.ndarray) -> np.ndarray:
        if mask.shape != self.shape:
            raise ValueError(f"mask of shape {mask.shape} for an image of shape {self.shape}")
        mask = np.ascontiguousarray(mask, dtype=np.uint8)
        return mask.repeat(self.zoom, axis=0).repeat(self.zoom, axis=1) if self.zoom > 1 else mask

    def fill(self, mask: np.ndarray, color: Color, opacity: float = 0.55) -> None:
        """Tint the pixels of a bool mask (H, W)."""
        where = self._enlarge(mask).astype(bool)
        tint = np.asarray(color, np.float32)
        self.pixels[where] = np.round((1 - opacity) * self.pixels[where] + opacity * tint).astype(np.uint8)

    def paint(self, colors: np.ndarray, opacity: float = 0.55) -> None:
        """Tint every pixel with its own colour: uint8 RGB (H, W, 3)."""
        size = (self.pixels.shape[1], self.pixels.shape[0])
        colors = cv2.resize(colors, size, interpolation=cv2.INTER_NEAREST)
        self.pixels = cv2.addWeighted(self.pixels, 1 - opacity, colors, opacity, 0)

    def outline(self, mask: np.ndarray, color: Color) -> None:
        """Draw the border of a bool mask (H, W)."""
        contours, _ = cv2.findContours(self._enlarge(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(self.pixels, contours, -1, color, self._line_width())

    def label(self, mask: np.ndarray, text: str) -> None:
        """Write text well inside of a bool mask (H, W), near its centre. Drawn by :meth:`finish`."""
        if not text or not mask.any():
            return
        padded = np.pad(np.ascontiguousarray(mask, dtype=np.uint8), 1)
        distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = _central(np.argwhere(distance >= 0.8 * distance.max()), np.argwhere(mask).mean(0))
        self._labels.append(((int((x + 0.5) * self.zoom), int((y + 0.5) * self.zoom)), text))

    def box(self, box: np.ndarray, color: Color) -> None:
        """Draw a box (x1, y1, x2, y2) in pixels."""
        x1, y1, x2, y2 = (round(float(value) * self.zoom) for value in box)
        cv2.rectangle(self.pixels, (x1, y1), (x2, y2), color, self._line_width())

    def point(self, point: np.ndarray, color: Color) -> None:
        """Draw a click (x, y) in pixels: a dot of the colour with a white and a black ring."""
        center = tuple(round(float(value) * self.zoom) for value in point)
        radius = max(4, min(self.pixels.shape[:2]) // 60)
        cv2.circle(self.pixels, center, radius + 2, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(self.pixels, center, radius + 1, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(self.pixels, center, radius - 1, color, -1, cv2.LINE_AA)

    def finish(self) -> np.ndarray:
        """The drawn image, uint8 RGB, enlarged, with its labels on top."""
        if not self._labels:
            return self.pixels
        picture = Image.fromarray(self.pixels)
        draw = ImageDraw.Draw(picture, "RGBA")
        font = load_font(max(11, min(self.pixels.shape[:2]) // 32))
        for center, text in self._labels:
            _write(draw, center, text, font, picture.size)
        return np.asarray(picture)

    def _line_width(self) -> int:
        return max(2, min(self.pixels.shape[:2]) // 240)


def _central(places: np.ndarray, center: np.ndarray) -> np.ndarray:
    """The one of the places (n, 2) that is nearest to the centre (2,)."""
    return places[np.square(places - center).sum(1).argmin()]


@lru_cache
def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, of a height in pixels."""
    return ImageFont.load_default(size)


def _write(
    draw: ImageDraw.ImageDraw, center: tuple[int, int], text: str, font, size: tuple[int, int]
) -> None:
    """White text on a dark box around `center`, moved inside of the image."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height, pad = right - left, bottom - top, 2
    x = min(max(center[0] - width // 2, pad), max(pad, size[0] - width - pad))
    y = min(max(center[1] - height // 2, pad), max(pad, size[1] - height - pad))
    draw.rectangle((x - pad, y - pad, x + width + pad, y + height + pad), fill=(0, 0, 0, 150))
    draw.text((x - left, y - top), text, font=font, fill=(255, 255, 255, 255))
