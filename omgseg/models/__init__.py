"""The models. Importing this package registers their parts, by which configs name them."""

from omgseg.models.geometry import ClipPreprocessor
from omgseg.models.mask_queries.losses import SetCriterion
from omgseg.models.omgseg.classifier import OpenVocabularyClassifier
from omgseg.models.omgseg.image_encoder import ImageEncoder
from omgseg.models.omgseg.model import OMGSeg
from omgseg.models.omgseg.pixel_decoder import PixelDecoder
from omgseg.models.omgseg.prompt_encoder import PromptEncoder
from omgseg.models.omgseg.query_decoder import SharedQueryDecoder
from omgseg.models.omgseg.text_encoder import TextEncoder
from omgseg.models.sam import SAM, SamImageEncoder, SamMaskDecoder, SamPromptEncoder

__all__ = [
    "ClipPreprocessor",
    "ImageEncoder",
    "OMGSeg",
    "OpenVocabularyClassifier",
    "PixelDecoder",
    "PromptEncoder",
    "SAM",
    "SamImageEncoder",
    "SamMaskDecoder",
    "SamPromptEncoder",
    "SetCriterion",
    "SharedQueryDecoder",
    "TextEncoder",
]
