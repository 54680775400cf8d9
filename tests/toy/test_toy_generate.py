"""The files of the toy data: official formats whose parts agree with each other."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api

from omgseg.structures import Vocabulary
from omgseg.structures.label_png import VOID_CLASS, decode_panoptic_png, read_index_png, read_vipseg_panomask
from omgseg.toy import TINY, generate
from omgseg.toy.categories import BASE_THINGS, NOVEL_THINGS, STUFF, VIPSEG_IDS
from omgseg.toy.world import SIZE


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("toy") / "data", seed=5, sizes=TINY)


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def test_equal_seeds_give_equal_files(root, tmp_path):
    assert digest(generate(tmp_path / "again", seed=5, sizes=TINY)) == digest(root)
    other = digest(generate(tmp_path / "other", seed=6, sizes=TINY))
    assert other["coco/train2017/000000000001.jpg"] != digest(root)["coco/train2017/000000000001.jpg"]


def test_existing_data_are_kept_or_replaced(tmp_path):
    folder, neighbour = tmp_path / "data", tmp_path / "data.tmp" / "mine.txt"
    neighbour.parent.mkdir()
    neighbour.write_text("precious")
    generate(folder, seed=0, sizes=TINY)
    image = folder / "coco/val2017/000000100001.jpg"
    stamp, content = image.stat().st_mtime_ns, image.read_bytes()
    generate(folder, seed=0, sizes=TINY)
    assert image.stat().st_mtime_ns == stamp
    generate(folder, seed=1, sizes=TINY)
    assert image.read_bytes() != content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "data.tmp"]
    assert neighbour.read_text() == "precious"


def test_foreign_folders_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="not toy data"):
        generate(tmp_path, sizes=TINY)
    assert (tmp_path / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize(
    "folder, split", [("coco", "train"), ("coco", "val"), ("coco_open_vocabulary", "val")]
)
def test_coco_panoptic(root, folder, split):
    annotations = root / folder / "annotations"
    data = read(annotations / f"panoptic_{split}2017.json")
    names = {category["id"]: category["name"] for category in data["categories"]}
    assert len(data["images"]) == len(data["annotations"]) > 0
    images = {image["id"]: image for image in data["images"]}
    for entry in data["annotations"]:
        image = images[entry["image_id"]]
        pixels = cv2.imread(str(root / folder / f"{split}2017" / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)
        ids = decode_panoptic_png(annotations / f"panoptic_{split}2017" / entry["file_name"])
        segments = {segment["id"]: segment for segment in entry["segments_info"]}
        assert set(np.unique(ids)) - {0} == set(segments)
        for number, segment in segments.items():
            ys, xs = np.nonzero(ids == number)
            assert segment["area"] == len(ys)
            x, y, width, height = segment["bbox"]
            assert (x, y, x + width, y + height) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            assert segment["category_id"] in names
    assert Vocabulary.from_dict(data).names == [category["name"] for category in data["categories"]]


def test_novel_categories_occur_in_the_open_vocabulary_sets_only(root):
    open_set = read(root / "coco_open_vocabulary/annotations/panoptic_val2017.json")
    names = {category["id"]: category["name"] for category in open_set["categories"]}
    assert set(names.values()) == {*BASE_THINGS, *NOVEL_THINGS, *STUFF}

    def used(data: dict) -> set[str]:
        return {names[s["category_id"]] for entry in data["annotations"] for s in entry["segments_info"]}

    assert set(NOVEL_THINGS) <= used(open_set)
    assert used(open_set) & set(BASE_THINGS)
    with_novel = {"coco_open_vocabulary", "ADEChallengeData2016", "youtube_vis_2021", "vocabularies"}
    with_novel.add("lvis_v1_val.json")
    for path in root.rglob("*.json"):
        if not with_novel & set(path.parts):
            assert not any(name in path.read_text() for name in NOVEL_THINGS), path


def test_coco_instances_equal_the_panoptic_segments(root):
    folder = root / "coco/annotations"
    panoptic, instances = read(folder / "panoptic_val2017.json"), read(folder / "instances_val2017.json")
    stuff_ids = {category["id"] for category in panoptic["categories"] if not category["isthing"]}
    assert stuff_ids and not stuff_ids & {category["id"] for category in instances["categories"]}
    expected = []
    for entry in panoptic["annotations"]:
        ids = decode_panoptic_png(folder / "panoptic_val2017" / entry["file_name"])
        expected += [
            (entry["image_id"], s["category_id"], s["area"], (ids == s["id"]).tobytes())
            for s in entry["segments_info"]
            if s["category_id"] not in stuff_ids
        ]
    found = [
        (
            a["image_id"],
            a["category_id"],
            a["area"],
            mask_api.decode(a["segmentation"]).astype(bool).tobytes(),
        )
        for a in instances["annotations"]
    ]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_youtube_vis(root, split):
    data = read(root / f"youtube_vis_2019/annotations/youtube_vis_2019_{split}.json")
    assert {category["name"] for category in data["categories"]} == set(BASE_THINGS)
    videos = {video["id"]: video for video in data["videos"]}
    assert len(videos) == 2
    for video in videos.values():
        assert len(video["file_names"]) == video["length"]
        folder = root / "youtube_vis_2019" / split / "JPEGImages"
        assert all(cv2.imread(str(folder / name)).shape == (SIZE, SIZE, 3) for name in video["file_names"])
    covered = {key: np.zeros((video["length"], SIZE, SIZE), int) for key, video in videos.items()}
    for track in data["annotations"]:
        length = videos[track["video_id"]]["length"]
        assert len(track["segmentations"]) == len(track["areas"]) == len(track["bboxes"]) == length
        for index, (rle, area, box) in enumerate(
            zip(track["segmentations"], track["areas"], track["bboxes"], strict=True)
        ):
            assert (rle is None) == (area is None) == (box is None)
            if rle is not None:
                assert mask_api.area(rle) == area > 0
                assert mask_api.toBbox(rle).tolist() == box
                covered[track["video_id"]][index] += mask_api.decode(rle)
        assert any(rle is not None for rle in track["segmentations"])
    assert all(count.max() == 1 for count in covered.values())


def test_vipseg_instances_keep_class_and_number(root):
    folder = root / "VIPSeg"
    categories = json.loads((folder / "panoVIPSeg_categories.json").read_text())
    is_thing = {category["id"]: category["isthing"] for category in categories}
    assert len(categories) == len(VIPSEG_IDS)
    assert len(Vocabulary.load(folder / "vocabulary.json")) == len(categories)
    for split in ("train", "val"):
        names = (folder / f"{split}.txt").read_text().split()
        assert len(names) == 2
        for name in names:
            images = sorted((folder / "imgs" / name).iterdir())
            masks = sorted((folder / "panomasks" / name).iterdir())
            assert [path.stem for path in images] == [path.stem for path in masks]
            class_of: dict[int, int] = {}
            for path in masks:
                classes, instances = read_vipseg_panomask(path)
                for number in np.unique(instances[instances > 0]):
                    (found,) = np.unique(classes[instances == number])
                    assert class_of.setdefault(int(number), int(found)) == found
                    assert is_thing[found]
                rest = np.unique(classes[instances == 0])
                assert all(number == VOID_CLASS or not is_thing[number] for number in rest)
            assert class_of


def test_davis_follows_the_objects_of_the_first_frame(root):
    folder = root / "DAVIS"
    names = (folder / "ImageSets/2017/val.txt").read_text().split()
    assert len(names) == 2
    for name in names:
        masks = [read_index_png(path) for path in sorted((folder / "Annotations/480p" / name).iterdir())]
        images = sorted((folder / "JPEGImages/480p" / name).iterdir())
        assert len(images) == len(masks) >= TINY.min_length
        first = np.unique(masks[0])
        assert first.tolist() == list(range(len(first))) and len(first) >= 3
        assert all(set(np.unique(mask)) <= set(first) for mask in masks)
