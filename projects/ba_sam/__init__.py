"""BA-SAM (arXiv:2401.02317): SAM on larger images than it was trained with."""

from omgseg.projects.ba_sam.tiny_vit import LargerMobileSamImageEncoder

__all__ = ["LargerMobileSamImageEncoder"]
