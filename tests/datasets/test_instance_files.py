"""COCO instance files."""

import json

import pytest
import torch

from omgseg.datasets import CocoInstanceDataset, CocoInstancePromptDataset
from omgseg.datasets.problems import ProblemKind, collect_problems

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]


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
    assert instances[0] == {"id": 11, "category_id": 5, "segmentation": [files.SQUARE], "area": 1.0}
    assert entry["frames"][0].keys() == {"img_path", "img_id", "frame_id", "instances"}


def test_boxes_of_the_annotations_in_test_mode(files):
    """To a fraction of a pixel; what has none gets the box around its mask."""
    boxed = [LOAD[0], dict(type="LoadSegments", boxes=True), LOAD[2]]
    files.content["annotations"][0]["bbox"] = [29.5, 9.75, 11, 10.5]
    files.content["annotations"][1].pop("bbox", None)
    files.write()
    dataset = CocoInstancePromptDataset(**files.config, pipeline=boxed, test_mode=True)
    assert len(dataset.vocabulary) == 0 and dataset.tasks == ("interactive",)
    sample = next(one["data_samples"] for one in dataset if one["data_samples"].img_id == 4)
    gt = sample.gt_instances
    assert gt.bboxes[:2].tolist() == [[29.5, 9.75, 40.5, 20.25], [30, 10, 40, 20]]
    assert set(gt.labels.tolist()) == {-1} and dataset[sample.sample_idx]["data_samples"].img_id == 4
    files.content["annotations"][0]["bbox"] = [29.5, 9.75, "wide"]
    files.write()
    with pytest.raises(ValueError, match="annotation 11: 'bbox' is .* not x, y, width and height"):
        list(CocoInstancePromptDataset(**files.config, pipeline=boxed, test_mode=True))


def test_a_file_name_may_be_an_absolute_path(files):
    """As in files of predictions, which name images by the paths as they were given."""
    for image in files.content["images"]:
        image["file_name"] = str(files.root / "images" / image["file_name"])
    files.write()
    config = {**files.config, "data_prefix": dict(img="")}
    assert len(CocoInstanceDataset(**config, pipeline=LOAD)[0]["data_samples"].gt_instances) == 4


def test_test_mode_keeps_every_image_and_needs_no_annotations(files):
    assert len(CocoInstanceDataset(**files.config, test_mode=True)) == 3
    del files.content["annotations"]
    files.write()
    dataset = CocoInstanceDataset(**files.config, pipeline=LOAD, test_mode=True)
    assert len(dataset) == 3 and len(dataset[1]["data_samples"].gt_instances) == 0
    with pytest.raises(ValueError, match=r"instances.json: 'annotations' is empty"):
        CocoInstanceDataset(**files.config)


def test_a_polygon_of_two_points_is_no_box(files):
    files.content["annotations"][0]["segmentation"] = [files.SQUARE, [0, 0, 9, 9]]
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
    files.picture("images/4.jpg", 60, 40)
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
    assert [problem.kind for problem in problems] == [ProblemKind.ANNOTATION] * 3


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
