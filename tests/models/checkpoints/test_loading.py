"""Files are read without running their code, and what is not a checkpoint is named."""

import os

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint as mmengine_load_checkpoint
from safetensors.torch import save_file

from omgseg.engine import CheckpointError, read_checkpoint
from omgseg.models.checkpoints.loading import guard_mmengine_loading, load_weights


class Payload:
    """Unpickling this would create a file."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class GetattrPayload:
    """Unpickling this with the real ``getattr`` would reach a module's functions."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, "__init__")


def test_reads_mmengines_training_state(tmp_path):
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    content = {
        "state_dict": {"w": torch.ones(2)},
        "message_hub": {"log_scalars": {"train/loss": buffer}, "runtime_info": {"best_score": np.float64(3)}},
    }
    torch.save(content, tmp_path / "a.pth")
    loaded = read_checkpoint(tmp_path / "a.pth")
    assert loaded["message_hub"]["log_scalars"]["train/loss"].mean() == 1.5
    assert loaded["message_hub"]["runtime_info"]["best_score"] == 3
    torch.testing.assert_close(loaded["state_dict"]["w"], torch.ones(2))


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_bare_weights(tmp_path, name):
    weights = {"w": torch.arange(3.0)}
    (save_file if name.endswith("safetensors") else torch.save)(weights, tmp_path / name)
    torch.testing.assert_close(read_checkpoint(tmp_path / name)["state_dict"]["w"], weights["w"])


def test_code_in_a_file_does_not_run(tmp_path):
    trace = tmp_path / "trace"
    torch.save({"state_dict": {"w": torch.ones(1)}, "meta": Payload(f"touch {trace}")}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth.*never loaded: posix\.system\..*--trust-pickle"):
        read_checkpoint(tmp_path / "a.pth")
    guard_mmengine_loading()
    with pytest.raises(CheckpointError, match="never loaded"):
        mmengine_load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / "a.pth"))
    assert not trace.exists()


def test_getattr_reaches_statistics_only(tmp_path):
    torch.save({"state_dict": {"w": torch.ones(1)}, "meta": GetattrPayload()}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="never loaded"):
        read_checkpoint(tmp_path / "a.pth")


def test_nothing_stays_allowed_after_reading(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    test_reads_mmengines_training_state(tmp_path)
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a checkpoint", "not a PyTorch file"),
        (b"", "damaged or not a PyTorch file"),
        (b"PK\x03\x04 half a zip file", "damaged or not a PyTorch file"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path, content, message):
    file = tmp_path / "photo.pth"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"photo\.pth .*{message}"):
        read_checkpoint(file)


def test_other_content_and_missing_files(tmp_path):
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="expected a mapping of names to tensors"):
        read_checkpoint(tmp_path / "list.pth")
    (tmp_path / "a.safetensors").write_bytes(b"123")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        read_checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError, match=r"none\.pth not found"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="download it"):
        read_checkpoint("https://example.org/a.pth")


def test_unusable_values_are_refused_also_where_keys_may_be_missing():
    weights = {"weight": torch.full((1, 1), torch.nan), "bias": torch.ones(1)}
    with pytest.raises(
        CheckpointError, match=r"a\.pth does not fit the model:.*weight: .*NaN".replace(".*", "[^$]*")
    ):
        load_weights(torch.nn.Linear(1, 1), weights, "a.pth", strict=False)
