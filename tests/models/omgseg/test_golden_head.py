"""The head reproduces the tensors of the published one."""

import pytest
import torch
from torch.testing import assert_close

pytestmark = pytest.mark.golden

LOGIT_TOLERANCE = dict(atol=1e-4, rtol=0)
FINEST_STRIDE = 4


def image_size(expected) -> tuple[int, int]:
    """(height, width) of the image that golden features were made of."""
    return tuple(FINEST_STRIDE * side for side in expected["features"][0].shape[-2:])


def decode(head, golden, name, num_frames, prompts):
    mask_features, levels = head["pixel_decoder"](golden[name]["features"])
    outputs = head["query_decoder"](mask_features, levels, num_frames, prompts)
    for output in outputs:
        output.class_logits = head["classifier"](
            output.normed_queries, output.mask_embeddings, output.mask_features, golden["class_embeddings"]
        )
    return outputs


@pytest.mark.parametrize("with_gradient", [True, False])
@pytest.mark.parametrize("name", ["image", "video", "interactive"])
def test_every_layer_equals_the_published_head(golden_model, golden_head, name, with_gradient):
    expected = golden_model[name]
    with torch.set_grad_enabled(with_gradient):
        prompts = None
        if name == "interactive":
            prompts = golden_head["prompt_encoder"](image_size(expected), points=expected["points"])
        outputs = decode(golden_head, golden_model, name, expected.get("num_frames", 1), prompts)
    assert len(outputs) == len(expected["class_logits"]) == golden_model["config"]["decoder_layers"] + 1
    for layer, output in enumerate(outputs):
        masks = expected["mask_logits"][layer]
        assert_close(output.class_logits, expected["class_logits"][layer], **LOGIT_TOLERANCE)
        assert_close(output.objectness_logits, expected["iou_logits"][layer][..., 0], **LOGIT_TOLERANCE)
        assert_close(output.mask_logits, masks if masks.dim() == 5 else masks.unsqueeze(2), **LOGIT_TOLERANCE)
    assert_close(outputs[-1].queries, expected["query_features"], **LOGIT_TOLERANCE)


def test_the_last_layer_alone_is_the_same(golden_model, golden_head):
    frames = golden_model["video"]["num_frames"]
    with torch.no_grad():
        mask_features, levels = golden_head["pixel_decoder"](golden_model["video"]["features"])
        every = golden_head["query_decoder"](mask_features, levels, frames)
        (last,) = golden_head["query_decoder"](mask_features, levels, frames, every_layer=False)
    assert torch.equal(last.queries, every[-1].queries)
    assert torch.equal(last.mask_logits, every[-1].mask_logits)


def test_checkpointed_layers_give_the_same_gradient(golden_model, golden_head):
    mask_features, levels = golden_head["pixel_decoder"](golden_model["image"]["features"])
    mask_features, levels = mask_features.detach(), [level.detach() for level in levels]
    decoder = golden_head["query_decoder"]
    gradients = []
    for checkpointed in (False, True):
        decoder.checkpoint_layers = checkpointed
        decoder.train().zero_grad()
        decoder(mask_features, levels)[-1].mask_logits.square().mean().backward()
        gradients.append(decoder.layers[0].cross_attn.attn.in_proj_weight.grad.clone())
    decoder.checkpoint_layers = False
    decoder.eval()
    assert gradients[0].abs().max() > 0
    assert_close(gradients[0], gradients[1])


def test_prompts_do_not_see_each_other(golden_model, golden_head):
    points = golden_model["interactive"]["points"]
    size = image_size(golden_model["interactive"])
    with torch.no_grad():
        mask_features, levels = golden_head["pixel_decoder"](golden_model["interactive"]["features"])
        run = lambda p: golden_head["query_decoder"](  # noqa: E731
            mask_features, levels, 1, golden_head["prompt_encoder"](size, points=p), every_layer=False
        )[0]
        assert_close(run(points).mask_logits[:, :1], run(points[:, :1]).mask_logits, atol=1e-4, rtol=1e-4)
