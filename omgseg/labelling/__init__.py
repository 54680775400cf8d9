"""Annotates many images with one process, with several on many machines, or with Ray; a killed run can continue."""

from omgseg.labelling.coco_file import merge_journals
from omgseg.labelling.images import Shard, collect_images
from omgseg.labelling.journal import Journal
from omgseg.labelling.labeller import Labeller

__all__ = ["Journal", "Labeller", "Shard", "collect_images", "merge_journals"]
