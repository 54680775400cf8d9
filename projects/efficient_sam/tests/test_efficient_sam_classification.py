"""EfficientSAM's ViT as an image classifier, trained and tested by the tools."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image

from omgseg.engine import CheckpointError, check_arguments, read_checkpoint
from omgseg.projects.efficient_sam import AccuracyMetric, VitClassifier
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

ROOT = Path(__file__).parents[3]
CONFIGS = Path(__file__).parents[1] / "configs"
CLASSES = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 210)}
ENCODER = dict(
    type="EfficientSamImageEncoder", image_size=32, width=32, depth=1, num_heads=2, position_grid=2
)
SMALL = """
_base_ = ["{config}"]
experiment_name = "{folder}"
__side = (32, 32)
__loader = dict(batch_size=6, num_workers=0, persistent_workers=False)
model = dict(
    num_classes=3,
    pretrained="{folder}/sami.pth",
    image_encoder=dict(image_size=32, width=32, depth=1, num_heads=2, position_grid=2),
)
train_dataloader = dict(**__loader, dataset=dict(data_root="{folder}", image_size=__side))
val_dataloader = dict(**__loader, dataset=dict(data_root="{folder}", image_size=__side))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=1e-2))
param_scheduler = [dict(type="ConstantLR", factor=1.0)]
train_cfg = dict(max_epochs=8)
"""


def classifier(**fields):
    return MODELS.build(dict(type="VitClassifier", image_encoder=ENCODER, num_classes=3) | fields)


@pytest.fixture
def folder(tmp_path):
    """Images of three colours, in shapes of all kinds, and weights of a pre-training."""
    random = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4)):
        for name, colour in CLASSES.items():
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                noise = random.integers(-20, 20, (*random.integers(2, 60, 2), 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.png")
    torch.manual_seed(0)
    model = MODELS.build(dict(type="MaskedPretraining", target="pixels", image_encoder=ENCODER))
    torch.save({"state_dict": model.state_dict()}, tmp_path / "sami.pth")
    return tmp_path


@pytest.mark.parametrize("name", ["classify_ti", "linear_probe_ti"])
def test_the_tools_train_and_test_it(name, folder, monkeypatch):
    file = folder / "small.py"
    file.write_text(SMALL.format(config=CONFIGS / f"{name}.py", folder=folder))
    numbers = folder / "numbers.json"
    checkpoint = folder / "run" / "epoch_8.pth"
    monkeypatch.chdir(folder)
    for arguments in (
        ["train.py", str(file), "--work-dir", "run"],
        ["test.py", str(file), str(checkpoint), "--out", str(numbers)],
    ):
        monkeypatch.setattr(sys, "argv", arguments)
        runpy.run_path(str(ROOT / "tools" / arguments[0]), run_name="__main__")
    found = json.loads(numbers.read_text())
    assert found["accuracy/top1"] > 90 and found["accuracy/top5"] == 100
    before, after = (read_checkpoint(file)["state_dict"] for file in (folder / "sami.pth", checkpoint))
    same = {
        torch.equal(after[key], tensor) for key, tensor in before.items() if key.startswith("image_encoder.")
    }
    assert same == {True} if name == "linear_probe_ti" else False in same


@pytest.mark.parametrize("name", ["classify_ti", "linear_probe_ti"])
def test_the_configs_take_what_is_pre_trained(name):
    config, before = (Config.fromfile(CONFIGS / f"{file}.py") for file in (name, "sami_ti"))
    check_arguments(config)
    assert config.model.pretrained == f"work_dirs/sami_ti/epoch_{before.max_epochs}.pth"
    with torch.device("meta"):
        model = MODELS.build(config.model)
        trained = MODELS.build(before.model).image_encoder.state_dict()
    own = model.image_encoder.state_dict()
    assert {key: x.shape for key, x in own.items()} == {key: x.shape for key, x in trained.items()}
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert (learning == {"norm.weight", "norm.bias", "head.weight", "head.bias"}) == (
        name == "linear_probe_ti"
    )


def test_a_frozen_encoder_stays_in_eval_mode():
    model = classifier(freeze_image_encoder=True).train()
    assert model.head.training and not any(part.training for part in model.image_encoder.modules())


def test_classes_that_are_not_the_models_are_named():
    model: VitClassifier = classifier()
    model.set_vocabulary(Vocabulary.from_names(list(CLASSES)))
    with pytest.raises(ValueError, match="the dataset has 2 classes, the model has num_classes=3"):
        model.set_vocabulary(Vocabulary.from_names(["red", "green"]))
    model.train_vocabulary = Vocabulary.from_names(list(CLASSES))
    with pytest.raises(
        ValueError, match="class 1 of the dataset is 'grey', that of the training was 'green'"
    ):
        model.set_vocabulary(Vocabulary.from_names(["red", "grey", "blue"]))


def test_images_of_no_or_several_classes_are_named():
    for labels in ((), (0, 1)):
        sample = DetDataSample(metainfo=dict(img_path="a.png", img_shape=(32, 20)))
        sample.gt_instances = InstanceData(labels=torch.tensor(labels))
        with pytest.raises(
            ValueError, match=rf"a\.png has {len(labels)} labels: a classifier takes images of one"
        ):
            classifier()(torch.zeros(1, 1, 3, 32, 20, dtype=torch.uint8), [sample], mode="loss")
    large = DetDataSample(metainfo=dict(img_shape=(40, 20)))
    with pytest.raises(ValueError, match="40 pixels does not fit"):
        classifier()(torch.zeros(1, 1, 3, 40, 20, dtype=torch.uint8), [large], mode="predict")


def test_the_file_of_another_vit_is_named(folder):
    model = classifier(
        image_encoder={**ENCODER, "width": 64, "num_heads": 4}, pretrained=str(folder / "sami.pth")
    )
    with pytest.raises(CheckpointError, match=r"sami\.pth does not hold the ViT of this config \(width 64"):
        model.init_weights()


def test_an_answer_is_right_where_no_other_class_is_as_likely():
    metric = AccuracyMetric()

    def sample(number, scores, label):
        truth = dict(labels=torch.tensor([label]))
        return dict(img_id=number, class_scores=torch.tensor(scores), gt_instances=truth)

    samples = [
        sample(0, [0.1, 0.7, 0.0, 0.1, 0.1, 0.0], 1),  # right
        sample(1, [0.1, 0.7, 0.0, 0.1, 0.1, 0.0], 0),  # among the first five
        sample(2, [0.1, 0.7, 0.05, 0.08, 0.06, 0.01], 5),  # the last
        sample(3, [0.0] * 6, 2),  # says nothing
    ]
    metric.process({}, samples)
    assert metric.evaluate(4) == {"accuracy/top1": 25, "accuracy/top5": 50}
