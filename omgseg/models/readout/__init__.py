"""Read-outs: what a task takes from the queries."""

from omgseg.models.readout.ensemble import fuse_with_clip
from omgseg.models.readout.geometry import MaskGeometry
from omgseg.models.readout.instance import InstanceCandidates, mask_confidence, select_pairs
from omgseg.models.readout.panoptic import PanopticConfig, read_panoptic, select_queries
from omgseg.models.readout.semantic import read_semantic

__all__ = [
    "InstanceCandidates",
    "MaskGeometry",
    "PanopticConfig",
    "fuse_with_clip",
    "mask_confidence",
    "read_panoptic",
    "read_semantic",
    "select_pairs",
    "select_queries",
]
