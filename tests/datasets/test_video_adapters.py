"""VSPW, OVIS and YouTube-VOS in their official formats."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from omgseg.datasets import OVISDataset, VSPWDataset, YouTubeVOSDataset, load_vocabulary
from omgseg.registry import TRANSFORMS
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import VOID_CLASS, read_vspw_mask, write_png, write_vspw_mask

HEIGHT, WIDTH = 40, 60
LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
FIRST_MASKS = [LOAD[0], dict(type="LoadSegments", first_masks_only=True), LOAD[2]]
IMAGES = [LOAD[0], LOAD[2]]


def write_frame(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.stem)).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.imwrite(str(path), noise)


def frames_of(dataset, index=0):
    return dataset[index]["data_samples"].video_data_samples


@pytest.fixture
def vspw_config(tmp_path):
    """Two videos of 3 frames: sky (29 in the file), a person (61) moving right, rows of 0 and of 255."""
    for video in ("1_a", "2_b"):
        for t in range(3):
            write_frame(tmp_path / "data" / video / "origin" / f"{t:08d}.jpg")
            numbers = np.full((HEIGHT, WIDTH), 29, np.uint8)
            numbers[0], numbers[1] = 0, 255
            numbers[10:20, 10 * t : 10 * t + 10] = 61
            write_png(tmp_path / "data" / video / "mask" / f"{t:08d}.png", numbers)
    (tmp_path / "val.txt").write_text("1_a\n2_b\n")
    return dict(data_root=str(tmp_path), ann_file="val.txt", data_prefix=dict(img="data/"))


def test_vspw(vspw_config):
    dataset = VSPWDataset(**vspw_config, pipeline=LOAD)
    assert len(dataset) == 2 and dataset.vocabulary == load_vocabulary("vipseg")
    for t, frame in enumerate(frames_of(dataset, 1)):
        assert frame.video_id == "2_b" and frame.tasks == ("semantic",) and frame.source == "vspw"
        assert frame.seg_map_path.endswith(f"data/2_b/mask/{t:08d}.png")
        gt = frame.gt_instances
        assert [dataset.vocabulary[label].name for label in gt.labels] == ["sky", "person"]
        assert not gt.masks[:, :2].any() and gt.masks[:, 2:].any(0).all()
        assert gt.masks[1].sum() == 100 and gt.masks[1, 15, 10 * t + 5]


def test_vspw_numbers(tmp_path, vspw_config):
    path = tmp_path / "data/1_a/mask/00000001.png"
    classes = np.array([[0, 123, VOID_CLASS]])
    write_vspw_mask(path, classes)
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tolist() == [[1, 124, 255]]
    assert np.array_equal(read_vspw_mask(path), classes)
    write_png(path, np.full((HEIGHT, WIDTH), 125, np.uint8))
    with pytest.raises(
        ValueError, match=r"00000001.png: 125 is not a number of a VSPW mask .*README.md#vspw"
    ):
        VSPWDataset(**vspw_config, pipeline=LOAD)[0]


def test_vspw_videos_without_masks_can_be_tested_only(vspw_config, tmp_path):
    shutil.rmtree(tmp_path / "data/1_a/mask")
    dataset = VSPWDataset(**vspw_config, pipeline=IMAGES, test_mode=True)
    assert "seg_map_path" not in frames_of(dataset)[0]
    with pytest.raises(FileNotFoundError, match=r"data/1_a/mask not found; see data/README.md#vspw"):
        VSPWDataset(**vspw_config)
    shutil.rmtree(tmp_path / "data/2_b/origin")
    with pytest.raises(FileNotFoundError, match=r"data/2_b/origin not found; see data/README.md#vspw"):
        VSPWDataset(**vspw_config, test_mode=True)


@pytest.fixture
def ovis_config(tmp_path):
    """A video of 2 frames with a bird in the second."""
    names = [f"clip/img_{t:07d}.jpg" for t in (1, 2)]
    for name in names:
        write_frame(tmp_path / "train" / name)
    mask = {"size": [HEIGHT, WIDTH], "counts": [0, 50, HEIGHT * WIDTH - 50]}
    video = {"id": 1, "width": WIDTH, "height": HEIGHT, "length": 2, "file_names": names}
    track = {"id": 4, "video_id": 1, "category_id": 2, "iscrowd": 0, "segmentations": [None, mask]}
    categories = [{"id": 1, "name": "Person"}, {"id": 2, "name": "Bird"}]
    content = {"videos": [video], "annotations": [track], "categories": categories}
    (tmp_path / "annotations_train.json").write_text(json.dumps(content))
    (tmp_path / "annotations_valid.json").write_text(json.dumps({**content, "annotations": None}))
    return dict(data_root=str(tmp_path), data_prefix=dict(img="train/"))


def test_ovis(ovis_config):
    config = dict(ann_file="annotations_train.json", vocabulary="ovis", pipeline=LOAD, **ovis_config)
    first, second = frames_of(OVISDataset(**config))
    assert second.img_path.endswith("train/clip/img_0000002.jpg") and second.source == "ovis"
    assert first.gt_instances.labels.tolist() == second.gt_instances.labels.tolist() == [1]
    assert not first.gt_instances.masks.any() and second.gt_instances.masks.sum() == 50


def test_ovis_without_annotations_can_be_tested_only(ovis_config):
    config = dict(ann_file="annotations_valid.json", vocabulary="ovis", pipeline=IMAGES, **ovis_config)
    assert len(frames_of(OVISDataset(**config, test_mode=True))) == 2
    with pytest.raises(ValueError, match=r"annotations_valid.json: 'annotations' is empty, .*README.md#ovis"):
        OVISDataset(**config)


OVIS_ALONE = {
    "coco_panoptic": "poultry giant_panda lizard parrot monkey rabbit tiger fish turtle",
    "youtube_vis_2019": "bird sheep poultry bicycle vehicle",
    "youtube_vis_2021": "sheep poultry bicycle",
}


@pytest.mark.parametrize("name", OVIS_ALONE)
def test_ovis_words_meet_those_of_the_other_datasets(name):
    ovis, other = load_vocabulary("ovis"), load_vocabulary(name)
    assert [category.id for category in ovis] == list(range(1, 26))
    alone = [c.name for c, shared in zip(ovis, ovis.shares_word_with(other), strict=True) if not shared]
    assert " ".join(alone) == OVIS_ALONE[name]
    merged, maps = Vocabulary.merge([other, ovis])
    assert len(merged) == len(other) + len(alone)
    assert len(set(maps[0].tolist()[:-1])) == len(other), "a wide word joins two categories"


class YouTubeVOSFiles:
    """A video of 6 frames: object 1 is given in frame 1, object 3 in frame 4, whose mask repeats object 1 at
    another place. Frame 0 has no object, the mask of frame 5 none that is new."""

    def __init__(self, root):
        self.root = root
        self.objects = {1: (0, 10), 3: (20, 30)}
        for t in range(6):
            write_frame(root / "valid/JPEGImages/clip" / f"{5 * t:05d}.jpg")
        self.write_mask(1, {1: (0, 10)})
        self.write_mask(4, {1: (40, 50), 3: (20, 30)})
        self.write_mask(5, {3: (30, 40)})
        objects = {
            "1": {"category": "dog", "frames": ["00005"]},
            "3": {"category": "cat", "frames": ["00020"]},
        }
        self.write_meta({"videos": {"clip": {"objects": objects}}})

    def write_mask(self, t, columns):
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        for index, span in columns.items():
            ids[5:15, slice(*span)] = index
        write_png(self.root / "valid/Annotations/clip" / f"{5 * t:05d}.png", ids)

    def write_meta(self, content):
        (self.root / "valid/meta.json").write_text(json.dumps(content))

    @property
    def config(self):
        prefix = dict(img="valid/JPEGImages/", seg="valid/Annotations/")
        settings = dict(ann_file="valid/meta.json", data_prefix=prefix, test_mode=True)
        return dict(data_root=str(self.root), pipeline=FIRST_MASKS, **settings)


@pytest.fixture
def vos_files(tmp_path):
    return YouTubeVOSFiles(tmp_path)


def test_youtube_vos_gives_each_object_by_its_first_mask(vos_files):
    frames = frames_of(YouTubeVOSDataset(**vos_files.config))
    assert [t for t, frame in enumerate(frames) if "gt_instances" in frame] == [1, 4]
    early, late = (frames[t].gt_instances for t in (1, 4))
    for gt in (early, late):  # rows are objects
        assert gt.instances_ids.tolist() == [1, 3] and gt.labels.tolist() == [-1, -1]
    assert early.masks[0].nonzero().amax(0).tolist() == [14, 9] and not early.masks[1].any()
    assert late.masks[1].nonzero().amin(0).tolist() == [5, 20]
    assert not late.masks[0].any(), "later ground truth"
    assert frames[0].tasks == ("vos",) and frames[0].video_length == 6


def test_youtube_vos_at_the_full_frame_rate(vos_files):
    for t in range(26):
        write_frame(vos_files.root / "valid_all_frames/JPEGImages/clip" / f"{t:05d}.jpg")
    config = vos_files.config
    config["data_prefix"]["img"] = "valid_all_frames/JPEGImages/"
    frames = frames_of(YouTubeVOSDataset(**config))
    assert [t for t, frame in enumerate(frames) if "gt_instances" in frame] == [5, 20]


def test_youtube_vos_mistakes(vos_files):
    root = vos_files.root / "valid/Annotations/clip"
    for t in (4, 5):
        (root / f"{5 * t:05d}.png").unlink()
    vos_files.write_mask(1, {})
    with pytest.raises(
        ValueError, match=r"'clip': none of its masks holds an object; .*README.md#youtube-vos"
    ):
        YouTubeVOSDataset(**vos_files.config)[0]
    (root / "00005.png").rename(root / "5.png")
    with pytest.raises(FileNotFoundError, match=r"clip: no mask in .* the name of one of its 6 frames"):
        YouTubeVOSDataset(**vos_files.config)
    vos_files.write_meta({"clip": {}})
    with pytest.raises(ValueError, match=r"meta.json has no field 'videos'; see data/README.md#youtube-vos"):
        YouTubeVOSDataset(**vos_files.config)


def test_the_two_ways_to_read_given_masks_exclude_each_other():
    with pytest.raises(ValueError, match="one of first_frame_only and first_masks_only"):
        TRANSFORMS.build(dict(type="LoadSegments", first_frame_only=True, first_masks_only=True))


def test_frames_without_new_objects_cost_no_memory(vos_files):
    dataset = YouTubeVOSDataset(**{**vos_files.config, "pipeline": FIRST_MASKS[:2]})
    masks = dataset[0]["gt_masks"]
    assert masks.shape == (2, 2, HEIGHT, WIDTH)
    assert torch.from_numpy(masks).any(-1).any(-1).tolist() == [[True, False], [False, True]]
