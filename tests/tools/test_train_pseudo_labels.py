"""The toy training with a teacher's labels, through tools/train.py; the teacher is the truth with scores of its own."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.engine import read_checkpoint
from omgseg.registry import HOOKS

SURE, UNSURE = 0.75, 0.4


@HOOKS.register_module(force=True)
class NoteScores(Hook):
    """Notes the scores of the segments of each source."""

    scores: dict[str, set[float]] = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        for sample in data_batch["data_samples"]:
            for frame in getattr(sample, "video_data_samples", None) or [sample]:
                truth = frame.gt_instances
                scores = truth.scores.tolist() if "scores" in truth else []
                self.scores.setdefault(frame.source, set()).update(scores)


@pytest.fixture
def taught(toy_root: Path, tmp_path: Path) -> Path:
    """A toy world with a teacher's labels: every second segment is unsure."""
    toy = tmp_path / "toy"
    toy.mkdir()
    (toy / "data").symlink_to(toy_root / "data")
    truth = toy / "data/coco/annotations/panoptic_train2017"
    content = json.loads(truth.with_suffix(".json").read_text())
    for annotation in content["annotations"]:
        for number, segment in enumerate(annotation["segments_info"]):
            segment["score"] = UNSURE if number % 2 else SURE
    (toy / "pseudo_labels.json").write_text(json.dumps(content))
    (toy / "pseudo_labels").symlink_to(truth)
    return toy


def test_a_student_learns_from_labels_and_from_a_teacher(
    write_config, small_config, call_tool, taught, tmp_path
):
    path = Path(write_config(toy=taught))
    lines = """
for name in ("taught_panoptic", "taught_clips", "taught_prompts"):
    train_dataloader["dataset"]["datasets"][name] = dict(image_size=image_size, indices=2)
for name in ("vipseg", "youtube_vis_2019"):
    train_dataloader["dataset"]["datasets"][name] = None
    del train_dataloader["dataset"]["repeat"][name]
train_dataloader["dataset"]["repeat"].update(coco_panoptic=1, coco_pseudo_clips=1, coco_prompts=1)
train_cfg["max_iters"] = 14  # all samples
custom_hooks = [dict(type="NoteScores")]
"""
    path.write_text(path.read_text().replace("configs/toy/joint.py", "configs/toy/pseudo_labels.py") + lines)
    NoteScores.scores.clear()
    call_tool("train.py", str(path))
    taught = {source: scores for source, scores in NoteScores.scores.items() if source.startswith("taught")}
    assert taught == dict.fromkeys(("taught_panoptic", "taught_clips", "taught_prompts"), {SURE})
    assert not any(scores for source, scores in NoteScores.scores.items() if source not in taught)
    assert {"coco_panoptic", "coco_prompts"} <= set(NoteScores.scores)
    checkpoint = read_checkpoint(tmp_path / "work_dirs" / "small" / "iter_14.pth")
    losses = checkpoint["message_hub"]["log_scalars"]["train/loss"].data[0]
    assert len(losses) == 14 and all(math.isfinite(loss) and loss > 0 for loss in losses)
