"""RAP-SAM in the benchmarks of the paper, on toy data; random weights, whose numbers say nothing."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from omgseg.engine.benchmarks import run_benchmark
from omgseg.engine.config import with_model
from omgseg.toy import TINY, generate

CONFIGS = Path(__file__).parents[3] / "configs" / "benchmarks"
PUBLISHED = Path(__file__).parents[1] / "configs" / "coco_sam_published.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("data") / "data", sizes=TINY)


@pytest.mark.parametrize(
    "benchmark, number",
    [
        (CONFIGS / "coco_panoptic.py", "coco_panoptic/PQ"),
        (CONFIGS / "youtube_vis_2019.py", "youtube_vis/AP"),
        (CONFIGS / "coco_interactive.py", "interactive/mIoU"),
        (PUBLISHED, "published/mIoU"),
    ],
    ids=["panoptic", "videos", "clicks", "published"],
)
def test_the_benchmarks_of_the_paper(benchmark, number, config, model, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMGSEG_DATA", str(data))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(data / "vocabularies"))
    torch.save({"state_dict": model.model.state_dict()}, "tiny.pth")
    tiny = Config(dict(model=config.model, custom_imports=dict(imports=["omgseg.projects.rap_sam"])))
    tiny.dump("tiny.py")
    test = with_model(Config.fromfile(benchmark), "tiny.py")
    test.load_from, test.work_dir, test.experiment_name = "tiny.pth", "work", number
    test.test_dataloader.num_workers = 0
    test.test_dataloader.dataset.update(image_size=(160, 96), indices=2)
    outcome = run_benchmark(test)
    assert 0 <= outcome.metrics[number] <= 100 and not outcome.failed
    assert not any(math.isnan(value) for value in outcome.metrics.values())
