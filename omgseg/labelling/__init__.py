"""Annotations for many images, by one process, by several on many machines, or by Ray; a killed run loses nothing."""

from omgseg.labelling.coco_file import merge_journals
from omgseg.labelling.images import Shard, collect_images
from omgseg.labelling.journal import Journal
from omgseg.labelling.labeller import Labeller

__all__ = ["Journal", "Labeller", "Shard", "collect_images", "merge_journals"]
