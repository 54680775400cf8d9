"""From a name, a config or the folder of a training to a model behind the seam."""

import json
import os
import sys

import pytest
import torch
from mmengine.config import Config

from omgseg.engine import CheckpointError, ConfigError
from omgseg.inference.loading import checkpoint_words, choose_dtype, load, locate_model
from omgseg.structures import Vocabulary
from tests.fakes import FakeSegmenter, ImageOnlyFake, write_config


@pytest.fixture
def run(tmp_path):
    write_config(tmp_path / "old.py")
    write_config(tmp_path / "mine.py", batch_by_size=False)
    os.utime(tmp_path / "old.py", (1, 1))
    return tmp_path


def test_a_config_names_the_factory_and_its_options(tmp_path):
    model = load(write_config(tmp_path / "mine.py", batch_by_size=False), "some.pth", device="cpu")
    assert type(model).__name__ == "FakeSegmenter" and model.batch_by_size is False
    assert model.weights == "some.pth"
    assert model.device == torch.device("cpu") and model.dtype is torch.float32
    assert isinstance(load(dict(segmenter=dict(type=ImageOnlyFake))), ImageOnlyFake)
    assert load(Config(dict(segmenter=dict(type="FakeSegmenter"))), dtype="bfloat16").dtype is torch.bfloat16


def test_custom_imports_of_a_dumped_config_and_of_a_dictionary(tmp_path):
    (tmp_path / "brought_along.py").write_text(
        "from omgseg.registry import SEGMENTERS\nfrom tests.fakes import ImageOnlyFake\n"
        "SEGMENTERS.register_module(name='BroughtAlong', module=ImageOnlyFake, force=True)\n"
    )
    config = dict(
        custom_imports=dict(imports=["brought_along"], allow_failed_imports=False),
        segmenter=dict(type="BroughtAlong"),
    )
    sys.path.insert(0, str(tmp_path))
    try:
        assert type(load(config)).__name__ == "ImageOnlyFake"
        del sys.modules["brought_along"]
        Config(config).dump(tmp_path / "dumped.py")
        assert type(load(tmp_path / "dumped.py")).__name__ == "ImageOnlyFake"
    finally:
        sys.path.remove(str(tmp_path))


def test_only_what_is_built_needs_to_exist(tmp_path):
    """The config of a run may name hooks and data of a project that is not at hand."""
    config = dict(
        custom_hooks=[dict(type="NoSuchHook")], train_dataloader=dict(dataset=dict(type="NoSuchData"))
    )
    assert load(dict(config, segmenter=dict(type="FakeSegmenter")))
    model = dict(type="OMGSeg", num_querys=3)
    with pytest.raises(ConfigError, match="model.num_querys: OMGSeg .* has no argument 'num_querys'"):
        load(dict(config, model=model))


def test_the_class_of_the_model_names_its_segmenter():
    class Unused(torch.nn.Module):
        segmenter = "FakeSegmenter"

    class Silent(torch.nn.Module):
        pass

    assert isinstance(load(dict(model=dict(type=Unused))), FakeSegmenter)
    assert isinstance(
        load(dict(model=dict(type=Unused), segmenter=dict(type="ImageOnlyFake"))), ImageOnlyFake
    )
    with pytest.raises(ConfigError, match=r"Silent has no attribute .segmenter.: add segmenter=dict\(type="):
        load(dict(model=dict(type=Silent)))


def test_newest_checkpoint_of_a_run_by_its_number(run):
    for name in ("epoch_9", "epoch_12", "epoch_2", "best_PQ_epoch_20"):
        (run / f"{name}.pth").write_text("")
    assert locate_model(run) == (run / "mine.py", run / "epoch_12.pth")
    assert locate_model(str(run), "other.pth") == (run / "mine.py", "other.pth")
    model = load(run)
    assert model.weights == run / "epoch_12.pth" and model.batch_by_size is False
    assert load(run, "random").weights is None


def test_noted_checkpoint_of_a_run_that_was_moved(run):
    for name in ("iter_50", "iter_300"):
        (run / f"{name}.pth").write_text("")
    (run / "last_checkpoint").write_text("/elsewhere/iter_50.pth")  # trained anew in the same folder
    assert locate_model(run)[1] == run / "iter_50.pth"
    (run / "last_checkpoint").write_text("/elsewhere/iter_400.pth")
    assert locate_model(run)[1] == run / "iter_300.pth"


def test_folders_that_are_not_of_a_training(run):
    with pytest.raises(FileNotFoundError, match=r"has no checkpoint \(iter_\*\.pth or epoch_\*\.pth\)"):
        load(run)
    (run / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty has no config \(\*\.py\)"):
        load(run / "empty")


def test_names_of_the_table_of_models():
    table = pytest.importorskip("omgseg.model_table")
    entry = table.find_model("omg-seg-convnext-l")
    assert locate_model(entry.name, "random") == (entry.config, None)
    assert locate_model(entry.name, "own.pth") == (entry.config, "own.pth")
    with pytest.raises(FileNotFoundError, match="omg-seg-convnext-l"):
        load("omg-seg-convnxt-l")


def test_published_weights_are_never_downloaded_unasked(monkeypatch):
    table = pytest.importorskip("omgseg.model_table")
    entry = table.find_model("omg-seg-convnext-l")
    cached = None
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: cached)
    with pytest.raises(
        FileNotFoundError, match="of omg-seg-convnext-l are not on this machine.*weights='random'"
    ):
        load(entry.name)
    cached = "/cache/weights.pth"
    if entry.weights.startswith("hf://"):
        assert locate_model(entry.name) == (entry.config, entry.weights)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("missing.py", FileNotFoundError, "config missing.py not found"),
        ("folder/missing", FileNotFoundError, "config folder/missing not found"),
        (None, TypeError, "a name, a config file, a config or the folder of a training, not None"),
        ("", TypeError, "not ''"),
        (dict(optimizer=1), ConfigError, "neither a key 'model' nor a key 'segmenter'"),
        (dict(segmenter=dict(type="Nope")), ConfigError, "segmenter.type is 'Nope'.*custom_imports"),
        (dict(segmenter=dict(type="FakeSegmentr")), ConfigError, "did you mean 'FakeSegmenter'"),
        (dict(model=dict(type="Nope")), ConfigError, "model.type.*'Nope'"),
        (
            dict(custom_imports=dict(imports=["no.such.part"]), model={}),
            ConfigError,
            "imports a module that is not .*no.such",
        ),
        (dict(model=dict(kind="OMGSeg")), ConfigError, "model.type is None"),
        (dict(segmenter=dict(type=FakeSegmenter, batch_size=2)), ConfigError, "segmenter.batch_size: Fake"),
    ],
)
def test_sources_that_are_no_model(source, error, message):
    with pytest.raises(error, match=message):
        load(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(device="cda"), "device 'cda' cannot be used here"),
        (dict(device="cuda:99"), "device 'cuda:99' cannot be used here"),
        (dict(dtype="fp8"), "unknown dtype 'fp8'; give auto, float32 or bfloat16"),
        (dict(scale=256), "scale must be .width, height. in pixels"),
        (dict(scale=(0, 10)), "scale must be .width, height. in pixels"),
        (dict(scale=(20, 10)), "FakeSegmenter takes no scale"),
    ],
)
def test_options_that_cannot_be_met(options, message):
    with pytest.raises(ValueError, match=message):
        load(dict(segmenter=dict(type=FakeSegmenter)), **options)


def test_precision():
    cpu = torch.device("cpu")
    assert choose_dtype("auto", cpu) is torch.float32
    assert choose_dtype("bfloat16", cpu) is torch.bfloat16


def test_words_of_a_checkpoint_without_its_model(tmp_path):
    words = Vocabulary.from_names(["wolf"])
    content = {"state_dict": {"a": torch.ones(1)}, "meta": {"train_vocabulary": json.dumps(words.to_dict())}}
    torch.save(content, tmp_path / "trained.pth")
    torch.save({"a": torch.ones(1)}, tmp_path / "bare.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    assert checkpoint_words(tmp_path / "trained.pth") == words
    assert checkpoint_words(tmp_path / "bare.pth") is None
    with pytest.raises(CheckpointError, match="broken.pth"):
        checkpoint_words(tmp_path / "broken.pth")
