import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner.checkpoint import get_state_dict
from mmengine.runner.checkpoint import load_state_dict as mmengine_load_state_dict
from torch import nn

from omgseg.models.omgseg.image_encoder import ImageEncoder
from omgseg.registry import MODELS


@pytest.fixture
def encoder(tiny_clip, tiny_weights):
    return ImageEncoder(tiny_clip, tiny_weights)


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def test_features_have_the_shapes_that_the_attributes_tell(encoder, images):
    features = encoder(images)
    assert encoder.strides == [4, 8, 16, 32]
    for feature, channels, stride in zip(features, encoder.channels, encoder.strides, strict=True):
        assert feature.shape == (2, channels, 64 // stride, 96 // stride)
    assert encoder.embed_dim == 24
    assert encoder.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert encoder.std == pytest.approx((0.26862954, 0.26130258, 0.27577711))
    assert encoder.logit_scale.item() == 100.0


def test_other_pixel_statistics_may_be_asked_for(tiny_clip):
    encoder = ImageEncoder(tiny_clip, mean=[0.5, 0.4, 0.3], std=(1, 2, 3))
    assert encoder.mean == (0.5, 0.4, 0.3) and encoder.std == (1, 2, 3)


def test_strides_follow_a_reduced_output_stride(tiny_clip, monkeypatch):
    import timm

    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda *args, **kwargs: create(*args, output_stride=16, **kwargs)
    )
    encoder = ImageEncoder(tiny_clip)
    assert encoder.strides == [4, 8, 16, 16]
    assert [feature.shape[-1] for feature in encoder(torch.zeros(1, 3, 64, 64))] == [16, 8, 4, 4]


def test_features_equal_those_of_open_clip(encoder, tiny_clip_model, images):
    theirs = tiny_clip_model.visual.forward_intermediates(images)["image_intermediates"]
    for own, other in zip(encoder(images), theirs, strict=True):
        torch.testing.assert_close(own, other)


def test_frozen_stays_in_eval_mode_without_gradients(encoder, images):
    parent = nn.Sequential(encoder).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in parent.parameters())
    assert not any(feature.requires_grad for feature in encoder(images.requires_grad_()))


def test_trainable_trains_the_stages_and_not_the_clip_space(tiny_clip, tiny_weights, images):
    encoder = ImageEncoder(tiny_clip, tiny_weights, frozen=False, drop_path=0.5).train()
    sum(feature.mean() for feature in encoder(images)).backward()
    with_gradient = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    trainable = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trainable == with_gradient
    assert trainable == {
        name for name, _ in encoder.named_parameters() if name.startswith(("stem.", "stages."))
    }
    assert encoder.stages.training
    assert not any(part.training for part in (encoder.norm_pre, encoder.pooling_head, encoder.projection))
    encoder.eval()
    assert not any(module.training for module in encoder.modules())


def test_stochastic_depth_is_off_by_default_and_can_be_set(tiny_clip, tiny_weights, images):
    plain = ImageEncoder(tiny_clip, tiny_weights, frozen=False).train()
    torch.testing.assert_close(plain(images), plain(images))
    dropping = ImageEncoder(tiny_clip, tiny_weights, frozen=False, drop_path=0.9).train()
    assert not torch.equal(dropping(images)[-1], dropping(images)[-1])


def test_activation_checkpointing_gives_the_same_gradients(tiny_clip, tiny_weights, images):
    gradients = []
    for checkpointing in (False, True):
        encoder = ImageEncoder(
            tiny_clip, tiny_weights, frozen=False, activation_checkpointing=checkpointing
        ).train()
        encoder(images)[-1].square().sum().backward()
        gradients.append(encoder.stem[0].weight.grad)
        assert all(stage.grad_checkpointing == checkpointing for stage in encoder.stages)
    torch.testing.assert_close(*gradients)


def test_embed_masks_equals_a_loop_over_masks(encoder, images):
    generator = torch.Generator().manual_seed(1)
    feature = encoder(images)[-1]
    coarse = torch.randn(2, 5, 2, 3, generator=generator)
    masks = F.interpolate(coarse, (16, 24), mode="bilinear") * 4
    masks[1, 3] = -1
    embeddings, nonempty = encoder.embed_masks(feature, masks)
    small = F.interpolate(masks, feature.shape[-2:], mode="bilinear", align_corners=False) > 0
    assert embeddings.shape == (2, 5, encoder.embed_dim)
    for b in range(2):
        for q in range(5):
            assert nonempty[b, q] == small[b, q].any()
            if not nonempty[b, q]:
                assert embeddings[b, q].eq(0).all()
                continue
            pooled = encoder.norm_pre(feature)[b][:, small[b, q]].mean(-1)
            expected = encoder.projection(encoder.pooling_head(pooled[None, :, None, None]))[0]
            torch.testing.assert_close(embeddings[b, q], F.normalize(expected, dim=0))
    assert nonempty.sum() not in (0, 10)
    assert not nonempty[1, 3]


def test_a_mask_over_the_whole_image_gives_clips_image_embedding(encoder, tiny_clip_model, images):
    feature = encoder(images)[-1]
    embeddings, _ = encoder.embed_masks(feature, torch.ones(2, 1, 16, 24))
    torch.testing.assert_close(
        embeddings[:, 0], tiny_clip_model.encode_image(images, normalize=True).detach()
    )


def test_boolean_masks_are_those_of_their_logits(encoder, images):
    feature = encoder(images)[-1]
    inside = torch.zeros(2, 2, 16, 24, dtype=torch.bool)
    inside[:, 0, :, :12] = True
    inside[:, 1, 3, 3] = True
    from_bool, nonempty = encoder.embed_masks(feature, inside)
    from_logits, _ = encoder.embed_masks(feature, torch.where(inside, 3.0, -3.0))
    torch.testing.assert_close(from_bool, from_logits)
    assert nonempty.tolist() == [[True, False]] * 2


def test_random_weights_warn_loudly(tiny_clip, logged):
    ImageEncoder(tiny_clip)
    assert len(logged) == 1 and "RANDOM" in logged[0] and tiny_clip in logged[0]


def test_is_built_from_the_registry(tiny_clip, tiny_weights):
    encoder = MODELS.build({"type": "CLIPImageEncoder", "model_name": tiny_clip, "pretrained": tiny_weights})
    assert isinstance(encoder, ImageEncoder)


@pytest.mark.parametrize(
    ("name", "embed_dim", "channels", "parameters"),
    [
        ("convnext_large_d_320", 768, [192, 384, 768, 1536], 199_770_816),
        ("convnext_xxlarge", 1024, [384, 768, 1536, 3072], 846_543_744),
        ("convnext_base_w_320", 640, [128, 256, 512, 1024], 88_221_824),
    ],
)
def test_published_sizes_without_memory(name, embed_dim, channels, parameters):
    with torch.device("meta"):
        encoder = ImageEncoder(name)
    assert (encoder.embed_dim, encoder.channels, encoder.strides) == (embed_dim, channels, [4, 8, 16, 32])
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_missing_download_says_what_is_missing_and_three_ways_to_give_it(no_network, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        with torch.device("meta"):
            ImageEncoder("convnext_large_d_320", "laion2b_s29b_b131k_ft_soup", cache_dir=str(tmp_path))
    for part in (
        "laion2b_s29b_b131k_ft_soup",
        "convnext_large_d_320",
        "(1)",
        "(2)",
        "(3)",
        "pretrained=None",
    ):
        assert part in str(error.value)
    assert "huggingface.co/laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model_name": "convnext_nano_w"}, ValueError, "unknown CLIP model.*convnext_large_d_320"),
        ({"model_name": "ViT-B-32"}, ValueError, "not a ConvNeXt"),
        (
            {"pretrained": "/nowhere/clip.safetensors"},
            FileNotFoundError,
            "/nowhere/clip.safetensors does not exist",
        ),
        ({"pretrained": "laion2b"}, ValueError, "neither a file nor published weights"),
    ],
)
def test_wrong_arguments_are_named(tiny_clip, arguments, error, message):
    with pytest.raises(error, match=message):
        ImageEncoder(**{"model_name": tiny_clip, **arguments})


def test_weights_of_another_model_are_refused(tiny_clip, tmp_path):
    other = tmp_path / "other.pt"
    torch.save({"visual.trunk.stem.0.weight": torch.zeros(3), "logit_scale": torch.tensor(1.0)}, other)
    with pytest.raises(ValueError, match=r"(?s)other.pt does not fit.*trunk.stem.0.weight: weights \(3,\)"):
        ImageEncoder(tiny_clip, str(other))
    torch.save({"backbone.stem.0.weight": torch.zeros(3)}, other)
    with pytest.raises(ValueError, match="not a CLIP model of open_clip.*load_from"):
        ImageEncoder(tiny_clip, str(other))


class _Segmentor(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.image_encoder = encoder
        self.head = nn.Linear(2, 2)


def test_frozen_weights_with_a_source_are_not_written_into_checkpoints(encoder):
    model = copy.deepcopy(_Segmentor(encoder))  # as a weight average does
    assert set(model.state_dict()) == set(get_state_dict(model)) == {"head.weight", "head.bias"}
    before = encoder.stem[0].weight.clone()
    assert model.load_state_dict(model.state_dict()) == ([], [])
    mmengine_load_state_dict(model, get_state_dict(model), strict=True)
    torch.testing.assert_close(model.image_encoder.stem[0].weight, before)


def test_weights_that_replaced_those_of_the_source_are_written(encoder):
    model = _Segmentor(encoder)
    weights = {f"image_encoder.{key}": value + 1 for key, value in encoder.named_parameters()}
    weights |= {"image_encoder.logit_scale": torch.tensor(9.0), **model.state_dict()}
    model.load_state_dict(weights)
    assert set(model.state_dict()) == set(weights)
    assert encoder.logit_scale == 9


@pytest.mark.parametrize("changes", [{"pretrained": None}, {"frozen": False}, {"save_frozen": True}])
def test_other_weights_are_written_into_checkpoints(tiny_clip, tiny_weights, changes):
    encoder = ImageEncoder(**{"model_name": tiny_clip, "pretrained": tiny_weights, **changes})
    assert len(encoder.state_dict()) == len(list(encoder.parameters())) + 1
