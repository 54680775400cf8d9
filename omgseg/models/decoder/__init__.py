"""Pixel decoder, shared query decoder, prompt encoder and open-vocabulary classifier."""

from omgseg.models.decoder.classifier import OpenVocabularyClassifier, text_logits
from omgseg.models.decoder.pixel_decoder import PixelDecoder
from omgseg.models.decoder.prompt_encoder import PromptEncoder
from omgseg.models.decoder.query_decoder import DecoderMemory, DecoderOutput, SharedQueryDecoder

__all__ = [
    "DecoderMemory",
    "DecoderOutput",
    "OpenVocabularyClassifier",
    "PixelDecoder",
    "PromptEncoder",
    "SharedQueryDecoder",
    "text_logits",
]
