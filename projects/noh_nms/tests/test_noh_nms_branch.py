"""The nearby-object branch in mmdet's Faster R-CNN, small."""

from pathlib import Path

import mmdet.models  # noqa: F401  registers its parts
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from omgseg.projects.noh_nms.nearby import CODER, NohRoIHead, nearby_targets

CONFIG = Path(__file__).parents[1] / "configs" / "faster_rcnn_r50.py"
PERSONS = torch.tensor([[10.0, 10, 50, 90], [28, 12, 66, 92], [80, 20, 110, 80]])


def build(config):
    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(config)


@pytest.fixture(scope="module")
def detector():
    config = Config.fromfile(CONFIG).model
    config.backbone.update(depth=18, base_channels=8, init_cfg=None)
    config.neck.update(in_channels=[8, 16, 32, 64], out_channels=16, norm_cfg=None)
    config.rpn_head.update(in_channels=16, feat_channels=16)
    config.roi_head.bbox_roi_extractor.out_channels = 16
    config.roi_head.bbox_head.update(in_channels=16, fc_out_channels=32)
    config.roi_head.nearby_head = dict(in_channels=16, channels=32)
    config.test_cfg.rcnn.score_thr = 0.0
    torch.manual_seed(0)
    return build(config)


def sample(boxes):
    found = DetDataSample(metainfo=dict(img_shape=(128, 128), ori_shape=(64, 64), scale_factor=(2.0, 2.0)))
    labels = torch.zeros(len(boxes), dtype=torch.long)
    found.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    return found


def test_the_published_config_builds():
    with torch.device("meta"):
        model = build(Config.fromfile(CONFIG).model)
    assert isinstance(model.roi_head, NohRoIHead)


def test_a_step_of_training_teaches_the_branch(detector):
    detector.train()
    pixels = torch.randint(0, 255, (3, 3, 128, 128), dtype=torch.uint8, generator=torch.manual_seed(0))
    samples = [sample(PERSONS), sample(PERSONS[:1]), sample(PERSONS[:0])]
    batch = detector.data_preprocessor(dict(inputs=list(pixels), data_samples=samples), True)
    optimizer = torch.optim.SGD(detector.roi_head.nearby_head.parameters(), lr=0.1)
    values = []
    for _ in range(4):
        torch.manual_seed(0)  # the same proposals are sampled
        losses = detector(**batch, mode="loss")
        loss = losses["loss_nearby_box"] + losses["loss_nearby_prob"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert {"loss_cls", "loss_bbox", "loss_rpn_cls"} <= set(losses)
    assert values[-1] < 0.9 * values[0]
    alone = dict(inputs=batch["inputs"][2:], data_samples=batch["data_samples"][2:])
    losses = detector(**alone, mode="loss")
    assert (
        losses["loss_nearby_box"] == losses["loss_nearby_prob"] == 0
        and losses["loss_nearby_box"].requires_grad
    )


def test_predictions_of_the_branch_decide_which_boxes_stay(detector, monkeypatch):
    """The branch expects the second person beside the first one."""
    detector.eval()
    boxes = PERSONS[:2]
    head = detector.roi_head
    raw = [InstanceData(bboxes=boxes, scores=torch.tensor([[0.9, 0.1], [0.8, 0.2]]))]
    monkeypatch.setattr(head.bbox_head, "predict_by_feat", lambda *args: raw)
    deltas = CODER.encode(boxes, boxes.flip(0))
    found = {}
    for prob in (0.9, 0.1):
        monkeypatch.setattr(
            head.nearby_head, "forward", lambda x, prob=prob: (deltas, torch.full((2,), prob))
        )
        config = detector.test_cfg.rcnn.copy()
        config.nms = dict(type="noh_nms", iou_threshold=0.25)
        features = [torch.zeros(1, 16, 128 // stride, 128 // stride) for stride in (4, 8, 16, 32, 64)]
        proposals = [InstanceData(bboxes=boxes)]
        (found[prob],) = head.predict_bbox(features, [dict(scale_factor=(1.0, 1.0))], proposals, config)
    assert torch.equal(found[0.9].bboxes, boxes) and found[0.9].labels.tolist() == [0, 0]
    assert torch.equal(found[0.1].bboxes, boxes[:1])


@pytest.mark.parametrize("method", ["noh", "soft_linear"])
def test_a_picture_goes_through(detector, method):
    detector.eval()
    detector.roi_head.test_cfg.nms.method = method
    pixels = torch.randint(0, 255, (3, 128, 128), dtype=torch.uint8, generator=torch.manual_seed(0))
    with torch.no_grad():
        (found,) = detector.test_step(dict(inputs=[pixels], data_samples=[sample(PERSONS)]))
    found = found.pred_instances
    assert 0 < len(found) <= 200 and (found.scores.diff() <= 0).all() and found.bboxes.isfinite().all()


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="an image without persons has no neighbours"):
        nearby_targets(PERSONS, PERSONS[:0])
    with pytest.raises(ValueError, match="predicts boxes alone; leave mask_head out"):
        NohRoIHead(mask_head=dict(type="FCNMaskHead"))
    places, overlaps = nearby_targets(PERSONS, PERSONS[:1])
    assert places.tolist() == [0, 0, 0] and overlaps.tolist() == [0, 0, 0]
