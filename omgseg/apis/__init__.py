"""Using a model: one call for any input and any task, and clicks on an image."""

from omgseg.apis.failures import UnreadableInputs
from omgseg.apis.frames import Frame
from omgseg.apis.inferencer import OMGSegInferencer
from omgseg.apis.interactive import InteractivePredictor
from omgseg.apis.interactive_video import InteractiveVideo
from omgseg.apis.results import SegmentationResult, VideoResult, result_of
from omgseg.apis.sources import Source, open_source
from omgseg.apis.words import to_vocabulary
from omgseg.structures.images import read_image

__all__ = [
    "Frame",
    "InteractivePredictor",
    "InteractiveVideo",
    "OMGSegInferencer",
    "SegmentationResult",
    "Source",
    "UnreadableInputs",
    "VideoResult",
    "open_source",
    "read_image",
    "result_of",
    "to_vocabulary",
]
