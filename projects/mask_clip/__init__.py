"""MaskCLIP (arXiv:2112.01071): semantic segmentation with any words by a frozen CLIP; and MaskCLIP+, trained by it."""

from omgseg.projects.mask_clip.adapter import MaskClipSegmenter
from omgseg.projects.mask_clip.dense_clip import DenseClip
from omgseg.projects.mask_clip.plus import HideClasses, MaskClipPlus
from omgseg.projects.mask_clip.plus_adapter import MaskClipPlusSegmenter

__all__ = ["DenseClip", "HideClasses", "MaskClipPlus", "MaskClipPlusSegmenter", "MaskClipSegmenter"]
