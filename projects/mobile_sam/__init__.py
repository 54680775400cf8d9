"""MobileSAM (arXiv:2306.14289): SAM with TinyViT as image encoder."""

from omgseg.projects.mobile_sam.image_encoder import MobileSamImageEncoder

__all__ = ["MobileSamImageEncoder"]
