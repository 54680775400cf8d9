"""Transforms of a sample, which is a clip; an image is a clip of one frame.

They act on a dict with ``frames`` (T entries of the dataset), ``imgs`` (T arrays uint8 (H, W, 3), RGB),
``gt_masks`` uint8 (N, T, H, W), ``gt_labels`` and ``gt_instance_ids`` int64 (N,), and ``prompts``. Random
numbers come from ``np.random``, which mmengine seeds in every loader process.
"""

from omgseg.datasets.transforms.geometry import LargeScaleJitter, RandomFlip, Resize
from omgseg.datasets.transforms.load_frames import LoadFrames
from omgseg.datasets.transforms.load_segments import LoadSegments
from omgseg.datasets.transforms.pack_clip import PackClip
from omgseg.datasets.transforms.pseudo_clip import PseudoClip
from omgseg.datasets.transforms.sample_frames import SampleFrames
from omgseg.datasets.transforms.sample_prompts import SamplePrompts

__all__ = [
    "LargeScaleJitter",
    "LoadFrames",
    "LoadSegments",
    "PackClip",
    "PseudoClip",
    "RandomFlip",
    "Resize",
    "SampleFrames",
    "SamplePrompts",
]
