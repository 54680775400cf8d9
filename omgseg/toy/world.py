"""The toy world: things move over stuff, in front of each other, into the picture and out of it.

A scene is a short description; :func:`render` draws it at a time. An image is a scene at time 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from omgseg.toy.categories import COLORS, NUM_THINGS, PATTERNS, STUFF
from omgseg.toy.textures import paint, stuff_tile

SIZE = 128
"""Height and width of a frame in pixels."""
RADIUS = (14.0, 30.0)
PERIOD = (8.0, 10.0)
EDGE_MARGIN = 10
"""Centres of an image's things keep this distance from its edges."""
CROWD = (8, 20)
"""Things of a crowded image."""
CROWD_RADIUS = (8.0, 14.0)
GROUP = (1, 4)
"""Things of a crowd that stand together."""
STEP = (0.3, 0.9)
"""From a thing of a group to the next one, in radii."""
TILES_PER_STUFF = 4

_COLOR_TABLE = np.array(list(COLORS.values()), dtype=np.float32)


@dataclass(frozen=True)
class Thing:
    """A thing: category, look and motion (pixels, radians and frames)."""

    category: int
    sides: int  # corners of the shape; 0 is an ellipse
    radius: float
    aspect: float
    position: tuple[float, float]
    velocity: tuple[float, float]
    angle: float
    spin: float
    period: float
    phase: float
    color: tuple[float, float, float]

    def center(self, time: float) -> tuple[float, float]:
        return self.position[0] + self.velocity[0] * time, self.position[1] + self.velocity[1] * time

    def box(self) -> tuple[float, float, float, float]:
        """The box of the whole shape at time 0, hidden or not: x0, y0, x1, y1 in pixels, maybe outside of a frame."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        if self.sides == 0:
            x, y = 0.9 * np.hypot([cos, sin], np.multiply(self.aspect, [sin, cos]))
            edges = np.array([-x, -y, x, y])
        else:
            corners = np.pi * (2 * np.arange(self.sides) + 1) / self.sides
            u, v = np.cos(corners), self.aspect * np.sin(corners)
            x, y = u * cos - v * sin, u * sin + v * cos
            edges = np.array([x.min(), y.min(), x.max(), y.max()])
        # a pixel's number is that of its centre
        return tuple((self.radius * edges + np.tile(self.position, 2) + 0.5).tolist())


@dataclass(frozen=True)
class Scene:
    """Things in depth order (the last is in front) over a background that the camera pans across.

    Attributes:
        background: uint8 RGB (H', W', 3), larger than a frame.
        stuff: uint8 (H', W'), class index of each background pixel.
        pan_start, pan: position in the background at time 0 and its change per frame, (x, y) in pixels.
    """

    things: tuple[Thing, ...]
    background: np.ndarray
    stuff: np.ndarray
    pan_start: tuple[float, float]
    pan: tuple[float, float]
    light: float
    noise_seed: int


@dataclass(frozen=True)
class Frame:
    """A drawn frame: image uint8 RGB (S, S, 3); stuff uint8 (S, S), the class of the background at each pixel (also
    behind things); thing int16 (S, S), index into ``scene.things`` of what is seen, -1 is background."""

    image: np.ndarray
    stuff: np.ndarray
    thing: np.ndarray


class World:
    """Samples scenes. Equal seeds give equal scenes.

    Args:
        rng: source of all randomness.
        categories: thing classes that may occur, e.g. the base ones.
    """

    def __init__(self, rng: np.random.Generator, categories: Sequence[int] = range(NUM_THINGS)) -> None:
        self._rng = rng
        self._categories = np.asarray(categories)
        self._tiles = [[stuff_tile(name, rng, SIZE + 64) for _ in range(TILES_PER_STUFF)] for name in STUFF]

    def image_scene(self, required: Sequence[int] = ()) -> Scene:
        """A scene of 2 to 5 things, none of which hides much of another; the first have the `required` classes."""
        rng = self._rng
        count = max(int(rng.integers(2, 6)), len(required) + 1)
        things: list[Thing] = []
        for attempt in range(8 * count):
            if len(things) == count:
                break
            category = required[len(things)] if len(things) < len(required) else self._category()
            x, y = rng.uniform(EDGE_MARGIN, SIZE - EDGE_MARGIN, 2)
            thing = self._thing(category, (x, y), (0.0, 0.0))
            near = [
                np.hypot(x - t.position[0], y - t.position[1]) / (thing.radius + t.radius) for t in things
            ]
            if min(near, default=1) > (0.62 if attempt < 4 * count else 0.4):
                things.append(thing)
        return self._scene(things, pan_speed=0.0)

    def crowd_scene(self) -> Scene:
        """A scene of 8 to 20 small things in groups, whose things hide each other."""
        rng, things = self._rng, []
        total = int(rng.integers(CROWD[0], CROWD[1] + 1))
        while len(things) < total:
            size = rng.uniform(*CROWD_RADIUS)
            place = rng.uniform(EDGE_MARGIN, SIZE - EDGE_MARGIN, 2)
            for _ in range(int(rng.integers(GROUP[0], GROUP[1] + 1))):
                near = (0.9 * size, 1.1 * size)
                things.append(self._thing(self._category(), place, (0.0, 0.0), radius=near))
                heading, step = rng.uniform(0, 2 * np.pi), size * rng.uniform(*STEP)
                place = np.clip(place + step * np.array([np.cos(heading), np.sin(heading)]), 0, SIZE)
        return self._scene(things[:total], pan_speed=0.0)

    def video_scene(self, length: int, count: tuple[int, int] = (2, 4)) -> Scene:
        """A scene of `count` (from, to) moving things for `length` frames: half of them stay, others enter or leave."""
        things = []
        for _ in range(int(self._rng.integers(count[0], count[1] + 1))):
            start, velocity = self._path(length, self._rng.choice(["stay", "stay", "enter", "leave"]))
            things.append(self._thing(self._category(), start, velocity, spin=self._rng.uniform(-0.12, 0.12)))
        return self._scene(things, pan_speed=1.5)

    def _path(self, length: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Position at time 0 and velocity, (x, y) in pixels and pixels per frame."""
        rng = self._rng
        if kind == "stay":
            speed, heading = rng.uniform(1.0, 5.0), rng.uniform(0, 2 * np.pi)
            velocity = speed * np.array([np.cos(heading), np.sin(heading)])
            return rng.uniform(24, SIZE - 24, 2) - velocity * (length - 1) / 2, velocity
        # Between a place near an edge and one that is out of sight behind it, in most of the video's time.
        along = rng.uniform(24, SIZE - 24) + np.array([0, rng.uniform(-15, 15)])
        across = np.array([rng.uniform(12, 28), -RADIUS[1] * 1.2 - 2])
        if rng.random() < 0.5:
            across = SIZE - across
        places = np.stack([across, along] if rng.random() < 0.5 else [along, across], axis=1)
        velocity = (places[1] - places[0]) / (0.8 * (length - 1))
        if kind == "leave":
            return places[0], velocity
        return places[0] + velocity * (length - 1), -velocity

    def _category(self) -> int:
        return int(self._rng.choice(self._categories))

    def _thing(
        self,
        category: int,
        position: Sequence[float],
        velocity: Sequence[float],
        spin: float = 0.0,
        radius: tuple[float, float] = RADIUS,
    ) -> Thing:
        rng = self._rng
        sides = int(rng.choice([0, 0, 3, 4, 4, 5, 6]))
        color = _COLOR_TABLE[category // len(PATTERNS)] * rng.uniform(0.92, 1.06) + rng.uniform(-12, 12, 3)
        return Thing(
            category=int(category),
            sides=sides,
            # A triangle fills little of its circle.
            radius=float(rng.uniform(*radius)) * (1.2 if sides == 3 else 1.0),
            aspect=float(rng.uniform(0.7, 1.0)),
            position=(float(position[0]), float(position[1])),
            velocity=(float(velocity[0]), float(velocity[1])),
            angle=float(rng.uniform(0, 2 * np.pi)),
            spin=float(spin),
            period=float(rng.uniform(*PERIOD)),
            phase=float(rng.uniform(0, 2 * np.pi)),
            color=tuple(float(c) for c in color),
        )

    def _scene(self, things: list[Thing], pan_speed: float) -> Scene:
        rng = self._rng
        stuff = self._regions()
        background = np.zeros((*stuff.shape, 3), dtype=np.float32)
        for region in np.unique(stuff):
            tile = self._tiles[region][int(rng.integers(TILES_PER_STUFF))]
            shift = rng.integers(0, len(tile), 2)
            tile = np.roll(tile, tuple(shift), (0, 1)) + rng.uniform(-6, 6, 3).astype(np.float32)
            inside = stuff == region
            background[inside] = tile[inside]
        heading = rng.uniform(0, 2 * np.pi)
        speed = rng.uniform(0, pan_speed)
        return Scene(
            things=tuple(things),
            background=np.clip(background, 0, 255).astype(np.uint8),
            stuff=(stuff + NUM_THINGS).astype(np.uint8),
            pan_start=tuple(float(p) for p in rng.uniform(20, 44, 2)),
            pan=(float(speed * np.cos(heading)), float(speed * np.sin(heading))),
            light=float(rng.uniform(0.9, 1.08)),
            noise_seed=int(rng.integers(2**31)),
        )

    def _regions(self) -> np.ndarray:
        """Two or three regions of different stuff with wavy borders: uint8 indices into STUFF."""
        rng = self._rng
        size = SIZE + 64
        y, x = np.mgrid[:size, :size].astype(np.float32)
        kinds = rng.permutation(len(STUFF))[:3]
        regions = np.full((size, size), kinds[0], dtype=np.uint8)
        for kind in kinds[1 : int(rng.integers(2, 4))]:
            angle = rng.uniform(0, 2 * np.pi)
            across = (x - size / 2) * np.cos(angle) + (y - size / 2) * np.sin(angle)
            along = (y - size / 2) * np.cos(angle) - (x - size / 2) * np.sin(angle)
            wave = 7 * np.sin(along * (2 * np.pi / rng.uniform(50, 110)) + rng.uniform(0, 2 * np.pi))
            regions[across + wave > rng.uniform(-24, 34)] = kind
        return regions


def _draw_thing(
    image: np.ndarray, owner: np.ndarray, thing: Thing, index: int, time: float, scale: float
) -> None:
    """Paint one thing into image float32 (S, S, 3) and owner int16 (S, S), whose pixels are `scale` times as many a
    side as the world's."""
    cx, cy = thing.center(time)
    reach = int(np.ceil(thing.radius)) + 1
    x0, x1 = max(int(cx) - reach, 0), min(int(cx) + reach + 1, SIZE)
    y0, y1 = max(int(cy) - reach, 0), min(int(cy) + reach + 1, SIZE)
    if x0 >= x1 or y0 >= y1:
        return
    x0, x1, y0, y1 = (round(edge * scale) for edge in (x0, x1, y0, y1))
    x, y = (
        (np.arange(*ends, dtype=np.float32) + 0.5) / np.float32(scale) - 0.5 for ends in ((x0, x1), (y0, y1))
    )
    dx, dy = x[None] - np.float32(cx), y[:, None] - np.float32(cy)
    angle = thing.angle + thing.spin * time
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    inside = _inside(u, v / np.float32(thing.aspect), thing)
    window = (slice(y0, y1), slice(x0, x1))
    surface = paint(thing.category % len(PATTERNS), thing.color, u, v, thing.period, thing.phase)
    image[window][inside] = surface[inside]
    owner[window][inside] = index


def _inside(u: np.ndarray, v: np.ndarray, thing: Thing) -> np.ndarray:
    """The shape: an ellipse, or a regular polygon stretched by the aspect; the corners lie at the radius."""
    if thing.sides == 0:
        return u * u + v * v <= np.float32(0.81 * thing.radius**2)
    inside = np.ones(u.shape, dtype=bool)
    apothem = np.float32(thing.radius * np.cos(np.pi / thing.sides))
    for side in range(thing.sides):
        normal = 2 * np.pi * side / thing.sides
        inside &= u * np.float32(np.cos(normal)) + v * np.float32(np.sin(normal)) <= apothem
    return inside


def render(scene: Scene, time: int = 0, scale: float = 1.0) -> Frame:
    """Draw a scene at a time (a frame number).

    Args:
        scale: draw the same scene larger: with so many pixels a side for one of the world's. Shapes and patterns get
            sharper, the background is interpolated, and each pixel has noise of its own.
    """
    px = int(round(np.clip(scene.pan_start[0] + scene.pan[0] * time, 0, 64)))
    py = int(round(np.clip(scene.pan_start[1] + scene.pan[1] * time, 0, 64)))
    window = (slice(py, py + SIZE), slice(px, px + SIZE))
    size = (round(SIZE * scale),) * 2
    image = cv2.resize(scene.background[window], size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    stuff = cv2.resize(scene.stuff[window], size, interpolation=cv2.INTER_NEAREST)
    owner = np.full(size, -1, dtype=np.int16)
    for index, thing in enumerate(scene.things):
        _draw_thing(image, owner, thing, index, time, scale)
    noise = np.random.default_rng((scene.noise_seed, time)).standard_normal(image.shape, dtype=np.float32)
    blur = (2 * math.ceil(scale) + 1,) * 2
    image = cv2.GaussianBlur(image, blur, 0.5 * scale) * np.float32(scene.light) + 3 * noise
    return Frame(np.clip(image, 0, 255).astype(np.uint8), stuff, owner)
