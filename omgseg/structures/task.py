"""The tasks, as tags that ride on data samples (metainfo ``tasks``)."""

from enum import Enum


class Task(str, Enum):
    """What is read out of the queries; never another network."""

    SEMANTIC = "semantic"
    INSTANCE = "instance"
    PANOPTIC = "panoptic"
    INTERACTIVE = "interactive"
    EVERYTHING = "everything"
    """All masks of an image, without prompts and without words."""
    VOS = "vos"
