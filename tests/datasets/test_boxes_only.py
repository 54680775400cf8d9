"""COCO-like files that are read for their boxes, and for some of their categories."""

import json

import pytest

from omgseg.datasets import CocoInstanceDataset, JointDataset, LVISDataset, Objects365Dataset, V3DetDataset
from omgseg.datasets.checking import DatasetFiles, check_sources
from omgseg.datasets.problems import ProblemKind
from omgseg.models.geometry import masks_of
from omgseg.models.mask_queries.losses import clip_targets
from omgseg.structures import Vocabulary

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]


@pytest.fixture
def boxes(files):
    """Image 4 with a cat and a dog as boxes, one of which is partly outside, and a crowd; no masks anywhere."""
    annotations = files.content["annotations"] = files.content["annotations"][2:5]
    for annotation, box in zip(
        annotations, ([30.4, 9.6, 10, 10], [50, 20, 30, 30], [0, 0, 9, 9]), strict=True
    ):
        annotation["bbox"] = box
        del annotation["segmentation"]
    files.write()
    return files


def test_boxes_are_read_without_masks(boxes):
    dataset = CocoInstanceDataset(**boxes.config, boxes_only=True, pipeline=LOAD)
    assert len(dataset) == 1
    objects = dataset[0]["data_samples"].gt_instances
    assert objects.bboxes.tolist() == [[30, 9, 41, 20], [50, 20, 60, 40]]
    assert objects.labels.tolist() == [1, 0] and "masks" not in objects


def test_boxes_go_with_jitter_and_flips(boxes):
    steps = [
        *LOAD[:2],
        dict(type="LargeScaleJitter", ratio_range=(2, 2)),
        dict(type="RandomFlip", prob=1),
        LOAD[2],
    ]
    dataset = CocoInstanceDataset(**boxes.config, boxes_only=True, pipeline=steps, image_size=(60, 60))
    sample = dataset[0]["data_samples"]
    for x1, y1, x2, y2 in sample.gt_instances.bboxes.tolist():
        assert 0 <= x1 < x2 <= 60 and 0 <= y1 < y2 <= 60
    assert {round(x2 - x1) for x1, _, x2, _ in sample.gt_instances.bboxes.tolist()} <= set(range(1, 23))


def test_models_that_learn_masks_refuse_boxes(boxes):
    sample = CocoInstanceDataset(**boxes.config, boxes_only=True, pipeline=LOAD)[0]["data_samples"]
    for learn in (masks_of, lambda given: clip_targets(given, (40, 60))):
        with pytest.raises(ValueError, match=r"source 'coco_instance' has boxes without masks"):
            learn(sample)


def test_v3det_and_objects365_are_sources_of_a_joint_dataset(boxes):
    config = boxes.config
    v3det = V3DetDataset(**config, pipeline=LOAD)
    for image in boxes.content["images"]:
        image["file_name"] = f"images/v1/patch8/objects365_v1_0000000{image['id']}.jpg"
    boxes.picture("images/patch8/objects365_v1_00000004.jpg")
    boxes.write()
    objects365 = Objects365Dataset(**config, boxes_only=True, pipeline=LOAD)
    joint = JointDataset(dict(v3det=v3det, objects365=objects365))
    assert len(joint) == 2 and joint.vocabulary.names == ["cat", "dog"]
    for index, source in enumerate(("v3det", "objects365")):
        sample = joint[index]["data_samples"]
        assert sample.source == source and sample.gt_instances.labels.tolist() == [1, 0]


def test_an_annotation_without_a_box_is_named(boxes):
    del boxes.content["annotations"][0]["bbox"]
    boxes.write()
    with pytest.raises(ValueError, match=r"instances\.json: annotation 13 has no box \('bbox'\)"):
        V3DetDataset(**boxes.config)


@pytest.mark.parametrize("box", [[1, 2, 3], "here", [0, 0, float("nan"), 1]])
def test_a_box_that_is_none_is_named(boxes, box):
    boxes.content["annotations"][0]["bbox"] = box
    boxes.write()
    with pytest.raises(ValueError, match=r"annotation 13: 'bbox' is .* not x, y, width and height"):
        V3DetDataset(**boxes.config, pipeline=LOAD)[0]


def test_a_check_reads_boxes(boxes):
    boxes.content["annotations"][1]["bbox"] = [500, 500, 10, 10]
    boxes.write()
    config = dict(boxes.config, type="V3DetDataset")
    (report,) = check_sources([DatasetFiles("v3det", config)], workers=0, progress=False).sources
    assert list(report.problems) == [ProblemKind.EMPTY] and report.checked == 1


def test_only_some_categories_are_read(files):
    dataset = CocoInstanceDataset(**files.config, only=dict(name=["cat"]), pipeline=LOAD)
    assert dataset.vocabulary.names == ["cat"]
    assert dataset[0]["data_samples"].gt_instances.labels.tolist() == [0]
    words = Vocabulary.from_dict({"categories": [{"id": 5, "name": "hound"}, {"id": 1, "name": "kitten"}]})
    dataset = CocoInstanceDataset(**files.config, only=dict(id=[5]), vocabulary=words, pipeline=LOAD)
    assert dataset.vocabulary.names == ["hound"]
    assert dataset[0]["data_samples"].gt_instances.labels.tolist() == [0, 0, 0]


def test_only_frequent_categories_of_lvis_are_read(files):
    for category, frequency in zip(files.content["categories"], "rf", strict=True):
        category["frequency"] = frequency
    for image in files.content["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/images/{image['id']}.jpg"
    files.write()
    config = dict(files.config, data_prefix=dict(img=""))
    assert LVISDataset(**config, only=dict(frequency=["f"])).vocabulary.names == ["dog"]


@pytest.mark.parametrize(
    "only, error",
    [
        (dict(name=["cat", "bird"]), r"instances\.json: only=.* names the name 'bird', which no category"),
        (dict(frequency=["f"]), r"names the frequency 'f', which no category"),
        (dict(name=[]), r"names no name, which no category"),
    ],
)
def test_categories_that_do_not_exist_are_named(files, only, error):
    with pytest.raises(ValueError, match=error):
        CocoInstanceDataset(**files.config, only=only)


def test_a_file_without_chosen_objects_is_named(files):
    files.content["annotations"] = [a for a in files.content["annotations"] if a["category_id"] == 5]
    files.write()
    assert json.loads((files.root / "instances.json").read_text())["categories"][0]["name"] == "cat"
    with pytest.raises(ValueError, match="no image has an instance"):
        CocoInstanceDataset(**files.config, only=dict(name=["cat"]))
