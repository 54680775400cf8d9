"""Transforms of a sample, which is a clip; an image is a clip of one frame.

They act on a dict with ``frames`` (T entries of the dataset), ``imgs`` (T arrays uint8 (H, W, 3), RGB),
``gt_masks`` uint8 (N, T, H, W), ``gt_labels`` and ``gt_instance_ids`` int64 (N,), and ``prompts``; of pseudo
labels also ``gt_scores`` float32 (N,) and ``gt_ignored`` uint8 (1, T, H, W). Random numbers come from
``np.random``, which mmengine seeds in every loader process.
"""

from omgseg.datasets.transforms.geometry import LargeScaleJitter, PseudoClip, RandomFlip, Resize
from omgseg.datasets.transforms.loading import LoadFrames, LoadSegments, LoadTeacherEmbedding, SampleFrames
from omgseg.datasets.transforms.packing import PackClip, SamplePrompts

__all__ = [
    "LargeScaleJitter",
    "LoadFrames",
    "LoadSegments",
    "LoadTeacherEmbedding",
    "PackClip",
    "PseudoClip",
    "RandomFlip",
    "Resize",
    "SampleFrames",
    "SamplePrompts",
]
