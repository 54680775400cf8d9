"""The toy proof from end to end, far too short to learn anything."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from omgseg.engine.config import check_arguments
from omgseg.projects.yolact.toy_proof import NMS, flicker, main
from omgseg.registry import DATASETS
from omgseg.structures import Segments, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks


def test_the_tables_are_measured_and_written(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    folder = tmp_path / "proof"
    tables = main(["--quick", "--seeds", "0", "--work-dir", str(folder)])
    assert (folder / "table.md").read_text() == tables + "\n"
    assert all(f"| {nms} " in tables for nms in NMS)
    assert all(f"| {row} " in tables for row in ("YOLACT, seed 0", "truth"))
    the_published_config_reads(tmp_path / "data", monkeypatch)


def the_published_config_reads(data, monkeypatch):
    """Its pipelines make squares of 550 pixels from COCO's files."""
    monkeypatch.setenv("OMGSEG_DATA", str(data))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(data / "vocabularies"))
    config = Config.fromfile("projects/yolact/configs/yolact_r50_coco.py")
    check_arguments(config)
    side = config.image_size
    val, train = config.val_dataloader.dataset, config.train_dataloader.dataset
    train.update(
        ann_file=val.ann_file, data_prefix=val.data_prefix
    )  # the toy world has no training instances
    assert tuple(DATASETS.build(val)[0]["inputs"].shape) == (1, 3, side, side)
    dataset = DATASETS.build(train)
    for index in range(len(dataset)):
        sample = dataset[index]
        shape = sample["inputs"].shape[-2:]
        assert max(shape) <= side and sample["data_samples"].gt_instances.masks.shape[1:] == shape


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="--beside gone not found"):
        main(["--beside", "gone", "--work-dir", str(tmp_path / "proof")])


def test_flicker_counts_what_the_next_frame_does_not_show():
    def frame(*objects):
        masks = np.zeros((len(objects), 20, 20), bool)
        for mask, (x, _) in zip(masks, objects, strict=True):
            mask[5:15, x : x + 10] = True
        labels = [label for _, label in objects]
        words = Vocabulary.from_names(["a", "b"])
        return Segments(
            Task.INSTANCE, (20, 20), encode_masks(masks), labels, [0.9] * len(labels), vocabulary=words
        )

    moved, far, renamed = (1, 0), (9, 0), (0, 1)
    assert flicker([frame((0, 0)), frame(moved)]) == (0, 1)
    assert flicker([frame((0, 0)), frame(far)]) == (1, 1)
    assert flicker([frame((0, 0)), frame(renamed)]) == (1, 1)
    assert flicker([frame((0, 0), (9, 1)), frame()]) == (2, 2)
    assert flicker([frame(), frame((0, 0)), frame((0, 0), far)]) == (0, 1)
