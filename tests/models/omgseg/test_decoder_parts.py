"""The fast forms equal the plain ones, forward and backward."""

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
from mmdet.models.layers import SinePositionalEncoding3D
from torch.testing import assert_close

from omgseg.models.omgseg import classifier as mask_pooling
from omgseg.models.omgseg.classifier import text_logits
from omgseg.models.omgseg.pixel_decoder import _LightAttention, deformable_attention_gather
from omgseg.models.omgseg.prompt_encoder import PromptEncoder
from omgseg.models.omgseg.query_decoder import Attention, _attention_bias, _resize_frames, clip_encoding


def test_gather_equals_grid_sample_attention():
    torch.manual_seed(0)
    shapes = [(3, 5), (6, 4)]
    value = torch.randn(2, 39, 2, 4)
    locations = torch.rand(2, 7, 2, 2, 3, 2) * 1.6 - 0.3
    weights = torch.rand(2, 7, 2, 2, 3)
    expected = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    assert_close(
        deformable_attention_gather(value, shapes, locations, weights), expected, atol=2e-6, rtol=1e-5
    )


def test_light_attention_has_the_gradient_of_grid_sample_attention():
    torch.manual_seed(0)
    shapes = [(3, 5), (6, 4)]
    inputs = (torch.randn(2, 39, 2, 4), torch.rand(2, 7, 2, 2, 3, 2) * 1.6 - 0.3, torch.rand(2, 7, 2, 2, 3))
    weight = torch.randn(2, 7, 8)
    gradients = []
    for form in (multi_scale_deformable_attn_pytorch, _LightAttention.apply):
        value, locations, weights = (x.clone().requires_grad_() for x in inputs)
        (form(value, shapes, locations, weights) * weight).sum().backward()
        gradients.append((value.grad, locations.grad, weights.grad))
    assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cells_at_a_time", [7, 100])
def test_pooling_equals_a_plain_loop_and_its_gradient(monkeypatch, cells_at_a_time):
    monkeypatch.setattr(mask_pooling, "CELLS", cells_at_a_time)
    torch.manual_seed(0)
    embeddings = torch.randn(2, 5, 8)
    embeddings[0, 0] = 0
    features = torch.randn(2, 8, 30, requires_grad=True)
    pooled = mask_pooling.pool_under_masks(embeddings, features)
    plain = torch.zeros_like(pooled)
    masks = torch.einsum("bqd,bdl->bql", embeddings, features) > 0
    for b in range(2):
        for q in range(5):
            if masks[b, q].any():
                plain[b, q] = features[b][:, masks[b, q]].mean(-1)
    assert_close(pooled, plain)
    assert pooled[0, 0].abs().sum() == 0
    weight = torch.randn_like(pooled)
    (ours,) = torch.autograd.grad((pooled * weight).sum(), features, retain_graph=True)
    (theirs,) = torch.autograd.grad((plain * weight).sum(), features)
    assert_close(ours, theirs)


def test_pooling_survives_torch_compile():
    torch.manual_seed(0)
    embeddings, features = torch.randn(2, 5, 8), torch.randn(2, 8, 30, requires_grad=True)
    gradients = []
    compiled = torch.compile(mask_pooling.pool_under_masks, backend="eager")
    for form in (mask_pooling.pool_under_masks, compiled):
        gradients += torch.autograd.grad(form(embeddings, features).square().sum(), features)
    assert_close(*gradients)


def test_attention_equals_torch_with_a_mask_repeated_for_each_head():
    torch.manual_seed(0)
    attention = Attention(16, 4).eval()
    query, position, memory = torch.randn(2, 3, 16), torch.randn(2, 3, 16), torch.randn(2, 9, 16)
    attend = torch.rand(2, 1, 3, 9) > 0.4
    attend[..., 0] = True
    expected, _ = attention.attn(
        query + position, memory, memory, attn_mask=~attend.expand(-1, 4, -1, -1).flatten(0, 1)
    )
    given = attention.project(memory, memory)
    assert_close(attention(query, *given, position, attend), query + expected)


def test_attention_bias_equals_resized_masks_and_opens_up_when_empty():
    torch.manual_seed(0)
    features, embeddings = torch.randn(1, 8, 2, 8, 8), torch.randn(1, 4, 8)
    embeddings[0, 3] = 0
    embeddings[0, 3, 0], features[:, 0] = -1, 1.0
    bias = _attention_bias(embeddings, _resize_frames(features, (4, 4)))
    masks = torch.einsum("bqd,bdthw->bqthw", embeddings, features).flatten(1, 2)
    resized = torch.nn.functional.interpolate(masks, (4, 4), mode="bilinear").view(1, 4, -1)
    inside = resized[:, :3].sigmoid() >= 0.5
    assert torch.equal(bias[:, 0, :3] == 0, inside)
    assert (bias[:, 0, :3][~inside] < -1e38).all()
    assert not (resized[:, 3] >= 0).any() and (bias[:, 0, 3] == 0).all()


def test_position_encoding_equals_that_of_mmdet():
    expected = SinePositionalEncoding3D(8, normalize=True)(torch.zeros(1, 3, 5, 7, dtype=torch.bool))
    assert_close(clip_encoding(3, 5, 7, 16, expected.device), expected[0].permute(0, 2, 3, 1))


def test_best_synonym_counts_and_background_is_zero():
    classes = torch.eye(4)[[0, 1, 2, 2]].view(2, 2, 4)
    logits = text_logits(torch.eye(4)[None, [1, 2, 3]], classes, 10.0)
    assert logits.tolist() == [[[10, 0, 0], [0, 10, 0], [0, 0, 0]]]


def test_a_point_is_a_small_box_of_another_kind():
    encoder = PromptEncoder(16)
    points, boxes = torch.tensor([[[20.0, 30.0]]]), torch.tensor([[[17.0, 27.0, 23.0, 33.0]]])
    point_feature, point_position = encoder((64, 96), points=points)
    box_feature, box_position = encoder((64, 96), boxes=boxes)
    assert_close(point_position, box_position)
    assert not torch.equal(point_feature, box_feature)
    with pytest.raises(ValueError, match="exactly one"):
        encoder((64, 96), points=points, boxes=boxes)


def test_a_prompt_starts_out_looking_where_it_points():
    """Before any training, the cell under a point has the key most like the prompt's position."""
    encoder, channels, cells, stride = PromptEncoder(64), 64, 12, 8
    keys = SinePositionalEncoding3D(channels // 2, normalize=True)(torch.zeros(1, 1, cells, cells))
    points = torch.tensor([[[12.0, 20.0], [84.0, 4.0], [50.0, 90.0]]])
    _, position = encoder((cells * stride, cells * stride), points=points)
    similarity = position[0] @ (keys[0, 0] - keys[0, 0].mean((1, 2), keepdim=True)).flatten(1)
    best = similarity.argmax(-1)
    found = torch.stack([best % cells, best // cells], dim=-1) * stride + stride / 2
    assert (found - points[0]).abs().max() <= stride
