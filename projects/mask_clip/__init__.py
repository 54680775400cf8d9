"""MaskCLIP (arXiv:2112.01071): semantic segmentation with any words by a frozen CLIP, without training."""

from omgseg.projects.mask_clip.adapter import MaskClipSegmenter
from omgseg.projects.mask_clip.dense_clip import DenseClip

__all__ = ["DenseClip", "MaskClipSegmenter"]
