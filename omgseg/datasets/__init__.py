"""Datasets: one adapter each, merged by :class:`JointDataset`. ``data/README.md`` describes their folders."""

from omgseg.datasets.ade20k import ADE20KDataset
from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.cityscapes import CityscapesDataset
from omgseg.datasets.coco_instance import CocoInstanceDataset
from omgseg.datasets.coco_panoptic import CocoPanopticDataset, CocoPromptDataset
from omgseg.datasets.davis import DAVISDataset
from omgseg.datasets.joint import JointDataset
from omgseg.datasets.lvis import LVISDataset
from omgseg.datasets.mask_folder import MaskFolderDataset
from omgseg.datasets.objects365 import Objects365Dataset
from omgseg.datasets.sa1b import SA1BDataset
from omgseg.datasets.vipseg import VIPSegDataset
from omgseg.datasets.vocabularies import load_vocabulary, shipped_vocabularies
from omgseg.datasets.vspw import VSPWDataset
from omgseg.datasets.youtube_vis import OVISDataset, YouTubeVISDataset
from omgseg.datasets.youtube_vos import YouTubeVOSDataset

__all__ = [
    "ADE20KDataset",
    "CityscapesDataset",
    "CocoInstanceDataset",
    "CocoPanopticDataset",
    "CocoPromptDataset",
    "DAVISDataset",
    "JointDataset",
    "LVISDataset",
    "MaskFolderDataset",
    "OVISDataset",
    "Objects365Dataset",
    "SA1BDataset",
    "SegmentationDataset",
    "VIPSegDataset",
    "VSPWDataset",
    "YouTubeVISDataset",
    "YouTubeVOSDataset",
    "load_vocabulary",
    "shipped_vocabularies",
]
