"""Text on images: fonts, labels without overlaps, and the legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from omgseg.visualization.paint import Shape
from omgseg.visualization.palette import Color, edge_of, ink_on

_SMALLEST = 11  # smallest readable font size in pixels
_SHARE = 0.022  # font size relative to the mean side of the image


@lru_cache(maxsize=64)
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib, with Latin, Greek, Cyrillic and more; the same on every machine."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def font_size(height: int, width: int, crowded: bool = False) -> int:
    """Font size in pixels by the size of the image: 11 at 128x128, 21 at 720p, 63 at 4K; 20 % less if crowded."""
    return max(_SMALLEST, round(_SHARE * math.sqrt(height * width) * (0.8 if crowded else 1)))


@dataclass(frozen=True)
class Plate:
    """A plate with text.

    Attributes:
        text: the text.
        color: RGB colour of the plate; the text is black or white, whichever has the higher contrast.
        box: (x1, y1, x2, y2) in pixels.
        pin: (x, y) in pixels of the point to which a line leads; None: no line.
    """

    text: str
    color: Color
    box: tuple[int, int, int, int]
    pin: tuple[int, int] | None = None


def plate_size(text: str, size: int) -> tuple[int, int]:
    """(width, height) of the plate of a text, in pixels."""
    font = load_font(size)
    ascent, descent = font.getmetrics()
    return math.ceil(font.getlength(text)) + 2 * padding(size), ascent + descent + padding(size) // 2


def padding(size: int) -> int:
    """Space left and right of text, in pixels."""
    return max(2, round(0.28 * size))


def shorten(text: str, size: int, width: float) -> str:
    """The text, cut so that its plate is no wider than `width` pixels."""
    if plate_size(text, size)[0] <= width:
        return text
    while len(text) > 1 and plate_size(text + "…", size)[0] > width:
        text = text[:-1]
    return text.rstrip() + "…"


def write_plates(picture: np.ndarray, plates: Sequence[Plate], size: int) -> np.ndarray:
    """Draw plates with one font size on a copy of `picture`, uint8 RGB (H, W, 3)."""
    if not plates:
        return picture
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    font = load_font(size)
    ascent = font.getmetrics()[0]
    for plate in plates:
        if plate.pin is not None:
            _lead(draw, plate, max(1, size // 10))
    for plate in plates:
        x1, y1, x2, y2 = plate.box
        corners = (x1, y1, x2 - 1, y2 - 1)
        draw.rounded_rectangle(
            corners, max(2, size // 5), plate.color, edge_of(plate.color), max(1, size // 20)
        )
        draw.text(
            (x1 + padding(size), y1 + padding(size) // 4 + ascent),
            plate.text,
            font=font,
            fill=ink_on(plate.color),
            anchor="ls",
        )
    return np.array(image)


def _lead(draw: ImageDraw.ImageDraw, plate: Plate, width: int) -> None:
    """Draw a line from the plate to its pin, with a dark rim against masks of the same colour."""
    x1, y1, x2, y2 = plate.box
    x, y = plate.pin
    end = min(max(x, x1), x2 - 1), min(max(y, y1), y2 - 1)
    for color, more in (((20, 20, 20), 2), (plate.color, 0)):
        draw.line((x, y, *end), fill=color, width=width + more)
        radius = width + 1 + more // 2
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


_GRID = 64  # longest side of the coarse masks in which places are searched
_INSIDE = 48  # number of places that are tried inside of a mask
_RINGS = (
    0.0,
    0.9,
    1.5,
    2.2,
    3.0,
    4.0,
    5.2,
    6.6,
    8.2,
    10.0,
)  # radii of places around the anchor, in font sizes
_DIRECTIONS = np.stack([1.6 * np.cos(angles := np.arange(16) * np.pi / 8), np.sin(angles)], -1)
_WIDEST = 0.6  # largest width of a label, relative to the image
_CROWDED = 0.2  # shorter texts are used if all labels need more than this share of the image
_MOST = 0.35  # largest share of the image that all labels may cover

# Costs of a place, in the unit "one font size of distance from the anchor".
_INSIDE_DISTANCE = 0.25  # per font size of distance inside of the mask
_NOT_INSIDE = 0.7
_COVERS_ITSELF = 3.0
_COVERS_OTHERS = 2.5


@dataclass(frozen=True)
class Caption:
    """The possible texts of a label.

    Attributes:
        texts: versions of the text, the longest first; the first one that fits is written.
        color: RGB colour of the plate.
        shape: the mask.
        visible: uint8 0/1 (h, w), the visible part of the mask in the shape's crop.
    """

    texts: tuple[str, ...]
    color: Color
    shape: Shape
    visible: np.ndarray


def place_labels(
    captions: Sequence[Caption],
    size: tuple[int, int],
    font: int,
    taken: Sequence[tuple[int, int, int, int]] = (),
) -> list[Plate]:
    """Choose places greedily; a label without space near its mask is left out.

    Args:
        captions: the captions, the most important first.
        size: (height, width) of the image in pixels.
        font: font size in pixels.
        taken: boxes (x1, y1, x2, y2) that labels must not cover.

    Returns:
        Plates inside of the image that do not overlap.
    """
    plates: list[Plate] = []
    occupied = np.array(list(taken), float).reshape(-1, 4)
    objects = np.array([caption.shape.box for caption in captions], float).reshape(-1, 4)
    image = size[0] * size[1]
    needed = sum(math.prod(plate_size(caption.texts[0], font)) for caption in captions)
    room = _MOST * image
    for index, caption in enumerate(captions):
        texts = caption.texts if needed <= _CROWDED * image else caption.texts[-1:]
        other_boxes = np.delete(objects, index, axis=0)
        plate = _place(caption, texts, size, font, occupied, other_boxes)
        if plate is None:
            continue
        x1, y1, x2, y2 = plate.box
        room -= (x2 - x1) * (y2 - y1)
        if room < 0:
            break
        plates.append(plate)
        occupied = np.concatenate([occupied, [plate.box]])
    return plates


def _place(
    caption: Caption,
    texts: Sequence[str],
    size: tuple[int, int],
    font: int,
    occupied: np.ndarray,
    other_boxes: np.ndarray,
) -> Plate | None:
    anchor, coarse = _anchor(caption)
    for text in texts:
        text = shorten(text, font, _WIDEST * size[1])
        plate = np.array(plate_size(text, font), float)
        if (plate > (size[1], size[0])).any():
            continue
        inside = _inside(caption, coarse, plate, anchor)
        centers = np.concatenate([inside, _around(caption.shape.box, anchor, plate, font)])
        boxes = _boxes(centers, plate, size)
        free = ~(_overlap(boxes, occupied + (-1, -1, 1, 1)) > 0).any(1)
        if not free.any():
            continue
        mask_box = np.array([caption.shape.box], float)
        cost = np.hypot(*((boxes[:, :2] + boxes[:, 2:]) / 2 - anchor).T) / font
        outside = np.arange(len(boxes)) >= len(inside)
        cost[~outside] *= _INSIDE_DISTANCE
        cost += outside * (_NOT_INSIDE + _COVERS_ITSELF * _covered(boxes, mask_box))
        cost += _COVERS_OTHERS * _covered(boxes, other_boxes)
        cost[~free] = np.inf
        best = int(cost.argmin())
        box = tuple(int(value) for value in boxes[best])
        pin = None if _touches(caption, box) else (round(anchor[0]), round(anchor[1]))
        return Plate(text, caption.color, box, pin)
    return None


def _anchor(caption: Caption) -> tuple[np.ndarray, np.ndarray]:
    """A point (x, y) deep inside of the mask and near its middle, and the visible mask at a coarse resolution."""
    height, width = caption.visible.shape
    scale = min(1.0, _GRID / max(height, width))
    grid = (max(1, round(width * scale)), max(1, round(height * scale)))
    coarse = cv2.resize(255 * caption.visible, grid, interpolation=cv2.INTER_AREA)
    coarse = (coarse >= min(128, coarse.max())).astype(np.uint8)
    depth = cv2.distanceTransform(np.pad(coarse, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deep = np.argwhere(depth >= 0.7 * depth.max())
    middle = np.argwhere(coarse).mean(0)
    y, x = deep[np.square(deep - middle).sum(1).argmin()]
    step = np.array([width / grid[0], height / grid[1]])
    return np.array([x + 0.5, y + 0.5]) * step + (caption.shape.x, caption.shape.y), coarse


def _inside(caption: Caption, coarse: np.ndarray, plate: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    """Centres (K, 2) of places inside of the mask, nearest to the anchor first; K is 0 if the plate does not fit."""
    height, width = caption.visible.shape
    step = np.array([width / coarse.shape[1], height / coarse.shape[0]])
    kernel = np.ceil(plate / step).astype(int)
    if (kernel > coarse.shape[::-1]).any():
        return np.zeros((0, 2))
    share = cv2.boxFilter(
        coarse.astype(np.float32), -1, tuple(int(k) for k in kernel), borderType=cv2.BORDER_CONSTANT
    )
    places = np.argwhere(share > 0.995)[:, ::-1]
    centers = (places + 0.5 * (kernel % 2)) * step + (caption.shape.x, caption.shape.y)
    order = np.square(centers - anchor).sum(1).argsort(kind="stable")
    nearest = order[:_INSIDE]
    spread = order[
        :: max(1, len(order) // _INSIDE)
    ]  # distant places, in case those near the anchor are occupied
    return centers[np.concatenate([nearest, spread])]


def _around(box: tuple[int, int, int, int], anchor: np.ndarray, plate: np.ndarray, font: int) -> np.ndarray:
    """Centres (K, 2) of places on rings around the anchor, and just above, below and beside the mask."""
    x1, y1, x2, y2 = box
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    dx, dy = plate / 2 + font * 0.15
    beside = np.array([(x, y1 - dy), (x, y2 + dy), (x1 - dx, y), (x2 + dx, y)])
    rings = anchor + font * np.array(_RINGS)[:, None, None] * _DIRECTIONS
    return np.concatenate([beside, rings.reshape(-1, 2)])


def _boxes(centers: np.ndarray, plate: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes (K, 4) of plates with these centres, moved into the image."""
    corners = np.round(centers - plate / 2)
    corners = np.clip(corners, 0, np.array(size[::-1]) - plate)
    return np.concatenate([corners, corners + plate], axis=1)


def _overlap(boxes: np.ndarray, other_boxes: np.ndarray) -> np.ndarray:
    """Intersection areas (K, M) of boxes (K, 4) and (M, 4)."""
    lengths = [
        np.minimum(boxes[:, None, axis + 2], other_boxes[:, axis + 2])
        - np.maximum(boxes[:, None, axis], other_boxes[:, axis])
        for axis in (0, 1)
    ]
    return np.maximum(lengths[0], 0) * np.maximum(lengths[1], 0)


def _covered(boxes: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """The sum (K,) of the shares of the objects that each box covers."""
    areas = (objects[:, 2:] - objects[:, :2]).prod(-1)
    return (_overlap(boxes, objects) / areas).sum(-1)


def _touches(caption: Caption, box: tuple[int, int, int, int]) -> bool:
    """Whether a plate overlaps the visible part of its mask."""
    x1, y1, x2, y2 = box
    x, y = caption.shape.x, caption.shape.y
    return bool(caption.visible[max(0, y1 - y) : max(0, y2 - y), max(0, x1 - x) : max(0, x2 - x)].any())


_HIGHEST, _WIDEST_LEGEND = 0.9, 0.5  # largest height and width of the legend, relative to the image
_PAPER = 0.85  # opacity of its white background

Box = tuple[int, int, int, int]


def draw_legend(
    picture: np.ndarray, entries: Sequence[tuple[Color, str]], font: int
) -> tuple[np.ndarray, Box | None]:
    """Draw a legend into the lower left corner.

    Args:
        picture: uint8 RGB (H, W, 3).
        entries: colours and texts, from the top; the last line counts those without space.
        font: font size in pixels.

    Returns:
        A copy, and the box (x1, y1, x2, y2) of the legend; without entries the picture itself and None.
    """
    height, width = picture.shape[:2]
    margin, line = padding(font), plate_size("", font)[1]
    rows = max(1, int((_HIGHEST * height - 4 * margin) // line))
    if not entries:
        return picture, None
    texts = [text for _, text in entries]
    if len(entries) > rows:
        left = len(entries) - rows + 1
        entries, texts = entries[: rows - 1], [*texts[: rows - 1], f"and {left} more"]
    texts = [shorten(text, font, _WIDEST_LEGEND * width) for text in texts]
    inner = line + max(plate_size(text, font)[0] for text in texts)
    x1, y2 = margin, height - margin
    x2, y1 = min(width, x1 + inner + 2 * margin), max(0, y2 - len(texts) * line - 2 * margin)
    picture = picture.copy()
    under = picture[y1:y2, x1:x2]
    cv2.addWeighted(under, 1 - _PAPER, np.full_like(under, 255), _PAPER, 0, dst=under)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(texts):
        middle = y1 + margin + row * line + line / 2
        if row < len(entries):
            half = 0.36 * font
            left_end = x1 + margin
            draw.rectangle((left_end, middle - half, left_end + 2 * half, middle + half), entries[row][0])
        draw.text((x1 + line, middle), text, font=load_font(font), fill=(20, 20, 20), anchor="lm")
    return np.array(image), (x1, y1, x2, y2)
