"""Result files, read by the tools that they are meant for."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from omgseg.apis import ResultFiles, read_input
from omgseg.evaluation.functional.coco_panoptic import PanopticAnnotations
from omgseg.structures import Category, Vocabulary
from omgseg.structures.panoptic_png import decode_panoptic_png
from omgseg.structures.png import read_index_png

ALL = ("panoptic", "instance", "semantic")


@pytest.fixture
def written(seg, photo, video, tmp_path):
    """The folder, and the samples of a photo and of a video."""
    folder = tmp_path / "out"
    files = ResultFiles(folder, seg.vocabulary)
    samples = []
    for source in (photo, video):
        clip = read_input(source)
        samples.append(seg(clip, ALL))
        files.add(clip.name, clip, samples[-1])
    listed = files.finish()
    assert {file.name for file in listed} == {
        "vocabulary.json",
        "panoptic.json",
        "instances.json",
        "tracks.json",
    }
    return folder, *samples


def test_vocabulary(written, seg):
    assert Vocabulary.load(written[0] / "vocabulary.json") == seg.vocabulary


def test_panoptic_is_coco(written):
    folder, image, video = written
    annotations = PanopticAnnotations(folder / "panoptic.json", folder / "panoptic")
    frames = [image, *video.video_data_samples]
    for image_id, frame in enumerate(frames, 1):
        ids = annotations.load(image_id)[0]
        panoptic = frame.pred_panoptic_seg.sem_seg[0].numpy()
        assert np.array_equal(ids > 0, panoptic != 4)
        assert np.array_equal(np.unique(ids[ids > 0]) - 1, np.unique(panoptic[panoptic != 4]))
    content = json.loads((folder / "panoptic.json").read_text())
    assert [entry["file_name"] for entry in content["annotations"]] == [
        "photo.png",
        *(f"clip/{number}.png" for number in range(7, 12)),
    ]
    for entry in content["annotations"]:
        ids = decode_panoptic_png(folder / "panoptic" / entry["file_name"])
        assert entry["segments_info"]
        for segment in entry["segments_info"]:
            mask = ids == segment["id"]
            y, x = np.nonzero(mask)
            assert segment["area"] == mask.sum()
            assert segment["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
    assert [image.get("frame_id") for image in content["images"]] == [None, 0, 1, 2, 3, 4]


def test_instances_are_coco(written):
    folder, image, _ = written
    coco = COCO(str(folder / "instances.json"))
    found = image.pred_instances
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert len(annotations) == len(coco.anns) == len(found) > 0
    for annotation, mask, label, score in zip(
        annotations, found.masks, found.labels, found.scores, strict=True
    ):
        assert np.array_equal(coco.annToMask(annotation).astype(bool), mask.numpy())
        assert annotation["area"] == mask.sum()
        assert annotation["category_id"] == label + 1
        assert annotation["score"] == pytest.approx(score.item(), abs=1e-5)


def test_tracks_are_youtube_vis(written):
    folder, _, video = written
    content = json.loads((folder / "tracks.json").read_text())
    (entry,) = content["videos"]
    assert (entry["length"], entry["width"], entry["height"]) == (5, 140, 90)
    assert entry["file_names"][0].endswith("clip/7.png")
    assert len(content["annotations"]) == len(video[0].pred_track_instances) > 0
    for row, track in enumerate(content["annotations"]):
        for frame, segmentation, area in zip(
            video.video_data_samples, track["segmentations"], track["areas"], strict=True
        ):
            mask = coco_mask.decode(frame.pred_track_instances.masks[row])
            assert (segmentation is None) == (area is None) == (not mask.any())
            if segmentation is not None:
                assert np.array_equal(coco_mask.decode(segmentation), mask)


def test_semantic_maps(written):
    folder, image, video = written
    for file, frame in (("photo.png", image), ("clip/9.png", video[2])):
        assert np.array_equal(
            read_index_png(folder / "semantic" / file), frame.pred_sem_seg.sem_seg[0].numpy()
        )


def test_ids_of_the_vocabulary_are_kept(seg, photo, tmp_path):
    words = Vocabulary([Category("dog", id=18), Category("truck", id=8), Category("sky", False, id=187)])
    clip = read_input(photo)
    sample = seg(clip, ("panoptic", "instance"), words)
    files = ResultFiles(tmp_path, words)
    files.add("photo", clip, sample)
    files.finish()
    content = json.loads((tmp_path / "panoptic.json").read_text())
    assert {category["id"] for category in content["categories"]} == {18, 8, 187}
    labels = sample.pred_panoptic_seg.sem_seg.unique() % 1000
    expected = {words[label].id for label in labels.tolist() if label < 3}
    assert {s["category_id"] for s in content["annotations"][0]["segments_info"]} == expected != set()


def test_prompts(seg, photo, tmp_path):
    clip = read_input(photo)
    files = ResultFiles(tmp_path, Vocabulary())
    sample = seg(clip, "interactive", points=[(50, 40), (100, 80)])
    files.add("photo", clip, sample)
    files.add("boxes", clip, seg(clip, "interactive", boxes=[(1, 2, 30.5, 40)]))
    (file,) = files.finish()
    first, second, third = json.loads(file.read_text())["annotations"]
    assert (first["point"], second["point"], third["box"]) == ([50, 40], [100, 80], [1, 2, 30.5, 40])
    mask = coco_mask.decode(first["segmentation"])
    assert np.array_equal(mask.astype(bool), sample.pred_instances.masks[0].numpy())


def test_objects_of_a_video(seg, video, tmp_path):
    objects = np.zeros((90, 140), np.uint8)
    objects[20:60, 30:70] = 200
    clip = read_input(video)
    sample = seg(clip, "vos", first_mask=objects)
    ResultFiles(tmp_path, seg.vocabulary).add("clip", clip, sample)
    stored = torch.from_numpy(read_index_png(tmp_path / "vos" / "clip" / "7.png"))
    assert torch.equal(stored, sample[0].pred_vos_seg.sem_seg[0].int())
