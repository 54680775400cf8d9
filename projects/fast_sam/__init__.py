"""FastSAM (arXiv:2306.12156): all masks by an instance segmenter, of which prompts choose by rules."""

from omgseg.projects.fast_sam.adapter import FastSamSegmenter
from omgseg.projects.fast_sam.model import FastSam

__all__ = ["FastSam", "FastSamSegmenter"]
