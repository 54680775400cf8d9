"""STQ, video consistency and VSPW's mIoU equal the official scripts' numbers on the reference inputs."""

import numpy as np
import pytest

from omgseg.evaluation.functional.semantic import (
    VideoConsistency,
    confusion_matrix,
    sparse_counts,
    summarize_consistency,
    summarize_videos,
)
from omgseg.evaluation.functional.video_panoptic import VideoOverlap, stq_stat, summarize_stq

pytestmark = pytest.mark.golden
COUNTED = 1e-9


@pytest.mark.parametrize(("name", "renumber"), [("stq_script", True), ("stq_metric_class", False)])
def test_segmentation_and_tracking_quality(golden, close, name, renumber):
    folder, expected = golden("vipseg_vpq_stq")
    maps, num_classes = np.load(folder / "maps.npz"), expected["num_classes_evaluator"]
    things = np.isin(np.arange(num_classes), maps["thing_classes"])
    stats = []
    for video in maps["video_names"]:
        overlap = VideoOverlap(num_classes, void=expected["ignore_label"])
        parts = (maps[f"{video}_{p}"] for p in ("gt_class", "gt_instance", "pred_class", "pred_instance"))
        for frame in zip(*parts, strict=True):
            overlap.add_frame(*frame)
        stats.append(stq_stat(overlap, things, renumber))
    expected = expected[name]
    together = summarize_stq(stats, num_classes)
    assert together == summarize_stq(reversed(stats), num_classes), "the order of videos changes nothing"
    for key, value in together.items():
        close(value, expected[key], COUNTED)
        close([summarize_stq([s], num_classes)[key] for s in stats], expected[f"{key}_per_seq"], COUNTED)


def vspw_videos(folder):
    maps = np.load(folder / "maps.npz")
    names = sorted(key.removesuffix("_gt") for key in maps if key.endswith("_gt"))
    return {name: (maps[f"{name}_gt"], maps[f"{name}_pred"]) for name in names}


def test_video_consistency(golden, close):
    folder, expected = golden("vspw")
    lengths = sorted(int(key.removeprefix("VC")) for key in expected if key.removeprefix("VC").isdigit())
    clips = []
    for truth, predicted in vspw_videos(folder).values():
        video = VideoConsistency(lengths)
        for frame in zip(truth, predicted, strict=True):
            video.add_frame(*frame)
        clips.append(video.clips)
    summary = summarize_consistency(clips)
    assert list(summary) == [f"VC{length}" for length in lengths] != []
    for n in lengths:
        close(summary[f"VC{n}"], expected[f"VC{n}"], COUNTED)
        values = [value for video in clips for value in video[n]]
        close(values, expected[f"VC{n}_per_clip"], COUNTED)
        assert len(values) == expected[f"VC{n}_clips"]
        assert np.isnan(values).sum() == expected[f"VC{n}_nan_clips"]


def test_semantic_segmentation_of_videos(golden, close):
    folder, expected = golden("vspw")
    classes = expected["num_classes"]
    counts = {name: confusion_matrix(*maps, classes) for name, maps in vspw_videos(folder).items()}
    assert sum(counts.values()).tolist() == expected["confusion_matrix"]
    summary = summarize_videos([sparse_counts(c) for c in counts.values()], classes)
    assert list(summary) == ["mIoU", "video_mIoU", "Acc", "Acc_class", "fwIoU"]
    for key, value in summary.items():
        close(value, expected[key], COUNTED)
    for name, confusion in counts.items():
        alone = summarize_videos([sparse_counts(confusion)], classes)["mIoU"]
        close(alone, expected["per_video_mIoU"][name], COUNTED)
