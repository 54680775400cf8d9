"""Datasets: one adapter each, merged by :class:`JointDataset`. ``data/README.md`` describes their folders."""

from omgseg.datasets.ade20k import ADE20KDataset
from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.cityscapes import CityscapesDataset
from omgseg.datasets.coco_panoptic import CocoPanopticDataset, CocoPromptDataset
from omgseg.datasets.davis import DAVISDataset
from omgseg.datasets.joint import JointDataset
from omgseg.datasets.vipseg import VIPSegDataset
from omgseg.datasets.vocabularies import load_vocabulary, shipped_vocabularies
from omgseg.datasets.vspw import VSPWDataset
from omgseg.datasets.youtube_vis import OVISDataset, YouTubeVISDataset
from omgseg.datasets.youtube_vos import YouTubeVOSDataset

__all__ = [
    "ADE20KDataset",
    "CityscapesDataset",
    "CocoPanopticDataset",
    "CocoPromptDataset",
    "DAVISDataset",
    "JointDataset",
    "OVISDataset",
    "SegmentationDataset",
    "VIPSegDataset",
    "VSPWDataset",
    "YouTubeVISDataset",
    "YouTubeVOSDataset",
    "load_vocabulary",
    "shipped_vocabularies",
]
