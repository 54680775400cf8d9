"""EdgeSAM with an RPN, which proposes the box of the object that a click means: the granularity priors of
arXiv:2312.06660."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from torch import Tensor

from omgseg.models.precision import predicting
from omgseg.models.sam import SAM
from omgseg.models.sam.adapter import SamSegmenter
from omgseg.models.sam.prompting import EncodedImage
from omgseg.registry import MODELS, SEGMENTERS

NEAREST = 5
"""Proposals that a click chooses from."""
PROPOSALS = ConfigDict(score_thr=0.1, nms_pre=2000, min_bbox_size=0)
"""Published settings; `nms_pre` is the number of boxes of a level of the pyramid. There is no NMS."""
DETECTOR_NAMES = {"neck.": "fpn.", "bbox_head.": "rpn_head."}
"""Prefixes in the checkpoint of the detector that the heads are trained in, and ours."""


@MODELS.register_module()
class EdgeSamRPN(SAM):
    """A SAM whose image encoder has ``stages`` and ``fuse``, and a frozen RPN on the stages of strides 8, 16 and 32.

    Args:
        fpn: config of mmdet's FPN.
        rpn_head: config of a dense head of mmdet; its parameters, as those of `fpn`, have the published names.
        **sam: see :class:`SAM`.
    """

    segmenter = "EdgeSamSegmenter"

    def __init__(self, fpn: dict[str, Any], rpn_head: dict[str, Any], **sam: Any) -> None:
        super().__init__(**sam)
        self.fpn = MODELS.build(fpn).requires_grad_(False)
        self.rpn_head = MODELS.build(rpn_head).requires_grad_(False)
        self._register_load_state_dict_pre_hook(_rename_detector)

    def train(self, mode: bool = True) -> EdgeSamRPN:
        """The RPN stays in eval mode, as it stays as it is."""
        super().train(mode)
        self.fpn.eval()
        self.rpn_head.eval()
        return self

    def propose(self, stages: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes of objects, of all sizes and places.

        Args:
            stages: of one image, see :meth:`EdgeSamImageEncoder.stages`.

        Returns:
            Boxes (P, 4) in pixels of the padded input, x1, y1, x2, y2, and scores (P,).
        """
        outputs = self.rpn_head(self.fpn(tuple(stages[1:])))
        scores, boxes = ([level.float() for level in levels] for levels in outputs)  # as autocast may be on
        shape = (self.image_size, self.image_size)
        (found,) = self.rpn_head.predict_by_feat(
            scores, boxes, batch_img_metas=[dict(img_shape=shape)], cfg=PROPOSALS, with_nms=False
        )
        return found.bboxes, found.scores


def _rename_detector(state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """The heads' names in a detector's checkpoint become ours, in place."""
    for theirs, ours in DETECTOR_NAMES.items():
        for name in [name for name in state_dict if name.startswith(prefix + theirs)]:
            state_dict[prefix + ours + name.removeprefix(prefix + theirs)] = state_dict.pop(name)


def boxes_at(points: Tensor, boxes: Tensor, scores: Tensor) -> Tensor:
    """The box of each point: of the :data:`NEAREST` boxes by their centres that contain it, the one of the best score.

    Args:
        points: (N, 2), x and y.
        boxes: (P, 4).
        scores: (P,).

    Returns:
        (N, 4); NaN where no box contains the point, edges left out.
    """
    if not len(boxes):
        return points.new_full((len(points), 4), torch.nan)
    at = points.unsqueeze(1)
    inside = ((boxes[:, :2] < at) & (at < boxes[:, 2:])).all(-1)  # (N, P)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = (at - centres).square().sum(-1).masked_fill(~inside, torch.inf)
    near, rows = distance.topk(min(NEAREST, len(boxes)), largest=False)
    best = scores[rows].masked_fill(near.isinf(), -1).argmax(1, keepdim=True)
    chosen = boxes[rows.gather(1, best)[:, 0]]
    return chosen.masked_fill(~inside.any(1, keepdim=True), torch.nan)


@dataclass(frozen=True)
class ImageWithProposals(EncodedImage):
    """See :meth:`EdgeSamRPN.propose` for `boxes` and `scores`."""

    boxes: Tensor
    scores: Tensor


@SEGMENTERS.register_module()
class EdgeSamSegmenter(SamSegmenter):
    """EdgeSAM with an RPN behind the seam: an object that is given by clicks alone gets the box that is proposed at its
    first click, if that is positive. Corrections keep this box."""

    model: EdgeSamRPN

    def encode_image(self, image: np.ndarray) -> ImageWithProposals:
        with predicting(self.device, self.dtype):
            pixels, geometry = self.model.preprocess(image)
            stages = self.model.image_encoder.stages(pixels)
            embedding = self.model.image_encoder.fuse(stages)
            return ImageWithProposals(embedding, geometry, image, *self.model.propose(stages))

    def boxes_of_clicks(self, state: ImageWithProposals, points: Tensor, labels: Tensor) -> Tensor:
        boxes = boxes_at(points[:, 0], state.boxes, state.scores)
        return boxes.masked_fill(labels[:, :1] != 1, torch.nan)
