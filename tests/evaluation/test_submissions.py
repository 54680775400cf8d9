"""Zip files for evaluation servers: their layout, and that they appear complete."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from PIL import Image
from pycocotools import mask as coco_mask

from omgseg.evaluation.metrics import DavisMetric, YouTubeVOSMetric
from omgseg.evaluation.submission import MapSubmission
from omgseg.structures.label_png import davis_palette, write_png

FRAMES, HEIGHT, WIDTH = 4, 6, 8


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "out" / "results.zip"


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def track_video(make_sample, make_video):
    """A video of two tracks: one in every frame, one in the second frame only."""

    def make(video_id, score=0.5):
        masks = np.zeros((2, FRAMES, HEIGHT, WIDTH), np.uint8)
        masks[0, :, 1:4, 2:5], masks[1, 1, 5] = 1, 1
        frames = []
        for t in range(FRAMES):
            frame = make_sample(frame_id=t)
            frame.pred_track_instances = InstanceData(
                instances_id=torch.arange(2),
                labels=torch.tensor([1, 0]),
                scores=torch.tensor([score, 0.1]),
                masks=[coco_mask.encode(np.asfortranarray(track[t])) for track in masks],
            )
            frames.append(frame)
        return make_video(frames, video_id=video_id), masks

    return make


@pytest.fixture
def vis_file(tmp_path, categories):
    """A YouTube-VIS file with two videos, by default without annotations."""

    def write(**extra):
        videos = [{"id": i, "height": HEIGHT, "width": WIDTH, "file_names": ["x"] * FRAMES} for i in (5, 2)]
        path = tmp_path / "valid.json"
        path.write_text(json.dumps({"videos": videos, "categories": categories[1:], **extra}))
        return str(path)

    return write


@pytest.mark.parametrize("extra", [{}, {"annotations": None}, {"annotations": []}])
def test_tracks_of_a_split_without_annotations(vis_file, extra, track_video, run_metric, archive):
    config = {"type": "omgseg.YouTubeVISMetric", "ann_file": vis_file(**extra)}
    with pytest.raises(ValueError, match=r"valid\.json has no annotations.*submission='results\.zip'"):
        run_metric(config, [])
    samples, masks = zip(*(track_video(video_id) for video_id in (5, 2)), strict=True)
    values = run_metric({**config, "submission": str(archive)}, samples)
    assert values == {"youtube_vis/videos": 2}
    assert files_of(archive.parent) == ["results.zip"]
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == ["results.json"]
        tracks = json.loads(opened.read("results.json"))
    assert [(t["video_id"], t["category_id"]) for t in tracks] == [(2, 9), (2, 3), (5, 9), (5, 3)]
    assert [t["score"] for t in tracks] == [0.5, float(np.float32(0.1))] * 2
    assert all(t.keys() == {"video_id", "category_id", "score", "segmentations"} for t in tracks)
    assert [m is None for m in tracks[1]["segmentations"]] == [True, False, True, True]
    for t in range(FRAMES):
        np.testing.assert_array_equal(coco_mask.decode(tracks[0]["segmentations"][t]), masks[0][0, t])


def test_tracks_are_scored_too_where_annotations_exist(vis_file, track_video, run_metric, archive):
    sample, masks = track_video(5)
    segmentations = [coco_mask.encode(np.asfortranarray(mask)) for mask in masks[0]]
    track = {
        "id": 1,
        "video_id": 5,
        "category_id": 9,
        "iscrowd": 0,
        "areas": [9] * FRAMES,
        "bboxes": [[2, 1, 3, 3]] * FRAMES,
        "segmentations": [{**m, "counts": m["counts"].decode()} for m in segmentations],
    }
    config = {"type": "omgseg.YouTubeVISMetric", "ann_file": vis_file(annotations=[track])}
    scored = run_metric(config, [sample])
    assert scored["youtube_vis/AP"] == pytest.approx(100)
    both = run_metric({**config, "submission": str(archive)}, [sample])
    assert both == {**scored, "youtube_vis/videos": 1} and archive.is_file()


def test_no_track_at_all(vis_file, run_metric, make_sample, make_video, archive):
    empty = InstanceData(
        instances_id=torch.zeros(0), labels=torch.zeros(0, dtype=torch.int64), scores=torch.zeros(0), masks=[]
    )
    frames = [make_sample() for _ in range(FRAMES)]
    for frame in frames:
        frame.pred_track_instances = empty
    config = {"type": "omgseg.YouTubeVISMetric", "ann_file": vis_file(), "submission": str(archive)}
    run_metric(config, [make_video(frames, video_id=5)])
    assert json.loads(zipfile.ZipFile(archive).read("results.json")) == []


def test_wrong_tracks_are_not_submitted(vis_file, track_video, run_metric, archive):
    sample, _ = track_video(5)
    sample.video_data_samples = sample.video_data_samples[:3]
    config = {"type": "omgseg.YouTubeVISMetric", "ann_file": vis_file(), "submission": str(archive)}
    with pytest.raises(ValueError, match="video 5 have 3 frames, the ground truth 4"):
        run_metric(config, [sample])
    assert not archive.exists()


@pytest.fixture
def object_video(make_sample, make_video, tmp_path):
    """A video with maps of two objects, and the masks of its first `annotated` frames."""

    def make(video_id, annotated=FRAMES, highest=2):
        frames, maps = [], np.zeros((FRAMES, HEIGHT, WIDTH), np.int32)
        maps[:, 1:4, 1:4], maps[2:, 5] = 1, highest
        for t in range(FRAMES):
            metainfo = {"img_path": str(tmp_path / "img" / video_id / f"{7 * t:05}.jpg")}
            if t < annotated:
                metainfo["seg_map_path"] = str(tmp_path / "seg" / video_id / f"{t}.png")
                write_png(metainfo["seg_map_path"], maps[2].astype(np.uint8))
            frames.append(make_sample({"pred_vos_seg": maps[t]}, **metainfo))
        return make_video(frames, video_id=video_id), maps

    return make


def check_maps(archive, prefix, expected):
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == [
            f"{prefix}{v}/{7 * t:05}.png" for v in sorted(expected) for t in range(FRAMES)
        ]
        for video, maps in expected.items():
            for t in range(FRAMES):
                image = Image.open(opened.open(f"{prefix}{video}/{7 * t:05}.png"))
                assert image.mode == "P"
                assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
                np.testing.assert_array_equal(np.asarray(image), maps[t])


def test_davis_submission(object_video, run_metric, archive):
    config = {"type": "omgseg.DavisMetric", "submission": str(archive)}
    (judo, maps), (bike, other) = object_video("judo"), object_video("bike")
    scored = run_metric({"type": "omgseg.DavisMetric"}, [judo, bike])
    assert run_metric(config, [judo, bike]) == {**scored, "davis/videos": 2}
    check_maps(archive, "", {"judo": maps, "bike": other})
    assert files_of(archive.parent) == ["results.zip"], "collected files must not stay"


def test_davis_without_public_masks(object_video, run_metric, archive):
    samples = [object_video(name, annotated=1)[0] for name in ("judo", "bike")]
    match = r"video '(judo|bike)': 1 of 3 evaluated frames have ground truth.*submission='results\.zip'"
    with pytest.raises(ValueError, match=match):
        run_metric({"type": "omgseg.DavisMetric"}, samples)
    config = {"type": "omgseg.DavisMetric", "submission": str(archive)}
    assert run_metric(config, samples) == {"davis/videos": 2}


def test_youtube_vos_submission(object_video, run_metric, archive):
    sample, maps = object_video("0062f687f1", annotated=1)
    config = {"type": "omgseg.YouTubeVOSMetric", "submission": str(archive)}
    assert run_metric(config, [sample]) == {"youtube_vos/videos": 1}
    check_maps(archive, "Annotations/", {"0062f687f1": maps})


def test_an_old_submission_stays_until_the_new_one_is_complete(object_video, run_metric, archive):
    archive.parent.mkdir()
    archive.write_text("old")
    config = {"type": "omgseg.YouTubeVOSMetric", "submission": str(archive)}
    with pytest.raises(ValueError, match="object number 300 does not fit"):
        run_metric(config, [object_video("a")[0], object_video("b", highest=300)[0]])
    assert archive.read_text() == "old"
    run_metric(config, [object_video("a")[0]])
    check_maps(archive, "Annotations/", {"a": object_video("a")[1]})


def test_files_of_other_processes_must_be_visible(archive):
    submission = MapSubmission(archive)
    names = submission.add("a", [("0", np.zeros((2, 2), np.int32))])
    (submission.parts / names[0]).unlink()
    with pytest.raises(FileNotFoundError, match=r"a/0\.png was written by another process.*machines share"):
        submission.pack(names)
    assert not archive.exists()


@pytest.mark.parametrize("metric", [DavisMetric, YouTubeVOSMetric])
def test_servers_take_zip_files_only(metric):
    with pytest.raises(ValueError, match=r"submission='results\.json' must be the name of a \.zip file"):
        metric(submission="results.json")


def test_palette_is_that_of_the_official_masks(real_samples_dir):
    path = next(Path(real_samples_dir / "DAVIS" / "Annotations").rglob("*.png"))
    assert Image.open(path).getpalette() == davis_palette().ravel().tolist()


@pytest.mark.parametrize("video", ["../../outside", "/tmp/outside", "..", "a\nb", "x" * 300])
def test_names_of_a_hostile_file_stay_inside(tmp_path, video):
    submission = MapSubmission(tmp_path / "inner" / "sub.zip")
    names = submission.add(
        video, [("../frame", np.zeros((2, 2), np.uint8)), ("00001", np.zeros((2, 2), np.uint8))]
    )
    submission.pack(names)
    with zipfile.ZipFile(tmp_path / "inner" / "sub.zip") as archive:
        written = archive.namelist()
    assert written == names and written[1].endswith("/00001.png")
    assert all(len(Path(name).parts) == 2 and ".." not in Path(name).parts for name in written)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "inner" / "sub.zip"]
