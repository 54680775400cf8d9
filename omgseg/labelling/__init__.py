"""Annotates many images or videos with one process, several machines, or Ray; a killed run can continue."""

from omgseg.labelling.annotation_file import format_of, merge_journals
from omgseg.labelling.images import Shard, collect_images, collect_videos
from omgseg.labelling.journal import Journal
from omgseg.labelling.labeller import Labeller

__all__ = ["Journal", "Labeller", "Shard", "collect_images", "collect_videos", "format_of", "merge_journals"]
