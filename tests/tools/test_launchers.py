"""The command lines, on a model of one layer."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from omgseg.engine import read_checkpoint

ROOT = Path(__file__).parents[2]
MODULE = """
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset
from omgseg.registry import DATASETS, METRICS, MODELS
from omgseg.structures import Vocabulary

@MODELS.register_module(force=True)
class Line(BaseModel):
    train_vocabulary = None
    def __init__(self, width=1):
        super().__init__()
        self.layer = torch.nn.Linear(1, width)
    def set_vocabulary(self, vocabulary):
        pass
    def forward(self, inputs, data_samples=None, mode="tensor"):
        x = torch.stack(list(inputs))
        y = self.layer(x)
        if mode == "loss":
            return dict(loss=(y - 2 * x).square().mean())
        return [BaseDataElement(value=v) for v in y]

@DATASETS.register_module(force=True)
class Numbers(Dataset):
    vocabulary = Vocabulary.from_names(["cat"])
    metainfo = dict(classes=("cat",))
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return dict(inputs=torch.tensor([index / 8]), data_samples=BaseDataElement(metainfo=dict(img_path=str(index))))

@METRICS.register_module(force=True)
class Mean(BaseMetric):
    default_prefix = "line"
    def process(self, data_batch, data_samples):
        self.results.extend(float(sample["value"]) for sample in data_samples)
    def compute_metrics(self, results):
        return dict(mean=sum(results) / len(results), count=len(results))
"""
CONFIG = """
_base_ = ["{root}/configs/_base_/runtime.py", "{root}/configs/_base_/schedules/joint_12e.py"]
custom_imports = dict(imports=["line_module"], allow_failed_imports=False)
model = dict(type="Line")
loader = dict(
    batch_size=2, num_workers=0, collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="DefaultSampler", shuffle=False), dataset=dict(type="Numbers"),
)
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
val_evaluator = dict(type="Mean")
test_evaluator = dict(type="Mean")
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
param_scheduler = None
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with a config that inherits the shared runtime and schedule."""
    (tmp_path / "line_module.py").write_text(MODULE)
    (tmp_path / "line.py").write_text(CONFIG.format(root=ROOT))
    return tmp_path


def run_script(project: Path, *command: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": f"{project}:{ROOT}", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.run(list(command), cwd=project, env=env, capture_output=True, text=True, timeout=300)


def tool(name: str) -> str:
    return str(ROOT / "tools" / name)


@pytest.fixture
def run_tool(project, monkeypatch):
    """Run a Python tool in the project's folder, in this process (starting one takes seconds)."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))

    def run(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(tool(name), run_name="__main__")

    return run


def test_train_then_test(project, run_tool):
    run_tool("train.py", "line.py", "--amp", "--auto-scale-lr")
    checkpoint = project / "work_dirs" / "line" / "epoch_1.pth"
    content = read_checkpoint(checkpoint)
    assert content["meta"]["iter"] == 4
    assert "type='Bf16OptimWrapper'" in content["meta"]["cfg"]
    assert content["optimizer"]["param_groups"][0]["lr"] == pytest.approx(1e-4 * 2 / 16)
    run_tool("train.py", "line.py", "--resume", "--cfg-options", "train_cfg.max_epochs=2")
    assert read_checkpoint(checkpoint.with_name("epoch_2.pth"))["meta"]["iter"] == 8
    run_tool("test.py", "line.py", str(checkpoint), "--out", "found/metrics.json")
    assert json.loads((project / "found" / "metrics.json").read_text())["line/count"] == 8


def test_two_processes_train_one_model(project):
    options = ["--work-dir", "two", "--cfg-options", "train_cfg.max_epochs=2", "env_cfg.dist_cfg.timeout=60"]
    done = run_script(project, tool("dist_train.sh"), "line.py", "2", *options)
    assert done.returncode == 0, done.stderr
    assert "OneDL" not in done.stdout + done.stderr
    checkpoint = read_checkpoint(project / "two" / "epoch_2.pth")
    assert checkpoint["meta"]["iter"] == 4, "two processes halve the iterations"
    assert checkpoint["message_hub"]["log_scalars"]["val/line/count"].current() == 8, (
        "they share the validation"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["line.py", "--cfg-options", "modle.width=2"],
            "ConfigError: --cfg-options modle.width: no key 'modle'",
        ),
        (["line.py", "--cfg-options", "model.widht=2"], "ConfigError: model.widht: Line"),
        (["line.py", "--resume", "none.pth"], "MissingCheckpointError: weight file none.pth not found"),
        (["none.py"], "FileNotFoundError: config none.py not found"),
    ],
)
def test_mistakes_end_in_one_line(run_tool, arguments, message):
    with pytest.raises(SystemExit) as stop:
        run_tool("train.py", *arguments)
    assert str(stop.value).startswith(message)


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh", "slurm_train.sh"])
def test_launchers_say_how_they_are_used(project, script):
    done = run_script(project, tool(script))
    assert done.returncode == 2
    assert "usage:" in done.stderr
