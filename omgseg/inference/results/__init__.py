"""Results of models: draw them, compute with them, and write them in the formats of other tools."""

from omgseg.inference.results.coco import CocoWriter, PanopticWriter, YouTubeVISWriter
from omgseg.inference.results.files import MaskWriter
from omgseg.inference.results.result import SegmentationResult, VideoResult, result_of

__all__ = [
    "CocoWriter",
    "MaskWriter",
    "PanopticWriter",
    "SegmentationResult",
    "VideoResult",
    "YouTubeVISWriter",
    "result_of",
]
