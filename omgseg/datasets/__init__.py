"""Datasets: one adapter each, merged by :class:`JointDataset`. ``data/README.md`` describes their folders."""

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.cityscapes import CityscapesDataset
from omgseg.datasets.coco_instance import (
    CocoInstanceDataset,
    CocoInstancePromptDataset,
    LVISDataset,
    LVISPromptDataset,
    Objects365Dataset,
    V3DetDataset,
)
from omgseg.datasets.coco_panoptic import ADE20KDataset, CocoPanopticDataset, CocoPromptDataset
from omgseg.datasets.image_folder import ImageFolderDataset
from omgseg.datasets.joint import JointDataset
from omgseg.datasets.mask_folder import (
    COCOStuffDataset,
    MaskFolderDataset,
    PascalContextDataset,
    PascalVOCDataset,
)
from omgseg.datasets.sa1b import SA1BDataset
from omgseg.datasets.video_folders import DAVISDataset, VIPSegDataset, VSPWDataset, YouTubeVOSDataset
from omgseg.datasets.vocabularies import load_vocabulary, shipped_vocabularies
from omgseg.datasets.youtube_vis import OVISDataset, YouTubeVISDataset

__all__ = [
    "ADE20KDataset",
    "COCOStuffDataset",
    "CityscapesDataset",
    "CocoInstanceDataset",
    "CocoInstancePromptDataset",
    "CocoPanopticDataset",
    "CocoPromptDataset",
    "DAVISDataset",
    "ImageFolderDataset",
    "JointDataset",
    "LVISDataset",
    "LVISPromptDataset",
    "MaskFolderDataset",
    "OVISDataset",
    "Objects365Dataset",
    "PascalContextDataset",
    "PascalVOCDataset",
    "SA1BDataset",
    "SegmentationDataset",
    "V3DetDataset",
    "VIPSegDataset",
    "VSPWDataset",
    "YouTubeVISDataset",
    "YouTubeVOSDataset",
    "load_vocabulary",
    "shipped_vocabularies",
]
