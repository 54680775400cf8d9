"""Training, resuming and loading through the runner."""

import json

import pytest
import torch
from safetensors.torch import save_file

from omgseg.engine import Bf16OptimWrapper, CheckpointError, NonFiniteLossError
from omgseg.structures import Vocabulary


def state(runner) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


def test_trains_validates_and_writes_plain_checkpoints(make_runner, tmp_path):
    runner = make_runner()
    before = state(runner)
    runner.train()
    assert any(not torch.equal(before[name], value) for name, value in state(runner).items())
    written = {path.name for path in (tmp_path / "work").iterdir() if path.is_file() and path.suffix != ".py"}
    assert written == {"epoch_1.pth", "epoch_2.pth", "last_checkpoint"}


def test_vocabulary_follows_the_loop(make_runner):
    runner = make_runner()
    runner.train()
    assert runner.model.calls == [["cat", "dog"], ["tree"], ["cat", "dog"], ["tree"], ["cat", "dog"]]
    runner.test()
    assert runner.model.calls[-1] == ["road", "sky"]


def test_class_agnostic_data_keeps_the_training_vocabulary(make_runner):
    runner = make_runner(**{"test_dataloader.dataset.names": ()})
    runner.train()
    runner.test()
    assert runner.model.calls[-1] == ["cat", "dog"]


def test_vocabulary_is_stored_as_json_and_restored(make_runner, tmp_path):
    make_runner().train()
    file = tmp_path / "work" / "epoch_2.pth"
    runner = make_runner(load_from=str(file))
    runner.test()
    assert runner.model.train_vocabulary == Vocabulary.from_names(["cat", "dog"])
    from omgseg.engine import read_checkpoint

    meta = read_checkpoint(file)["meta"]
    assert [entry["name"] for entry in json.loads(meta["train_vocabulary"])["categories"]] == ["cat", "dog"]
    assert "dataset_meta" not in meta


def test_resumed_training_equals_uninterrupted_training(make_runner, tmp_path, caplog):
    whole = make_runner()
    whole.train()
    resumed = make_runner(load_from=str(tmp_path / "work" / "epoch_1.pth"), resume=True)
    resumed.train()
    assert resumed.epoch == 2
    for name, value in state(whole).items():
        torch.testing.assert_close(state(resumed)[name], value, rtol=0, atol=0)
    assert "metainfo" not in caplog.text


def test_resuming_from_bare_weights_is_refused(make_runner, tmp_path):
    file = tmp_path / "weights.safetensors"
    save_file(state(make_runner()), file)
    with pytest.raises(CheckpointError, match=r"weights only.*load_from"):
        make_runner(load_from=str(file), resume=True).train()


def test_checkpoint_of_another_model_lists_the_keys(make_runner, tmp_path):
    wider = make_runner(**{"model.width": 3})
    file = tmp_path / "wide.pth"
    torch.save({"state_dict": wider.model.state_dict()}, file)
    with pytest.raises(
        CheckpointError, match=r"wide.pth does not fit[^$]*layer.weight: weights \(3, 1\), model \(1, 1\)"
    ):
        make_runner(load_from=str(file)).test()
    torch.save({"state_dict": {"layer.weight": torch.ones(1, 1), "head.weight": torch.ones(1)}}, file)
    with pytest.raises(
        CheckpointError,
        match=r"missing in the weights:\s+layer.bias\s+.* unexpected in the weights:\s+head.weight",
    ):
        make_runner(load_from=str(file)).test()
    tolerant = make_runner(load_from=str(file), load_strict=False)
    tolerant.test()
    assert tolerant.model.layer.weight.item() == 1


def test_an_interrupted_write_keeps_the_old_checkpoint(make_runner, tmp_path, monkeypatch):
    runner = make_runner()
    runner.train()
    file = tmp_path / "work" / "epoch_2.pth"
    content = file.read_bytes()

    def broken_disk(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken_disk)
    with pytest.raises(OSError, match="disk full"):
        runner.save_checkpoint(runner.work_dir, "epoch_2.pth")
    assert file.read_bytes() == content
    assert not list(file.parent.glob(".*tmp"))


def test_a_loss_that_is_not_finite_stops_with_the_files(make_runner):
    with pytest.raises(NonFiniteLossError, match=r"iteration 0: .*loss_fit = nan.*image_0.jpg, image_1.jpg"):
        make_runner(**{"model.poison": True}).train()


def test_weights_that_are_not_finite_are_not_written(make_runner, tmp_path):
    runner = make_runner()
    runner.train()
    runner.model.layer.weight.data.fill_(float("inf"))
    with pytest.raises(
        NonFiniteLossError, match=r"iteration 4: 1 of 2 weights .*\(layer.weight\); no checkpoint"
    ):
        runner.save_checkpoint(runner.work_dir, "bad.pth")
    assert not list((tmp_path / "work").glob("*bad.pth*"))


def test_bf16_runs_on_this_device(make_runner):
    runner = make_runner(**{"optim_wrapper.type": "Bf16OptimWrapper"})
    runner.train()
    assert isinstance(runner.optim_wrapper, Bf16OptimWrapper)
    assert runner.model.layer.weight.dtype == torch.float32
    with runner.optim_wrapper.optim_context(runner.model):
        assert runner.model.layer(torch.ones(1, 1)).dtype == torch.bfloat16
