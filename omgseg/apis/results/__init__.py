"""What a model found, as small objects: look at it, compute with it, write it in the formats of other tools."""

from omgseg.apis.results.coco import CocoWriter
from omgseg.apis.results.label_files import MaskWriter
from omgseg.apis.results.panoptic import PanopticWriter
from omgseg.apis.results.result import SegmentationResult, result_of
from omgseg.apis.results.video import VideoResult
from omgseg.apis.results.youtube_vis import YouTubeVISWriter

__all__ = [
    "CocoWriter",
    "MaskWriter",
    "PanopticWriter",
    "SegmentationResult",
    "VideoResult",
    "YouTubeVISWriter",
    "result_of",
]
