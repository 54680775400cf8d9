"""OV-SAM on the ConvNeXt of CLIP that OMG-Seg has."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from omgseg.inference import InteractivePredictor
from omgseg.projects.ov_sam import OVSamSegmenter
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary
from omgseg.structures.run_lengths import encode_masks
from omgseg.toy import architecture

SIZE, STRIDE = 128, 8
WORDS = Vocabulary.from_names(["cat", "dog", "sky"])


@pytest.fixture(scope="module")
def build():
    """``build(**changes)``: OV-SAM on the toy world's CLIP, at the toy world's sizes, behind the seam."""
    architecture.register()
    clip = dict(model_name=architecture.MODEL_NAME, pretrained=None)
    sizes = dict(image_size=SIZE, embed_dim=32, stride=STRIDE)

    def make(**changes):
        config = dict(
            type="OpenVocabularySAM",
            image_encoder=dict(
                type="OVSamImageEncoder",
                trunk=dict(type="ClipConvNeXt", **clip),
                **sizes,
                width=32,
                depth=2,
                num_heads=2,
                window_size=5,
            ),
            prompt_encoder=dict(type="SamPromptEncoder", **sizes),
            mask_decoder=dict(type="LabelMaskDecoder", embed_dim=32, clip_dim=64, num_heads=2, mlp_dim=64),
            regions=dict(type="RegionEmbedder", channels=32, size=4, finest_scale=16),
            text_encoder=dict(type="CLIPTextEncoder", **clip, templates="plain"),
            **changes,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return OVSamSegmenter.from_model(MODELS.build(config).eval(), {})

    return make


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (SIZE - 28, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def masks(photo):
    found = np.zeros((2, *photo.shape[:2]), bool)
    found[0, 10:50, 8:60] = True
    found[1] = np.tri(*photo.shape[:2], dtype=bool)  # its box is the image
    return found


def test_a_click_gives_a_mask_with_a_name(build, photo):
    segmenter = build()
    assert segmenter.model.image_encoder.trunk.strides == [4, 8, 8, 8]
    grid = SIZE // STRIDE
    assert segmenter.encode_image(photo).embedding.shape == (1, 32, grid, grid)
    predictor = InteractivePredictor(segmenter, vocabulary=["cat", "dog"])
    predictor.set_image(photo)
    result = predictor.predict(points=[[30, 20]])
    assert result.masks.shape == (1, *photo.shape[:2])
    assert list(result.names) in (["cat"], ["dog"])


def test_regions_are_cut_at_the_box_of_the_mask(build, photo, masks, monkeypatch):
    """In pixels of the image, whatever the stride of the masks."""
    segmenter = build()
    state = segmenter.encode_image(photo)
    given = []
    embed_boxes = segmenter.model.embed_boxes
    monkeypatch.setattr(
        segmenter.model,
        "embed_boxes",
        lambda features, boxes, *rest: given.append(boxes) or embed_boxes(features, boxes, *rest),
    )
    segmenter.name_masks(state, encode_masks(masks), WORDS)
    (boxes,) = given
    assert boxes[0].tolist() == [8, 10, 60, 50]
    assert boxes[1].tolist() == pytest.approx([0, 0, photo.shape[0], photo.shape[0]], abs=2)


def test_clip_sees_what_it_sees_in_omg_seg(build, photo, masks):
    """With CLIP's view alone, words are told apart as OMG-Seg's masks are named: pooled under the mask."""
    segmenter = build(alpha=1.0, beta=1.0)
    state = segmenter.encode_image(photo)
    rles = encode_masks(masks)
    model = segmenter.model
    logits = torch.cat([segmenter._mask_prompt(masks[i : i + 1], state.geometry)[:, 0] for i in range(2)])
    seen = model.look_at(state.features, torch.zeros(2, 4), logits)
    expected, shown = model.image_encoder.trunk.embed_masks(state.features.last, logits[None])
    assert shown.all() and torch.equal(seen, expected[0])
    cosines = seen @ model.embed_words(WORDS).words.t()
    odds = np.log(segmenter.name_masks(state, rles, WORDS))
    assert odds[:, 1:] - odds[:, :1] == pytest.approx(
        100 * (cosines[:, 1:] - cosines[:, :1]).numpy(), rel=1e-3
    )


def test_images_are_normalised_as_the_trunk_wants(build):
    model = build().model
    assert (model.pixel_mean.flatten() / 255).tolist() == pytest.approx(model.image_encoder.trunk.mean)
    assert (model.pixel_std.flatten() / 255).tolist() == pytest.approx(model.image_encoder.trunk.std)


def test_the_published_size_fits_the_clip_of_omg_seg():
    config = Config.fromfile("projects/ov_sam/configs/ov_sam_convnext_l_coco.py").model
    omg_seg = Config.fromfile("configs/omg_coco_vipseg_ytvis.py").model
    given, shared = dict(config.image_encoder.trunk), dict(omg_seg.image_encoder)
    assert given.pop("type") == "ClipConvNeXt" and shared.pop("type") == "CLIPImageEncoder"
    assert shared == dict(given, frozen=True)
    assert config.text_encoder == omg_seg.text_encoder
    config.image_encoder.trunk.pretrained = config.text_encoder.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config)
        features = model.encode(torch.zeros(1, 3, 1024, 1024))
    assert features.embedding.shape == (1, 256, 64, 64)
    assert [level.shape[-1] for level in features.levels] == [256, 128, 64, 32]
    assert not model.published and len(model.base_words) == 48
