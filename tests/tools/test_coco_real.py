"""Real COCO files from end to end; the whole training (PQ above 80) is in the README."""

import json

from omgseg.engine import read_checkpoint
from omgseg.structures.label_png import load_image

CONFIG = "configs/toy/coco_real.py"


def test_real_images_train_and_are_scored_and_drawn(real_samples_dir, root, call_tool, monkeypatch, tmp_path):
    monkeypatch.setenv("OMGSEG_REAL_SAMPLES", str(real_samples_dir.resolve()))
    monkeypatch.chdir(tmp_path)
    config = str(root / CONFIG)
    call_tool("train.py", config, "--cfg-options", "train_cfg.max_iters=8", "train_cfg.val_interval=100")
    checkpoint = "work_dirs/coco_real/iter_8.pth"
    losses = read_checkpoint(checkpoint)["message_hub"]["log_scalars"]["train/loss"].data[0]
    assert len(losses) == 8 and losses[-1] < 0.95 * losses[0]
    call_tool("test.py", config, checkpoint, "--show-dir", "pictures", "--out", "metrics.json")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert 0 <= metrics["coco_panoptic/PQ"] <= 100 and 0 <= metrics["coco_instance/AP"] <= 100
    for task in ("panoptic", "instance"):
        pictures = sorted((tmp_path / "pictures" / "coco_panoptic" / task).iterdir())
        assert [path.name for path in pictures] == ["000000142238.png", "000000439180.png"]
        width, height = load_image(pictures[0]).size
        assert width >= 3 * 640 and height >= 427, "input, ground truth and prediction, at full size"
