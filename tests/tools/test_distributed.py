"""Two processes train as one: equal weights on both, and the gradients of one process on the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import nn

from omgseg.registry import DATASETS, MODELS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KINDS = ("image", "clip", "prompts")
RECORDER = """
custom_imports = dict(imports=["omgseg.toy", "rank_recorder"])
custom_hooks = [dict(type="RankRecorder", folder={folder!r})]
train_dataloader["batch_size"] = 1
env_cfg = dict(dist_cfg=dict(timeout=300))
"""


@pytest.fixture(scope="module")
def config_file(toy_root: Path, small_config: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    path = folder / "small.py"
    path.write_text(small_config + RECORDER.format(folder=str(folder)))
    return path


@pytest.fixture(scope="module")
def ranks(config_file: Path, toy_root: Path) -> list[dict[str, Any]]:
    """What both processes recorded after five iterations of tools/dist_train.sh."""
    env = {
        **os.environ,
        "OMGSEG_TOY": str(toy_root),
        "PYTHONPATH": f"{HERE}:{ROOT}",
        "PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
    }
    command = [
        str(ROOT / "tools/dist_train.sh"),
        str(config_file),
        "2",
        "--work-dir",
        str(config_file.parent),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(config_file.parent / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def model(ranks: list[dict[str, Any]], config_file: Path, toy_root: Path) -> nn.Module:
    """The model of one process, with the weights that the two processes reached."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMGSEG_TOY", str(toy_root))
        patch.syspath_prepend(str(HERE))
        config = Config.fromfile(config_file)
    model = MODELS.build(config.model).train()
    model.set_vocabulary(DATASETS.build(config.train_dataloader.dataset).vocabulary)
    model.load_state_dict(ranks[0]["weights"])
    return model


def test_each_process_sees_its_share_of_every_source(ranks):
    sources = [[entry.rsplit(" ", 1)[0] for entry in rank["seen"]] for rank in ranks]
    assert sources[0] == sources[1] and len(set(sources[0])) == 5
    assert all(mine != other for mine, other in zip(ranks[0]["seen"], ranks[1]["seen"], strict=True))


def test_weights_are_identical_after_five_iterations(ranks, model):
    first, second = (rank["weights"] for rank in ranks)
    assert first.keys() == second.keys() == model.state_dict().keys()
    different = [name for name, value in first.items() if not torch.equal(value, second[name])]
    assert not different
    trained = dict(model.named_parameters())
    assert sum(p.requires_grad for p in trained.values()) < len(trained), "the image encoder is frozen"


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_those_of_one_process(ranks, model, kind, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    from rank_recorder import GLOBAL_BATCH, gradients

    expected = gradients(model, kind, range(GLOBAL_BATCH))
    assert any(name.startswith("prompt_encoder") for name in expected) == (kind == "prompts")
    assert any(name.startswith("classifier") for name in expected) == (kind != "prompts")
    for rank in ranks:
        found = rank["gradients"][kind]
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(
                found[name], gradient, rtol=1e-5, atol=1e-5, msg=partial("{}: {}".format, name)
            )
