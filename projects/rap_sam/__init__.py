"""RAP-SAM (arXiv:2401.10228): all-purpose segmentation in real time."""

from omgseg.projects.rap_sam.adapter import RapSamSegmenter
from omgseg.projects.rap_sam.evaluation import PublishedClicks, PublishedInteractiveMetric
from omgseg.projects.rap_sam.image_encoder import PyramidClipEncoder, RapSamImageEncoder
from omgseg.projects.rap_sam.model import CosineClassifier, RapSAM
from omgseg.projects.rap_sam.pixel_decoder import LitePixelDecoder
from omgseg.projects.rap_sam.query_decoder import DynamicQueryDecoder

__all__ = [
    "CosineClassifier",
    "DynamicQueryDecoder",
    "LitePixelDecoder",
    "PublishedClicks",
    "PublishedInteractiveMetric",
    "PyramidClipEncoder",
    "RapSAM",
    "RapSamImageEncoder",
    "RapSamSegmenter",
]
