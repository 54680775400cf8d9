"""Training goes on from the work folder's own newest checkpoint that can be read, or says why it cannot."""

import shutil
from pathlib import Path

import pytest
import torch

from omgseg.engine import CheckpointError
from omgseg.engine.run_folder import newest_checkpoint
from omgseg.files import whole_file


@pytest.fixture
def run(make_runner, tmp_path) -> Path:
    """The work folder of a finished training: epoch_1.pth, epoch_2.pth, last_checkpoint."""
    make_runner().train()
    return tmp_path / "work"


@pytest.fixture
def resume(make_runner):
    """Resume a training of three epochs; gives the epochs that it wrote anew."""

    def start(folder: Path, **changes) -> set[str]:
        before = {path.name: path.stat().st_mtime_ns for path in folder.glob("epoch_*.pth")}
        changes = {"work_dir": str(folder), "resume": True, "train_cfg.max_epochs": 3, **changes}
        make_runner(**changes).train()
        after = {path.name: path.stat().st_mtime_ns for path in folder.glob("epoch_*.pth")}
        return {name for name, time in after.items() if before.get(name) != time}

    return start


def test_a_missing_note_does_not_start_anew(run, resume):
    (run / "last_checkpoint").unlink()
    assert resume(run) == {"epoch_3.pth"}


def test_a_copied_folder_continues_from_its_own_checkpoint(run, resume, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    marked = torch.load(copy / "epoch_2.pth", weights_only=False)
    marked["meta"]["epoch"] = 1  # unlike the original's
    marked["meta"]["iter"] = 2
    torch.save(marked, copy / "epoch_2.pth")
    assert resume(copy) == {"epoch_2.pth", "epoch_3.pth"}


def test_a_folder_without_checkpoints_starts_anew(tmp_path, resume):
    (tmp_path / "work").mkdir()
    assert resume(tmp_path / "work") == {"epoch_1.pth", "epoch_2.pth", "epoch_3.pth"}


@pytest.mark.parametrize(("content", "reason"), [(b"", "is empty"), (b"PK\x03\x04 half", "is damaged")])
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(run, resume, content, reason, capsys):
    (run / "epoch_2.pth").write_bytes(content)
    assert resume(run) == {"epoch_2.pth", "epoch_3.pth"}
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "Damaged: " in line]
    assert "epoch_2.pth " + reason in warning and "epoch_1.pth" in warning


def test_a_damaged_file_that_is_asked_for_names_the_one_before(run, resume):
    (run / "epoch_2.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"epoch_2\.pth is empty.*before it is .*epoch_1\.pth"):
        resume(run, load_from=str(run / "epoch_2.pth"))


def test_only_damaged_checkpoints_do_not_start_anew(run, resume):
    for path in run.glob("*.pth"):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"epoch_2\.pth is empty.*epoch_1\.pth is empty"):
        resume(run)


def test_what_killed_runs_left_is_removed(run, resume):
    stale, foreign = run / ".epoch_3.pth.0.tmp", run / ".notes.tmp"
    for path in (stale, foreign):
        path.write_bytes(b"half")
    with whole_file(run / "epoch_4.pth") as alive:
        resume(run)
        assert [path.exists() for path in (stale, foreign, alive)] == [False, True, True]


def test_the_text_of_a_checkpoints_config_is_not_executed(run, resume, tmp_path):
    checkpoint = torch.load(run / "epoch_2.pth", weights_only=False)
    checkpoint["meta"]["config"] = (
        f"import pathlib\npathlib.Path({str(tmp_path / 'trace')!r}).touch()\na = 1\n"
    )
    torch.save(checkpoint, run / "epoch_2.pth")
    assert resume(run) == {"epoch_3.pth"}
    assert not (tmp_path / "trace").exists()


def test_the_best_checkpoint_of_a_copy_is_its_own(make_runner, tmp_path, resume):
    best = {"default_hooks.checkpoint.save_best": "mean", "default_hooks.checkpoint.rule": "greater"}
    make_runner(**best).train()
    originals = {path.name for path in (tmp_path / "work").glob("best_*")}
    shutil.copytree(tmp_path / "work", tmp_path / "copy")
    resume(tmp_path / "copy", **best, **{"model.bonus": 100.0})
    assert {path.name for path in (tmp_path / "work").glob("best_*")} == originals
    assert {path.name for path in (tmp_path / "copy").glob("best_*")} == {"best_mean_epoch_3.pth"}


def test_files_of_an_earlier_training_are_not_the_newest(tmp_path):
    for name in ("iter_2.pth", "iter_10.pth"):
        (tmp_path / name).touch()
    (tmp_path / "last_checkpoint").write_text("/elsewhere/iter_2.pth")
    assert newest_checkpoint(tmp_path).name == "iter_2.pth"
    (tmp_path / "last_checkpoint").unlink()
    assert newest_checkpoint(tmp_path).name == "iter_10.pth"
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        newest_checkpoint(tmp_path / "none")
