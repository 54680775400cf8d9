"""Simulated clicks on a model behind the seam."""

from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from PIL import Image
from torch.utils.data import DataLoader

from omgseg.engine import ConfigError
from omgseg.evaluation.metrics import InteractiveMetric
from omgseg.protocols import Abilities
from omgseg.structures import Task
from tests.fakes import ClickOnlyFake, picture

SCENE = picture(60, 80, ("red", 5, 5, 25, 25), ("blue", 5, 40, 25, 60), ("green", 40, 0, 60, 80))
RED, BLUE, GREEN = (SCENE[..., channel] > 150 for channel in (0, 2, 1))


class Wrapped(BaseModel):
    """What a runner tests; the factory of its class makes it clickable."""

    class segmenter(ClickOnlyFake):
        made_of: list[Any] = []

        @classmethod
        def from_model(cls, model, config, dtype):
            cls.made_of.append((model, config, dtype))
            return cls()

    def forward(self, *args, **kwargs):
        raise AssertionError("the loop asks the segmenter")


class Direct(BaseModel, ClickOnlyFake):
    """Implements the protocol itself."""

    def __init__(self):
        BaseModel.__init__(self)
        object.__setattr__(self, "calls", [])

    def forward(self, *args, **kwargs):
        raise AssertionError("the loop clicks")


class Keep(Hook):
    """Keeps the samples."""

    def __init__(self):
        self.samples = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.samples += outputs


def sample_of(tmp_path, name: str, *objects: np.ndarray) -> dict[str, Any]:
    """An image whose pipeline has halved its size: prompts lie in the half image, objects in the original one."""
    Image.fromarray(SCENE).save(tmp_path / f"{name}.png")
    sample = DetDataSample(
        metainfo=dict(
            img_path=str(tmp_path / f"{name}.png"),
            img_id=name,
            ori_shape=(60, 80),
            img_shape=(30, 40),
            scale_factor=(0.5, 0.5),
            source="coco",
        )
    )
    masks = np.array(objects, bool).reshape(-1, 60, 80)
    rows = [np.argwhere(mask) for mask in masks]
    boxes = [(*row.min(0)[::-1], *(row.max(0)[::-1] + 1)) for row in rows]
    points = [(row[0][::-1] + 0.5) * 0.5 for row in rows]
    sample.gt_instances = InstanceData(
        masks=torch.from_numpy(masks), bboxes=torch.tensor(np.array(boxes, np.float32).reshape(-1, 4))
    )
    sample.prompts = InstanceData(points=torch.tensor(np.array(points, np.float32).reshape(-1, 2)))
    return dict(inputs=torch.zeros(1, 3, 30, 40, dtype=torch.uint8), data_samples=sample)


def run(tmp_path, model, data, **loop) -> tuple[dict[str, float], list[DetDataSample]]:
    keep = Keep()
    runner = Runner(
        model=model,
        work_dir=str(tmp_path / "work"),
        test_dataloader=DataLoader(data, batch_size=2, collate_fn=pseudo_collate),
        test_evaluator=[InteractiveMetric()],
        test_cfg=dict(type="omgseg.ClickLoop", **loop),
        custom_hooks=[keep],
        default_scope="omgseg",
        experiment_name=f"clicks-{tmp_path.name}",
        log_level="ERROR",
        cfg=dict(image_size=(40, 30)),
    )
    return runner.test(), keep.samples


@pytest.mark.parametrize("kind", [Wrapped, Direct])
def test_clicks_correct_the_largest_error(tmp_path, kind):
    """Of red and blue, the first click finds red, the second one adds blue; green is whole at once."""
    data = [
        sample_of(tmp_path, "a", RED | BLUE, GREEN),
        sample_of(tmp_path, "none"),
        sample_of(tmp_path, "b", RED),
    ]
    values, samples = run(tmp_path, kind(), data, num_clicks=3)
    assert values["interactive/mIoU"] == pytest.approx(100 * 2.5 / 3, abs=0.01)
    assert values["interactive/mIoU_clicks1"] == values["interactive/mIoU"]
    assert values["interactive/mIoU_clicks2"] == values["interactive/mIoU_clicks3"] == 100
    assert values["interactive/mIoU_box"] == 100
    first, empty, _ = samples
    assert first.pred_clicks.masks.shape == (2, 3, 60, 80) and first.pred_clicks.masks.dtype == torch.bool
    assert np.array_equal(first.pred_instances.masks[0], RED) and first.pred_instances.scores.shape == (2,)
    assert np.array_equal(first.pred_clicks.masks[0, 1], RED | BLUE)
    assert empty.pred_clicks.masks.shape == (0, 3, 60, 80) and empty.pred_box.masks.shape == (0, 60, 80)


def test_a_click_may_take_away(tmp_path):
    """Only the left half of red is wanted: a click into the right half takes all of red away, as the fake has it."""
    half = RED.copy()
    half[:, 15:] = False
    _, (sample,) = run(tmp_path, Direct(), [sample_of(tmp_path, "a", half)], num_clicks=2)
    assert np.array_equal(sample.pred_clicks.masks[0, 0], RED)
    assert not sample.pred_clicks.masks[0, 1].any()


def test_a_factory_gets_the_model_its_config_and_the_precision(tmp_path):
    Wrapped.segmenter.made_of.clear()
    model = Wrapped()
    run(tmp_path, model, [sample_of(tmp_path, name, RED) for name in "abc"], num_clicks=1)
    ((given, config, dtype),) = Wrapped.segmenter.made_of
    assert given is model and config.image_size == (40, 30) and dtype is torch.float32


def test_a_model_without_boxes(tmp_path):
    model = Direct()
    model.abilities = Abilities(frozenset({Task.INTERACTIVE}), frozenset({"points", "labels"}))
    values, (sample,) = run(tmp_path, model, [sample_of(tmp_path, "a", RED | BLUE)], num_clicks=2)
    assert values["interactive/mIoU_clicks2"] == 100
    assert "pred_box" not in sample and "interactive/mIoU_box" not in values


class Neither(BaseModel):
    def forward(self, *args, **kwargs):
        pass


class NoNegatives(Direct):
    abilities = Abilities(frozenset({Task.INTERACTIVE}), frozenset({"points"}))


def test_models_that_take_no_clicks(tmp_path):
    with pytest.raises(
        ConfigError, match="ClickLoop: Neither is not a PromptableModel, and its class attribute"
    ):
        run(tmp_path, Neither(), [sample_of(tmp_path, "a", RED)])
    with pytest.raises(ConfigError, match="ClickLoop: NoNegatives does not take clicks"):
        run(tmp_path / "x", NoNegatives(), [sample_of(tmp_path, "a", RED)])


def test_at_least_one_click(tmp_path):
    with pytest.raises(ValueError, match="num_clicks is 0"):
        run(tmp_path, Direct(), [sample_of(tmp_path, "a", RED)], num_clicks=0)
