"""The golden values of SAM and models of their sizes."""

import pytest
import torch

from omgseg.registry import MODELS


@pytest.fixture(scope="session")
def golden(golden_dir):
    return torch.load(golden_dir / "sam" / "golden.pt", weights_only=True)


def sam_config(config):
    """The config's ``model`` of a SAM of the sizes that a golden file states."""
    width = config["prompt_embed_dim"]
    return dict(
        type="SAM",
        image_encoder=dict(
            type="SamImageEncoder",
            image_size=config["img_size"],
            patch_size=config["patch_size"],
            width=config["embed_dim"],
            depth=config["depth"],
            num_heads=config["num_heads"],
            mlp_ratio=config["mlp_ratio"],
            window_size=config["window_size"],
            global_layers=config["global_attn_indexes"],
            embed_dim=width,
        ),
        prompt_encoder=dict(
            type="SamPromptEncoder",
            embed_dim=width,
            image_size=config["img_size"],
            stride=config["patch_size"],
            mask_channels=config["mask_in_chans"],
        ),
        mask_decoder=dict(
            type="SamMaskDecoder",
            embed_dim=width,
            num_candidates=config["num_multimask_outputs"],
            depth=config["decoder_depth"],
            num_heads=config["decoder_num_heads"],
            mlp_dim=config["decoder_mlp_dim"],
            iou_depth=config["iou_head_depth"],
            iou_hidden_dim=config["iou_head_hidden_dim"],
        ),
    )


def build_sam(config):
    """A SAM of the sizes that a golden file states."""
    return MODELS.build(sam_config(config)).eval()


@pytest.fixture(scope="session")
def small_config():
    """A config's ``model`` of a SAM that takes milliseconds."""
    return dict(
        type="SAM",
        image_encoder=dict(
            type="SamImageEncoder",
            image_size=64,
            patch_size=8,
            width=32,
            depth=2,
            num_heads=2,
            window_size=4,
            global_layers=(1,),
            embed_dim=32,
        ),
        prompt_encoder=dict(type="SamPromptEncoder", embed_dim=32, image_size=64, stride=8),
        mask_decoder=dict(type="SamMaskDecoder", embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32),
    )


@pytest.fixture(scope="session")
def tiny(golden, golden_pictures):
    """The small SAM of the golden file, with its weights made from their names."""
    model = build_sam(golden["tiny"]["config"])
    golden_pictures.fill_published_(model.state_dict())
    return model


@pytest.fixture(scope="session")
def marker(golden):
    """A small SAM with stored weights, which marks a disc around the point."""
    model = build_sam(golden["automatic"]["config"])
    model.load_state_dict(
        {name: tensor.float() for name, tensor in golden["automatic"]["state_dict"].items()}
    )
    return model


def deviation(ours, published):
    """Largest difference, in units of the largest published value."""
    assert ours.shape == published.shape
    return float((ours - published).abs().max() / published.abs().max()) if published.numel() else 0.0
