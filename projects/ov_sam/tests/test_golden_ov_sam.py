"""OV-SAM gives what the published code gives."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.models.geometry import MaskGeometry
from omgseg.models.omgseg.text_encoder import TextEncoder
from omgseg.projects.ov_sam.model import Features, text_logits_of
from omgseg.projects.ov_sam.published import ADAPTER, PARTS, merge_parts, rename
from omgseg.projects.ov_sam.recognition import boxes_of, fuse_views, shows_at
from omgseg.structures import Category, Vocabulary

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("no_gradients")]
TOLERANCE = 1e-4
MASK_STRIDE = 4
CASES = ("points_generated_box", "boxes_given_box")


@pytest.fixture
def no_gradients():
    with torch.no_grad():
        yield


def spread(feature, channels):
    """The cells of a feature that golden files keep."""
    _, _, height, width = feature.shape
    return feature[:, ::channels, :: max(1, height // 8), :: max(1, width // 8)]


def of_classes(classes, count):
    return torch.isin(torch.arange(count), torch.tensor(classes, dtype=torch.long))


@pytest.fixture(scope="module")
def features(model, golden, seeded):
    """Of the prompts' image."""
    taps = [seeded(entry).abs() for entry in golden["clip2sam"]["backbone_features"]]
    with torch.no_grad():
        levels = model.regions.fpn(taps)
    return Features(seeded(golden["clip2sam"]["image_embedding"]), levels, taps[-1])


def decode(model, golden, embedding, case):
    prompts = golden["clip2sam"]["prompts"]
    if case.startswith("boxes"):
        return model.decode(embedding, boxes=prompts["boxes"])
    labels = torch.ones(prompts["points"].shape[:2], dtype=torch.long)
    return model.decode(embedding, prompts["points"], labels)


def normalised(model, golden):
    trunk = golden["trunk"]
    raw = np.floor(
        255
        * np.random.RandomState(trunk["raw"]["seed"])
        .random_sample((3, *trunk["pad_shape"]))
        .astype(np.float32)
    )
    assert torch.equal(torch.from_numpy(raw).flatten()[:8], trunk["raw"]["first"])
    return model.normalize(torch.from_numpy(raw)[None], [tuple(trunk["img_shape"])])


def test_the_sizes_are_the_published_ones(model, golden):
    def count(*modules):
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    clip2sam = golden["clip2sam"]["parameters"]
    assert count(model.image_encoder.trunk) == golden["trunk"]["parameters"]
    assert len(model.image_encoder.trunk.state_dict()) == golden["trunk"]["key_count"]
    assert count(model.regions.fpn) == clip2sam["fpn_neck"]
    assert count(model.prompt_encoder) == clip2sam["pe"]
    assert count(model.mask_decoder, model.regions.projection) == clip2sam["mask_decoder"]
    assert count(model) == golden["end_to_end"]["parameters"]
    assert len(model.state_dict()) == golden["end_to_end"]["key_count"]


def test_the_published_files_fill_every_tensor(model, published_names):
    """All but CLIP's, whose names are open_clip's."""
    by_ours = model.state_dict()
    published = {name: by_ours[ours] for ours, name in published_names.items()}
    found = merge_parts({part: ("file", published) for part in PARTS}, model)
    trunk = {name for name in by_ours if name.startswith("image_encoder.trunk.")}
    assert found.keys() == by_ours.keys() - trunk
    published["fpn_neck.other"] = by_ours["prompt_encoder.no_mask_embed.weight"]
    with pytest.raises(CheckpointError, match=r"regions\.fpn\.other is unexpected"):
        merge_parts({part: ("file", published) for part in PARTS}, model)


def test_the_trunk_gives_the_published_features(model, golden, deviation):
    trunk = golden["trunk"]
    image = normalised(model, golden)
    assert deviation(image[0, :, ::32, ::32], trunk["normalised_strided"]) < TOLERANCE
    taps = model.image_encoder.trunk(image)
    for tap, shape, kept, statistics in zip(
        taps, trunk["out_shapes"], trunk["outs_strided"], trunk["out_mean_std"], strict=True
    ):
        assert list(tap.shape) == shape
        assert deviation(spread(tap, tap.shape[1] // kept.shape[1]), kept) < TOLERANCE
        assert [tap.mean(), tap.std()] == pytest.approx(statistics, rel=TOLERANCE)


def test_regions_get_the_published_embeddings(model, golden, seeded, deviation):
    regions = seeded(golden["attention_pool"]["input"])
    found = model.image_encoder.trunk.embed_regions(regions)
    assert deviation(found, golden["attention_pool"]["output"]) < TOLERANCE


def test_the_adapter_gives_the_published_embedding(model, golden, filled, seeded, deviation):
    case = golden["sam2clip_neck"]
    adapter = copy.deepcopy(model.image_encoder.adapter)
    for name, shape in case["keys"]:
        name = case["prefix"] + name
        path, _, ours = rename(name, ADAPTER).removeprefix("image_encoder.adapter.").rpartition(".")
        owner = adapter.get_submodule(path)
        if list(getattr(owner, ours).shape) != shape:  # positions: this input is no square
            value = filled(name, tuple(shape))
            setattr(owner, ours, nn.Parameter(value) if ours in owner._parameters else value)
    assert len(adapter.state_dict()) == len(case["keys"])
    assert sum(parameter.numel() for parameter in adapter.parameters()) == case["parameters"]
    inputs = [seeded(entry) for entry in case["inputs"]]

    def keep(tokens):
        return tokens[:, ::3, ::3, ::16]

    tokens = adapter.embed(inputs)
    assert deviation(keep(tokens), case["tokens_strided"]) < TOLERANCE
    for block, expected in zip(adapter.blocks, case["blocks_strided"], strict=True):
        tokens = block(tokens)
        assert deviation(keep(tokens), expected) < TOLERANCE
    embedding = adapter(inputs)
    assert deviation(embedding, case["output"]) < TOLERANCE
    teacher = seeded(golden["distillation"]["teacher"])
    assert float((embedding - teacher).square().mean()) == pytest.approx(
        golden["distillation"]["loss"], rel=TOLERANCE
    )


def test_the_fpn_gives_the_published_levels(features, golden, deviation):
    for level, expected in zip(features.levels, golden["clip2sam"]["fpn_strided"], strict=True):
        assert deviation(spread(level, 8), expected) < TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_the_decoder_gives_the_published_masks(model, features, golden, case, deviation):
    prompts, expected = golden["clip2sam"]["prompts"], golden["clip2sam"][case]
    found = decode(model, golden, features.embedding, case)
    assert deviation(found.logits[:, :1], expected["low_res_masks"]) < TOLERANCE
    assert torch.equal(found.logits[:, 0], found.logits[:, 1])
    if "queries" in expected:
        assert deviation(found.tokens, expected["queries"]) < TOLERANCE
        assert (
            deviation(model.mask_decoder.embed_labels(found.tokens), expected["label_embedding"]) < TOLERANCE
        )
    sizes = (tuple(prompts[name]) for name in ("batch_input_shape", "img_shape", "ori_shape"))
    logits = MaskGeometry(*sizes).resize(found.logits[:, 0])
    is_sure = logits.abs() > 1e-4
    assert torch.equal((logits > 0)[is_sure], expected["masks"][is_sure])


@pytest.mark.parametrize("case", CASES)
def test_boxes_get_the_published_classes(model, features, golden, case, deviation):
    clip2sam, expected = golden["clip2sam"], golden["clip2sam"][case]
    given, texts = clip2sam["prompts"]["boxes"], clip2sam["text_embeddings"]
    low_res = expected["low_res_masks"][:, 0]
    boxes = given if case == "boxes_given_box" else boxes_of(low_res, MASK_STRIDE)
    assert deviation(boxes, expected["rois"][:, 1:]) < TOLERANCE
    assert torch.equal(model.regions.level_of(boxes), expected["roi_levels"])
    regions = model.regions.align(features.levels, boxes)
    assert deviation(regions[:, ::16, ::3, ::3], expected["roi_features_strided"]) < TOLERANCE
    embeddings = model.embed_boxes(features, boxes, None)
    assert deviation(embeddings, expected["class_embedding"]) < TOLERANCE
    query_logits = text_logits_of(embeddings, texts)
    assert deviation(query_logits, expected["query_logits"]) < TOLERANCE
    seen_by_clip = model.look_at(features, given, low_res)
    assert deviation(seen_by_clip, expected["clip_embedding"]) < TOLERANCE
    clip_logits = text_logits_of(seen_by_clip, texts)
    assert deviation(clip_logits, expected["clip_logits"]) < TOLERANCE
    base, novel = (of_classes(clip2sam[name], len(texts)) for name in ("base_classes", "novel_classes"))
    shown = shows_at(low_res, features.last.shape[-2:])
    fused = fuse_views(query_logits, clip_logits, base, shown, model.alpha, model.beta, base | novel)
    assert deviation(fused, expected["ensemble"]) < TOLERANCE
    assert torch.equal(fused[:, :-1].argmax(1), expected["labels"])


@pytest.mark.parametrize("with_split", [True, False])
def test_the_ensemble_is_the_published_one(golden, with_split, deviation):
    case = golden["ensemble"]
    count = case["query_logits"].shape[1] - 1
    base, novel = (of_classes(case[name], count) for name in ("base_classes", "novel_classes"))
    shown = shows_at(case["masks"][:, 0], case["masks"].shape[-2:])
    seen, scored = (base, base | novel) if with_split else (torch.zeros_like(base), None)
    fused = fuse_views(
        case["query_logits"], case["clip_logits"], seen, shown, case["alpha"], case["beta"], scored
    )
    expected = case["with_split" if with_split else "without_split"]
    if with_split:
        assert torch.equal(fused[:, :-1][:, ~scored], expected[:, :-1][:, ~scored])
        fused, expected = (x[:, torch.cat([scored, torch.tensor([True])])] for x in (fused, expected))
    assert deviation(fused, expected) < TOLERANCE


def test_without_a_split_every_class_is_unseen(model, features, golden, deviation):
    clip2sam = golden["clip2sam"]
    expected, given = clip2sam["boxes_no_class_split"], clip2sam["prompts"]["boxes"]
    low_res, texts = clip2sam["boxes_given_box"]["low_res_masks"][:, 0], clip2sam["text_embeddings"]
    query_logits = text_logits_of(model.embed_boxes(features, given, None), texts)
    clip_logits = text_logits_of(model.look_at(features, given, low_res), texts)
    assert deviation(query_logits, expected["query_logits"]) < TOLERANCE
    assert deviation(clip_logits, expected["clip_logits"]) < TOLERANCE
    seen = torch.zeros(len(texts), dtype=torch.bool)
    shown = shows_at(low_res, features.last.shape[-2:])
    fused = fuse_views(query_logits, clip_logits, seen, shown, model.alpha, model.beta)
    assert deviation(fused, expected["ensemble"]) < TOLERANCE
    assert torch.equal(fused[:, :-1].argmax(1), expected["labels"])


def test_boxes_of_a_detector_get_the_published_masks_and_classes(model, features, golden):
    """Its boxes are the prompts; the frozen CLIP sees the annotated ones."""
    case, clip2sam = golden["detector_prompts"], golden["clip2sam"]
    texts = clip2sam["text_embeddings"]
    geometry = MaskGeometry(
        *(tuple(clip2sam["prompts"][name]) for name in ("batch_input_shape", "img_shape", "ori_shape"))
    )
    low_res = model.decode(features.embedding, boxes=case["boxes"]).logits[:, 0]
    logits = geometry.resize(low_res)
    is_sure = logits.abs() > 1e-4
    assert torch.equal((logits > 0)[is_sure], case["masks"][is_sure])
    query_logits = text_logits_of(model.embed_boxes(features, boxes_of(low_res, MASK_STRIDE), None), texts)
    clip_logits = text_logits_of(model.look_at(features, case["gt_boxes"], low_res), texts)
    base, novel = (of_classes(clip2sam[name], len(texts)) for name in ("base_classes", "novel_classes"))
    shown = shows_at(low_res, features.last.shape[-2:])
    fused = fuse_views(query_logits, clip_logits, base, shown, model.alpha, model.beta, base | novel)
    assert torch.equal(fused[:, :-1].argmax(1), case["out_labels"])


def test_texts_are_averaged_and_padded_as_published(golden, deviation, monkeypatch):
    """Features of sentences, in their order, to the classifier of classes of a different number of names."""
    case = golden["text_classifier"]
    features = case["features"]
    count, templates, channels = features.shape
    rows = iter(features.flatten(0, 1))

    class Tower(nn.Module):
        def forward(self, tokens):
            return torch.stack([next(rows) for _ in tokens])

    names = iter(f"name{number}" for number in range(count))
    words = Vocabulary(
        Category(first, synonyms=tuple(more))
        for first, *more in ([next(names) for _ in range(size)] for size in case["names_per_class"])
    )
    encoder = TextEncoder("RN50x16-quickgelu", templates=[f"{{}} {number}" for number in range(templates)])
    encoder.embed_dim = channels
    monkeypatch.setattr(encoder, "_build_tower", Tower)
    assert deviation(encoder(words), case["classifier"]) < TOLERANCE


def test_boxes_of_masks_end_behind_them(golden):
    case = golden["box_from_mask"]
    assert torch.equal(boxes_of(case["mask_logits"][:, 0], MASK_STRIDE), case["boxes"])


def test_regions_of_any_size_get_the_published_features(model, features, golden, deviation):
    case = golden["roi_extractor"]
    boxes = case["rois"][:, 1:]
    assert torch.equal(model.regions.level_of(boxes), case["levels"])
    regions = model.regions.align(features.levels, boxes)
    assert deviation(regions[:, ::16, ::3, ::3], case["roi_features_strided"]) < TOLERANCE
    embeddings = model.embed_boxes(features, boxes, None)
    assert deviation(embeddings, case["class_embedding"]) < TOLERANCE
    logits = text_logits_of(embeddings, golden["clip2sam"]["text_embeddings"])
    assert deviation(logits, case["logits"]) < TOLERANCE


def test_an_image_gets_the_published_masks_and_classes(model, golden, deviation):
    case, clip2sam = golden["end_to_end"], golden["clip2sam"]
    features = model.encode(normalised(model, golden))
    assert deviation(features.embedding[:, ::8, ::4, ::4], case["image_embedding_strided"]) < TOLERANCE
    found = decode(model, golden, features.embedding, "points")
    low_res = found.logits[:, 0]
    assert deviation(low_res, case["low_res_masks"][:, 0]) < TOLERANCE
    texts = clip2sam["text_embeddings"]
    query_logits = text_logits_of(model.embed_boxes(features, boxes_of(low_res, MASK_STRIDE), None), texts)
    assert deviation(query_logits, case["query_logits"]) < TOLERANCE
    clip_logits = text_logits_of(model.look_at(features, clip2sam["prompts"]["boxes"], low_res), texts)
    base, novel = (of_classes(clip2sam[name], len(texts)) for name in ("base_classes", "novel_classes"))
    shown = shows_at(low_res, features.last.shape[-2:])
    fused = fuse_views(query_logits, clip_logits, base, shown, model.alpha, model.beta, base | novel)
    assert deviation(fused, case["ensemble"]) < TOLERANCE
    assert torch.equal(fused[:, :-1].argmax(1), case["labels"])
    assert model.mask_decoder.num_candidates == 0 and low_res.shape[-1] * MASK_STRIDE == model.image_size
