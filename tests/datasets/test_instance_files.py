"""COCO instance files, and what LVIS and Objects365 make of the format."""

import copy
import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from omgseg.datasets import CocoInstanceDataset, LVISDataset, Objects365Dataset, load_vocabulary
from omgseg.datasets.problems import Kind, collect_problems
from omgseg.structures import Vocabulary
from omgseg.toy.writers import write_image

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
SQUARE = [30, 10, 40, 10, 40, 20, 30, 20]
"""The pixels [10:20, 30:40] as a polygon."""


def make_image(path, height=40, width=60):
    write_image(path, np.full((height, width, 3), 99, np.uint8))


def uncompressed(rows, columns):
    """Run lengths of a rectangle in column order, zeros first."""
    mask = np.zeros((40, 60), np.uint8)
    mask[slice(*rows), slice(*columns)] = 1
    flat = mask.ravel(order="F")
    counts = np.diff([0, *np.flatnonzero(np.diff(flat)) + 1, flat.size]).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": [40, 60]}


def compressed():
    square = np.zeros((40, 60), np.uint8, order="F")
    square[10:20, 30:40] = 1
    rle = coco_mask.encode(square)
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


class InstanceFiles:
    """Image 4 with a dog thrice in the same place (polygon, both run lengths), a cat of two parts and a crowd; image 7
    with a crowd alone; image 9 with nothing."""

    def __init__(self, root, name="{}.jpg"):
        self.root = root
        images = [
            {"id": i, "file_name": name.format(i), "height": 40, "width": 60, "license": 1} for i in (4, 7, 9)
        ]
        parts = [SQUARE, [0, 0, 5, 0, 5, 5, 0, 5]]
        crowd = uncompressed((0, 40), (0, 60))
        rows = [
            (11, 4, 5, [SQUARE], 0),
            (12, 4, 5, compressed(), 0),
            (13, 4, 5, uncompressed((10, 20), (30, 40)), 0),
            (14, 4, 1, parts, 0),
            (15, 4, 1, crowd, 1),
            (16, 7, 1, crowd, 1),
        ]
        fields = ("id", "image_id", "category_id", "segmentation", "iscrowd")
        self.content = {
            "images": images,
            "annotations": [dict(zip(fields, row, strict=True), bbox=[0, 0, 1, 1], area=1.0) for row in rows],
            "categories": [{"id": 1, "name": "cat"}, {"id": 5, "name": "dog"}],
        }
        self.write()

    def write(self):
        self.root.mkdir(exist_ok=True)
        (self.root / "instances.json").write_text(json.dumps(self.content))

    def picture(self, name):
        make_image(self.root / name)

    @property
    def config(self):
        return dict(data_root=str(self.root), ann_file="instances.json", data_prefix=dict(img="images/"))


@pytest.fixture
def files(tmp_path):
    files = InstanceFiles(tmp_path / "own")
    for index in (4, 7, 9):
        files.picture(f"images/{index}.jpg")
    return files


def test_polygons_and_run_lengths_become_masks(files):
    dataset = CocoInstanceDataset(**files.config, pipeline=LOAD)
    assert dataset.vocabulary.names == ["cat", "dog"]
    assert len(dataset) == 1  # images with a crowd or with nothing do not train
    sample = dataset[0]["data_samples"]
    assert (sample.img_id, sample.source, sample.tasks) == (4, "coco_instance", ("instance",))
    gt = sample.gt_instances
    assert gt.instances_ids.tolist() == [11, 12, 13, 14] and gt.labels.tolist() == [1, 1, 1, 0]
    square = torch.zeros(40, 60, dtype=torch.bool)
    square[10:20, 30:40] = True
    assert all(torch.equal(mask, square) for mask in gt.masks[:3])
    square[:5, :5] = True
    assert torch.equal(gt.masks[3], square)


def test_entries_hold_no_pixels(files):
    entry = CocoInstanceDataset(**files.config).get_data_info(0)
    instances = entry["frames"][0]["instances"]
    assert instances[0] == {"id": 11, "category_id": 5, "segmentation": [SQUARE], "area": 1.0}
    assert entry["frames"][0].keys() == {"img_path", "img_id", "frame_id", "instances"}


def test_test_mode_keeps_every_image_and_needs_no_annotations(files):
    assert len(CocoInstanceDataset(**files.config, test_mode=True)) == 3
    del files.content["annotations"]
    files.write()
    dataset = CocoInstanceDataset(**files.config, pipeline=LOAD, test_mode=True)
    assert len(dataset) == 3 and len(dataset[1]["data_samples"].gt_instances) == 0
    with pytest.raises(ValueError, match=r"instances.json: 'annotations' is empty"):
        CocoInstanceDataset(**files.config)


def test_a_polygon_of_two_points_is_no_box(files):
    files.content["annotations"][0]["segmentation"] = [SQUARE, [0, 0, 9, 9]]
    files.write()
    gt = CocoInstanceDataset(**files.config, pipeline=LOAD)[0]["data_samples"].gt_instances
    assert torch.equal(gt.masks[0], gt.masks[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            dict(segmentation=[]),
            r"instances.json: annotation 11 has no mask \('segmentation'\); give it polygons",
        ),
        (
            dict(segmentation={"size": [40, 60]}),
            r"annotation 11: 'segmentation' is neither polygons nor run len",
        ),
        (
            dict(segmentation=[["a"] * 8]),
            r"annotation 11: 'segmentation' is neither polygons nor run lengths",
        ),
        (
            dict(category_id=3),
            r"instances.json: category_id 3 of an annotation is not in the vocabulary of 2",
        ),
    ],
)
def test_an_annotation_that_cannot_be_used(files, change, message):
    files.content["annotations"][0].update(change)
    files.write()
    with pytest.raises(ValueError, match=message):
        CocoInstanceDataset(**files.config, pipeline=LOAD)[0]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_image_of_another_size_than_the_file_says(files, index):
    """Also for polygons, which do not say the size that they are drawn for."""
    files.content["annotations"] = [files.content["annotations"][index]]
    files.write()
    make_image(files.root / "images/4.jpg", 60, 40)
    with pytest.raises(ValueError, match=r"annotation 1\d: the mask is 60x40, its image .*4.jpg is 40x60"):
        CocoInstanceDataset(**files.config, pipeline=LOAD)[0]


@pytest.mark.parametrize("field", ["height", "file_name"])
def test_an_image_without_a_field(files, field):
    del files.content["images"][0][field]
    files.write()
    with pytest.raises(ValueError, match=f"instances.json: image 4 has no field '{field}'"):
        CocoInstanceDataset(**files.config)


def test_ids_of_images_that_do_not_meet(files):
    for annotation in files.content["annotations"]:
        annotation["image_id"] = str(annotation["image_id"])
    files.write()
    with pytest.raises(ValueError, match=r"no image has an instance; 'image_id' of an annotation must be"):
        CocoInstanceDataset(**files.config)


def test_a_panoptic_file(coco_files):
    config = {**coco_files.config, "data_prefix": dict(img="images/")}
    with pytest.raises(ValueError, match=r"panoptic.json is a panoptic file .* CocoPanopticDataset reads it"):
        CocoInstanceDataset(**config)


def test_a_checker_gets_all_problems_at_once(files):
    files.content["annotations"][0]["segmentation"] = []
    files.content["annotations"][1]["segmentation"] = None
    del files.content["images"][2]["width"]
    files.write()
    with collect_problems("instances.json") as problems:
        assert len(CocoInstanceDataset(**files.config, test_mode=True)) == 2
    assert [problem.kind for problem in problems] == [Kind.ANNOTATION] * 3


def test_real_coco_instances(real_samples_dir):
    from PIL import Image

    dataset = CocoInstanceDataset(
        data_root=str(real_samples_dir / "coco"),
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
        vocabulary="coco_panoptic",
        pipeline=LOAD,
    )
    path = real_samples_dir / "coco/annotations/instances_val2017.json"
    areas = {entry["id"]: entry["area"] for entry in json.loads(path.read_text())["annotations"]}
    seen = 0
    for index in range(len(dataset)):
        sample = dataset[index]["data_samples"]
        gt = sample.gt_instances
        assert gt.masks.shape[1:] == Image.open(sample.img_path).size[::-1]
        assert gt.masks.sum((1, 2)).tolist() == [areas[i] for i in gt.instances_ids.tolist()]
        seen += len(gt)
    assert seen == 40  # of 43, three are crowds


# LVIS


@pytest.fixture
def lvis(tmp_path):
    files = InstanceFiles(tmp_path / "coco")
    for image, folder in zip(files.content["images"], ("train2017", "val2017", "val2017"), strict=True):
        del image["file_name"]
        name = f"{folder}/{image['id']:012d}.jpg"
        image["coco_url"] = f"http://images.cocodataset.org/{name}"
        files.picture(name)
    files.content["annotations"] = files.content["annotations"][:4]
    for annotation in files.content["annotations"]:
        del annotation["iscrowd"]
    files.write()
    return files


def lvis_config(files, **changes):
    return dict(data_root=str(files.root), ann_file="instances.json", data_prefix=dict(img=""), **changes)


def test_lvis_finds_its_images_in_the_folders_of_coco(lvis):
    dataset = LVISDataset(**lvis_config(lvis), pipeline=LOAD, test_mode=True)
    samples = [dataset[index]["data_samples"] for index in range(3)]
    assert [sample.img_path.split("/")[-2] for sample in samples] == ["train2017", "val2017", "val2017"]
    assert len(samples[0].gt_instances) == 4 and samples[0].source == "lvis"


def test_lvis_v05_is_refused(real_samples_dir):
    config = dict(
        data_root=str(real_samples_dir / "lvis"),
        ann_file="annotations/lvis_v1_val_100.json",
        data_prefix=dict(img=""),
        test_mode=True,
    )
    for vocabulary in ("lvis_v1", None):
        with pytest.raises(ValueError, match=r"is of LVIS v0.5 .* lvis_v1_val.json; 1203 .*lvisdataset.org"):
            LVISDataset(**config, vocabulary=vocabulary)


def test_lvis_categories_that_are_not_those_of_the_vocabulary(lvis):
    lvis.content["categories"].append({"id": 1204, "name": "zucchini"})  # not used by any annotation
    lvis.write()
    message = (
        r"1 of 3 'categories' are not in the vocabulary of 1203, first id 1204 \(zucchini\); take the file of"
    )
    with pytest.raises(ValueError, match=message):
        LVISDataset(**lvis_config(lvis), vocabulary="lvis_v1")


def test_a_coco_file_is_no_lvis_file(files):
    with pytest.raises(ValueError, match=r"image 4 has no field 'coco_url', this is no LVIS file"):
        LVISDataset(**files.config)


# Objects365


@pytest.fixture
def objects365(tmp_path):
    files = InstanceFiles(tmp_path / "objects365v2", "images/v1/patch8/objects365_v1_{:08d}.jpg")
    files.picture("train/patch8/objects365_v1_00000004.jpg")
    return files


def objects365_config(files):
    return dict(data_root=str(files.root), ann_file="instances.json", data_prefix=dict(img="train/"))


def test_objects365_official_file_names(objects365):
    dataset = Objects365Dataset(**objects365_config(objects365), pipeline=LOAD)
    sample = dataset[0]["data_samples"]
    assert sample.img_path.endswith("objects365v2/train/patch8/objects365_v1_00000004.jpg")
    assert len(sample.gt_instances) == 4 and sample.source == "objects365"
    for image in objects365.content["images"]:
        image["file_name"] = image["file_name"].removeprefix("images/v1/")
    objects365.write()
    assert Objects365Dataset(**objects365_config(objects365)).get_data_info(0) == dataset.get_data_info(0)


def test_objects365_leaves_out_what_is_not_distributed(objects365):
    images, annotations = objects365.content["images"], objects365.content["annotations"]
    images.append({**images[0], "id": 1, "file_name": "images/v2/patch16/objects365_v2_00908726.jpg"})
    annotations.append({**copy.deepcopy(annotations[0]), "id": 99, "image_id": 1})
    objects365.write()
    dataset = Objects365Dataset(**objects365_config(objects365))
    assert [dataset.get_data_info(i)["frames"][0]["img_id"] for i in range(len(dataset))] == [4]


def test_objects365_with_boxes_only_is_refused(objects365):
    for annotation in objects365.content["annotations"]:
        del annotation["segmentation"]
    objects365.write()
    with pytest.raises(
        ValueError, match=r"annotation 11 has a box but no mask .* boxes only; take .* pseudo masks"
    ):
        Objects365Dataset(**objects365_config(objects365))


def test_objects365_v1_is_refused(objects365):
    objects365.content["images"][0]["file_name"] = "obj365_train_000000000420.jpg"
    objects365.write()
    with pytest.raises(
        ValueError, match=r"'obj365_train_000000000420.jpg' of image 4 is not of Objects365 v2"
    ):
        Objects365Dataset(**objects365_config(objects365))


def test_shipped_words_fit_the_ids(objects365):
    vocabulary = load_vocabulary("objects365_v2")
    dataset = Objects365Dataset(**objects365_config(objects365), pipeline=LOAD, vocabulary=vocabulary)
    labels = dataset[0]["data_samples"].gt_instances.labels
    assert [vocabulary[label].name for label in labels] == ["hat"] * 3 + ["person"]
    assert isinstance(dataset.vocabulary, Vocabulary)
