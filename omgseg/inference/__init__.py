"""Using a model: one call for any input and any task, and clicks on images and videos."""

from omgseg.inference.abilities import UnsupportedRequest, abilities_of, describe
from omgseg.inference.frame_by_frame import FrameByFrame
from omgseg.inference.inferencer import OMGSegInferencer
from omgseg.inference.interactive import InteractivePredictor
from omgseg.inference.interactive_video import InteractiveVideo
from omgseg.inference.loading import load
from omgseg.inference.results import SegmentationResult, VideoResult, result_of
from omgseg.inference.running import UnreadableInputs, locked
from omgseg.inference.sources import Frame, Source, open_source
from omgseg.inference.words import to_vocabulary
from omgseg.structures.images import read_image

__all__ = [
    "Frame",
    "FrameByFrame",
    "InteractivePredictor",
    "InteractiveVideo",
    "OMGSegInferencer",
    "SegmentationResult",
    "Source",
    "UnreadableInputs",
    "UnsupportedRequest",
    "VideoResult",
    "abilities_of",
    "describe",
    "load",
    "locked",
    "open_source",
    "read_image",
    "result_of",
    "to_vocabulary",
]
