"""A model of one layer and a dataset of ten numbers: enough to run mmengine's loops in a second."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import Dataset

from omgseg.engine import Runner
from omgseg.registry import DATASETS, METRICS, MODELS
from omgseg.structures import Vocabulary


@MODELS.register_module(force=True)
class TinyModel(BaseModel):
    """Predicts 2 x + 1 and notes every vocabulary that it is given."""

    def __init__(self, width: int = 1, poison: bool = False, bonus: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.Linear(1, width)
        self.poison, self.bonus = poison, bonus
        self.calls: list[list[str]] = []
        self.train_vocabulary: Vocabulary | None = None

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        self.calls.append(vocabulary.names)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        x = torch.stack(list(inputs)).float()
        y = self.layer(x)
        if mode == "loss":
            loss = (y - 2 * x - 1).square().mean()
            return {"loss_fit": loss * float("nan") if self.poison else loss}
        return [BaseDataElement(value=v + self.bonus) for v in y]


@MODELS.register_module(force=True)
class ModelOfParts(TinyModel):
    """Builds a part from its config."""

    def __init__(self, decoder: dict) -> None:
        super().__init__()
        self.decoder = MODELS.build(decoder)


@DATASETS.register_module(force=True)
class TinyDataset(Dataset):
    """Numbers 0..9 with file names, and a vocabulary."""

    def __init__(self, names: tuple[str, ...] = ("cat", "dog"), file: str | None = None) -> None:
        if file is not None:
            raise FileNotFoundError(f"{file} not found")
        self.vocabulary = Vocabulary.from_names(list(names))
        self.metainfo = dict(classes=names, vocabulary=self.vocabulary)

    def __len__(self):
        return 10

    def __getitem__(self, index):
        sample = BaseDataElement(metainfo=dict(img_path=f"image_{index}.jpg"))
        return {"inputs": torch.tensor([index / 10]), "data_samples": sample}


@METRICS.register_module(force=True)
class TinyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(float(sample["value"]) for sample in data_samples)

    def compute_metrics(self, results):
        return {"mean": sum(results) / len(results)}


def loader(names: tuple[str, ...]) -> dict:
    return dict(
        batch_size=5,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        collate_fn=dict(type="pseudo_collate"),
        dataset=dict(type="TinyDataset", names=names),
    )


@pytest.fixture
def tiny_config(tmp_path) -> Config:
    """Config of a run of two epochs (four iterations) with validation after each."""
    return Config(
        dict(
            default_scope="omgseg",
            work_dir=str(tmp_path / "work"),
            model=dict(type="TinyModel"),
            train_dataloader=loader(("cat", "dog")),
            val_dataloader=loader(("tree",)),
            test_dataloader=loader(("road", "sky")),
            val_evaluator=dict(type="TinyMetric"),
            test_evaluator=dict(type="TinyMetric"),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.1)),
            param_scheduler=[dict(type="MultiStepLR", milestones=[1])],
            train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
            val_cfg=dict(),
            test_cfg=dict(),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
            randomness=dict(seed=0),
            log_level="WARNING",
        )
    )


@pytest.fixture
def make_runner(tiny_config):
    """Build a runner of the tiny config with changed keys."""
    count = 0

    def make(**changes) -> Runner:
        nonlocal count
        count += 1
        config = Config(tiny_config.to_dict())
        config.experiment_name = f"tiny_{id(config)}_{count}"
        config.merge_from_dict(changes)
        return Runner.from_cfg(config)

    return make
