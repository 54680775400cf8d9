"""YOLACT trained, behind the seam, and with wrong input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

import omgseg
import omgseg.projects.noh_nms  # the NMS that is exchanged
from omgseg.inference.frame_by_frame import FrameByFrame
from omgseg.model_table import find_model, recognise
from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.projects.yolact import Yolact, YolactSegmenter
from omgseg.projects.yolact.detection import DetectionConfig, find_objects, overlaps
from omgseg.projects.yolact.losses import LossConfig, Truth, match_anchors
from omgseg.protocols import Request, Segmenter
from omgseg.registry import MODELS
from omgseg.structures import Category, Task, Vocabulary

WORDS = ("cat", "dog", "bird")
SIDE = 96


def settings(**changes):
    small = dict(
        type="Yolact",
        backbone=dict(depth=18, base_channels=8),
        num_classes=len(WORDS),
        image_size=SIDE,
        scales=[[16], [32], [48], [64], [96]],
        channels=16,
        prototypes=8,
        test_cfg=dict(score_thr=0.0),
    )
    return {**small, **changes}


def build(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS.build(settings(**changes))


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "small.py"
    imports = "custom_imports = dict(imports=['omgseg.projects.yolact'])"
    file.write_text(f"default_scope = 'omgseg'\n{imports}\nmodel = {settings()!r}\n")
    return str(file)


@pytest.fixture(scope="module")
def segmenter():
    return YolactSegmenter({"model": settings()}, None, torch.device("cpu"))


def sample(boxes=(), labels=(), side=SIDE, ignored=None):
    """An image with rectangles as its objects."""
    masks = torch.zeros(len(boxes), side, side, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    made = DetDataSample(metainfo=dict(img_shape=(side, side), ori_shape=(side, side)))
    made.gt_instances = InstanceData(
        masks=masks,
        labels=torch.tensor(labels, dtype=torch.long),
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
    )
    if ignored is not None:
        made.ignored_instances = InstanceData(bboxes=torch.tensor(ignored, dtype=torch.float32))
    return made


BOXES = [(10, 12, 50, 60), (40, 50, 90, 88)]


def picture(side=SIDE):
    """Two rectangles, red and blue: uint8 (1, 1, 3, side, side)."""
    pixels = torch.full((1, 1, 3, side, side), 90, dtype=torch.uint8)
    for channel, (x1, y1, x2, y2) in zip((0, 2), BOXES, strict=True):
        pixels[0, 0, channel, y1:y2, x1:x2] = 250
    return pixels


def total(losses):
    return sum(value for name, value in losses.items() if name.startswith("loss"))


def test_a_training_learns_its_image():
    model = build(test_cfg=dict(score_thr=0.3)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    given = picture(), [sample(BOXES, [2, 0])]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(40):
            losses = model(*given, mode="loss")
            optimizer.zero_grad()
            total(losses).backward()
            optimizer.step()
    assert total(losses) < 1.5
    (found,) = model.eval()(*given, mode="predict")
    found = found.pred_instances[:2]
    assert sorted(found.labels.tolist()) == [0, 2] and (found.scores > 0.5).all()
    for label, box in zip((2, 0), BOXES, strict=True):
        (row,) = (found.labels == label).nonzero()[0].tolist()
        wanted = sample([box], [0]).gt_instances.masks[0]
        both = (found.masks[row] & wanted).sum() / (found.masks[row] | wanted).sum()
        assert both > 0.7


def test_a_training_starts_from_the_weights_of_its_resnet(tmp_path):
    """Those of the offsets of deformable convolutions begin at 0."""
    resnet = build().network.backbone
    torch.save(resnet.state_dict(), tmp_path / "resnet.pth")
    pretrained = dict(type="Pretrained", checkpoint=str(tmp_path / "resnet.pth"))
    for init_cfg in (pretrained, None):
        backbone = dict(depth=18, base_channels=8, init_cfg=init_cfg)
        with torch.random.fork_rng():
            model = MODELS.build(settings(backbone=backbone, deform_interval=1))
            model.init_weights()
        started = model.network.backbone.state_dict()
        offsets = [tensor for name, tensor in started.items() if "conv_offset_mask" in name]
        assert offsets and not any(tensor.any() for tensor in offsets)
        same = all(torch.equal(started[name], tensor) for name, tensor in resnet.state_dict().items())
        assert same == (init_cfg is not None)


@pytest.mark.parametrize("rescoring", [False, True])
def test_images_without_objects_train(rescoring):
    side = 256 if rescoring else SIDE
    model = build(image_size=side, rescoring=rescoring, deform_interval=int(rescoring)).train()
    empty = sample(side=side)
    losses = model(picture(side), [empty], mode="loss")
    assert losses["loss_box"] == losses["loss_class"] == losses["loss_mask"] == 0
    assert losses["loss_semantic"] > 0
    total(losses).backward()
    pixels = picture(side).repeat(2, 1, 1, 1, 1)
    both = model(pixels, [empty, sample(BOXES, [2, 0], side)], mode="loss")
    assert all(torch.isfinite(value) and value >= 0 for value in both.values())
    assert both["loss_mask"] > 0 and ("loss_iou" in both) == rescoring
    total(both).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_stuff_and_empty_masks_are_not_learned():
    model = build()
    given = sample([*BOXES, (5, 5, 5, 5)], [2, len(WORDS), 0])
    truth = model.truth_of(given)
    assert truth.labels.tolist() == [2] and truth.masks.shape == (1, SIDE, SIDE)
    things = [Category(word, True) for word in WORDS]
    model.set_vocabulary(Vocabulary([*things, Category("sky", False)]))
    with pytest.raises(ValueError, match=r"2 things, the model has num_classes=3"):
        model.set_vocabulary(Vocabulary(things[:2]))


def test_anchors_in_crowds_are_no_background():
    centres = torch.tensor([[0.2, 0.2, 0.1, 0.1], [0.8, 0.8, 0.1, 0.1]])
    crowd = sample(BOXES[:1], [0], ignored=[[60, 60, 96, 96]])
    truth = build().truth_of(crowd)
    assert match_anchors(centres, truth, LossConfig()).classes.tolist() == [1, -1]
    alone = Truth(*truth[:3], crowds=truth.crowds[:0])
    assert match_anchors(centres, alone, LossConfig()).classes.tolist() == [1, 0]


def test_two_objects_never_share_an_anchor():
    centres = torch.tensor([[0.5, 0.5, 0.3, 0.3], [0.9, 0.9, 0.1, 0.1]])
    truth = build().truth_of(sample([(36, 36, 60, 60), (34, 34, 62, 62)], [0, 1]))
    assert sorted(match_anchors(centres, truth, LossConfig()).objects.tolist()) == [0, 1]


def test_images_of_any_shape_are_segmented(segmenter):
    assert isinstance(segmenter, Segmenter)
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3), np.uint8) for size in ((1, 1), (30, 200), (97, 41))]
    found = segmenter.predict(images, Request(Task.INSTANCE))
    assert [result.size for result in found] == [(1, 1), (30, 200), (97, 41)]
    for result in found:
        assert (np.diff(result.scores) <= 0).all() and result.areas.all()
        assert result.vocabulary == segmenter.words
    assert len(found[1]) and len(found[2])
    alone = segmenter.predict(images[1:2], Request(Task.INSTANCE))[0]
    assert alone.rles == found[1].rles


def test_words_and_limits_of_a_request(segmenter):
    image = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    (everything,) = segmenter.predict([image], Request(Task.INSTANCE))
    second = segmenter.words.names[1]
    (chosen,) = segmenter.predict([image], Request(Task.INSTANCE, Vocabulary.from_names([second])))
    assert len(chosen) == (everything.labels == 1).sum() and not chosen.labels.any()
    limit = float(np.median(everything.scores))
    (few,) = segmenter.predict([image], Request(Task.INSTANCE, min_score=limit))
    assert len(few) == (everything.scores >= limit).sum() < len(everything)
    with pytest.raises(ValueError, match="not trained to find unicorn"):
        segmenter.predict([image], Request(Task.INSTANCE, Vocabulary.from_names(["unicorn"])))
    with pytest.raises(ValueError, match="YOLACT segments instances, not 'panoptic'"):
        segmenter.predict([image], Request(Task.PANOPTIC))


def test_videos_are_segmented_frame_by_frame(segmenter):
    image = np.random.default_rng(2).integers(0, 256, (50, 70, 3), np.uint8)
    frames = FrameByFrame(segmenter).predict_video([image, image], Request(Task.INSTANCE))
    assert len(frames[0]) and sorted(frames[0].ids) == sorted(frames[1].ids)


def published_names(model):
    """Its weights as the published files name them, with what the old ones hold besides."""
    weights = {}
    for name, tensor in model.state_dict().items():
        name = name.removeprefix("network.")
        if name.startswith("backbone.layer"):
            number, rest = name.removeprefix("backbone.layer").split(".", 1)
            weights[f"backbone.layer{number}.{rest}"] = tensor
            name = f"backbone.layers.{int(number) - 1}.{rest}"
        weights[name] = tensor
    weights["fpn.downsample_layers.2.weight"] = torch.zeros(16, 16, 3, 3)
    return weights


def test_published_files_load_old_ones_included(config_file, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = MODELS.build(settings()).eval()
    torch.save(published_names(model), tmp_path / "yolact.pth")
    loaded = omgseg.load(config_file, str(tmp_path / "yolact.pth"), "cpu")
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name


def test_files_of_other_models_and_sizes_are_named(config_file, tmp_path):
    file = str(tmp_path / "other.pth")
    torch.save(published_names(build(rescoring=True)), file)
    with pytest.raises(CheckpointError, match="maskiou_net"):
        omgseg.load(config_file, file, "cpu")
    torch.save({"image_encoder.fuse_stage2.weight": torch.zeros(256, 192, 1, 1)}, file)
    with pytest.raises(CheckpointError, match="holds edge-sam"):
        omgseg.load(config_file, file, "cpu")
    torch.save({"anything": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match="anything"):
        omgseg.load(config_file, file, "cpu")


def test_what_does_not_fit_is_said():
    model = build()
    large = torch.zeros(1, 1, 3, SIDE + 1, SIDE, dtype=torch.uint8)
    with pytest.raises(ValueError, match=rf"larger than image_size={SIDE}: resize"):
        model(large, [DetDataSample(metainfo=dict(img_shape=(SIDE + 1, SIDE)))], mode="loss")
    small = sample(side=SIDE - 10)
    with pytest.raises(ValueError, match=r"keep_ratio=False"):
        model.eval()(torch.zeros(1, 1, 3, SIDE - 10, SIDE - 10, dtype=torch.uint8), [small], mode="predict")
    with pytest.raises(ValueError, match="image_size=252 or larger"):
        build(rescoring=True).eval()(picture(), [sample()], mode="predict")
    with pytest.raises(ValueError, match="fast, cross_class, torchvision, not 'soft'"):
        DetectionConfig(nms="soft")


def test_sequential_nms_keeps_what_only_suppressed_boxes_overlap():
    """Of three boxes in a row, Fast NMS keeps one, sequential NMS two."""
    boxes = torch.tensor([[0.0, 0, 0.5, 1], [0.1, 0, 0.6, 1], [0.2, 0, 0.7, 1]])
    scores = torch.tensor([[0.9], [0.8], [0.7]])
    iou = overlaps(boxes, boxes)
    assert iou[0, 1] > 0.5 > iou[0, 2] and iou[1, 2] > 0.5
    rows = {
        nms: find_objects(boxes, scores, DetectionConfig(nms=nms))[0].tolist()
        for nms in ("fast", "cross_class", "torchvision")
    }
    assert rows == dict(fast=[0], cross_class=[0], torchvision=[0, 2])


@pytest.mark.parametrize("nms", ["fast", "cross_class", "torchvision", dict(type="noh_nms")], ids=str)
def test_nothing_found_is_an_answer(nms):
    config = DetectionConfig(nms=nms, score_thr=0.9)
    rows, labels, scores = find_objects(torch.rand(5, 4), torch.full((5, 3), 0.1), config)
    assert len(rows) == len(labels) == len(scores) == 0


def test_an_nms_of_mmcv_takes_pixels_and_may_change_scores():
    """Of two boxes that overlap by 0.6, Soft-NMS lowers the second one's score, in its class alone."""
    boxes = torch.tensor([[0.0, 0, 0.5, 1], [0.125, 0, 0.625, 1]])
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.05]])
    config = DetectionConfig(nms=dict(type="noh_nms", method="soft_linear", iou_threshold=0.5))
    rows, labels, found = find_objects(boxes, scores, config, side=100)
    assert rows.tolist() == [0, 1, 0, 1] and labels.tolist() == [0, 0, 1, 1]
    overlap = 37.5 * 100 / (2 * 51 * 101 - 37.5 * 100)  # of pixels, as published
    assert torch.allclose(found, torch.tensor([0.9, 0.8 * (1 - overlap), 0.1, 0.05 * (1 - overlap)]))
    rows, *_ = find_objects(boxes, scores, replace(config, nms=dict(type="noh_nms", method="greedy")), 100)
    assert rows.tolist() == [0, 0]
    with pytest.raises(ValueError, match="mmcv has no NMS of the type 'softer_nms'; import what defines it"):
        DetectionConfig(nms=dict(type="softer_nms"))


def test_a_network_detects_with_another_nms():
    model = build(test_cfg=dict(score_thr=0.0, nms=dict(type="noh_nms", method="greedy", iou_threshold=0.5)))
    plain = build(test_cfg=dict(score_thr=0.0, nms="torchvision"))
    plain.load_state_dict(model.state_dict())
    (found,), (expected,) = (some.eval()(picture(), [sample()], mode="predict") for some in (model, plain))
    assert len(found.pred_instances) and found.pred_instances.scores.isfinite().all()
    assert torch.equal(found.pred_instances.scores[:1], expected.pred_instances.scores[:1])


@pytest.mark.parametrize("name", ["yolact-r50", "yolact-r101", "yolact-plus-r50", "yolact-plus-r101"])
def test_the_rows_of_the_table_are_true(name):
    entry = find_model(name)
    with torch.device("meta"):
        model = MODELS.build(Config.fromfile(entry.config).model)
    assert isinstance(model, Yolact) and len(model.words) == model.num_classes
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    assert recognise(shapes).config == entry.config
