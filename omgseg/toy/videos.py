"""Toy videos, before any file format: which scenes are taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omgseg.toy.annotation import VOID, Annotation, annotate
from omgseg.toy.world import Scene, World, render

Video = tuple[Scene, int]
"""A scene and its number of frames."""


def sample_videos(
    world: World,
    count: int,
    lengths: tuple[int, int],
    seed: int,
    things: tuple[int, int] = (2, 4),
    accept: Callable[[Scene, int], bool] | None = None,
) -> list[Video]:
    """Scenes with a length.

    Args:
        lengths: bounds of the number of frames, both included.
        things: bounds of the number of things, both included.
        accept: which scenes (with their length) are taken. Default: those that show at least two things in their
            first frame.
    """
    rng = np.random.default_rng((seed, count))
    accept = accept or (lambda scene, _: len(things_of_frame(scene, 0)) >= 2)
    videos: list[Video] = []
    while len(videos) < count:
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        scene = world.video_scene(length, things)
        if accept(scene, length):
            videos.append((scene, length))
    return videos


def an_object_enters_later(scene: Scene, length: int) -> bool:
    """Whether a thing is seen in the first frame, and a new one in a later frame."""
    first = things_of_frame(scene, 0)
    later = [things_of_frame(scene, index) for index in range(1, length)]
    return len(first) > 0 and bool(np.setdiff1d(np.concatenate(later), first).size)


def things_of_frame(scene: Scene, index: int) -> np.ndarray:
    """Instance numbers of the things that are annotated in a frame, ascending."""
    return visible_things(annotate(scene, render(scene, index)))


def visible_things(annotation: Annotation) -> np.ndarray:
    """Instance numbers of the things in a frame, ascending."""
    return np.unique(annotation.instances[(annotation.instances > 0) & (annotation.classes != VOID)])
