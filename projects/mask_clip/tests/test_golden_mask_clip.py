"""The values of the published MaskCLIP, with weights that follow from the published names."""

from functools import partial

import numpy as np
import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d
from open_clip.transformer import LayerNorm, ResidualAttentionBlock
from torch import nn

from omgseg.evaluation.functional.semantic import confusion_matrix, summarize_confusion
from omgseg.projects.mask_clip.dense_clip import dense_attention_pool, dense_block
from omgseg.projects.mask_clip.refinement import (
    cosine_logits,
    denoise_prompts,
    key_affinity,
    probabilities,
    smooth_keys,
)

BLOCK = {
    "ln_1": "layers.0.ln1",
    "attn.in_proj": "layers.0.attn.attn.in_proj",
    "attn.out_proj": "layers.0.attn.attn.out_proj",
    "ln_2": "layers.0.ln2",
    "mlp.c_fc": "layers.0.ffn.layers.0.0",
    "mlp.c_proj": "layers.0.ffn.layers.1",
}
"""open_clip's names in a block, and the published ones."""


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "mask_clip" / "golden.pt", weights_only=False)


def same(ours, published, tolerance=1e-5):
    assert ours.shape == published.shape
    assert float((ours - published).abs().max() / published.abs().max()) < tolerance


@pytest.fixture(scope="module")
def resnet(golden, filled):
    """What the published head made of a feature, and what is made here."""
    published = golden["resnet"]
    pool = AttentionPool2d(1, published["C"], published["heads_of_pool"], published["D"])
    with torch.no_grad():
        for name, tensor in pool.named_parameters():
            if name != "positional_embedding":
                shape = (*tensor.shape, 1, 1) if tensor.ndim == 2 else tuple(tensor.shape)
                tensor.copy_(filled(f"visual.attnpool.{name}", shape).view(tensor.shape))
        features = dense_attention_pool(pool, published["input"])
    return published, features, cosine_logits(features.embeddings, published["text_embeddings"][:, None])


def test_the_pool_of_a_resnet_becomes_convolutions(resnet):
    published, features, logits = resnet
    same(features.embeddings, published["dense_feature"])
    same(features.keys.flatten(2).transpose(1, 2), published["k_n_hw_c"])
    same(logits, published["logits"])


def test_denoising_and_smoothing_of_a_resnet(resnet):
    published, features, logits = resnet
    same(probabilities(logits).amax((2, 3)), published["class_max_confidence"])
    denoised, present = denoise_prompts(logits, published["pd_thresh"])
    same(denoised, published["prompt_denoising"])
    assert present.eq(published["class_max_confidence"] >= published["pd_thresh"]).all() and not present.all()
    same(key_affinity(features.keys, published=True), published["smoothing_affinity"])
    same(key_affinity(features.keys), published["affinity_channel_normalised_not_published"])
    smooth = partial(smooth_keys, keys=features.keys, published=True)
    same(smooth(logits, threshold=published["ks_thresh"]), published["key_smoothing"])
    same(smooth(logits, threshold=1.0), published["key_smoothing_1.0"])
    same(smooth(denoised, threshold=published["ks_thresh"]), published["both"])


def test_the_last_block_of_a_vit(golden, filled):
    published = golden["vit"]
    tokens = published["tokens_with_cls"]
    width = tokens.shape[-1]
    norm = partial(LayerNorm, eps=1e-6)
    block = ResidualAttentionBlock(width, published["heads"], act_layer=nn.GELU, norm_layer=norm)
    final = norm(width)
    projection = filled("proj.weight", (published["text_embeddings"].shape[1], width, 1, 1)).flatten(1)
    with torch.no_grad():
        for name, tensor in block.named_parameters():
            ours = next(ours for ours in BLOCK if name.startswith(ours))
            tensor.copy_(filled(BLOCK[ours] + name.removeprefix(ours), tuple(tensor.shape)))
        for name, tensor in final.named_parameters():
            tensor.copy_(filled(f"ln1.{name}", tuple(tensor.shape)))
        same(final(block(tokens)), published["output_of_block_after_final_norm"])
        found, keys = dense_block(block, tokens, published=True)
        same(final(found), published["v_path_after_final_norm"])
        same(keys, published["k"])
        own = dense_block(block, tokens)[1]
        same(block.attn.out_proj(own), published["k"])
        embeddings = final(found)[:, 1:] @ projection.T
    embeddings, keys = (x.transpose(1, 2).unflatten(2, published["grid"]) for x in (embeddings, keys[:, 1:]))
    same(embeddings, published["dense_feature"])
    logits = cosine_logits(embeddings, published["text_embeddings"][:, None])
    same(logits, published["logits"])
    same(denoise_prompts(logits, published["pd_thresh"])[0], published["prompt_denoising"])
    same(smooth_keys(logits, keys, 1.0, published=True), published["key_smoothing_1.0"], 2e-5)


def test_mean_iou(golden):
    published = golden["evaluation"]
    count = published["num_classes"]
    truth, found = (published[name].numpy() for name in ("gt", "prediction"))
    scores = summarize_confusion(confusion_matrix(truth, found, count))
    assert np.allclose(scores["IoU"], published["iou"], atol=1e-9)
    assert abs(scores["mIoU"] - published["miou"]) < 1e-9
