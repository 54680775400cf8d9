"""Videos as clips: splitting, association, memory and video object segmentation."""

from omgseg.models.video.association import associate_queries
from omgseg.models.video.clips import split_clips
from omgseg.models.video.tube_memory import FrameMasks, TubeMemory
from omgseg.models.video.vos import match_first_frame, read_vos

__all__ = ["FrameMasks", "TubeMemory", "associate_queries", "match_first_frame", "read_vos", "split_clips"]
