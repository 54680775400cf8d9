"""RAP-SAM behind the seam: what its flow, which is that of OMG-Seg, offers."""

from __future__ import annotations

from omgseg.models.omgseg.adapter import MaskQuerySegmenter
from omgseg.registry import SEGMENTERS


@SEGMENTERS.register_module()
class RapSamSegmenter(MaskQuerySegmenter):
    """A loaded RAP-SAM: panoptic, instance and semantic on images and videos, and prompts.

    It proposes no masks and follows no given objects, as its queries have no objectness, and names no masks, as there
    is no CLIP to look at them.
    """
