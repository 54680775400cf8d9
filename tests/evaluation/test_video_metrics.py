"""Metrics of videos, from data samples to percent."""

import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from omgseg.evaluation.functional.average_precision import evaluate_tracks
from omgseg.evaluation.functional.panoptic import PanopticStat
from omgseg.evaluation.functional.video_panoptic import VideoOverlap, stq_stat, summarize_stq, summarize_vpq
from omgseg.evaluation.functional.vos import summarize_davis
from omgseg.structures.label_png import write_png, write_vipseg_panomask
from tests.evaluation.whole import sequence_scores, video_stats

FRAMES, HEIGHT, WIDTH = 5, 16, 20
ID_OF_LABEL = np.array([3, 9, 7, 255])


@pytest.fixture
def tubes():
    """Label and instance maps (T, H, W): a cat 1 and a dog 1 that move over sky, and a row of void."""
    labels = np.full((FRAMES, HEIGHT, WIDTH), 2)
    instances = np.zeros_like(labels)
    for t in range(FRAMES):
        labels[t, 3:9, 1 + t : 8 + t], instances[t, 3:9, 1 + t : 8 + t] = 0, 1
        labels[t, 10:15, 12 - t : 18 - t], instances[t, 10:15, 12 - t : 18 - t] = 1, 1
    labels[:, 0] = 3
    return labels, instances


@pytest.fixture
def panoptic_video(make_sample, make_video, tubes, tmp_path):
    """A video's sample with panomask files of `tubes` and the given prediction."""

    def make(labels, instances, video_id="clip", frames=FRAMES, truth=tubes):
        samples = []
        for t in range(frames):
            path = tmp_path / video_id / f"{t}.png"
            write_vipseg_panomask(path, ID_OF_LABEL[truth[0][t]], truth[1][t])
            predicted = (labels[t] + 1000 * instances[t]).astype(np.int32)
            samples.append(make_sample({"pred_panoptic_seg": predicted}, seg_map_path=str(path), img_id=t))
        return make_video(samples, video_id=video_id)

    return make


def test_vpq_and_stq_equal_functional(panoptic_video, tubes, run_metric, damage, vocabulary):
    predictions = {name: [damage(part, seed) for part in tubes] for seed, name in enumerate("ab")}
    windows = (1, 2, 4)
    total = {k: PanopticStat.zeros(3) for k in windows}
    tracked = []
    for predicted in predictions.values():
        overlap = VideoOverlap(3, void=3)
        for frame in zip(*tubes, *predicted, strict=True):
            overlap.add_frame(*frame)
        tracked.append(stq_stat(overlap, vocabulary.thing_mask.numpy()))
        stats = video_stats(*tubes, *predicted, num_classes=3, windows=windows, void=3)
        total = {k: total[k] + stats[k] for k in windows}
    samples = [panoptic_video(*predicted, video_id=name) for name, predicted in predictions.items()]
    values = run_metric({"type": "omgseg.VideoPanopticMetric", "windows": windows}, samples)
    expected = summarize_vpq(total, vocabulary.thing_mask.numpy()) | summarize_stq(tracked, 3)
    names = ("VPQ", "VPQ_th", "VPQ_st", "VPQ_1", "VPQ_2", "VPQ_4", "STQ", "AQ", "IoU")
    assert set(values) == {f"vipseg/{k}" for k in names}
    assert values == pytest.approx({f"vipseg/{k}": 100 * v for k, v in expected.items()}, abs=1e-12)
    assert 0 < values["vipseg/VPQ"] < 100 and 0 < values["vipseg/STQ"] < 100


def test_identity_switch_lowers_long_windows_only(panoptic_video, tubes, run_metric):
    labels, instances = tubes
    switched = np.where((np.arange(FRAMES)[:, None, None] >= 3) & (labels == 0), instances + 4, instances)
    values = run_metric({"type": "omgseg.VideoPanopticMetric"}, [panoptic_video(labels, switched)])
    assert values["vipseg/VPQ_1"] == values["vipseg/IoU"] == 100 > values["vipseg/AQ"]
    assert values["vipseg/VPQ_4"] < values["vipseg/VPQ_2"] < 100
    assert "vipseg/VPQ_8" not in values, "no video has 8 frames"
    lengths = (1, 2, 4)
    assert values["vipseg/VPQ"] == pytest.approx(np.mean([values[f"vipseg/VPQ_{k}"] for k in lengths]))


def test_video_of_one_frame(panoptic_video, tubes, run_metric):
    values = run_metric({"type": "omgseg.VideoPanopticMetric"}, [panoptic_video(*tubes, frames=1)])
    names = ("VPQ", "VPQ_1", "VPQ_th", "VPQ_st", "STQ", "AQ", "IoU")
    assert values == {f"vipseg/{k}": 100 for k in names}


def test_stuff_with_an_instance_number_is_one_segment(panoptic_video, tubes, run_metric):
    labels, instances = tubes
    numbered = instances + (labels == 2) * (1 + np.arange(WIDTH) // 10)  # the halves of the sky
    video = panoptic_video(labels, instances, truth=(labels, numbered))
    values = run_metric({"type": "omgseg.VideoPanopticMetric", "windows": [1, 2]}, [video])
    assert set(values.values()) == {100}


@pytest.fixture
def vis_set(tubes, categories, tmp_path):
    """The two tubes as a YouTube-VIS file."""
    labels, _ = tubes
    annotations = []
    for label in (0, 1):
        masks = [encode(frame == label) for frame in labels]
        annotations.append(
            {
                "id": label + 1,
                "video_id": 4,
                "category_id": int(ID_OF_LABEL[label]),
                "iscrowd": 0,
                "segmentations": [{**m, "counts": m["counts"].decode()} for m in masks],
                "areas": [int(coco_mask.area(m)) for m in masks],
                "bboxes": [[0, 0, 1, 1]] * FRAMES,
            }
        )
    videos = [{"id": 4, "height": HEIGHT, "width": WIDTH, "length": FRAMES, "file_names": ["x"] * FRAMES}]
    content = {"videos": videos, "annotations": annotations, "categories": categories[1:]}
    (tmp_path / "vis.json").write_text(json.dumps(content))
    return str(tmp_path / "vis.json"), content


def encode(mask):
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


@pytest.fixture
def track_video(make_sample, make_video):
    """A video's sample with tracks: masks bool (N, T, H, W), labels (N,), scores (N,)."""

    def make(masks, labels, scores, video_id=4):
        frames = []
        for t in range(FRAMES):
            frame = make_sample(frame_id=t)
            frame.pred_track_instances = InstanceData(
                instances_id=torch.arange(len(masks)),
                labels=torch.as_tensor(labels, dtype=torch.int64),
                scores=torch.as_tensor(scores, dtype=torch.float32),
                masks=[encode(mask[t]) for mask in masks],
            )
            frames.append(frame)
        return make_video(frames, video_id=video_id)

    return make


def test_youtube_vis_metric_equals_functional(vis_set, track_video, tubes, run_metric, damage, capfd):
    ann_file, content = vis_set
    masks = np.stack([damage(tubes[0] == 0), tubes[0] == 1, tubes[0] == 0])
    labels, scores = [0, 1, 1], [0.5, 0.25, 0.75]
    config = {"type": "omgseg.YouTubeVISMetric", "ann_file": ann_file}
    capfd.readouterr()
    values = run_metric(config, [track_video(masks, labels, scores)])
    assert "DONE" not in capfd.readouterr().out
    results = [
        {
            "video_id": 4,
            "category_id": int(ID_OF_LABEL[label]),
            "score": score,
            "segmentations": [encode(frame) for frame in track],
        }
        for track, label, score in zip(masks, labels, scores, strict=True)
    ]
    expected, _ = evaluate_tracks(content, results)
    assert values == {f"youtube_vis/{k}": v if v == -1 else 100 * v for k, v in expected.items()}
    assert 0 < values["youtube_vis/AP"] < 100


def test_youtube_vis_metric_extremes(vis_set, track_video, tubes, run_metric):
    config = {"type": "omgseg.YouTubeVISMetric", "ann_file": vis_set[0]}
    perfect = np.stack([tubes[0] == 0, tubes[0] == 1])
    assert run_metric(config, [track_video(perfect, [0, 1], [0.5, 0.5])])["youtube_vis/AP"] == pytest.approx(
        100
    )
    assert run_metric(config, [track_video(perfect[:0], [], [])])["youtube_vis/AP"] == 0


def test_davis_metric_equals_functional(make_sample, make_video, tubes, run_metric, damage, tmp_path):
    truth = np.where(tubes[0] >= 2, 0, tubes[0] + 1)
    truth[0, 0] = 255
    truth[2, 1] = 7  # appears later than in the first frame: no object
    samples, objects = [], []
    for seed, name in enumerate("ab"):
        predicted = damage(np.where(truth > 2, 0, truth), seed)
        objects += zip(*sequence_scores(truth, predicted), strict=True)
        frames = []
        for t in range(FRAMES):
            path = tmp_path / name / f"{t}.png"
            write_png(path, truth[t].astype(np.uint8))
            frames.append(
                make_sample({"pred_vos_seg": predicted[t].astype(np.int32)}, seg_map_path=str(path))
            )
        samples.append(make_video(frames, video_id=name))
    values = run_metric({"type": "omgseg.DavisMetric"}, samples)
    expected = summarize_davis(objects)
    assert values == pytest.approx({f"davis/{k}": 100 * v for k, v in expected.items()}, abs=1e-12)
    assert len(objects) == 4 and 0 < values["davis/J&F"] < 100
