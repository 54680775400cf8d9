"""The models: parts of the segmentor, and the segmentor that wires them."""

from omgseg.models.clip import ImageEncoder, TextEncoder
from omgseg.models.decoder import OpenVocabularyClassifier, PixelDecoder, PromptEncoder, SharedQueryDecoder
from omgseg.models.losses import SetCriterion
from omgseg.models.preprocessor import ClipPreprocessor
from omgseg.models.segmentor import OMGSeg

__all__ = [
    "ClipPreprocessor",
    "ImageEncoder",
    "OMGSeg",
    "OpenVocabularyClassifier",
    "PixelDecoder",
    "PromptEncoder",
    "SetCriterion",
    "SharedQueryDecoder",
    "TextEncoder",
]
