"""The folder of a training."""

import os

import pytest

from omgseg.inference import OMGSegInferencer
from omgseg.inference.loading import locate_model as locate_run


@pytest.fixture
def run(tmp_path):
    (tmp_path / "old.py").write_text("")
    (tmp_path / "mine.py").write_text("")
    os.utime(tmp_path / "old.py", (1, 1))
    return tmp_path


def test_newest_checkpoint_by_its_number(run):
    for name in ("epoch_9", "epoch_12", "epoch_2", "best_PQ_epoch_20"):
        (run / f"{name}.pth").write_text("")
    assert locate_run(run, None) == (run / "mine.py", run / "epoch_12.pth")
    assert locate_run(str(run), "other.pth") == (run / "mine.py", "other.pth")


def test_noted_checkpoint_of_a_folder_that_was_moved(run):
    for name in ("iter_50", "iter_300"):
        (run / f"{name}.pth").write_text("")
    (run / "last_checkpoint").write_text("/elsewhere/iter_50.pth")  # trained anew in the same folder
    assert locate_run(run, None)[1] == run / "iter_50.pth"
    (run / "last_checkpoint").write_text("/elsewhere/iter_400.pth")
    assert locate_run(run, None)[1] == run / "iter_300.pth"


def test_folders_that_are_no_training(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no checkpoint \(iter_\*\.pth or epoch_\*\.pth\)"):
        locate_run(run, None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty has no config \(\*\.py\)"):
        locate_run(tmp_path / "empty", None)
    assert locate_run("config.py", None) == ("config.py", None)


def test_model_of_a_folder(seg, tiny_config, weights, photo, tmp_path):
    tiny_config.dump(tmp_path / "tiny.py")
    (tmp_path / "iter_3.pth").write_bytes(weights.read_bytes())
    own = OMGSegInferencer(tmp_path, device="cpu", vocabulary=seg.vocabulary)
    assert own(photo) == seg(photo)
