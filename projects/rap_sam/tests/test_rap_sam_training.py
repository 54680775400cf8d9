"""RAP-SAM's training: the published mix and hyper-parameters, and the noise on prompts."""

from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import nn

from omgseg.engine.config import check_arguments
from omgseg.projects.rap_sam.model import NOISE, add_noise
from omgseg.registry import DATASETS, MODELS
from omgseg.toy import TINY, generate

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("data") / "data", sizes=TINY)


@pytest.mark.parametrize("depth", [50, 18])
def test_the_published_training(depth):
    config = Config.fromfile(CONFIGS / f"rap_sam_r{depth}_joint.py")
    check_arguments(config)
    assert config.model.image_encoder.depth == depth and config.model.image_encoder.norm_eval
    assert f"resnet{depth}." in config.model.image_encoder.pretrained
    config.model.image_encoder.pretrained = config.model.text_encoder.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config.model)
    keys = config.optim_wrapper.paramwise_cfg.custom_keys
    slow = [
        name
        for name, _ in model.named_parameters()
        if any(keys[k].get("lr_mult") == 0.1 for k in keys if k in name)
    ]
    assert slow == [f"image_encoder.{name}" for name, _ in model.image_encoder.named_parameters()]


def test_the_published_mix(data, monkeypatch):
    monkeypatch.setenv("OMGSEG_DATA", str(data))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(data / "vocabularies"))
    joint = DATASETS.build(Config.fromfile(CONFIGS / "rap_sam_r50_joint.py").train_dataloader.dataset)
    assert list(joint.datasets) == ["coco_pseudo_clips", "coco_prompts", "youtube_vis_2019"]
    assert len(joint) == 2 * TINY.train_images + 25 * TINY.youtube_vis_train
    clip, prompts, video = (joint[index] for index in (0, TINY.train_images, len(joint) - 1))
    assert clip["inputs"].shape[0] == video["inputs"].shape[0] == 2
    assert len(prompts["data_samples"].prompts.points) == 30
    assert prompts["inputs"].shape[-2] <= 736 and prompts["inputs"].shape[-1] <= 1280


def test_prompts_are_a_little_off_in_training_only(config, monkeypatch):
    torch.manual_seed(0)
    boxes = torch.tensor([[[10.0, 20, 110, 70]]]).expand(1, 500, 4)
    moved = add_noise(boxes)
    centre, sides = (moved[..., :2] + moved[..., 2:]) / 2, moved[..., 2:] - moved[..., :2]
    true_sides = torch.tensor([100.0, 50])
    for off, limit in ((centre - torch.tensor([60.0, 45]), NOISE / 2), (sides - true_sides, NOISE)):
        share = (off / true_sides).abs().amax((0, 1))
        assert (share > 0.9 * limit).all() and (share < limit + 1e-6).all()
    given = []
    model = MODELS.build(config.model)
    monkeypatch.setattr(model.prompt_encoder, "forward", lambda size, boxes: given.append(boxes) or (0, 0))
    monkeypatch.setattr(model.query_decoder, "forward", lambda *_: [])
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64)))
    features = model.encode(torch.zeros(1, 1, 3, 64, 64, dtype=torch.uint8), [sample])
    for training in (True, False):
        model.train(training).decode(features, {"boxes": boxes})
    assert not torch.equal(given[0], boxes) and torch.equal(given[1], boxes)


def test_statistics_of_batch_norms_stay_in_training():
    for norm_eval in (True, False):
        encoder = MODELS.build(dict(type="RapSamImageEncoder", depth=18, norm_eval=norm_eval)).train()
        before = encoder.bn1.running_mean.clone()
        encoder(torch.randn(2, 3, 32, 32))
        assert torch.equal(encoder.bn1.running_mean, before) is norm_eval
        norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
        assert all(norm.weight.requires_grad and norm.training is not norm_eval for norm in norms)
