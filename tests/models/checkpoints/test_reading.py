import resource
import time
import zipfile

import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file

from omgseg.models.checkpoints.reading import read_state_dict, write_state_dict

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth", "w.bin", "old.pt"])
def test_reads_every_kind_of_file(tmp_path, name):
    file = tmp_path / name
    if file.suffix == ".safetensors":
        save_file(TENSORS, file)
    else:
        torch.save(TENSORS, file, _use_new_zipfile_serialization=not name.startswith("old"))
    tensors = read_state_dict(file)
    assert set(tensors) == set(TENSORS)
    assert all(
        torch.equal(tensors[key], TENSORS[key]) and tensors[key].dtype == TENSORS[key].dtype
        for key in TENSORS
    )


def test_reads_training_checkpoints_and_removes_the_wrapper(tmp_path):
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in TENSORS.items()}, "epoch": 3},
        tmp_path / "e.pth",
    )
    assert set(read_state_dict(tmp_path / "e.pth")) == set(TENSORS)


def test_reads_what_mmengine_writes_during_training(tmp_path):
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save({"state_dict": TENSORS, "message_hub": {"log_scalars": {"loss": history}}}, tmp_path / "e.pth")
    assert set(read_state_dict(tmp_path / "e.pth")) == set(TENSORS)


class _Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_never_runs_code_from_a_file(tmp_path):
    torch.save({"state_dict": TENSORS, "trap": _Trap(str(tmp_path / "run"))}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="trap.pth holds Python objects.*: io.open.*--trust-pickle"):
        read_state_dict(tmp_path / "trap.pth")
    assert not (tmp_path / "run").exists()


def test_unusable_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.pth not found"):
        read_state_dict(tmp_path / "gone.pth")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("this is no weight file")
        with pytest.raises(ValueError, match=name):
            read_state_dict(tmp_path / name)
    torch.save(TENSORS, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:300])
    with pytest.raises(ValueError, match="cut.pth"):
        read_state_dict(tmp_path / "cut.pth")
    data = (tmp_path / "whole.pth").read_bytes()
    for name, damaged in (("gap.pth", data[:200] + data[500:]), ("end.pth", data[:-60] + bytes(60))):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{name} is damaged or not a PyTorch file"):
            read_state_dict(tmp_path / name)
    torch.save({"epoch": 3, "model": "SAM"}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match="empty.pth holds no weights"):
        read_state_dict(tmp_path / "empty.pth")


def test_writing_is_atomic_and_takes_views(tmp_path, monkeypatch):
    file = tmp_path / "folder" / "w.safetensors"
    shared = torch.arange(6.0).view(2, 3)
    write_state_dict(file, {"x": shared.T, "y": shared[0]})
    torch.testing.assert_close(read_state_dict(file), {"x": shared.T.contiguous(), "y": shared[0]})

    def fail(tensors, path, metadata=None):
        with open(path, "wb") as half:
            half.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("omgseg.models.checkpoints.reading.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        write_state_dict(file, {"x": shared})
    assert [entry.name for entry in file.parent.iterdir()] == ["w.safetensors"]
    assert set(read_state_dict(file)) == {"x", "y"}


def test_a_full_disk_is_an_error_of_the_disk(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"w\.safetensors cannot be written: .*File too large"):
            write_state_dict(tmp_path / "w.safetensors", {"w": torch.zeros(4000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_changed_bytes_are_noticed(tmp_path):
    file = tmp_path / "w.pth"
    torch.save({"a": torch.ones(1000)}, file)
    content = bytearray(file.read_bytes())
    content[content.index(torch.ones(8).numpy().tobytes()) + 100] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.pth is damaged.*checksum of its part 'w/data/0' is wrong"):
        read_state_dict(file)


def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
        bomb.writestr("plain/data/1", bytes(1 << 28))
    started = time.process_time()
    with pytest.raises(ValueError, match=r"bomb\.pth is damaged.*compressed, which torch\.save never does"):
        read_state_dict(tmp_path / "bomb.pth")
    assert time.process_time() - started < 0.3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({1: torch.ones(2)}, "a tensor is named 1"),
        ({"a": torch.eye(3).to_sparse()}, "'a' .sparse_coo"),
        ({"a": torch.ones(2, device="meta")}, "'a' .meta"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "'a' .strided, torch.complex64"),
    ],
)
def test_tensors_that_cannot_be_weights_are_named(tmp_path, content, message):
    torch.save({"state_dict": content}, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=rf"odd\.pth.*{message}"):
        read_state_dict(tmp_path / "odd.pth")
