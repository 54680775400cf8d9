"""Any mmengine model and dataset trains, is tested and resumes: without vocabulary, encoders or fields of ours."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import Dataset

from omgseg.engine import PicturesHook, read_checkpoint
from omgseg.registry import DATASETS, MODELS
from omgseg.structures import Vocabulary


@MODELS.register_module(force=True)
class PlainModel(BaseModel):
    """What mmengine's guide shows: nothing but ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        y = self.layer(torch.stack(list(inputs)).float())
        return {"loss": y.square().mean()} if mode == "loss" else [BaseDataElement(value=v) for v in y]


@DATASETS.register_module(force=True)
class ClasslessDataset(Dataset):
    """As our datasets of prompts: a vocabulary without words."""

    vocabulary = Vocabulary()
    metainfo = dict(vocabulary=vocabulary)

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {"inputs": torch.tensor([index / 10]), "data_samples": BaseDataElement()}


@DATASETS.register_module(force=True)
class PlainDataset(Dataset):
    """Numbers with metainfo, and no vocabulary."""

    metainfo = dict(classes=("a", "b"))

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {"inputs": torch.tensor([index / 10]), "data_samples": BaseDataElement()}


PLAIN_DATA = {
    f"{name}_dataloader.dataset": dict(type="PlainDataset", _delete_=True)
    for name in ("train", "val", "test")
}


def test_a_plain_model_on_plain_data(make_runner, tmp_path):
    changes = {"model.type": "PlainModel", **PLAIN_DATA}
    make_runner(**changes).train()
    file = tmp_path / "work" / "epoch_2.pth"
    assert read_checkpoint(file)["meta"]["dataset_meta"] == PlainDataset.metainfo
    runner = make_runner(resume=True, **{**changes, "train_cfg.max_epochs": 3})
    runner.train()
    assert runner.epoch == 3
    assert "mean" in make_runner(load_from=str(file), **changes).test()


def test_the_words_of_a_fixed_models_training_are_remembered(make_runner, tmp_path):
    make_runner(**{"model.type": "PlainModel"}).train()
    file = tmp_path / "work" / "epoch_2.pth"
    words = json.loads(read_checkpoint(file)["meta"]["train_vocabulary"])
    assert [entry["name"] for entry in words["categories"]] == ["cat", "dog"]
    make_runner(load_from=str(file), **{"model.type": "PlainModel"}).test()


def test_checkpoints_of_data_without_classes_hold_no_objects_of_ours(make_runner, tmp_path):
    data = {name: dict(type="ClasslessDataset", _delete_=True) for name in PLAIN_DATA}
    changes = {"model.type": "PlainModel", **data}
    make_runner(**changes).train()
    assert "train_vocabulary" not in read_checkpoint(tmp_path / "work" / "epoch_2.pth")["meta"]
    runner = make_runner(resume=True, **{**changes, "train_cfg.max_epochs": 3})
    runner.train()
    assert runner.epoch == 3


def test_a_model_that_takes_words_needs_data_that_have_them(make_runner):
    with pytest.raises(TypeError, match="PlainDataset has no vocabulary"):
        make_runner(**PLAIN_DATA).train()


def test_pictures_of_plain_data_are_left_out(tmp_path):
    hook = PicturesHook(tmp_path / "shown")
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=PlainDataset()), model=PlainModel())
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, outputs=[BaseDataElement()])
    assert not (tmp_path / "shown").exists()
