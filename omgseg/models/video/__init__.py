"""Videos as clips: splitting, association, memory, streams and video object segmentation."""

from omgseg.models.video.association import associate_queries
from omgseg.models.video.clips import split_clips
from omgseg.models.video.object_tracker import ObjectTracker
from omgseg.models.video.stream import VideoStream
from omgseg.models.video.tube_memory import FrameMasks, TubeMemory
from omgseg.models.video.vos import GivenObjects, given_objects, match_masks, read_vos

__all__ = [
    "FrameMasks",
    "GivenObjects",
    "ObjectTracker",
    "TubeMemory",
    "VideoStream",
    "associate_queries",
    "given_objects",
    "match_masks",
    "read_vos",
    "split_clips",
]
