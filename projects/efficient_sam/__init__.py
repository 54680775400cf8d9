"""EfficientSAM (arXiv:2312.00863): SAM with a plain ViT that was pre-trained to reconstruct SAM's embeddings."""

from omgseg.projects.efficient_sam.classification import AccuracyMetric, VitClassifier
from omgseg.projects.efficient_sam.image_encoder import EfficientSamImageEncoder, VitPyramidEncoder
from omgseg.projects.efficient_sam.model import (
    EfficientSAM,
    EfficientSamMaskDecoder,
    EfficientSamPromptEncoder,
    EfficientSamSegmenter,
)
from omgseg.projects.efficient_sam.pretraining import MaskedPretraining, UnlabelledImageDataset

__all__ = [
    "AccuracyMetric",
    "EfficientSAM",
    "EfficientSamImageEncoder",
    "EfficientSamMaskDecoder",
    "EfficientSamPromptEncoder",
    "EfficientSamSegmenter",
    "MaskedPretraining",
    "UnlabelledImageDataset",
    "VitClassifier",
    "VitPyramidEncoder",
]
