"""NOH-NMS (arXiv:2007.13376): people in crowds. Importing it makes ``nms=dict(type="noh_nms")`` known to mmcv."""

from omgseg.projects.noh_nms.dataset import CrowdMetric, OdgtDataset
from omgseg.projects.noh_nms.nearby import NohFasterRCNN, NohRoIHead
from omgseg.projects.noh_nms.suppression import noh_nms, suppress

__all__ = ["CrowdMetric", "NohFasterRCNN", "NohRoIHead", "OdgtDataset", "noh_nms", "suppress"]
