"""Matching and set losses."""

from omgseg.models.losses.criterion import SetCriterion
from omgseg.models.losses.targets import ClipTargets, clip_targets, frames_of

__all__ = ["ClipTargets", "SetCriterion", "clip_targets", "frames_of"]
