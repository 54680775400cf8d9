"""omgseg label --format: panoptic maps of images, and tracks of videos."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from omgseg.structures.label_png import decode_panoptic_png
from omgseg.visualization import VideoWriter
from tests.fakes import moving_square

ANY_SCORE = ["--min-score", "0"]


@pytest.fixture
def label(run, model):
    """``label(source, out, format, ...)``: returns the exit status, standard output and standard error."""
    return lambda source, out, form, *more: run(
        "label", source, "--out", out, "--format", form, *model, *ANY_SCORE, *more
    )


def contents(out):
    """All files that a run has written, but for the journals."""
    files = [out, *sorted(out.with_suffix("").glob("**/*.png"))]
    return {str(file.relative_to(out.parent)).replace(out.stem, "out"): file.read_bytes() for file in files}


def test_images_become_maps(label, photos, tmp_path):
    out = tmp_path / "maps.json"
    status, lines, error = label(photos, out, "panoptic")
    assert status == 0, error
    content = json.loads(out.read_text())
    assert [image["file_name"] for image in content["images"]] == ["1.png", "10.png", "more/2.png"]
    assert content["info"]["task"] == "panoptic" and content["info"]["unreadable"] == []
    for annotation in content["annotations"]:
        ids = decode_panoptic_png(tmp_path / "maps" / annotation["file_name"])
        segments = annotation["segments_info"]
        assert {segment["id"] for segment in segments} == set(np.unique(ids)) - {0}
        assert [segment["area"] for segment in segments] == [
            (ids == segment["id"]).sum() for segment in segments
        ]
        assert all(0 <= segment["score"] <= 1 for segment in segments)
    count = sum(len(annotation["segments_info"]) for annotation in content["annotations"])
    assert f"{count} segments in 3 images" in lines and count


def test_maps_have_stuff(label, photos, tmp_path):
    assert label(photos, tmp_path / "maps.json", "panoptic", "--stuff", "green")[0] == 0
    content = json.loads((tmp_path / "maps.json").read_text())
    (green,) = (entry["id"] for entry in content["categories"] if entry["name"] == "green")
    used = {segment["category_id"] for one in content["annotations"] for segment in one["segments_info"]}
    assert green in used


def test_shards_make_the_same_maps(label, run, photos, tmp_path):
    one, out = tmp_path / "one.json", tmp_path / "two.json"
    assert label(photos, one, "panoptic")[0] == 0
    for shard in ("1/2", "2/2"):
        assert label(photos, out, "panoptic", "--shard", shard)[0] == 0
    assert run("label", "--merge", "--out", out)[0] == 0
    assert contents(out) == contents(one)
    out.unlink()
    status, _, error = run("label", "--merge", "--out", out)
    assert status == 2 and "for the maps" in error and "--overwrite" in error
    assert run("label", "--merge", "--out", out, "--overwrite")[0] == 0


def test_maps_of_added_images_join_the_others(label, photos, tmp_path):
    out = tmp_path / "maps.json"
    assert label(photos, out, "panoptic")[0] == 0
    shutil.copy(photos / "1.png", photos / "4.png")
    status, _, error = label(photos, out, "panoptic")
    assert status == 0 and "3 of them already labelled" in error
    assert label(photos, tmp_path / "new.json", "panoptic")[0] == 0
    assert contents(out) == contents(tmp_path / "new.json")


def test_maps_never_replace_images(label, photos, tmp_path):
    before = (photos / "1.png").read_bytes()
    status, _, error = label(photos, photos.with_suffix(".json"), "panoptic", "--overwrite")
    assert status == 2 and "would be written among the images" in error
    (tmp_path / "mine").mkdir()
    status, _, error = label(photos, tmp_path / "mine.json", "panoptic")
    assert status == 2 and "mine, for the maps of" in error
    status, _, error = label(photos, tmp_path / "maps", "panoptic")
    assert status == 2 and "ends in .json" in error
    assert (photos / "1.png").read_bytes() == before
    assert not list(tmp_path.glob("*.parts")) and not list((tmp_path / "mine").iterdir())


@pytest.fixture
def videos(tmp_path):
    """A video file, and a folder of frames in a sub-folder."""
    folder = tmp_path / "videos"
    (folder / "more" / "frames").mkdir(parents=True)
    frames = moving_square(5)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / "more" / "frames" / f"{number:03d}.png")
    with VideoWriter(folder / "clip.mp4", 10) as film:
        for frame in frames[:3]:
            film.add(frame)
    return folder


def test_videos_become_tracks(label, videos, tmp_path):
    status, lines, error = label(videos, tmp_path / "tracks.json", "youtube-vis")
    assert status == 0, error
    content = json.loads((tmp_path / "tracks.json").read_text())
    assert [(video["length"], video["file_names"][0]) for video in content["videos"]] == [
        (3, "clip/00000"),
        (5, "more/frames/000.png"),
    ]
    assert {track["video_id"] for track in content["annotations"]} == {1, 2}
    assert all(0 <= track["score"] <= 1 for track in content["annotations"])
    assert f"{len(content['annotations'])} tracks in 2 videos" in lines


def test_shards_make_the_same_tracks(label, run, videos, tmp_path):
    for number in range(3):
        shutil.copytree(videos / "more" / "frames", videos / f"v{number}")
    one, out = tmp_path / "one.json", tmp_path / "two.json"
    assert label(videos, one, "youtube-vis")[0] == 0
    for shard in ("1/2", "2/2"):
        assert label(videos, out, "youtube-vis", "--shard", shard)[0] == 0
    assert run("label", "--merge", "--out", out)[0] == 0
    assert out.read_bytes() == one.read_bytes()


def test_broken_videos_are_counted_and_tried_again(label, videos, tmp_path):
    film = (videos / "clip.mp4").read_bytes()
    (videos / "clip.mp4").write_bytes(b"no video")
    status, _, error = label(videos, tmp_path / "tracks.json", "youtube-vis")
    assert status == 1 and "1 videos could not be read and were skipped: clip.mp4" in error
    (videos / "clip.mp4").write_bytes(film)
    status, _, error = label(videos, tmp_path / "tracks.json", "youtube-vis")
    assert status == 0 and "1 of them already labelled" in error
    assert len(json.loads((tmp_path / "tracks.json").read_text())["videos"]) == 2


def test_format_mistakes(label, photos, videos, tmp_path):
    out = tmp_path / "out.json"
    (tmp_path / "empty").mkdir()
    for source, form, more, message in (
        (
            photos,
            "panoptic",
            ["--task", "instance"],
            "--format panoptic holds the results of --task panoptic",
        ),
        (photos, "youtube-vis", ["--task", "semantic"], "--task instance or panoptic, not semantic"),
        (tmp_path / "empty", "youtube-vis", [], "has no videos"),
        (photos / "1.png", "youtube-vis", [], "1.png is not a video"),
        (tmp_path / "gone", "youtube-vis", [], "gone not found"),
    ):
        status, _, error = label(source, out, form, *more)
        assert status == 2 and message in error and len(error.splitlines()) == 1, error
    assert not list(tmp_path.glob("out*"))
    assert label(photos, out, "panoptic")[0] == 0
    status, _, error = label(photos, out, "coco")
    assert status == 2 and "was made with another format: panoptic, not coco" in error
