"""What LVIS makes of instance files."""

import pytest

from omgseg.datasets import LVISDataset, LVISPromptDataset

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]


@pytest.fixture
def lvis(instance_files, tmp_path):
    files = instance_files(tmp_path / "coco")
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


def test_lvis_as_masks_to_prompt_for(lvis):
    dataset = LVISPromptDataset(**lvis_config(lvis), pipeline=LOAD, test_mode=True)
    assert len(dataset.vocabulary) == 0 and len(dataset[0]["data_samples"].gt_instances) == 4


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
    with pytest.raises(ValueError, match=r"image 4 has no field 'coco_url', this is not an LVIS file"):
        LVISDataset(**files.config)
