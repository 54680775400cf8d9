"""What a model found, as small objects: look at it, compute with it, write it in the formats of other tools."""

from omgseg.apis.results.result import SegmentationResult
from omgseg.apis.results.samples import result_of
from omgseg.apis.results.video import VideoResult

__all__ = ["SegmentationResult", "VideoResult", "result_of"]
