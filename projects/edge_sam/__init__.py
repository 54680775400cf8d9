"""EdgeSAM (arXiv:2312.06660): SAM with RepViT as image encoder, distilled with prompts in the loop."""

from omgseg.projects.edge_sam.image_encoder import EdgeSamImageEncoder
from omgseg.projects.edge_sam.prompt_distillation import PromptDistillation
from omgseg.projects.edge_sam.proposals import EdgeSamRPN, EdgeSamSegmenter

__all__ = ["EdgeSamImageEncoder", "EdgeSamRPN", "EdgeSamSegmenter", "PromptDistillation"]
