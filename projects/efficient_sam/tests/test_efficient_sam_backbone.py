"""EfficientSAM's ViT as image encoder of OMG-Seg."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

import omgseg
from omgseg.engine import CheckpointError, check_arguments
from omgseg.protocols import Prompts, Request
from omgseg.registry import MODELS
from omgseg.structures import Task, Vocabulary
from tests.tiny_omgseg import register_clip

CONFIGS = Path(__file__).parents[1] / "configs"
WIDTH = 32
VIT = dict(width=WIDTH, depth=2, num_heads=2, mlp_ratio=2.0, position_grid=4)
PRE_TRAINED = dict(type="EfficientSamImageEncoder", image_size=64, **VIT)
BOXES = ((8, 8, 40, 40), (40, 24, 90, 60))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    name = "omgseg_test_vit_pyramid"
    register_clip(tmp_path_factory.mktemp("clip"), name)
    config = Config.fromfile(CONFIGS / "toy_omg_seg.py")
    config.model.image_encoder.vit.update(VIT)
    config.model.text_encoder.update(
        type="WordsApart", model_name=name, pretrained=None, cache_dir=str(tmp_path_factory.mktemp("cache"))
    )
    return config


@pytest.fixture
def encoder(config):
    torch.manual_seed(0)
    return MODELS.build(config.model.image_encoder)


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory):
    """Checkpoint of a pre-training."""
    torch.manual_seed(1)
    model = MODELS.build(dict(type="MaskedPretraining", target="pixels", image_encoder=PRE_TRAINED))
    file = tmp_path_factory.mktemp("sami") / "epoch_1.pth"
    torch.save({"meta": {}, "state_dict": model.state_dict()}, file)
    return file


def test_one_feature_becomes_four(encoder):
    images = torch.randn(2, 3, 64, 96)
    features = encoder(images)
    sizes = [(2, width, 64 // s, 96 // s) for width, s in zip(encoder.channels, encoder.strides, strict=True)]
    assert [tuple(feature.shape) for feature in features] == sizes
    assert torch.equal(features[2], encoder.vit.features(images))
    sum(feature.mean() for feature in features).backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_positions_are_those_of_the_images_shape(encoder):
    table = encoder.vit.pos_embed[:, 1:]
    assert torch.equal(encoder.vit.positions((4, 4)), table)
    wide = encoder.vit.positions((4, 8)).unflatten(1, (4, 8))
    # of two columns in the place of one, the mean is nearly that one
    pairs = wide.unflatten(2, (4, 2)).mean(3)
    assert (pairs - table.unflatten(1, (4, 4))).abs().mean() < 0.3 * table.abs().mean()


def picture():
    """Two rectangles: uint8 (1, 3, 64, 96), and the sample."""
    pixels = torch.full((1, 3, 64, 96), 90, dtype=torch.uint8)
    masks = torch.zeros(2, 64, 96, dtype=torch.bool)
    for row, (x1, y1, x2, y2) in enumerate(BOXES):
        pixels[0, row, y1:y2, x1:x2] = 250
        masks[row, y1:y2, x1:x2] = True
    meta = dict(img_path="two.png", img_shape=(64, 96), ori_shape=(64, 96), tasks=("panoptic",))
    sample = DetDataSample(metainfo=meta)
    sample.gt_instances = InstanceData(
        labels=torch.tensor([0, 1]), masks=masks, instances_ids=torch.arange(2)
    )
    return pixels, sample


def test_it_trains_and_learns(config):
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.set_vocabulary(Vocabulary.from_names(["red", "green"]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    pixels, sample = picture()
    data = model.data_preprocessor(dict(inputs=[pixels], data_samples=[sample]))
    losses = []
    for _ in range(15):
        loss = sum(model.train()(**data, mode="loss").values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.75 * losses[0]
    grads = {name for name, parameter in model.image_encoder.named_parameters() if parameter.grad is not None}
    assert grads == {name for name, _ in model.image_encoder.named_parameters()}


@pytest.mark.parametrize("size", [(70, 110), (110, 50), (5, 7)], ids=str)
def test_it_predicts_through_the_seam(config, size):
    segmenter = omgseg.load(config, "random", device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    words = Vocabulary.from_names(["red", "green"])
    (found,) = segmenter.predict([image], Request(Task.INSTANCE, words))
    assert found.size == size and len(found)
    state = segmenter.encode_image(image)
    clicked = segmenter.segment_prompts(state, Prompts(np.array([[[2, 2]]], np.float32)))
    assert clicked.rles[0]["size"] == list(size)


def test_a_training_starts_from_a_pre_trained_vit(config, pretraining, small, tmp_path):
    """Of a pre-training, and of an EfficientSAM as published."""
    trained = torch.load(pretraining)["state_dict"]
    sam = MODELS.build({**small.model, "image_encoder": dict(**PRE_TRAINED, embed_dim=WIDTH)}).state_dict()
    torch.save({"model": sam}, tmp_path / "published.pt")
    for file, held in ((pretraining, trained), (tmp_path / "published.pt", sam)):
        encoder = dict(config.model.image_encoder, pretrained=str(file))
        model = MODELS.build(dict(config.model, image_encoder=encoder))
        model.init_weights()  # as the runner does
        for name, tensor in model.image_encoder.vit.state_dict().items():
            assert torch.equal(tensor, held[f"image_encoder.{name}"]), name


def test_files_without_this_vit_are_named(encoder, pretraining, tmp_path):
    wider = MODELS.build({**PRE_TRAINED, "width": 64}).state_dict()
    torch.save({f"image_encoder.{name}": tensor for name, tensor in wider.items()}, tmp_path / "wider.pth")
    sam = MODELS.build(dict(type="SamImageEncoder", image_size=64, width=WIDTH, depth=2, num_heads=2))
    sam = {f"image_encoder.{name}": tensor for name, tensor in sam.state_dict().items()}
    torch.save(sam, tmp_path / "sam.pth")
    torch.save({"backbone.conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for name, fault in (
        ("wider.pth", r"pos_embed is \(1, 17, 64\), not \(1, 17, 32\)"),
        ("sam.pth", "the first: pos_embed is"),
        ("other.pth", "the first: there is no pos_embed"),
    ):
        encoder.pretrained = str(tmp_path / name)
        message = rf"{name} does not hold the ViT of this config \(width 32, 2 blocks\): \d+ of.*{fault}"
        with pytest.raises(CheckpointError, match=message) as error:
            encoder.init_weights()
        assert len(str(error.value)) < 400
    encoder.pretrained = str(tmp_path / "gone.pth")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        encoder.init_weights()


def test_other_patches_are_refused(config):
    vit = dict(config.model.image_encoder.vit, patch_size=8)
    with pytest.raises(ValueError, match="patches of 16 pixels, not 8"):
        MODELS.build(dict(config.model.image_encoder, vit=vit))


@pytest.mark.parametrize("name, of", [("omg_seg_ti", "sami_ti"), ("toy_omg_seg", "toy_sami")])
def test_the_configs_take_what_is_pre_trained(name, of):
    config, before = (Config.fromfile(CONFIGS / f"{file}.py") for file in (name, of))
    check_arguments(config)
    if name == "omg_seg_ti":
        assert config.model.image_encoder.pretrained == f"work_dirs/{of}/epoch_{before.max_epochs}.pth"
        assert list(config.train_dataloader.dataset.datasets) == ["coco_panoptic"] or not any(
            data for key, data in config.train_dataloader.dataset.datasets.items() if key != "coco_panoptic"
        )
    config.model.text_encoder.pretrained = None
    with torch.device("meta"):
        vit = MODELS.build(config.model).image_encoder.vit.state_dict()
        trained = MODELS.build(before.model).image_encoder.state_dict()
    assert {key: x.shape for key, x in vit.items()} == {key: x.shape for key, x in trained.items()}
