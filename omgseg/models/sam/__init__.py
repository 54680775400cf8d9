"""Segment Anything (arXiv:2304.02643): the figure's parts, everything mode, training and distillation."""

from omgseg.models.sam.distillation import EncoderDistillation
from omgseg.models.sam.image_encoder import SamImageEncoder
from omgseg.models.sam.mask_decoder import SamMaskDecoder
from omgseg.models.sam.model import SAM
from omgseg.models.sam.prompt_encoder import SamPromptEncoder

__all__ = ["SAM", "EncoderDistillation", "SamImageEncoder", "SamMaskDecoder", "SamPromptEncoder"]
