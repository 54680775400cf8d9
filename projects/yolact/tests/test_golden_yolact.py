"""YOLACT gives what the published code gives."""

from dataclasses import replace

import pytest
import torch
from mmdet.models.layers import fast_nms as mmdet_fast_nms

from omgseg.models.checkpoints.loading import load_state
from omgseg.models.geometry import interpolate
from omgseg.projects.yolact.detection import (
    DetectionConfig,
    Detections,
    assemble,
    crop,
    decode_boxes,
    encode_boxes,
    find_objects,
    ordered,
    overlaps,
)
from omgseg.projects.yolact.losses import LossConfig, Truth, mask_iou, match_anchors, yolact_losses
from omgseg.projects.yolact.network import MaskIoUNet, Outputs, make_anchors

pytestmark = pytest.mark.golden
BOXES, LOSSES, NETWORKS = 1e-6, 1e-5, 1e-4


def deviation(ours, published):
    """The largest difference, in units of the largest published value."""
    assert ours.shape == published.shape
    return float((ours - published).abs().max() / published.abs().max().clamp(min=1e-12))


def test_boxes_are_decoded_and_encoded(yolact_golden):
    case = yolact_golden["box_coder"]
    assert deviation(decode_boxes(case["loc"], case["priors_cxcywh"]), case["decoded_xyxy"]) < BOXES
    encoded = encode_boxes(case["gt_xyxy"], case["priors_cxcywh"])
    assert deviation(encoded, case["encoded"]) < 10 * BOXES


def test_masks_are_cropped(yolact_golden):
    case = yolact_golden["crop"]
    masks, boxes = case["masks_hwn"].permute(2, 0, 1), case["boxes"]
    for axis, side, names in ((0, masks.shape[2], ("x1", "x2")), (1, masks.shape[1], ("y1", "y2"))):
        edges = ordered(boxes[:, axis], boxes[:, axis + 2], side, margin=1)
        for ours, name in zip(edges, names, strict=True):
            assert deviation(ours, case[name]) < BOXES
    assert torch.equal(crop(masks, boxes), case["cropped"].permute(2, 0, 1))


def found_by(case, **settings):
    config = DetectionConfig(
        score_thr=case["conf_thresh"], iou_thr=case["nms_thresh"], top_k=case["top_k"], **settings
    )
    return find_objects(case["boxes"], case["conf"][:, 1:], config)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("fast", {}), ("fast_max7", dict(max_per_image=7)), ("cross_class", dict(nms="cross_class"))],
)
def test_fast_nms(yolact_golden, name, settings):
    case = yolact_golden["nms"]
    expected = case[name]
    rows, labels, scores = found_by(case, **settings)
    assert torch.equal(labels, expected["classes"])
    assert torch.equal(scores, expected["scores"])
    assert torch.equal(case["boxes"][rows], expected["boxes"])
    assert torch.equal(case["coef"][rows], expected["coef"])
    assert len(rows) == case["counts"].get(name, len(rows))


def test_iou_and_the_candidates_of_nms(yolact_golden):
    case = yolact_golden["nms"]
    assert deviation(overlaps(case["boxes"], case["boxes"]), case["iou"]) < BOXES
    rows, _, _ = found_by(case)
    assert case["prefilter_keep"][rows].all()


def test_what_mmdet_leaves_out_is_the_second_threshold(yolact_golden):
    """Ours above the threshold is mmdet's."""
    case = yolact_golden["nms"]
    rows, labels, scores = found_by(case)
    kept = scores > case["conf_thresh"]
    expected = case["fast_second_threshold"]
    assert torch.equal(scores[kept], expected["scores"]) and torch.equal(labels[kept], expected["classes"])
    keep = case["prefilter_keep"]
    with_background_last = torch.cat([case["conf"][:, 1:], case["conf"][:, :1]], dim=1)[keep]
    given = case["boxes"][keep], with_background_last, case["coef"][keep]
    limits = case["conf_thresh"], case["nms_thresh"], case["top_k"], DetectionConfig.max_per_image
    boxes, theirs, _ = mmdet_fast_nms(*given, *limits)
    assert torch.equal(theirs, labels[kept]) and torch.equal(boxes[:, :4], case["boxes"][rows[kept]])


@pytest.fixture
def detections(yolact_golden):
    case = yolact_golden["assembly"]
    fields = (case[name] for name in ("boxes", "classes", "scores", "coef", "proto_hwk", "scores"))
    return Detections(*fields)


def test_masks_are_assembled(yolact_golden, detections):
    case = yolact_golden["assembly"]
    size = case["h"], case["w"]
    raw = assemble(detections.prototypes, detections.coefficients)
    assert deviation(raw, case["sigmoid_hwn"].permute(2, 0, 1)) < BOXES
    cropped = detections.cropped_masks()
    assert deviation(cropped, case["cropped_hwn"].permute(2, 0, 1)) < BOXES
    assert deviation(interpolate(cropped, size), case["upsampled_n_hw"]) < BOXES
    masks = torch.cat(list(detections.masks(size)))
    assert torch.equal(masks, case["out_masks"].bool())
    assert torch.equal(detections.pixel_boxes(size), case["out_boxes"])
    few = detections.select(detections.scores > 0.5)
    assert torch.equal(torch.cat(list(few.masks(size))), case["thr05"]["masks"].bool())
    assert torch.equal(few.pixel_boxes(size), case["thr05"]["boxes"])
    assert torch.equal(few.labels, case["thr05"]["classes"])


def test_masks_are_rescored(yolact_golden, detections, filled):
    case = yolact_golden["mask_rescoring"]
    net = MaskIoUNet(case["maskiou"].shape[1]).eval()
    prefix = "maskiou_net."
    weights = {name: filled(name, tuple(shape)) for name, shape in case["keys"].items()}
    net.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in weights.items()})
    with torch.no_grad():
        expected = net(case["input_n1hw_half"].float()[:, 0])
    assert deviation(expected, case["maskiou"]) < NETWORKS
    of_labels = expected.gather(1, case["labels"].unsqueeze(1)).squeeze(1)
    loss = torch.nn.functional.smooth_l1_loss(of_labels, case["iou_targets"], reduction="sum")
    config = LossConfig(iou=case["maskiou_alpha"])
    assert float(config.iou * loss) == pytest.approx(float(case["loss_I_unnormalised"]), rel=NETWORKS)
    side = case["input_n1hw_half"].shape[-1]
    large = interpolate(detections.prototypes.permute(2, 0, 1), (side, side)).permute(1, 2, 0)
    with torch.no_grad():
        rescored = replace(detections, prototypes=large).rescored(net)
    assert torch.equal(rescored.scores, case["postprocess"]["box_scores"])
    assert deviation(rescored.mask_scores, case["postprocess"]["mask_scores"]) < NETWORKS
    pairs = case["mask_iou_fn"]
    ours = mask_iou(pairs["a"].permute(2, 0, 1), pairs["b"].permute(2, 0, 1))
    assert deviation(ours, pairs["iou"]) < BOXES


def test_anchors(yolact_golden):
    for name, case in yolact_golden["priors"].items():
        if "conv_sizes" not in case:
            continue
        sizes = [(side, side) for side in case["conv_sizes"]]
        ours = make_anchors(sizes, case["scales"], case["max_size"], case["square"])
        assert len(ours) == case["total"], name
        assert deviation(ours[:: case["every"]], case["sampled"]) < BOXES
        assert deviation(ours.double().sum(0), case["sum_f64"]) < BOXES
        levels = ours.split(case["num_per_level"])
        assert deviation(torch.stack([level[:6] for level in levels]), case["first6_per_level"]) < BOXES
        assert deviation(torch.stack([level[-3:] for level in levels]), case["last3_per_level"]) < BOXES


@pytest.fixture
def truths(yolact_golden):
    case = yolact_golden["losses"]
    truths = []
    for target, masks, crowds in zip(case["targets"], case["masks"], case["num_crowds"], strict=True):
        count = len(target) - crowds
        truths.append(Truth(target[:count, :4], target[:count, 4].long(), masks[:count], target[count:, :4]))
    return truths


def test_anchors_are_matched(yolact_golden, truths):
    case = yolact_golden["losses"]
    matches = [match_anchors(case["predictions"]["priors"], truth, LossConfig()) for truth in truths]
    assert torch.equal(torch.stack([match.classes for match in matches]), case["match"]["conf_t"])
    assert torch.equal(torch.stack([match.objects for match in matches]), case["match"]["idx_t"])
    assert [int((match.classes > 0).sum()) for match in matches] == case["match"]["num_pos"].tolist()


def test_losses_and_their_gradients(yolact_golden, truths):
    case = yolact_golden["losses"]
    given = {
        name: case["predictions"][name].clone().requires_grad_()
        for name in ("loc", "conf", "mask", "proto", "segm")
    }
    outputs = Outputs(
        given["loc"],
        given["conf"],
        given["mask"],
        given["proto"],
        case["predictions"]["priors"],
        given["segm"],
    )
    config = LossConfig(box=case["alphas"]["bbox"], mask=case["alphas"]["mask"])
    losses = yolact_losses(outputs, truths, config)
    names = dict(B="loss_box", M="loss_mask", C="loss_class", S="loss_semantic")
    for published, ours in names.items():
        assert losses[ours].item() == pytest.approx(case["losses"][published].item(), rel=LOSSES), published
    sum(losses.values()).backward()
    for name, tensor in given.items():
        assert deviation(tensor.grad, case["grads"][name]) < LOSSES, name


NETWORKS_OF = dict(yolact_resnet50="yolact_r50_coco", yolact_plus_resnet50="yolact_plus_r50_coco")


@pytest.mark.parametrize("name", NETWORKS_OF)
def test_whole_networks(yolact_golden, build_yolact, filled, name):
    case = yolact_golden["networks"][name]
    model = build_yolact(NETWORKS_OF[name])
    weights = {key: filled(key, tuple(shape)) for key, shape in case["keys"].items()}
    report = load_state(model, weights)
    assert report.loaded == len(case["keys"])
    assert sum(parameter.numel() for parameter in model.parameters()) == case["num_parameters"]
    with torch.no_grad():
        outputs = model.network(yolact_golden["networks"]["input"], with_semantic=True)
    every = case["every"]
    assert outputs.boxes.shape[1] == case["num_priors"]
    assert list(outputs.prototypes.shape) == case["proto_shape"]
    ours = dict(
        loc=outputs.boxes[:, ::every],
        conf_softmax=outputs.classes.softmax(-1)[:, ::every],
        coef=outputs.coefficients[:, ::every],
        priors=outputs.anchors[::every],
        proto=outputs.prototypes[:, ::3, ::3],
        segm=outputs.semantic[:, ::8],
    )
    for part, tensor in ours.items():
        assert deviation(tensor, case[part]) < NETWORKS, part
    whole = dict(loc=outputs.boxes, mask=outputs.coefficients, proto=outputs.prototypes)
    for part, tensor in whole.items():
        mean, std = case["stats"][part]
        assert float(tensor.mean()) == pytest.approx(mean, abs=NETWORKS * std)
        assert float(tensor.std()) == pytest.approx(std, rel=NETWORKS)


def test_deformable_blocks_lie_where_the_published_ones_do(yolact_golden, build_yolact):
    cases = yolact_golden["networks"]
    for name, config in (
        ("yolact_plus_resnet50", "yolact_plus_r50_coco"),
        ("yolact_plus_base", "yolact_plus_r101_coco"),
    ):
        names = build_yolact(config).state_dict()
        ours = {
            key.removeprefix("network.backbone.layer").removesuffix(".conv_offset_mask.weight")
            for key in names
            if key.endswith("conv_offset_mask.weight")
        }
        published = set()
        for block in cases[name]["dcn_blocks"]:
            stage, rest = block.removeprefix("backbone.layers.").split(".", 1)
            published.add(f"{int(stage) + 1}.{rest}")
        assert ours == published
