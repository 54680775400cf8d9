"""The nearby-object branch of NOH-NMS: where each box expects its neighbour, on mmdet's Faster R-CNN.

The neighbour of a proposal is the person that it overlaps second most. The branch reads the pooled features of the
proposal, and predicts the box of the neighbour and the IoU of proposal and neighbour, which stands for its probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.detectors import FasterRCNN
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi, scale_boxes
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torchvision.ops import box_iou

from omgseg.projects.noh_nms.suppression import suppress

CODER = DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2), clip_border=False)
"""From a proposal to its neighbour; the deviations are those of the weights 10, 10, 5, 5."""


def nearby_targets(proposals: Tensor, persons: Tensor) -> tuple[Tensor, Tensor]:
    """The neighbour of each proposal, and how much it overlaps.

    Args:
        proposals: (N, 4), x1, y1, x2, y2.
        persons: (M, 4), all that are annotated in the image.

    Returns:
        Indices of persons int64 (N,), and IoU (N,). A single person is the neighbour with IoU 0.

    Raises:
        ValueError: there are no persons.
    """
    if not len(persons):
        raise ValueError("an image without persons has no neighbours; ask for targets of the others")
    overlaps = box_iou(persons, proposals)
    if len(persons) == 1:
        return overlaps.new_zeros(len(proposals), dtype=torch.long), overlaps.new_zeros(len(proposals))
    values, rows = overlaps.sort(dim=0, descending=True, stable=True)  # of equal ones the first person
    return rows[1], values[1]


def nearby_losses(
    deltas: Tensor,
    probs: Tensor,
    target_deltas: Tensor,
    target_ious: Tensor,
    num_sampled: int,
    beta: float = 1.0,
    min_iou: float = 0.4,
    coefficient: float | None = None,
    prob_beta: float = 0.02,
) -> dict[str, Tensor]:
    """Losses of P proposals that are persons; the defaults are those of the published CrowdHuman configuration.

    Args:
        deltas, target_deltas: (P, 4).
        probs: (P,), 0..1.
        target_ious: (P,) of the neighbours.
        num_sampled: all sampled proposals of the batch, background included.
        beta, prob_beta: where the smooth L1 of boxes and of probabilities becomes linear; 0 is L1.
        min_iou: neighbours that overlap by no more have no box to learn.
        coefficient: the loss of the boxes is a sum over `num_sampled` (None), or the mean over those that learn one
            times this.
    """
    learns = target_ious > min_iou
    box = F.smooth_l1_loss(deltas[learns], target_deltas[learns], reduction="sum", beta=beta)
    if coefficient is None:
        box = box / max(num_sampled, 1)
    else:
        box = coefficient * box / learns.sum().clamp(min=1)
    prob = F.smooth_l1_loss(probs, target_ious, reduction="sum", beta=prob_beta) / max(len(probs), 1)
    return {"loss_nearby_box": box, "loss_nearby_prob": prob}


class NearbyHead(nn.Module):
    """Two layers on pooled features, then the box and the probability of the neighbour.

    Args:
        in_channels, roi_size: of the pooled features.
        channels: of the layers.
    """

    def __init__(self, in_channels: int = 256, roi_size: int = 7, channels: int = 1024) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(in_channels * roi_size**2, channels),
            nn.ReLU(),
            nn.Linear(channels, channels),
            nn.ReLU(),
        )
        self.overlap_prob = nn.Linear(channels, 1)
        self.overlap_pred = nn.Linear(channels, 4)
        for layer, deviation in ((self.overlap_prob, 0.01), (self.overlap_pred, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features (N, C, s, s) to deltas (N, 4) and probabilities (N,)."""
        features = self.layers(features)
        return self.overlap_pred(features), self.overlap_prob(features).squeeze(1).sigmoid()


@MODELS.register_module()
class NohFasterRCNN(FasterRCNN):
    """mmdet's Faster R-CNN, whose weights keep their names where they are loaded: OMG-Seg's published ones begin
    likewise, and would be renamed."""

    published_prefixes = ()


@MODELS.register_module()
class NohRoIHead(StandardRoIHead):
    """mmdet's RoI head with the nearby-object branch.

    With ``test_cfg.rcnn.nms=dict(type="noh_nms", ...)`` its predictions decide which boxes stay; any other NMS runs
    without them.

    Args:
        nearby_head: arguments of :class:`NearbyHead`.
        nearby_loss: arguments of :func:`nearby_losses` but for tensors.
        options: of :class:`StandardRoIHead`; without a mask head.

    Raises:
        ValueError: there is a mask head.
    """

    def __init__(
        self,
        nearby_head: dict[str, Any] | None = None,
        nearby_loss: dict[str, float | None] | None = None,
        **options: Any,
    ) -> None:
        if options.get("mask_head") is not None:
            raise ValueError("NohRoIHead predicts boxes alone; leave mask_head out")
        super().__init__(**options)
        self.nearby_head = NearbyHead(**(nearby_head or {}))
        self.nearby_loss = dict(nearby_loss or {})

    def loss(self, x: tuple[Tensor], rpn_results_list: InstanceList, batch_data_samples: SampleList) -> dict:
        """See :meth:`StandardRoIHead.loss`; with ``loss_nearby_box`` and ``loss_nearby_prob``."""
        persons, ignored, _ = unpack_gt_instances(batch_data_samples)
        sampled = []
        for proposals, truth, regions in zip(rpn_results_list, persons, ignored, strict=True):
            proposals.priors = proposals.pop("bboxes")
            assigned = self.bbox_assigner.assign(proposals, truth, regions)
            sampled.append(self.bbox_sampler.sample(assigned, proposals, truth))
        results = self.bbox_loss(x, sampled)
        nearby = self._nearby_loss(results["bbox_feats"], sampled, [truth.bboxes for truth in persons])
        return {**results["loss_bbox"], **nearby}

    def _nearby_loss(
        self, features: Tensor, sampled: Sequence[Any], persons: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Losses of the sampled proposals that are persons, which come first in each image."""
        total, rows, deltas, ious = 0, [], [], []
        for one, boxes in zip(sampled, persons, strict=True):
            proposals, count = one.pos_priors, len(one.pos_priors)
            if count:
                places, overlaps = nearby_targets(proposals, boxes)
                rows.append(torch.arange(total, total + count, device=features.device))
                deltas.append(CODER.encode(proposals, boxes[places]))
                ious.append(overlaps)
            total += count + len(one.neg_priors)
        if not rows:  # every process has to use all weights
            zero = sum(found.sum() for found in self.nearby_head(features)) * 0
            return {"loss_nearby_box": zero, "loss_nearby_prob": zero}
        found = self.nearby_head(features[torch.cat(rows)])
        return nearby_losses(*found, torch.cat(deltas), torch.cat(ious), total, **self.nearby_loss)

    def predict_bbox(
        self,
        x: tuple[Tensor],
        batch_img_metas: list[dict],
        rpn_results_list: InstanceList,
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
    ) -> InstanceList:
        """See :meth:`StandardRoIHead.predict_bbox`."""
        proposals = [found.bboxes for found in rpn_results_list]
        counts = [len(boxes) for boxes in proposals]
        nms = dict(rcnn_test_cfg.nms) if rcnn_test_cfg is not None else {}
        if nms.pop("type", None) != "noh_nms" or not all(counts):
            return super().predict_bbox(x, batch_img_metas, rpn_results_list, rcnn_test_cfg, rescale)
        rois = bbox2roi(proposals)
        results = self._bbox_forward(x, rois)
        parts = (results[name].split(counts) for name in ("cls_score", "bbox_pred"))
        raw = self.bbox_head.predict_by_feat(rois.split(counts), *parts, batch_img_metas, None, rescale)
        deltas, probs = self.nearby_head(results["bbox_feats"])
        nearby = CODER.decode(rois[:, 1:], deltas).split(counts)
        if rescale:
            factors = [[1 / scale for scale in meta["scale_factor"]] for meta in batch_img_metas]
            nearby = [scale_boxes(boxes, factor) for boxes, factor in zip(nearby, factors, strict=True)]
        return [
            self._suppress(found, boxes, chances, nms, rcnn_test_cfg)
            for found, boxes, chances in zip(raw, nearby, probs.split(counts), strict=True)
        ]

    @staticmethod
    def _suppress(
        raw: InstanceData, nearby: Tensor, probs: Tensor, nms: dict[str, Any], config: ConfigDict
    ) -> InstanceData:
        """Detections of an image from all boxes (N, 4 or C * 4) and scores (N, C + 1) of its proposals."""
        scores = raw.scores[:, :-1]
        rows, labels = (scores > config.score_thr).nonzero(as_tuple=True)
        boxes = raw.bboxes.view(len(scores), -1, 4).expand(*scores.shape, 4)[rows, labels]
        kept, new = suppress(
            boxes,
            scores[rows, labels],
            labels=labels,
            nearby_boxes=nearby[rows],
            nearby_probs=probs[rows],
            max_num=config.max_per_img,
            **nms,
        )
        return InstanceData(bboxes=boxes[kept], scores=new, labels=labels[kept])
