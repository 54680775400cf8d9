"""What Objects365 makes of instance files."""

import copy

import pytest

from omgseg.datasets import Objects365Dataset, load_vocabulary
from omgseg.structures import Vocabulary

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]


@pytest.fixture
def objects365(instance_files, tmp_path):
    files = instance_files(tmp_path / "objects365v2", "images/v1/patch8/objects365_v1_{:08d}.jpg")
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
