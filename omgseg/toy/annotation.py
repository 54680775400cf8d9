"""What is annotated in a frame, before any file format: the class and the instance of every pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from omgseg.toy.categories import NAMES, NUM_THINGS
from omgseg.toy.world import Frame, Scene

MIN_VISIBLE = 40
"""A thing or stuff of which fewer pixels are seen is not annotated: its pixels are void."""
VOID = 255


@dataclass(frozen=True)
class Segment:
    """One annotated entity of a frame: its class, its instance number (0 for stuff) and where it is seen."""

    category: int
    instance: int
    mask: np.ndarray  # bool (S, S)


@dataclass(frozen=True)
class Annotation:
    """Panoptic ground truth of a frame.

    Attributes:
        classes: uint8 (S, S), index into ``NAMES``, 255 is void.
        instances: int16 (S, S), 1 + the thing's index in its scene (so constant over a video); 0 for stuff and void.
    """

    classes: np.ndarray
    instances: np.ndarray

    def segments(self) -> Iterator[Segment]:
        """Things in the order of their numbers, then stuff."""
        for instance in np.unique(self.instances[self.instances > 0]):
            mask = self.instances == instance
            yield Segment(int(self.classes[mask][0]), int(instance), mask)
        for category in np.unique(self.classes):
            if NUM_THINGS <= category < len(NAMES):
                yield Segment(int(category), 0, self.classes == category)

    def things(self) -> dict[int, np.ndarray]:
        """Instance number -> bool (S, S) mask of every thing that is seen."""
        return {segment.instance: segment.mask for segment in self.segments() if segment.instance}


def annotate(scene: Scene, frame: Frame) -> Annotation:
    """Ground truth of a drawn frame; entities that hardly show become void."""
    categories = np.array([thing.category for thing in scene.things] + [VOID], dtype=np.uint8)
    is_thing = frame.thing >= 0
    classes = np.where(is_thing, categories[frame.thing], frame.stuff)
    instances = np.where(is_thing, frame.thing + 1, 0).astype(np.int16)
    thing_areas = np.bincount(instances.ravel(), minlength=len(categories))
    stuff_areas = np.bincount(classes[~is_thing], minlength=VOID + 1)
    hidden = np.where(is_thing, thing_areas[instances] < MIN_VISIBLE, stuff_areas[classes] < MIN_VISIBLE)
    classes[hidden] = VOID
    instances[hidden] = 0
    return Annotation(classes, instances)
