"""Benchmarks one after another: what is missing, what is misspelt, and whose model is tested."""

from pathlib import Path

import pytest
from mmengine.config import Config

from omgseg.engine import ConfigError
from omgseg.engine.benchmarks import run_benchmark, try_benchmark
from omgseg.engine.config import with_model
from omgseg.engine.runner import MissingCheckpointError


@pytest.fixture
def benchmark(tiny_config, tmp_path):
    """A benchmark of the tiny model, written to a file: mmengine and the outcome take its name."""

    def make(**changes) -> Config:
        config = Config(tiny_config.to_dict())
        config.experiment_name = f"benchmark_{id(config)}"
        config.merge_from_dict(changes)
        config.dump(tmp_path / "own.py")
        return Config.fromfile(tmp_path / "own.py")

    return make


def test_a_missing_checkpoint_ends_all_whatever_it_is_called(benchmark):
    for run in (run_benchmark, try_benchmark):
        with pytest.raises(MissingCheckpointError, match="data not found"):
            run(benchmark(load_from="data"))


def test_missing_data_are_noted_whatever_the_checkpoint_is_called(
    benchmark, make_runner, tmp_path, monkeypatch
):
    make_runner().train()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work" / "epoch_2.pth").rename(tmp_path / "file")
    outcome = try_benchmark(
        benchmark(**{"load_from": "file", "test_dataloader.dataset.file": "data/a file of the data"})
    )
    assert outcome.note.startswith("data missing: data/a file of the data") and not outcome.failed


def test_a_misspelt_number_is_an_error_and_the_others_are_kept(benchmark):
    outcome = run_benchmark(benchmark(benchmark={"mean": None, "maen": None}))
    assert outcome.failed and "'maen'" in outcome.note and "did you mean 'mean'" in outcome.note
    assert outcome.metrics["mean"] == outcome.metrics["mean"]
    assert not run_benchmark(benchmark(benchmark={"mean": None})).note


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_benchmark_changes_how_its_models_are_read_out(tmp_path):
    file = write(
        tmp_path / "bench.py",
        "model = dict(type='A', width=1, test_cfg=dict(clip_size=5, ensemble=False))\nreadout = dict(ensemble=False)",
    )
    benchmark = Config.fromfile(file)
    assert with_model(benchmark).model == benchmark.model
    small = write(
        tmp_path / "small.py",
        "model = dict(type='A', width=9, test_cfg=dict(clip_size=3))\ncustom_imports = dict(imports=['json'])",
    )
    chosen = with_model(benchmark, small)
    assert chosen.model.to_dict() == dict(type="A", width=9, test_cfg=dict(clip_size=3, ensemble=False))
    assert chosen.custom_imports.imports == ["json"] and chosen.filename == str(file)
    assert benchmark.model.width == 1, "the benchmark itself is not changed"
    other = write(tmp_path / "other.py", "model = dict(type='B')")
    assert with_model(benchmark, other).model.to_dict() == dict(type="B"), "it has settings of its own"
    assert with_model(Config.fromfile(small), other).model.to_dict() == dict(type="B")


def test_a_file_that_is_not_a_config_of_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--model none\.py not found"):
        with_model(Config(dict(model=dict(type="A"))), "none.py")
    with pytest.raises(ConfigError, match="has no key 'model'"):
        with_model(Config(dict(model=dict(type="A"))), write(tmp_path / "empty.py", "a = 1"))
