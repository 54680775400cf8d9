"""Folders of classified images."""

import cv2
import numpy as np
import pytest
import torch

from omgseg.datasets import ImageFolderDataset, JointDataset
from omgseg.datasets.checking import DatasetFiles, check_sources
from omgseg.datasets.problems import ProblemKind

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
SIZES = {"gold fish/a.JPEG": (20, 30), "gold fish/b.png": (40, 24), "tench/a.jpg": (16, 16)}


def write(path, height, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    path.write_bytes(cv2.imencode(".png" if path.suffix == ".png" else ".jpg", pixels)[1].tobytes())


@pytest.fixture
def root(tmp_path):
    for name, size in SIZES.items():
        write(tmp_path / "images" / name, *size)
    (tmp_path / "images" / "readme.txt").write_text("not a folder")
    (tmp_path / "images" / "tench" / "notes.txt").write_text("not an image")
    return tmp_path


def build(root, pipeline=LOAD, **fields):
    return ImageFolderDataset(
        data_root=str(root), data_prefix=dict(img="images/"), pipeline=pipeline, **fields
    )


def test_the_whole_image_is_the_box(root):
    dataset = build(root)
    assert dataset.vocabulary.names == ["gold fish", "tench"] and len(dataset) == 3
    samples = [dataset[index]["data_samples"] for index in range(3)]
    assert [sample.gt_instances.labels.tolist() for sample in samples] == [[0], [0], [1]]
    for sample, (height, width) in zip(samples, SIZES.values(), strict=True):
        assert sample.gt_instances.bboxes.tolist() == [[0, 0, width, height]]
        assert "masks" not in sample.gt_instances


def test_the_box_goes_with_resizing_and_flips(root):
    steps = [*LOAD[:2], dict(type="Resize", masks=True), dict(type="RandomFlip", prob=1.0), LOAD[2]]
    sample = build(root, steps, image_size=(60, 60))[0]["data_samples"]
    assert sample.gt_instances.bboxes.tolist() == [[0, 0, 60, 40]]


def test_a_file_has_better_words(root):
    (root / "words.txt").write_text("tench tench, Tinca tinca\n\ngold fish, goldfish\n")
    with pytest.raises(FileNotFoundError, match="images/gold not found"):
        build(root, ann_file="words.txt")
    (root / "images" / "gold fish").rename(root / "images" / "n1")
    (root / "words.txt").write_text("n1 goldfish, Carassius auratus\ntench tench, Tinca tinca\n")
    dataset = build(root, ann_file="words.txt")
    assert [category.words for category in dataset.vocabulary] == [
        ("goldfish", "carassius auratus"),
        ("tench", "tinca tinca"),
    ]


def test_classes_that_share_a_word_are_one(root):
    (root / "images" / "gold fish").rename(root / "images" / "n1")
    (root / "words.txt").write_text("n1 crane\ntench crane, bird\n")
    dataset = build(root, ann_file="words.txt")
    assert dataset.vocabulary.names == ["crane"]
    assert {int(dataset[index]["data_samples"].gt_instances.labels) for index in range(3)} == {0}


def test_it_is_a_source_of_a_joint_dataset(root):
    write(root / "more" / "tench" / "c.jpg", 8, 8)
    more = dict(type="ImageFolderDataset", data_root=str(root), data_prefix=dict(img="more/"), pipeline=LOAD)
    joint = JointDataset(dict(first=build(root), second=more))
    assert joint.vocabulary.names == ["gold fish", "tench"]
    assert joint[3]["data_samples"].gt_instances.labels.tolist() == [1]
    assert joint[3]["data_samples"].source == "second"


def test_unreadable_images_are_skipped_and_counted(root, caplog):
    for number in range(100):
        write(root / "images" / "tench" / f"more{number}.jpg", 8, 8)
    broken = root / "images" / "gold fish" / "a.JPEG"
    broken.write_bytes(broken.read_bytes()[:100])
    dataset = build(root)
    sample = dataset[0]["data_samples"]
    assert sample.img_path.endswith("b.png") and dataset._broken == {0}
    (root / "images" / "gold fish" / "b.png").write_bytes(b"no image")
    with pytest.raises(OSError, match=r"2 of 103 samples of image_folder cannot be read"):
        dataset[1]


def test_a_check_lists_all_that_is_wrong(root):
    broken = root / "images" / "tench" / "a.jpg"
    broken.write_bytes(b"no image")
    (root / "images" / "unpacked later").mkdir()
    config = dict(type="ImageFolderDataset", data_root=str(root), data_prefix=dict(img="images/"))
    (report,) = check_sources([DatasetFiles("classes", config)], workers=0, progress=False).sources
    assert report.samples == report.checked == 3
    assert set(report.problems) == {ProblemKind.UNREADABLE, ProblemKind.MISSING}
    (text,) = report.problems[ProblemKind.MISSING]
    assert "unpacked later has no images" in text


@pytest.mark.parametrize(
    "words, error",
    [
        ("tench\n", r"words\.txt: the line 'tench' is not a folder, a space, and words"),
        ("tench ,\n", r"the line 'tench ,' is not"),
        ("\n", "lists no classes"),
        ("n99 bird\n", "n99 not found"),
    ],
)
def test_wrong_words_are_named(root, words, error):
    (root / "words.txt").write_text(words)
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        build(root, ann_file="words.txt")


def test_wrong_folders_are_named(root, tmp_path):
    with pytest.raises(ValueError, match="its classes are its folders, it takes no vocabulary"):
        build(root, vocabulary="coco_panoptic")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty has no folders of classes"):
        ImageFolderDataset(data_root=str(tmp_path), data_prefix=dict(img="empty"))
    (root / "images" / "nothing").mkdir()
    with pytest.raises(FileNotFoundError, match=r"nothing has no images \(\.jpg"):
        build(root)


def test_labels_are_numbers_of_torch(root):
    assert build(root)[2]["data_samples"].gt_instances.labels.dtype == torch.int64
