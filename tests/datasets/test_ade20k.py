"""ADE20K: hand-made distributed files, the converted ones by hand, and what the adapter makes of them."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from omgseg.datasets import ADE20KDataset, load_vocabulary
from omgseg.datasets.converters import convert_ade20k
from omgseg.datasets.converters.ade20k_masks import Values
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import decode_panoptic_png, write_png

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
NAME = "ADE_val_00000001"
# Values 1 wall, 3 sky, 8 bed, 9 window; instance categories 1 bed, 2 window.
SEMANTIC = np.array([[1, 1, 1, 1, 3], [1, 8, 8, 9, 3], [1, 8, 8, 9, 0]], np.uint8)
CATEGORIES = np.array([[0, 0, 0, 2, 2], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1]], np.uint8)
INSTANCES = np.array([[0, 0, 0, 1, 1], [0, 2, 2, 0, 0], [0, 2, 0, 0, 3]], np.uint8)
PANOPTIC = np.array(
    [[1, 1, 1, 265, 265], [1, 520, 520, 0, 3], [1, 520, 0, 0, 776]]  # 256 x instance + value
)
SEGMENTS = {  # id: category, area and box; the wall's and the sky's are those under the window
    1: (0, 6, [0, 0, 4, 3]),
    3: (2, 2, [4, 0, 1, 2]),
    265: (8, 2, [3, 0, 2, 1]),
    520: (7, 3, [1, 1, 2, 2]),
    776: (7, 1, [4, 2, 1, 1]),
}
MAPPING_RANGES = """8 9 11 13 15 16 19 20 21 23 24 25 28 31 32 33 34 36 37 38 39 40 42 43 44 45 46 48 50 51 54 56 57 58
59 63 65 66 67 68 70 71 72 73 74 75 76 77 79 81 82 83 84 86 87 88 89 90 91 93 94 96 98 99 103 104 105 108 109 111 112
113 116 117 119 120 121 122 124 125 126 127 128 130 131 133 134 135 136 137 138 139 140 143 144 145 147 148 149 150"""
"""Column SceneParse150 of the challenge's categoryMapping.txt, for Instance100 = 1..100."""


def write_masks(root, name=NAME, split="validation", semantic=SEMANTIC, categories=CATEGORIES):
    write_png(root / f"annotations/{split}/{name}.png", semantic)
    channels = np.stack([categories, INSTANCES, np.zeros_like(INSTANCES)], -1)
    write_png(root / f"annotations_instance/{split}/{name}.png", channels)


@pytest.fixture
def root(tmp_path):
    for split, name in (
        ("validation", NAME),
        ("validation", "ADE_val_00000002"),
        ("training", "ADE_train_1"),
    ):
        (tmp_path / f"images/{split}").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f"images/{split}/{name}.jpg"), np.zeros((*SEMANTIC.shape, 3), np.uint8))
        write_masks(tmp_path, name, split)
    return tmp_path


def read(path):
    return json.loads(path.read_text())


def files(root):
    return sorted(path.name for path in root.iterdir() if path.name not in PARTS)


PARTS = ("images", "annotations", "annotations_instance")


def test_instance_categories_are_the_things_in_order():
    assert Values.of(load_vocabulary("ade20k")).things.tolist() == [0, *map(int, MAPPING_RANGES.split())]


def test_the_converted_files(root):
    written = convert_ade20k(root, "val")
    assert [path.name for path in written] == ["ade20k_panoptic_val.json", "ade20k_instance_val.json"]
    panoptic = read(root / "ade20k_panoptic_val.json")
    assert [category["id"] for category in panoptic["categories"]] == list(range(150))
    assert panoptic["categories"][8]["name"] == "window" and panoptic["categories"][8]["isthing"] == 1
    assert panoptic["images"][0] == {"id": NAME, "file_name": f"{NAME}.jpg", "width": 5, "height": 3}
    annotation = panoptic["annotations"][0]
    assert (annotation["image_id"], annotation["file_name"]) == (NAME, f"{NAME}.png")
    segments = annotation["segments_info"]
    assert {s["id"]: (s["category_id"], s["area"], s["bbox"]) for s in segments} == SEGMENTS
    assert all(segment["iscrowd"] == 0 for segment in segments)
    assert np.array_equal(decode_panoptic_png(root / f"ade20k_panoptic_val/{NAME}.png"), PANOPTIC)

    instance = read(root / "ade20k_instance_val.json")
    assert instance["images"] == panoptic["images"]
    assert [c["id"] + 1 for c in instance["categories"]] == [int(v) for v in MAPPING_RANGES.split()]
    assert [a["id"] for a in instance["annotations"]] == [1, 2, 3, 4, 5, 6]
    for entry, number in zip(instance["annotations"][:3], (265, 520, 776), strict=True):
        assert (entry["image_id"], entry["iscrowd"]) == (NAME, 0)
        assert (entry["category_id"], entry["area"], entry["bbox"]) == SEGMENTS[number]
        assert np.array_equal(coco_mask.decode(entry["segmentation"]), PANOPTIC == number)


def test_several_processes_write_the_same_files(root, tmp_path_factory):
    convert_ade20k(root, "val")
    expected = {path.name: path.read_bytes() for path in root.rglob("ade20k*") if path.is_file()}
    for name in files(root):
        path = root / name
        path.rename(tmp_path_factory.mktemp("first") / name)
    convert_ade20k(root, "val", workers=2)
    assert {path.name: path.read_bytes() for path in root.rglob("ade20k*") if path.is_file()} == expected
    assert decode_panoptic_png(root / "ade20k_panoptic_val/ADE_val_00000002.png").shape == SEMANTIC.shape


def test_existing_files_are_kept(root):
    """Such as those of Mask2Former's scripts, whose segment ids and names differ."""
    convert_ade20k(root, "val")
    (root / "ade20k_instance_val.json").unlink()
    content = read(root / "ade20k_panoptic_val.json")
    content["categories"][8]["name"] = "window "
    (root / "ade20k_panoptic_val.json").write_text(json.dumps(content))
    assert [path.name for path in convert_ade20k(root, "val")] == ["ade20k_instance_val.json"]
    assert read(root / "ade20k_panoptic_val.json") == content
    assert convert_ade20k(root, "val") == []
    prefix = dict(img="images/validation/", seg="ade20k_panoptic_val/")
    dataset = ADE20KDataset(data_root=str(root), ann_file="ade20k_panoptic_val.json", data_prefix=prefix)
    assert dataset.vocabulary == load_vocabulary("ade20k")


def test_samples(root):
    convert_ade20k(root, "train")
    prefix = dict(img="images/training/", seg="ade20k_panoptic_train/")
    dataset = ADE20KDataset(
        data_root=str(root), ann_file="ade20k_panoptic_train.json", data_prefix=prefix, pipeline=LOAD
    )
    sample = dataset[0]["data_samples"]
    areas = {segment["category_id"]: segment.get("area") for segment in sample.segments_info[:3]}
    assert areas == {0: None, 2: None, 8: 2}  # what is said of stuff is not what a mask shows
    gt = sample.gt_instances
    names = [dataset.vocabulary.names[label] for label in gt.labels]
    assert names == ["wall", "sky", "window", "bed", "bed"]
    for number, mask in zip(gt.instances_ids.tolist(), gt.masks.numpy(), strict=True):
        assert np.array_equal(mask, PANOPTIC == number)


def test_one_run_gives_three_numbers(root):
    """Predictions made of the ground truth: all metrics know the images and the categories."""
    import torch
    from mmengine.structures import InstanceData, PixelData

    from omgseg.evaluation.metrics import CocoInstanceMetric, CocoPanopticMetric, SemanticMetric

    convert_ade20k(root, "val")
    metrics = [
        CocoPanopticMetric(str(root / "ade20k_panoptic_val.json"), str(root / "ade20k_panoptic_val")),
        CocoInstanceMetric(str(root / "ade20k_instance_val.json")),
        SemanticMetric(seg_prefix=str(root / "annotations/validation"), reduce_zero_label=True),
    ]
    prefix = dict(img="images/validation/", seg="ade20k_panoptic_val/")
    dataset = ADE20KDataset(
        data_root=str(root),
        ann_file="ade20k_panoptic_val.json",
        data_prefix=prefix,
        pipeline=LOAD,
        tasks=("panoptic", "instance", "semantic"),
        test_mode=True,
    )
    label_of, void = dataset.vocabulary.id_to_label, len(dataset.vocabulary)
    classes = np.vectorize(lambda value: label_of.get(value - 1, void))
    things = np.array([265, 520, 776])
    instances = InstanceData(
        labels=torch.from_numpy(classes(things % 256)),
        scores=torch.ones(3),
        masks=torch.from_numpy(things[:, None, None] == PANOPTIC),
    )
    values = {}
    for metric in metrics:
        metric.dataset_meta = dataset.metainfo
        for index in range(len(dataset)):
            sample = dataset[index]["data_samples"]
            panoptic = classes(PANOPTIC % 256) + 1000 * (PANOPTIC // 256)
            sample.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(panoptic)[None])
            sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(classes(SEMANTIC))[None])
            sample.pred_instances = instances
            metric.process({}, [sample.to_dict()])
        values |= metric.evaluate(len(dataset))
    assert values["coco_instance/AP"] == pytest.approx(100)
    assert values["semantic/mIoU"] == 100
    # The wall's area counts a pixel that is the window's, the sky's too: IoU 5/6 and 1/2, which is no match.
    assert values["coco_panoptic/PQ"] == pytest.approx(100 * (1 + 1 + 5 / 6 + 0) / 4)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_folder(root, part):
    (root / part).rename(root / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"{part}/validation not found; see data/README.md#ade20k"):
        convert_ade20k(root, "val")


def test_a_missing_mask_leaves_nothing_half_done(root):
    (root / "annotations_instance/validation/ADE_val_00000002.png").unlink()
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match=r"annotations_instance/validation/ADE_val_00000002.png"):
            convert_ade20k(root, "val")
        assert files(root) == []


def test_an_unfinished_copy_is_refused(root):
    (root / "ade20k_panoptic_val").mkdir()
    with pytest.raises(
        FileExistsError, match=r"ade20k_panoptic_val exists without .*_val.json: an unfinished"
    ):
        convert_ade20k(root, "val")


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (dict(semantic=SEMANTIC + np.uint8(150) * (SEMANTIC == 9)), "semantic mask holds 159, which is no"),
        (dict(categories=CATEGORIES + np.uint8(99) * (INSTANCES == 3)), None),
        (
            dict(categories=CATEGORIES + np.uint8(100) * (INSTANCES == 3)),
            "holds category 101; they are 1 to 100",
        ),
        (dict(categories=CATEGORIES * (INSTANCES != 3)), "holds category 0; they are 1 to 100"),
        (
            dict(
                categories=np.where((INSTANCES == 2) & (SEMANTIC == 8) & (np.arange(5) == 2), 9, CATEGORIES)
            ),
            "pixels of instance 2 have several categories",
        ),
        (dict(semantic=SEMANTIC[:2]), rf"annotations/validation/{NAME}.png: the mask is 5x2, its image"),
    ],
)
def test_wrong_values(root, masks, message):
    write_masks(root, **{key: value.astype(np.uint8) for key, value in masks.items()})
    if message is None:
        assert convert_ade20k(root, "val")
        return
    with pytest.raises(ValueError, match=message) as error:
        convert_ade20k(root, "val")
    assert NAME in str(error.value)
    assert files(root) == []


def test_masks_with_another_number_of_channels(root):
    write_png(root / f"annotations_instance/validation/{NAME}.png", INSTANCES)
    with pytest.raises(ValueError, match=rf"annotations_instance/validation/{NAME}.png: expected 8-bit RGB"):
        convert_ade20k(root, "val")


def test_ids_that_a_mask_cannot_hold():
    vocabulary = Vocabulary.from_dict({"categories": [{"id": 255, "name": "cat"}]})
    with pytest.raises(ValueError, match="'cat' has id 255"):
        Values.of(vocabulary)
