"""Datasets: one adapter each, merged by :class:`JointDataset`. ``data/README.md`` describes their folders."""

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.coco_panoptic import CocoPanopticDataset, CocoPromptDataset
from omgseg.datasets.davis import DAVISDataset
from omgseg.datasets.joint import JointDataset
from omgseg.datasets.vipseg import VIPSegDataset
from omgseg.datasets.vocabularies import load_vocabulary, shipped_vocabularies
from omgseg.datasets.youtube_vis import YouTubeVISDataset

__all__ = [
    "CocoPanopticDataset",
    "CocoPromptDataset",
    "DAVISDataset",
    "JointDataset",
    "SegmentationDataset",
    "VIPSegDataset",
    "YouTubeVISDataset",
    "load_vocabulary",
    "shipped_vocabularies",
]
