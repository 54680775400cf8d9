"""Textures: analytic patterns on things, noise tiles for stuff. All coarse enough to be read at stride 4."""

from __future__ import annotations

import cv2
import numpy as np

from omgseg.toy.categories import PATTERNS, STUFF

EDGE_SHARPNESS = 2.5
"""Slope of a pattern's edges; finite, so that they are smooth over about a pixel as in a photo."""
DARK, LIGHT = 0.25, 0.85
"""The second shade of a pattern: the colour times DARK, or the colour moved LIGHT of the way to white."""
LIGHT_PATTERNS = ("dotted", "checked")


def _pattern_weight(name: str, u: np.ndarray, v: np.ndarray, period: float, phase: float) -> np.ndarray:
    """Where a pattern shows its second shade: float32 in [0, 1], of the coordinates' shape."""
    wave = np.float32(2 * np.pi / period)
    if name == "plain":
        return np.zeros_like(u)
    if name == "striped":
        level = np.sin(u * wave + phase)
    elif name == "checked":
        level = 2 * np.sin(u * wave * 0.6 + phase) * np.sin(v * wave * 0.6 + phase)
    elif name == "dotted":
        level = np.cos(u * wave * 0.8 + phase) + np.cos(v * wave * 0.8 + phase) - 0.7
    else:  # ringed: thin rings
        level = np.sin(np.hypot(u, v) * wave + phase) - 0.55
    return np.clip(0.5 + EDGE_SHARPNESS * level, 0, 1)


def paint(
    pattern: int, color: tuple[float, float, float], u: np.ndarray, v: np.ndarray, period: float, phase: float
) -> np.ndarray:
    """A thing's surface.

    Args:
        pattern: index into ``PATTERNS``.
        color: RGB, 0..255.
        u, v: float32 coordinates in pixels in the thing's own frame (it moves and turns with it), of equal shape.
        period: distance of two stripes in pixels.
        phase: shift of the pattern in radians.

    Returns:
        float32 RGB (*shape, 3).
    """
    name = PATTERNS[pattern]
    first = np.asarray(color, dtype=np.float32)
    second = first + (255 - first) * LIGHT if name in LIGHT_PATTERNS else first * DARK
    weight = _pattern_weight(name, u, v, period, phase)[..., None].astype(np.float32)
    return first + weight * (second.astype(np.float32) - first)


def _noise(rng: np.random.Generator, size: int, sigma_x: float, sigma_y: float) -> np.ndarray:
    """Periodic smooth noise (size, size) of unit deviation."""
    field = rng.standard_normal((size, size)).astype(np.float32)
    reach = int(np.ceil(4 * max(sigma_x, sigma_y)))
    field = cv2.copyMakeBorder(field, reach, reach, reach, reach, cv2.BORDER_WRAP)
    field = cv2.GaussianBlur(field, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)[reach:-reach, reach:-reach]
    return field / field.std()


def stuff_tile(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """One texture sample of a stuff category: float32 RGB (size, size, 3), 0..255."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    if name == "grass":  # blades
        level = 15 * _noise(rng, size, 0.8, 4.0)
    elif name == "sand":  # fine grain over soft dunes
        level = 7 * _noise(rng, size, 0.8, 0.8) + 5 * _noise(rng, size, 12, 6)
    elif name == "water":  # long waves
        level = 12 * np.sin(y * (2 * np.pi / 11) + 1.2 * _noise(rng, size, 12, 8)) + 3 * _noise(
            rng, size, 6, 1
        )
    elif name == "brick":  # courses of 10 px, shifted by half a brick, light mortar
        course = y // 10
        mortar = (y % 10 < 2) | ((x + 10 * (course % 2)) % 20 < 2)
        level = 45 * mortar + 5 * _noise(rng, size, 1.5, 1.5)
    else:  # gravel: blots
        level = 32 * np.tanh(1.5 * _noise(rng, size, 2.5, 2.5))
    tint = np.array([1.0, 1.0, 0.9], dtype=np.float32)
    return np.asarray(STUFF[name], dtype=np.float32) + level[..., None].astype(np.float32) * tint
