"""Files for other tools, read by those tools or by the metrics that are tested against the official ones."""

import json

import numpy as np
import pytest
from mmdet.evaluation.functional import YTVIS
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from omgseg.evaluation.functional.average_precision import evaluate_instances, evaluate_tracks
from omgseg.evaluation.functional.panoptic import PanopticAnnotations
from omgseg.evaluation.metrics import CocoPanopticMetric
from omgseg.inference.results import (
    CocoWriter,
    MaskWriter,
    PanopticWriter,
    SegmentationResult,
    VideoResult,
    YouTubeVISWriter,
)
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import davis_palette, decode_panoptic_png, read_index_png
from omgseg.structures.run_lengths import encode_masks
from tests.evaluation.whole import evaluate_files


def results_in(content):
    """A file with scores as the result list that evaluations take."""
    return [{key: a[key] for key in a if key not in ("id", "area", "bbox")} for a in content["annotations"]]


def test_coco_against_itself_is_perfect(instances, words, tmp_path):
    file = tmp_path / "out" / "coco.json"
    with CocoWriter(file, words, root=tmp_path) as writer:
        for name in ("a", "b"):
            writer.add(instances(path=tmp_path / "sub" / f"{name}.jpg"))
        assert not file.exists()
    coco = COCO(str(file))
    content = json.loads(file.read_text())
    assert [image["file_name"] for image in content["images"]] == ["sub/a.jpg", "sub/b.jpg"]
    assert {c["id"]: c["name"] for c in content["categories"]} == {
        17: "cat",
        4: "dog",
        187: "sky",
        90: "road",
    }
    values, _ = evaluate_instances(content, results_in(content))
    assert values["AP"] == 1
    (image,) = coco.loadImgs([2])
    assert (image["height"], image["width"]) == (48, 64)
    result = instances()
    for annotation, mask, score, box in zip(
        coco.loadAnns(coco.getAnnIds([2])), result.masks, result.scores, result.boxes, strict=True
    ):
        assert np.array_equal(coco.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == mask.sum() and np.float32(annotation["score"]) == score
        assert annotation["bbox"] == [*box[:2], *(box[2:] - box[:2])]


def test_coco_has_the_things_of_panoptic_results(panoptic):
    content = panoptic().to_coco()
    assert [a["category_id"] for a in content["annotations"]] == [17, 4]
    assert len(panoptic(task="semantic").to_coco()["annotations"]) == 4
    assert json.loads(json.dumps(content)) == content


def test_coco_without_classes(instances):
    content = instances(task="interactive", vocabulary=None, labels=[-1] * 3).to_coco()
    assert content["categories"] == [{"id": 1, "name": "object", "isthing": 1}]
    assert [a["category_id"] for a in content["annotations"]] == [1, 1, 1]
    mixed = instances(vocabulary=Vocabulary.from_names(["cat", "dog"]), labels=[1, -1, 0]).to_coco()
    assert [a["category_id"] for a in mixed["annotations"]] == [2, 3, 1]
    assert [c["id"] for c in mixed["categories"]] == [1, 2, 3]


def test_coco_of_a_video(film):
    content = film.to_coco()
    assert content["videos"] == [{"id": 1, "name": "film"}]
    assert [(i["video_id"], i["frame_id"]) for i in content["images"]] == [(1, t) for t in range(5)]
    dog = [a["image_id"] for a in content["annotations"] if a["instance_id"] == 7]
    assert dog == [1, 2, 4, 5]
    assert [a["id"] for a in content["annotations"]] == list(range(1, 10))


def test_panoptic_against_itself_is_perfect(panoptic, words, tmp_path):
    with PanopticWriter(tmp_path / "panoptic.json", words) as writer:
        for shift, name in ((0, "a"), (9, "b"), (3, "a")):
            writer.add(panoptic(shift, path=f"/photos/{name}.jpg"))
    files = PanopticAnnotations(tmp_path / "panoptic.json", tmp_path / "panoptic")
    assert sorted(path.name for path in (tmp_path / "panoptic").iterdir()) == ["a.png", "a_2.png", "b.png"]
    assert evaluate_files(files, files).mean() == {"pq": 1, "sq": 1, "rq": 1, "n": 4}
    ids, segments = files.load(2)
    assert np.array_equal(ids, panoptic(9).id_map)
    for segment in segments:
        y, x = np.nonzero(ids == segment["id"])
        assert segment["area"] == len(y)
        assert segment["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
    assert [s["category_id"] for s in segments] == [17, 4, 187, 90]
    CocoPanopticMetric(ann_file=str(files.ann_file), seg_prefix=str(files.seg_prefix))


def test_panoptic_of_overlapping_masks(instances, tmp_path):
    hidden = instances(rles=[instances().rles[0], instances().rles[0], instances().rles[2]])
    file = hidden.to_coco_panoptic(tmp_path)
    (annotation,) = json.loads(file.read_text())["annotations"]
    assert [s["id"] for s in annotation["segments_info"]] == [1, 3]
    assert np.array_equal(decode_panoptic_png(tmp_path / "panoptic" / "yard.png"), hidden.id_map)


def test_panoptic_of_a_video_keeps_identities(film, tmp_path):
    content = json.loads(film.to_coco_panoptic(tmp_path).read_text())
    names = [annotation["file_name"] for annotation in content["annotations"]]
    assert names == [f"film/{t:05d}.png" for t in range(5)]
    for frame, annotation in zip(film, content["annotations"], strict=True):
        assert np.array_equal(
            decode_panoptic_png(tmp_path / "panoptic" / annotation["file_name"]), frame.id_map
        )
        assert [s["id"] for s in annotation["segments_info"]] == frame.ids.tolist()


def test_youtube_vis_against_itself_is_perfect(film, words, tmp_path):
    other = VideoResult([frame.select([1]) for frame in film[:2]], name="other")
    with YouTubeVISWriter(tmp_path / "tracks.json", words) as writer:
        writer.add(film)
        writer.add(other)
    data = YTVIS(str(tmp_path / "tracks.json"))
    assert data.getCatIds(["dog"]) == [4] and sorted(data.getVidIds()) == [1, 2]
    content = json.loads((tmp_path / "tracks.json").read_text())
    values, _ = evaluate_tracks(content, film.to_youtube_vis() + other.to_youtube_vis(video_id=2))
    assert values["AP"] == 1
    cat, dog = (data.anns[number] for number in (1, 2))
    assert (cat["category_id"], dog["category_id"]) == (17, 4)
    assert dog["segmentations"][2] is dog["bboxes"][2] is dog["areas"][2] is None
    masks = [frame.masks[frame.ids == 7] for frame in film]
    for t in (0, 1, 3, 4):
        assert np.array_equal(coco_mask.decode(dog["segmentations"][t]).astype(bool), masks[t][0])
        assert dog["areas"][t] == masks[t].sum()
        y, x = np.nonzero(masks[t][0])
        assert dog["bboxes"][t] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]


def test_a_track_takes_the_class_that_most_of_its_frames_say(panoptic):
    frames = [
        panoptic(labels=[label, 1, 2, 3], scores=[score, 0.1, 1, 1]) for label, score in ((0, 0.9), (1, 0.3))
    ]
    (track, _) = VideoResult([*frames, frames[1]]).to_youtube_vis()
    assert track["category_id"] == 17 and track["score"] == pytest.approx(0.5)
    assert [t["category_id"] for t in VideoResult([frames[0], *frames[1:] * 4]).to_youtube_vis()] == [4, 4]


def test_the_best_track_comes_first(panoptic):
    tracks = VideoResult([panoptic(scores=[0.2, 0.8, 1, 1])] * 2).to_youtube_vis()
    assert [(track["category_id"], round(track["score"], 6)) for track in tracks] == [(4, 0.8), (17, 0.2)]


def test_label_pngs(panoptic, words, tmp_path):
    with MaskWriter(tmp_path, words, root="/photos") as writer:
        writer.add(panoptic(task="semantic", path="/photos/day/street.jpg"))
    labels = read_index_png(tmp_path / "day" / "street.png")
    expected = panoptic().label_map
    assert (expected == -1).any()
    assert np.array_equal(labels, np.where(expected == -1, 255, expected))
    assert Vocabulary.load(tmp_path / "vocabulary.json") == words


def test_many_labels_take_two_bytes(panoptic, tmp_path):
    many = Vocabulary.from_names([f"word {i}" for i in range(300)])
    with MaskWriter(tmp_path, many) as writer:
        writer.add(panoptic(vocabulary=many, labels=[299, 1, 2, 3]))
    assert set(np.unique(read_index_png(tmp_path / "street.png"))) == {1, 2, 3, 299, 65535}


def test_object_pngs(film, tmp_path):
    objects = VideoResult(
        [f.replace(task="vos", vocabulary=None, labels=[-1] * len(f), ids=f.ids % 98) for f in film],
        name="film",
    )
    with MaskWriter(tmp_path, Vocabulary()) as writer:
        writer.add(objects)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film"]
    image = Image.open(tmp_path / "film" / "00002.png")
    assert image.getpalette() == davis_palette().ravel().tolist()
    assert np.array_equal(np.asarray(image), objects[2].id_map)


@pytest.mark.parametrize("writer", [CocoWriter, PanopticWriter])
def test_an_error_leaves_no_file(panoptic, words, writer, tmp_path):
    with pytest.raises(ValueError, match=r"the result of 'street' has another vocabulary"):
        with writer(tmp_path / "out.json", words) as open_writer:
            open_writer.add(panoptic())
            open_writer.add(panoptic(vocabulary=Vocabulary.from_names("abcd")))
    assert not [path for path in tmp_path.iterdir() if path.is_file()]
    with pytest.raises(RuntimeError, match=r"out\.json: add results inside"):
        writer(tmp_path / "out.json", words).add(panoptic())


def test_a_writer_without_results_is_a_valid_file(words, tmp_path):
    with CocoWriter(tmp_path / "coco.json", words):
        pass
    assert COCO(str(tmp_path / "coco.json")).getImgIds() == []


def test_files_stay_in_the_folder(panoptic, words, tmp_path):
    folder = tmp_path / "out"
    with MaskWriter(folder, words) as writer:
        for path in ("../../etc/a.jpg", "/abs/b.jpg", "c.mp4"):
            writer.add(panoptic(path=path))
        writer.add(panoptic(name=""))
    pngs = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert pngs == ["a.png", "b.png", "c/street.png", "image.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


HOSTILE = ["../../escaped", "/tmp/absolute", "*", "a\nb", "x" * 255, "ü" * 200, "-rf", "", ".."]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out_of_the_folder(panoptic, film, words, name, tmp_path):
    folder = tmp_path / "out" / "here"
    video = VideoResult([frame.replace(name=name) for frame in film], name=name)
    with MaskWriter(folder / "masks", words) as masks, PanopticWriter(folder / "p.json", words) as maps:
        for writer in (masks, maps):
            writer.add(panoptic(name=name))
            writer.add(panoptic(path=f"{name}.jpg"))
            writer.add(video)
    VideoResult.load(video.save(folder / "film.json")).save(folder / "frames")
    apart = VideoResult([frame.replace(name=f"{name}{t}") for t, frame in enumerate(film)])
    VideoResult.load(apart.save(folder / "apart.json")).save(folder / "apart")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in folder.parent.iterdir()] == ["here"]
    written = {"masks", "p.json", "p", "film.json", "frames", "apart.json", "apart"}
    assert {path.name for path in folder.iterdir()} == written
    assert len([*(folder / "masks").rglob("*.png")]) == len([*(folder / "p").rglob("*.png")]) == 7
    assert len([*(folder / "frames").iterdir()]) == len([*(folder / "apart").iterdir()]) == 5
    listed = json.loads((folder / "p.json").read_text())["annotations"]
    assert all((folder / "p" / entry["file_name"]).is_file() for entry in listed)


def test_more_segments_than_a_byte_counts(words, tmp_path):
    masks = np.eye(300, dtype=bool)[:, None]
    result = SegmentationResult(
        "instance", (1, 300), encode_masks(masks), [0] * 300, [0.5] * 300, vocabulary=words
    )
    assert result.areas.tolist() == [1] * 300
    assert [entry["area"] for entry in result.to_coco()["annotations"]] == [1] * 300
    video = VideoResult([result.select([0])] * 300)
    with YouTubeVISWriter(tmp_path / "tracks.json", words) as writer:
        writer.add(video)
    (track,) = json.loads((tmp_path / "tracks.json").read_text())["annotations"]
    assert track["areas"] == [1] * 300
