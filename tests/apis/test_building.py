"""A model from a config and a checkpoint."""

import json

import pytest
import torch
from mmengine.config import Config

from omgseg.apis import OMGSegInferencer
from omgseg.apis.building import DEFAULT_SCALE, build_model, read_config
from omgseg.apis.building import test_resize as resize_of  # pytest would take it for a test
from omgseg.engine import CheckpointError, ConfigError
from omgseg.structures import Vocabulary


@pytest.fixture
def logged(monkeypatch):
    messages = []
    monkeypatch.setattr("omgseg.apis.building.print_log", lambda message, **_: messages.append(message))
    return messages


@pytest.fixture(scope="module")
def checkpoint(seg, tmp_path_factory):
    """Weights unlike the random ones, and the words of a training."""
    weights = {name: value + 0.25 for name, value in seg.model.state_dict().items()}
    meta = {"train_vocabulary": json.dumps(Vocabulary.from_names(["wolf"]).to_dict())}
    path = tmp_path_factory.mktemp("weights") / "trained.pth"
    torch.save({"state_dict": weights, "meta": meta}, path)
    return path


def test_checkpoint_gives_weights_and_words(tiny_config, checkpoint, seg, logged):
    trained = OMGSegInferencer(tiny_config, checkpoint, device="cpu")
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, seg.model.state_dict()[name] + 0.25), name
    assert trained.vocabulary.names == ["wolf"]
    assert trained.model.train_vocabulary.names == ["wolf"]
    assert not trained.model.training
    assert not logged


def test_bare_weights_have_no_words(tiny_config, weights, photo):
    trained = OMGSegInferencer(tiny_config, weights, device="cpu")
    with pytest.raises(ValueError, match=r"no words: .*vocabulary=\[\"dog\", \"car\"\]"):
        trained(photo)


def test_no_checkpoint_warns_and_reads_nothing(tiny_config, logged):
    config = Config(tiny_config.to_dict())
    config.model.image_encoder.pretrained = config.model.text_encoder.pretrained = "/missing/clip.safetensors"
    state = torch.random.get_rng_state()
    first, second = (build_model(config, None, "cpu") for _ in range(2))
    assert "all weights are random" in logged[0]
    assert torch.equal(state, torch.random.get_rng_state())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert config.model.image_encoder.pretrained == "/missing/clip.safetensors"


def test_missing_clip_weights_are_named(tiny_config, checkpoint):
    config = Config(tiny_config.to_dict())
    config.model.image_encoder.pretrained = "/missing/clip.safetensors"
    config.model.text_encoder.pretrained = None
    with pytest.raises(FileNotFoundError, match=r"/missing/clip\.safetensors"):
        build_model(config, checkpoint, "cpu")


def test_wrong_checkpoints(tiny_config, tmp_path):
    torch.save({"some.layer": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth does not fit the model"):
        build_model(tiny_config, tmp_path / "other.pth", "cpu")
    with pytest.raises(FileNotFoundError, match="nothing.pth"):
        build_model(tiny_config, tmp_path / "nothing.pth", "cpu")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(CheckpointError, match=r"text\.pth"):
        build_model(tiny_config, tmp_path / "text.pth", "cpu")


def test_config_file(config_file, tiny_config):
    assert read_config(config_file).model == tiny_config.model
    assert read_config(tiny_config) is not tiny_config


def test_wrong_configs(tiny_config, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config .*nothing\.py not found"):
        read_config(tmp_path / "nothing.py")
    with pytest.raises(ValueError, match="no key 'model'"):
        read_config({"work_dir": "x"})
    config = Config(tiny_config.to_dict())
    config.model.query_decoder.num_querys = 5
    with pytest.raises(ConfigError, match="num_queries"):
        read_config(config)


RESIZE = dict(type="Resize")


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, DEFAULT_SCALE),
        (
            dict(
                test_dataloader=None, val_dataloader=dict(dataset=dict(pipeline=[RESIZE], image_size=(9, 5)))
            ),
            (9, 5),
        ),
        (
            dict(
                test_dataloader=dict(dataset=dict(pipeline=[dict(RESIZE, scale=(8, 4))], image_size=(9, 5)))
            ),
            (8, 4),
        ),
        (
            dict(
                test_dataloader=dict(
                    dataset=dict(
                        type="JointDataset", datasets=dict(a=dict(pipeline=[RESIZE], image_size=(7, 6)))
                    )
                )
            ),
            (7, 6),
        ),
        (
            dict(
                test_dataloader=dict(
                    dataset=dict(
                        type="ConcatDataset",
                        datasets=[dict(pipeline=[]), dict(pipeline=[RESIZE], image_size=(3, 2))],
                    )
                )
            ),
            (3, 2),
        ),
        (
            dict(test_dataloader=dict(dataset=dict(pipeline=[dict(type="PackClip")], image_size=(9, 5)))),
            DEFAULT_SCALE,
        ),
    ],
)
def test_size_is_that_of_the_test_pipeline(config, scale):
    assert resize_of(Config(config)).scale == scale


def test_aspect_ratio_is_that_of_the_test_pipeline():
    dataset = dict(pipeline=[dict(RESIZE, scale=(8, 4), keep_ratio=False)])
    assert resize_of(Config(dict(test_dataloader=dict(dataset=dataset)))).keep_ratio is False
