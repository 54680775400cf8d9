"""VideoSemanticMetric, from data samples to percent."""

import pickle

import numpy as np
import pytest

from omgseg.evaluation.functional.semantic import (
    VideoConsistency,
    confusion_matrix,
    sparse_counts,
    summarize_consistency,
    summarize_videos,
)
from omgseg.registry import METRICS
from omgseg.structures.label_png import write_png

STORED = np.array([4, 10, 8, 0, 255], np.uint8)  # cat, dog, sky (category id + 1), "others", void


@pytest.fixture
def video(make_sample, make_video, tmp_path):
    """Make a video's sample; the mask files hold `truth` (T, H, W), labels 0..2, 3 and 4 are void."""

    def make(name, truth, predicted):
        frames = []
        for t, (true, guess) in enumerate(zip(truth, predicted, strict=True)):
            path = tmp_path / name / f"{t:08d}.png"
            write_png(path, STORED[true])
            frames.append(make_sample({"pred_sem_seg": guess}, seg_map_path=str(path)))
        return make_video(frames, video_id=name)

    return make


def walk(seed, frames, high):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, high, (9, 11)) + (rng.random((frames, 9, 11)) < 0.05).cumsum(axis=0)) % high


def test_equals_functional(video, run_metric):
    lengths, truths = {"a": 5, "b": 2, "c": 7}, {}
    samples, confusions, clips = [], [], []
    for seed, (name, frames) in enumerate(lengths.items()):
        truth, predicted = walk(seed, frames, 5), walk(seed + 10, frames, 3)
        truth[:, :, :4] = predicted[:, :, :4]
        truths[name] = truth
        samples.append(video(name, truth, predicted))
        void_is_one = np.minimum(truth, 3)
        confusions.append(sparse_counts(confusion_matrix(void_is_one, predicted, 3, ignore_index=3)))
        consistency = VideoConsistency((2, 3))
        for frame in zip(void_is_one, predicted, strict=True):
            consistency.add_frame(*frame)
        clips.append(consistency.clips)
    config = {"type": "omgseg.VideoSemanticMetric", "clip_lengths": (2, 3)}
    values = run_metric(config, samples)
    expected = summarize_videos(confusions, 3) | summarize_consistency(clips)
    names = ("mIoU", "video_mIoU", "Acc", "Acc_class", "fwIoU", "VC2", "VC3")
    assert set(values) == {f"vspw/{name}" for name in names}
    assert values == {f"vspw/{name}": 100 * value for name, value in expected.items()}
    assert all(0 < value < 100 for value in values.values())
    assert run_metric({**config, "num_workers": 2}, samples[::-1]) == values


def test_perfect_prediction_and_short_videos(video, run_metric):
    truth = walk(0, 9, 3)
    values = run_metric({"type": "omgseg.VideoSemanticMetric"}, [video("a", truth, truth)])
    assert np.isnan(values.pop("vspw/VC16")), "no video has more than 16 frames"
    assert set(values.values()) == {100}


def test_what_remains_of_a_video_is_small(video, vocabulary):
    metric = METRICS.build({"type": "omgseg.VideoSemanticMetric"})
    metric.dataset_meta = {"vocabulary": vocabulary}
    truth = walk(0, 20, 3)
    remains = pickle.dumps(metric.reduce(video("a", truth, truth).to_dict()))
    assert len(remains) < 1000
    assert pickle.loads(remains).clips.keys() == {8, 16}


def test_wrong_input(video, run_metric, tmp_path):
    truth = walk(0, 2, 3)
    config = {"type": "omgseg.VideoSemanticMetric"}
    sample = video("a", truth, truth)
    write_png(tmp_path / "a" / "00000001.png", np.full((9, 11), 200, np.uint8))
    with pytest.raises(ValueError, match=r"00000001\.png: 200 is not a number of a VSPW mask"):
        run_metric(config, [sample])
    write_png(tmp_path / "a" / "00000001.png", np.full((9, 11), 50, np.uint8))
    with pytest.raises(ValueError, match=r"00000001\.png: the value 49 is neither a category id"):
        run_metric(config, [sample])
    with pytest.raises(ValueError, match="at least 1 frame"):
        run_metric({**config, "clip_lengths": []}, [])
