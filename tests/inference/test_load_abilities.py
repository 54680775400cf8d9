"""Abilities are read without weights."""

import pytest
import torch
from mmengine.config import Config

from omgseg.inference import abilities_of
from omgseg.inference.loading import load, load_abilities
from omgseg.model_table import list_models
from omgseg.registry import SEGMENTERS
from omgseg.structures import Task
from tests.fakes import ImageOnlyFake

NAMED = [entry for entry in list_models() if not isinstance(entry.config, str)]


@pytest.mark.parametrize("entry", NAMED, ids=lambda entry: entry.name)
def test_models_of_the_table_need_no_memory_for_them(entry):
    """Published sizes, of which the largest take gigabytes."""
    model = load_abilities(entry.config)
    assert abilities_of(model).tasks == entry.tasks and model.device.type == "meta"


class ReadsItsWeights(ImageOnlyFake):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = torch.ones(1).item()


def test_a_model_that_needs_values_is_built_with_them(monkeypatch):
    monkeypatch.setitem(SEGMENTERS.module_dict, "ReadsItsWeights", ReadsItsWeights)
    model = load_abilities(dict(segmenter=dict(type="ReadsItsWeights")))
    assert model.device.type == "cpu" and Task.SEMANTIC in abilities_of(model).tasks


def test_what_is_loaded_afterwards_has_content():
    config = Config.fromfile("configs/toy/sam.py")
    load_abilities(config)
    model = load(config, device="cpu")
    assert not any(parameter.is_meta for parameter in model.model.parameters())
