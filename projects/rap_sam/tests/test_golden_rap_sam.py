"""RAP-SAM gives what the published code gives."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import Config
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import omgseg.models.mask_queries.losses as losses_module
import omgseg.models.omgseg.model as flow
from omgseg.models.checkpoints.loading import load_state
from omgseg.models.geometry import MaskGeometry, interpolate
from omgseg.models.mask_queries.losses import ClipTargets
from omgseg.models.mask_queries.readout import (
    PanopticConfig,
    mask_confidence,
    read_panoptic,
    select_pairs,
    select_queries,
)
from omgseg.models.mask_queries.video import TubeMemory, associate_queries, split_clips
from omgseg.models.omgseg.model import Features
from omgseg.projects.rap_sam.evaluation import NOC_THRESHOLDS
from omgseg.projects.rap_sam.pixel_decoder import coordinates
from omgseg.registry import METRICS, MODELS, TRANSFORMS
from omgseg.structures import Category, Vocabulary
from omgseg.structures.run_lengths import decode_masks

pytestmark = pytest.mark.golden
TOLERANCE = 1e-4
END_TO_END = 2e-4
"""Double precision moves the published results by this much, too."""
STRIDE = 4


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "rap_sam" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def published(golden, filled):
    """Weights under the published names."""
    with torch.device("meta"):
        backbone = MODELS.build(dict(type="RapSamImageEncoder", depth=50)).state_dict()
    shapes = {f"backbone.{name}": tuple(tensor.shape) for name, tensor in backbone.items()}
    assert len(shapes) == golden["model"]["backbone_key_count"]
    assert all(shapes[name] == tuple(shape) for name, shape in golden["model"]["backbone_keys_first"])
    shapes |= {name: tuple(shape) for name, shape in golden["model"]["keys"]}
    return {name: filled(name, shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def model(golden, published):
    config = Config.fromfile("projects/rap_sam/configs/rap_sam_r50.py").model
    config.text_encoder.pretrained = None
    config.query_decoder.num_queries = golden["model"]["queries"]
    model = MODELS.build(config).eval()
    model.load_state_dict(published)
    model.class_embeddings = golden["model"]["text_embeddings"]
    model.vocabulary = words(golden["model"]["things"], golden["model"]["stuff"])
    return model


def words(things: int, stuff: int) -> Vocabulary:
    return Vocabulary([Category(f"word{index}", index < things) for index in range(things + stuff)])


def seeded(entry) -> Tensor:
    values = np.random.RandomState(entry["seed"]).standard_normal(entry["shape"]).astype(np.float32)
    tensor = torch.from_numpy(values) * entry["scale"]
    assert torch.equal(tensor.flatten()[: len(entry["first"])], entry["first"])
    return tensor


def deviation(ours: Tensor, published: Tensor) -> float:
    assert ours.shape == published.shape
    return float((ours - published).abs().max() / published.abs().max())


def class_logits(model, output) -> Tensor:
    return model.classifier(
        output.normed_queries, output.mask_embeddings, output.mask_features, model.class_embeddings
    )


def frame(img_shape, ori_shape, tasks=("panoptic", "instance")) -> DetDataSample:
    factors = (img_shape[1] / ori_shape[1], img_shape[0] / ori_shape[0])
    sizes = dict(img_shape=tuple(img_shape), ori_shape=tuple(ori_shape), scale_factor=factors)
    return DetDataSample(metainfo=dict(sizes, tasks=tasks))


def test_the_published_file_loads_by_its_names(model, published, golden):
    assert load_state(model, published).loaded == len(published) == golden["model"]["key_count"]
    counts = golden["model"]["parameters_by_part"]
    parts = dict(
        backbone=[model.image_encoder],
        neck=[model.pixel_decoder],
        panoptic_head=[model.query_decoder, model.prompt_encoder],
    )
    for name, modules in parts.items():
        assert sum(p.numel() for module in modules for p in module.parameters()) == counts[name]
    ours = {name: tensor for name, tensor in model.state_dict().items()}
    assert load_state(model, ours).is_clean
    assert torch.equal(ours["query_decoder.kernels.weight"], published["panoptic_head.kernels.weight"])


@torch.no_grad()
def test_neck(model, golden):
    expected = golden["neck"]
    features = [seeded(entry) for entry in expected["inputs"]]
    scales = model.pixel_decoder.deconv
    coarse = scales.lateral_conv0(features[-1])
    first = scales.deform_conv1
    assert deviation(coarse[:, ::16], expected["lateral5_strided"]) < TOLERANCE
    assert deviation(first.dcn_offset(coarse), expected["offset_mask1"]) < TOLERANCE
    assert deviation(first.deform(coarse)[:, ::16], expected["deform1_strided"]) < TOLERANCE
    assert deviation(first(coarse)[:, ::16], expected["up1_strided"]) < TOLERANCE
    assert deviation(scales(features)[:, ::8, ::2, ::2], expected["fused_strided"]) < TOLERANCE
    output, levels = model.pixel_decoder(features)
    assert levels == [] and list(output.shape) == expected["output_shape"]
    places = coordinates(*output.shape[-2:], output.device)[None, :, ::4, ::4]
    assert deviation(places, expected["coordinates"]) < TOLERANCE
    assert deviation(output[:, ::8, ::2, ::2], expected["output_strided"]) < TOLERANCE


@torch.no_grad()
def test_every_stage_of_an_image(model, golden):
    expected = golden["image_head"]
    features = seeded(expected["mask_features"])
    decoder = model.query_decoder
    initial = torch.einsum("qd,bdhw->bqhw", decoder.kernels.weight, features)
    assert deviation(initial[:, :, ::4, ::4], expected["initial_masks_strided"]) < TOLERANCE
    inside = (initial > 0).float()
    pooled = torch.einsum("bqhw,bdhw->bqd", inside, features)
    assert deviation(pooled[:, ::10], expected["pooled_features"]) < TOLERANCE
    updated = decoder.mask_heads[0].kernel_update(pooled, decoder.kernels.weight[None])
    assert deviation(updated[:, ::10], expected["kernel_update_stage0"]) < TOLERANCE

    outputs = decoder(features, [])
    assert len(outputs) == len(expected["class_logits"])
    for index, output in enumerate(outputs):
        assert deviation(class_logits(model, output), expected["class_logits"][index]) < TOLERANCE
        masks = output.mask_logits[:, :, 0]
        assert deviation(masks[:, ::5, ::2, ::2], expected["mask_logits_strided"][index]) < TOLERANCE
        # rounding may flip the few pixels whose logits are nearly 0
        assert ((masks > 0).sum((2, 3)) - expected["positive_pixels"][index]).abs().sum() <= 2
        assert deviation(output.iou[..., None], expected["iou"][index]) < TOLERANCE
    assert deviation(outputs[-1].queries, expected["kernels"]) < TOLERANCE
    size = [STRIDE * side for side in features.shape[-2:]]
    full = interpolate(outputs[-1].mask_logits[0, ::10, 0], size)[None, :, ::8, ::8]
    assert deviation(full, expected["predict_masks_strided"]) < TOLERANCE
    (last,) = decoder(features, [], every_layer=False)
    assert torch.equal(last.mask_embeddings, outputs[-1].mask_embeddings)


@torch.no_grad()
def test_every_stage_of_a_clip(model, golden):
    expected = golden["video_head"]
    outputs = model.query_decoder(seeded(expected["mask_features"]), [], expected["frames"])
    for index, output in enumerate(outputs):
        assert deviation(class_logits(model, output), expected["class_logits"][index]) < TOLERANCE
        masks = output.mask_logits[:, ::10, :, ::2, ::2]
        assert deviation(masks, expected["mask_logits_strided"][index]) < TOLERANCE
        assert deviation(output.iou[..., None], expected["iou"][index]) < TOLERANCE
    step = model.query_decoder.kernels.num_embeddings // expected["kernels_strided"].shape[1]
    assert deviation(outputs[-1].queries[:, ::step], expected["kernels_strided"]) < TOLERANCE


@pytest.fixture(scope="module")
def prompted_features(golden):
    mask_features = seeded(golden["image_head"]["mask_features"])
    size = tuple(STRIDE * side for side in mask_features.shape[-2:])
    shape = tuple(golden["interactive"]["img_shape"])
    return Features(mask_features, [], torch.empty(0), 1, size, [shape])


@pytest.mark.parametrize("cached", [False, True])
@torch.no_grad()
def test_every_stage_of_prompts(model, golden, prompted_features, cached):
    expected = golden["interactive"]
    features = model.with_cache(prompted_features) if cached else prompted_features
    outputs = model.decode(features, {"boxes": expected["prompts"][None]})
    assert len(outputs) == len(expected["mask_logits_strided"])
    for index, output in enumerate(outputs):
        masks = output.mask_logits[:, :, 0, ::2, ::2]
        assert deviation(masks, expected["mask_logits_strided"][index]) < TOLERANCE
        assert deviation(output.iou[..., None], expected["iou"][index]) < TOLERANCE
    assert deviation(outputs[-1].queries, expected["kernels"]) < TOLERANCE


@torch.no_grad()
def test_prompts_become_kernels(model, golden, prompted_features):
    expected = golden["interactive"]
    boxes = model._boxes_of(prompted_features, boxes=expected["prompts"][None])
    kernels = sum(model.prompt_encoder(prompted_features.image_size, boxes=boxes))
    assert deviation(kernels, expected["prompt_kernels"]) < TOLERANCE
    # a click is the middle of a box of 6 pixels
    is_click = (expected["prompts"][:, 2:] - expected["prompts"][:, :2] == 6).all(1)
    assert is_click.any()
    clicks = (expected["prompts"][is_click, :2] + 3)[None]
    boxes = model._boxes_of(prompted_features, points=clicks)
    kernels = sum(model.prompt_encoder(prompted_features.image_size, boxes=boxes))
    assert deviation(kernels, expected["prompt_kernels"][:, is_click]) < TOLERANCE


@pytest.fixture(scope="module")
def end_to_end(model, golden):
    """The image of the whole way, uint8, with its sizes."""
    entry = golden["end_to_end"]
    values = (
        np.random.RandomState(entry["raw"]["seed"]).random_sample(entry["raw"]["shape"]).astype(np.float32)
    )
    raw = torch.from_numpy(np.floor(values * 255).astype(np.uint8))
    assert torch.equal(raw.flatten()[: len(entry["raw"]["first"])].float(), entry["raw"]["first"])
    height, width = entry["img_shape"]
    return raw[:, :height, :width]


@torch.no_grad()
def test_an_image_from_its_pixels_to_its_segments(model, golden, end_to_end):
    expected = golden["end_to_end"]
    sample = frame(expected["img_shape"], expected["ori_shape"])
    batch = model.data_preprocessor({"inputs": [end_to_end[None]], "data_samples": [sample]})
    images = flow.normalize(
        batch["inputs"], [tuple(expected["img_shape"])], model.image_encoder.mean, model.image_encoder.std
    )
    for features, taps in zip(model.image_encoder(images), expected["backbone_strided"], strict=True):
        channels, height, width = features.shape[1:]
        steps = [max(1, channels // 32), max(1, height // 8), max(1, width // 8)]
        assert deviation(features[:, :: steps[0], :: steps[1], :: steps[2]], taps) < TOLERANCE
    features = model.encode(batch["inputs"], batch["data_samples"])
    assert deviation(features.mask_features[:, ::8, ::4, ::4], expected["neck_strided"]) < TOLERANCE
    (output,) = model.decode(features, every_layer=False)
    assert deviation(output.class_logits, expected["class_logits"]) < END_TO_END
    (sample,) = model.predict(batch["inputs"], batch["data_samples"])
    panoptic = sample.pred_panoptic_seg.sem_seg
    assert (panoptic != expected["panoptic"]).float().mean() < 1e-3
    found = sample.pred_instances
    order = np.lexsort((-found.scores.numpy(), found.labels.numpy()))
    theirs = np.lexsort((-expected["instance_scores"].numpy(), expected["instance_labels"].numpy()))
    assert torch.equal(found.labels[order], expected["instance_labels"][theirs])
    assert deviation(found.scores[order], expected["instance_scores"][theirs]) < END_TO_END
    pixels = found.masks.flatten(1).sum(1)[order]
    assert (pixels - expected["instance_pixels"][theirs]).abs().max() <= 0.002 * panoptic.numel()


@torch.no_grad()
def test_prompts_from_pixels_to_masks(model, golden, end_to_end):
    expected, sizes = golden["interactive"], golden["end_to_end"]
    sample = frame(sizes["img_shape"], sizes["ori_shape"], ("interactive",))
    sample.prompts = {"boxes": expected["prompts"]}
    batch = model.data_preprocessor({"inputs": [end_to_end[None]], "data_samples": [sample]})
    (sample,) = model.predict(batch["inputs"], batch["data_samples"])
    wrong = sample.pred_instances.masks != expected["end_to_end_masks"]
    assert wrong.float().mean() < 1e-3


def test_read_outs(golden):
    expected = golden["post_processing"]
    thresholds = expected["test_cfg"]
    probs = expected["class_logits"][0].softmax(-1)
    masks = expected["mask_logits"][0]
    geometry = MaskGeometry(
        tuple(masks.shape[-2:]), tuple(expected["img_shape"]), tuple(expected["ori_shape"])
    )
    config = PanopticConfig(*(thresholds[key] for key in ("object_mask_thr", "iou_thr", "filter_low_score")))
    things = golden["model"]["things"]
    queries, scores, labels = select_queries(probs, config)
    (panoptic,), _ = read_panoptic(
        [masks[queries]], scores, labels, things, probs.shape[1] - 1, geometry, config
    )
    assert torch.equal(panoptic[None], expected["panoptic"])
    pairs = select_pairs(probs, things, thresholds["max_per_image"])
    confidence, (found,) = mask_confidence([masks[pairs.queries]], geometry)
    found = (pairs.labels, pairs.scores * confidence, found.flatten(1).sum(1))
    ours, theirs = (
        sorted(zip(*(column.tolist() for column in columns), strict=True))
        for columns in (found, [expected[key] for key in ("labels", "scores", "mask_pixels")])
    )
    for row, published in zip(ours, theirs, strict=True):
        assert row == pytest.approx(published, rel=1e-5)


def test_clips_and_their_association(golden):
    for case in golden["video_split"]:
        if case["overlap"] == 0:
            assert split_clips(case["total"], case["tube"]) == case["ends"]
    case = golden["match"]
    assert torch.equal(associate_queries(case["target"][0], case["current"][0]), case["indices"])


@torch.no_grad()
def test_a_video_clip_by_clip(model, golden, monkeypatch):
    expected = golden["video_online"]
    height, width = expected["size"]
    base, noise = (
        np.random.RandomState(expected["seed"] + 64 - index).random_sample((count, 3, height, width)) * 4 - 2
        for index, count in enumerate([1, expected["frames"]])
    )
    images = torch.from_numpy((0.8 * base + 0.2 * noise).astype(np.float32))
    images[:, :, expected["img_shape"][0] :] = 0
    images[:, :, :, expected["img_shape"][1] :] = 0
    memories = []

    class Memory(TubeMemory):
        def __init__(self, num_candidates: int) -> None:
            super().__init__(num_candidates)
            memories.append(self)

    monkeypatch.setattr(flow, "TubeMemory", Memory)
    monkeypatch.setattr(flow, "normalize", lambda inputs, *_: inputs.flatten(0, 1))
    monkeypatch.setattr(model, "vocabulary", words(len(model.vocabulary), 0))
    video = TrackDataSample()
    video.video_data_samples = [
        frame(expected["img_shape"], expected["ori_shape"], ("instance",)) for _ in images
    ]
    for sample in video.video_data_samples:
        sample.set_metainfo({"batch_input_shape": (height, width)})
    model.predict(images[None], [video])

    (memory,) = memories
    assert deviation(memory.mean("class_logits")[None], expected["class_logits"]) < END_TO_END
    every = torch.arange(len(memory.mean("class_logits")))
    masks = [interpolate(one.select(every), (height, width))[::10, ::8, ::8] for one in memory.frames]
    # masks are kept in half precision
    assert deviation(torch.stack(masks, dim=1)[None], expected["mask_logits_strided"]) < 1e-3
    check_tracks(video.video_data_samples, expected)


def check_tracks(frames: list[DetDataSample], expected) -> None:
    """A track here has one score: its frames' scores, weighted by their pixels."""
    pixels = torch.stack(expected["mask_pixels"], 1).double()
    scores = (torch.stack(expected["scores"], 1) * pixels).sum(1) / pixels.sum(1).clamp(min=1)
    found = [one.pred_track_instances for one in frames]
    size = tuple(frames[0].ori_shape)
    areas = torch.from_numpy(np.stack([decode_masks(one.masks, size).sum((1, 2)) for one in found], 1))
    # tracks of nearly the same score come in any order
    distance = torch.cdist(areas.double(), pixels) + 1e6 * (
        found[0].labels.unsqueeze(1) != expected["labels"][0]
    )
    rows, columns = linear_sum_assignment(distance.numpy())
    assert torch.equal(found[0].labels[rows], expected["labels"][0][columns])
    assert (found[0].scores[rows] - scores[columns]).abs().max() < 1e-3
    assert (areas[rows] - pixels[columns]).abs().max() <= 0.005 * size[0] * size[1]


def test_where_the_published_evaluation_clicks(golden):
    entry = golden["centre_prompts"]
    step = TRANSFORMS.build(dict(type="PublishedClicks"))
    points = step({"gt_masks": entry["masks"][:, None].numpy()})["prompts"]["points"]
    half_side = 3
    assert np.array_equal(np.hstack([points - half_side, points + half_side]), entry["prompts"].numpy())


@pytest.mark.parametrize("cut, expected", [(False, "results"), (True, "results_of_released_evaluate")])
def test_the_published_metric_of_prompts(golden, cut, expected):
    entry = golden["interactive_evaluation"]
    metric = METRICS.build(dict(type="PublishedInteractiveMetric", cut=cut))
    for number, image in enumerate(entry["images"]):
        truth, found = ({"masks": image[key]} for key in ("gt_masks", "pred_masks"))
        metric.process({}, [dict(img_id=number, gt_instances=truth, pred_instances=found)])
    ious = np.concatenate([result.value for result in metric.results])
    assert np.allclose(ious, entry["ious"].numpy(), rtol=1e-6)
    values, published = metric.evaluate(len(entry["images"])), entry[expected]
    assert values["published/mIoU"] == pytest.approx(100 * published["miou@iter1"], rel=1e-6)
    for limit in NOC_THRESHOLDS:
        assert values[f"published/NoC@{round(100 * limit)}"] == pytest.approx(published[f"noc@{limit}"])


def rectangles_of(entry, size: tuple[int, int]) -> Tensor:
    masks = torch.zeros(len(entry["rectangles"]), *size, dtype=torch.bool)
    for mask, (y0, x0, y1, x1) in zip(masks, entry["rectangles"], strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def check_losses(losses: dict[str, Tensor], expected: dict[str, float]) -> None:
    assert {name for name, value in expected.items() if value} == set(losses)
    for name, value in losses.items():
        assert float(value) == pytest.approx(expected[name], rel=TOLERANCE), name


@torch.no_grad()
def test_losses_of_an_image(model, golden, monkeypatch):
    entry = golden["loss_image"]
    features = seeded(golden["image_head"]["mask_features"])
    outputs = model.query_decoder(features, [])
    for output in outputs:
        output.class_logits = class_logits(model, output)
    size = tuple(entry["sem_seg"].shape[-2:])
    first_stuff = golden["model"]["things"]
    stuff = [value for value in entry["sem_seg"].unique().tolist() if first_stuff <= value < 255]
    masks = torch.cat([rectangles_of(entry, size), *(entry["sem_seg"] == value for value in stuff)])
    target = ClipTargets(torch.tensor([*entry["labels"], *stuff]), masks[:, None])

    criterion = model.criterion
    monkeypatch.setattr(torch, "rand", lambda *_, **__: entry["match_points"])
    given = [
        torch.stack([getattr(output, name)[0] for output in outputs])
        for name in ("mask_embeddings", "class_logits")
    ]
    matched = criterion.matcher(outputs[0].mask_features[0], *given, target.labels, target.masks)
    for layer, queries in enumerate(matched):
        assert torch.equal(queries.sort().values, entry["matched_queries"][layer])
        assert torch.equal(target.labels, entry["labels_per_query"][layer][queries])
    # the published masks come in the order of their queries
    points = entry["loss_points"][matched.argsort(1).argsort(1)].flatten(0, 1)
    monkeypatch.setattr(losses_module, "uncertain_points", lambda *_: points)
    check_losses(criterion.entity_losses(outputs, [target]), entry["losses"])


@torch.no_grad()
def test_losses_of_prompts(model, golden, prompted_features, monkeypatch):
    entry = golden["loss_prompt"]
    outputs = model.decode(prompted_features, {"boxes": entry["prompts"][None]})
    masks = rectangles_of(entry, prompted_features.image_size)[entry["target_of_prompt"]]
    count = len(masks)
    points = golden["loss_image"]["loss_points"][:count].repeat(len(outputs), 1, 1)
    monkeypatch.setattr(losses_module, "uncertain_points", lambda *_: points)
    target = ClipTargets(torch.zeros(count, dtype=torch.long), masks[:, None])
    check_losses(model.criterion.prompt_losses(outputs, [target]), entry["losses"])
