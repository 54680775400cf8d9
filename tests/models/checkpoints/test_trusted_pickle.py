"""Checkpoints with foreign objects: refused with their names, or read with nothing of theirs executed."""

import json
import os
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from omgseg.models.checkpoints import isolated_reader
from omgseg.models.checkpoints.isolated_reader import load_tensors
from omgseg.models.checkpoints.reading import ForeignObjectsError, read_file
from omgseg.models.checkpoints.trusted_pickle import read_trusted_pickle


class Command:
    """Unpickling this runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class Attributes:
    """Unpickling this reaches functions by way of harmless ones."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, "__init__"), {"a": 1}


@pytest.fixture
def foreign(monkeypatch):
    """A class of a module that exists while the file is written only; the object has state, items and entries."""
    module = types.ModuleType("gone_package")
    exec("class Config(dict): pass\nclass Names(list): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "gone_package", module)
    config, names = module.Config(epochs=12), module.Names(["a"])
    config.attribute = "state"
    return lambda: (config, names)


BASE = torch.arange(24.0).view(4, 6)
WEIGHTS = OrderedDict(
    whole=BASE,
    part=BASE[1:3, ::2],
    turned=BASE.T,
    half=torch.ones(3, dtype=torch.float16),
    brain=torch.full((2,), 0.5, dtype=torch.bfloat16),
    count=torch.tensor(7),
    flags=torch.tensor([True, False]),
    parameter=torch.nn.Parameter(torch.ones(2, 2)),
    empty=torch.zeros(0, 3),
)


def checkpoint(*objects):
    """A training checkpoint with objects that stand for what other people's files hold."""
    return {
        "state_dict": WEIGHTS,
        "meta": {"epoch": 12, "iter": 345, "seed": np.int64(3), "dataset_meta": {"classes": ("cat", "dog")}},
        "optimizer": {"state": defaultdict(list, {0: [torch.ones(1000)]}), "set": {1, 2}},
        "message_hub": {"loss": HistoryBuffer([1.0], [1])},
        "objects": objects,
    }


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 4])
def test_tensors_and_facts_come_out_and_foreign_objects_do_not_matter(
    tmp_path, foreign, monkeypatch, protocol
):
    file = tmp_path / "a.pth"
    torch.save(checkpoint(*foreign(), Attributes()), file, pickle_protocol=protocol)
    monkeypatch.delitem(sys.modules, "gone_package")
    named = {2: r"gone_package\.Config, gone_package\.Names", 4: "Unsupported operand"}[protocol]
    with pytest.raises(ForeignObjectsError, match=rf"never loaded: .*{named}.*--trust-pickle"):
        read_file(file)
    tensors, facts, replaced = load_tensors(str(file))
    assert list(tensors) == list(WEIGHTS)
    for name, value in WEIGHTS.items():
        assert tensors[name].dtype == value.dtype and torch.equal(tensors[name], value), name
        assert tensors[name].is_contiguous()
    assert facts == {"epoch": 12, "iter": 345, "classes": 2}
    assert {"gone_package.Config", "gone_package.Names", "mmengine.logging.history_buffer.HistoryBuffer"} <= {
        *replaced
    }


def test_bare_weights_and_what_is_no_checkpoint(tmp_path):
    torch.save(dict(WEIGHTS, other=Command("true")), tmp_path / "bare.pth")
    assert set(load_tensors(str(tmp_path / "bare.pth"))[0]) == set(WEIGHTS)
    torch.save([Command("true")], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="no mapping of names to tensors"):
        load_tensors(str(tmp_path / "list.pth"))
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pth")
    with pytest.raises(ValueError, match="no mapping of names to tensors"):
        load_tensors(str(tmp_path / "script.pth"))


@pytest.mark.parametrize(("stride", "damage"), [(1000, "out of bounds"), (-1, "strides")])
def test_a_tensor_never_reaches_beyond_its_storage(tmp_path, monkeypatch, stride, damage):
    torch.save(WEIGHTS, tmp_path / "a.pth")
    known = isolated_reader._KNOWN[("torch._utils", "_rebuild_tensor_v2")]
    lie = dict(isolated_reader._KNOWN)
    lie[("torch._utils", "_rebuild_tensor_v2")] = lambda storage, offset, size, *_: known(
        storage, offset, (50,), (stride,)
    )
    monkeypatch.setattr(isolated_reader, "_KNOWN", lie)
    with pytest.raises(ValueError, match=f"its tensor .* cannot be read: .*{damage}"):
        load_tensors(str(tmp_path / "a.pth"))


def test_compressed_parts_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb/data.pkl", pickle.dumps({"w": b"0" * 10000}))
    with pytest.raises(ValueError, match="compressed"):
        load_tensors(str(tmp_path / "bomb.pth"))


def test_the_isolated_step_reads_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    trace = tmp_path / "trace"
    torch.save(checkpoint(Command(f"touch {trace}")), tmp_path / "a.pth")
    calls = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: calls.append((a[0], k)) or run(*a, **k))
    tensors, facts, replaced = read_trusted_pickle(tmp_path / "a.pth", tmp_path / "scratch")
    assert set(tensors) == set(WEIGHTS) and torch.equal(tensors["part"], WEIGHTS["part"])
    assert facts["epoch"] == 12 and "posix.system" in replaced
    assert not trace.exists() and not list((tmp_path / "scratch").iterdir())
    ((command, options),) = calls
    assert command[:2] == [sys.executable, "-I"] and options["cwd"].startswith(str(tmp_path / "scratch"))
    assert "HF_TOKEN" not in options["env"] and options["env"]["HOME"] == options["cwd"]


def test_the_isolated_step_names_what_it_cannot_read(tmp_path):
    (tmp_path / "photo.pth").write_bytes(b"no zip file")
    with pytest.raises(ValueError, match=r"photo\.pth is not a file that torch\.save"):
        read_trusted_pickle(tmp_path / "photo.pth", tmp_path)
    with zipfile.ZipFile(tmp_path / "cut.pth", "w") as file:
        file.writestr("cut/data.pkl", pickle.dumps({"w": Command("true")})[:-4])
    with pytest.raises(ValueError, match=r"cut\.pth cannot be read: "):
        read_trusted_pickle(tmp_path / "cut.pth", tmp_path)


def test_the_isolated_interpreter_has_no_network_no_processes_and_no_writing(tmp_path):
    attempts = f"""
import json, os, runpy, socket, subprocess
wall_off = runpy.run_path({isolated_reader.__file__!r})["wall_off"]
wall_off()
refused = []
for attempt in (
    lambda: socket.socket(),
    lambda: subprocess.run(["true"]),
    lambda: os.system("true"),
    lambda: open({str(tmp_path / "new")!r}, "w"),
    lambda: os.open({str(tmp_path / "new")!r}, os.O_CREAT | os.O_RDWR),
):
    try:
        attempt()
        refused.append(False)
    except PermissionError:
        refused.append(True)
open({isolated_reader.__file__!r}).close()
print(json.dumps(refused))
"""
    result = subprocess.run(
        [sys.executable, "-I", "-c", attempts], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == [True] * 5
    assert not (tmp_path / "new").exists()


def test_the_scratch_folder_may_be_relative(tmp_path, monkeypatch):
    torch.save(checkpoint(Command("true")), tmp_path / "a.pth")
    monkeypatch.chdir(tmp_path)
    assert set(read_trusted_pickle(Path("a.pth"), Path("."))[0]) == set(WEIGHTS)
