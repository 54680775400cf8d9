"""Using a model: one call for any input and any task, and clicks on an image."""

from omgseg.apis.export import ResultFiles
from omgseg.apis.inferencer import OMGSegInferencer
from omgseg.apis.inputs import Clip, list_files, read_image, read_input
from omgseg.apis.interactive import InteractivePredictor
from omgseg.apis.pictures import write_pictures
from omgseg.apis.results import SegmentationResult, VideoResult, result_of
from omgseg.apis.words import to_vocabulary

__all__ = [
    "Clip",
    "InteractivePredictor",
    "OMGSegInferencer",
    "ResultFiles",
    "SegmentationResult",
    "VideoResult",
    "list_files",
    "read_image",
    "read_input",
    "result_of",
    "to_vocabulary",
    "write_pictures",
]
