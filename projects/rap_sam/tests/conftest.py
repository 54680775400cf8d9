"""A RAP-SAM of tiny sizes."""

from copy import deepcopy

import pytest
import torch
from mmengine.config import Config

from omgseg import load
from omgseg.registry import MODELS
from tests.tiny_omgseg import CLIP_DIM, register_clip


@pytest.fixture(scope="session")
def tiny_rap_sam(tmp_path_factory) -> Config:
    name = "omgseg_test_rap_sam"
    register_clip(tmp_path_factory.mktemp("open_clip"), name)
    config = Config.fromfile("projects/rap_sam/configs/rap_sam_r18.py")
    model = config.model
    model.text_encoder.update(model_name=name, pretrained=None)
    model.pixel_decoder.update(channels=32, widths=(16, 16, 32, 32))
    model.query_decoder.update(num_queries=12, channels=32, feedforward_channels=64, embed_dim=CLIP_DIM)
    model.prompt_encoder.channels = 32
    model.criterion.num_points = 64
    model.test_cfg.update(clip_size=2, short_clip_size=2)
    model.test_cfg.panoptic.update(object_mask_thr=0.0, iou_thr=0.0, filter_low_score=False)
    pipeline = [dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")]
    config.test_dataloader = dict(dataset=dict(image_size=(160, 96), pipeline=pipeline))
    return config


@pytest.fixture
def config(tiny_rap_sam) -> Config:
    """A copy that a test may change."""
    return deepcopy(tiny_rap_sam)


@pytest.fixture(scope="session")
def model(tiny_rap_sam):
    return load(tiny_rap_sam, device="cpu")


@pytest.fixture(scope="session")
def trained(model, tmp_path_factory):
    """The same weights from a file with the published names."""
    ours = dict(MODELS.get("RapSAM").published_prefixes)
    published = {}
    for name, tensor in model.model.state_dict().items():
        old = max((old for old, new in ours.items() if name.startswith(new)), key=lambda old: len(ours[old]))
        published[old + name.removeprefix(ours[old])] = tensor
    file = tmp_path_factory.mktemp("published") / "rapsam.pth"
    torch.save({"state_dict": published}, file)
    return file
