"""The toy proof from end to end, with weights that have learned nothing."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from omgseg.projects.ba_sam.toy_proof import PROMPTS, VARIANTS, drawn, main, scenes, table
from omgseg.projects.edge_sam.toy_proof import TEACHER
from omgseg.registry import MODELS


def test_every_variant_answers_at_every_size(tmp_path):
    torch.manual_seed(0)
    torch.save(MODELS.build(Config.fromfile(TEACHER).model).state_dict(), tmp_path / "sam.pth")
    arguments = ["--weights", str(tmp_path / "sam.pth"), "--sizes", "128", "192", "--pictures", "1"]
    scores = main([*arguments, "--work-dir", str(tmp_path)])
    assert list(scores) == list(VARIANTS)
    assert all(list(kinds) == list(PROMPTS) for kinds in scores.values())
    for kind in PROMPTS:
        assert scores["plain"][kind][0] == scores["scaling factor"][kind][0]
    assert json.loads((tmp_path / "metrics.json").read_text())["scores"] == scores
    assert (tmp_path / "table.md").read_text() == table(scores, (128, 192)) + "\n"
    assert Image.open(tmp_path / "curve.png").width > 500


def test_a_scene_drawn_larger_has_the_same_objects():
    (scene,) = scenes(1)
    small, large = drawn(scene, 128), drawn(scene, 384)
    assert large.image.shape == (384, 384, 3) and len(large.masks) == len(small.masks) > 2
    for fine, coarse in zip(large.masks, small.masks, strict=True):
        middle = fine[1::3, 1::3]  # of each of the coarse pixels
        assert (middle & coarse).sum() / (middle | coarse).sum() > 0.97
    brightness = large.image.reshape(128, 3, 128, 3, 3).mean((1, 3)) - small.image
    assert np.abs(brightness.mean()) < 1


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        main(["--weights", "gone.pth", "--work-dir", str(tmp_path / "proof")])
    with pytest.raises(ValueError, match="--sizes 100 is no multiple of 64"):
        main(["--sizes", "100", "--work-dir", str(tmp_path / "proof")])
    assert not (tmp_path / "proof").exists()
