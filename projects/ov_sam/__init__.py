"""Open-Vocabulary SAM (arXiv:2401.02955): SAM's prompts on CLIP's frozen features, and names for its masks."""

from omgseg.projects.ov_sam.adapter import OVSamSegmenter
from omgseg.projects.ov_sam.baselines import FeatureCropNamer, ImageCropNamer
from omgseg.projects.ov_sam.image_encoder import ClipConvNeXt, ClipResNet, OnePassConvNeXt, OVSamImageEncoder
from omgseg.projects.ov_sam.model import OpenVocabularySAM
from omgseg.projects.ov_sam.one_backbone import OMGOVSam, OMGOVSamSegmenter
from omgseg.projects.ov_sam.recognition import LabelMaskDecoder, RegionEmbedder
from omgseg.projects.ov_sam.training import Sam2ClipDistillation

__all__ = [
    "ClipConvNeXt",
    "ClipResNet",
    "FeatureCropNamer",
    "ImageCropNamer",
    "LabelMaskDecoder",
    "OMGOVSam",
    "OMGOVSamSegmenter",
    "OVSamImageEncoder",
    "OVSamSegmenter",
    "OnePassConvNeXt",
    "OpenVocabularySAM",
    "RegionEmbedder",
    "Sam2ClipDistillation",
]
