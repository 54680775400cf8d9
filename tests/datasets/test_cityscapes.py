"""Cityscapes from hand-made gtFine files: training masks, and the official panoptic conversion."""

import json

import numpy as np
import pytest
from PIL import Image

from omgseg.datasets import CityscapesDataset, load_vocabulary
from omgseg.datasets.converters import convert_cityscapes
from omgseg.structures.label_png import decode_panoptic_png, write_png

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
NAME = "bonn_000001_000019"
SCALE = 12
"""Pixels of a side of a cell: the official AP leaves out objects of less than 100 pixels."""
CELLS = np.array(
    [
        [7, 7, 7, 7, 23, 23],
        [7, 24000, 24000, 7, 23, 23],
        [7, 24001, 26, 26, 9, 9],
        [0, 0, 26000, 26000, 29000, 3],
    ],
    np.uint16,
)
INSTANCE_IDS = CELLS.repeat(SCALE, 0).repeat(SCALE, 1)
"""Road and sky; two persons; a car and a group of cars; parking, a caravan, static and unlabelled are void."""
LABEL_IDS = np.where(INSTANCE_IDS < 1000, INSTANCE_IDS, INSTANCE_IDS // 1000).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    for split, name in (("val", NAME), ("val", "aachen_000000_000019"), ("train", "ulm_000002_000019")):
        city = name.split("_")[0]
        image = np.zeros((*INSTANCE_IDS.shape, 3), np.uint8)
        write_png(tmp_path / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", image)
        write_png(tmp_path / f"gtFine/{split}/{city}/{name}_gtFine_instanceIds.png", INSTANCE_IDS)
        write_png(tmp_path / f"gtFine/{split}/{city}/{name}_gtFine_labelIds.png", LABEL_IDS)
    return tmp_path


def dataset(root, split="val", **kwargs):
    prefix = dict(img=f"leftImg8bit/{split}/", seg=f"gtFine/{split}/")
    return CityscapesDataset(data_root=str(root), data_prefix=prefix, pipeline=LOAD, **kwargs)


def mask_of(root):
    return root / f"gtFine/val/bonn/{NAME}_gtFine_instanceIds.png"


def test_images_of_all_cities(root):
    data = dataset(root)
    assert [data.get_data_info(index)["frames"][0]["img_id"] for index in range(len(data))] == [
        "aachen_000000_000019",
        NAME,
    ]
    assert len(dataset(root, "train")) == 1
    assert data.sampling_groups()[1].tolist() == [True, True]
    assert data.vocabulary == load_vocabulary("cityscapes")


def test_training_masks_are_the_evaluated_classes_without_groups(root):
    data = dataset(root)
    sample = data[1]["data_samples"]
    assert sample.img_id == NAME and sample.tasks == ("panoptic", "instance")
    gt = sample.gt_instances
    names = [data.vocabulary.names[label] for label in gt.labels]
    assert dict(zip(gt.instances_ids.tolist(), names, strict=True)) == {
        7: "road",
        23: "sky",
        24000: "person",
        24001: "person",
        26000: "car",
    }
    for number, mask in zip(gt.instances_ids.tolist(), gt.masks.numpy(), strict=True):
        assert np.array_equal(mask, INSTANCE_IDS == number)
    assert "segments_info" not in sample  # seg_map_path is a map of label ids
    assert np.array_equal(np.asarray(Image.open(sample.seg_map_path)), LABEL_IDS)


def test_the_official_panoptic_ground_truth(root, capsys):
    gt_fine = root / "gtFine"
    assert convert_cityscapes(root, "val") == [gt_fine / "cityscapes_panoptic_val.json"]
    content = json.loads((gt_fine / "cityscapes_panoptic_val.json").read_text())
    assert {image["id"] for image in content["images"]} == {"aachen_000000_000019", NAME}
    assert {c["id"]: (c["name"], bool(c["isthing"])) for c in content["categories"]} == {
        c.id: (c.name, c.is_thing) for c in load_vocabulary("cityscapes")
    }
    (annotation,) = (entry for entry in content["annotations"] if entry["image_id"] == NAME)
    segments = {
        s["id"]: (s["category_id"], s["area"] / SCALE**2, [x / SCALE for x in s["bbox"]], s["iscrowd"])
        for s in annotation["segments_info"]
    }
    assert segments == {
        7: (7, 7, [0, 0, 4, 3], 0),
        23: (23, 4, [4, 0, 2, 2], 0),
        26: (26, 2, [2, 2, 2, 1], 1),
        24000: (24, 2, [1, 1, 2, 1], 0),
        24001: (24, 1, [1, 2, 1, 1], 0),
        26000: (26, 2, [2, 3, 2, 1], 0),
    }
    ids = decode_panoptic_png(gt_fine / "cityscapes_panoptic_val" / annotation["file_name"])
    assert np.array_equal(ids, np.where(np.isin(INSTANCE_IDS, list(segments)), INSTANCE_IDS, 0))
    assert not list(gt_fine.glob(".*"))
    assert convert_cityscapes(root, "val") == []


def test_one_run_evaluates_all_three_tasks(root):
    """Predictions made of the ground truth: everything that a metric needs has the same names and ids."""
    import torch
    from mmengine.structures import InstanceData, PixelData

    from omgseg.evaluation.metrics import CityscapesInstanceMetric, CocoPanopticMetric, SemanticMetric

    convert_cityscapes(root, "val")
    gt_fine = root / "gtFine"
    metrics = [
        CocoPanopticMetric(
            str(gt_fine / "cityscapes_panoptic_val.json"), str(gt_fine / "cityscapes_panoptic_val")
        ),
        CityscapesInstanceMetric(str(gt_fine / "val")),
        SemanticMetric(ignore_unknown=True),
    ]
    data = dataset(root, test_mode=True, tasks=("panoptic", "instance", "semantic"))
    label_of, void = data.vocabulary.id_to_label, len(data.vocabulary)
    semantic = np.vectorize(lambda label: label_of.get(label, void))(LABEL_IDS)
    panoptic = semantic + 1000 * np.where(INSTANCE_IDS >= 1000, INSTANCE_IDS % 1000 + 1, 0)
    panoptic[np.isin(INSTANCE_IDS, (26, 29000))] = void
    objects = np.array([24000, 24001, 26000])
    instances = InstanceData(
        labels=torch.tensor([label_of[number // 1000] for number in objects]),
        scores=torch.ones(3),
        masks=torch.from_numpy(objects[:, None, None] == INSTANCE_IDS),
    )
    values = {}
    for metric in metrics:
        metric.dataset_meta = data.metainfo
        for index in range(len(data)):
            sample = data[index]["data_samples"]
            sample.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(panoptic)[None])
            sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(semantic)[None])
            sample.pred_instances = instances
            metric.process({}, [sample.to_dict()])
        values |= metric.evaluate(len(data))
    assert values["coco_panoptic/PQ"] == values["cityscapes/AP"] == values["semantic/mIoU"] == 100


@pytest.mark.parametrize("suffix", ["instanceIds", "labelIds"])
def test_a_missing_mask(root, suffix):
    (root / f"gtFine/val/bonn/{NAME}_gtFine_{suffix}.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"{NAME}_gtFine_{suffix}.png not found.*README.md#cityscapes"
    ):
        dataset(root).full_init()


def test_no_images(root):
    (root / "leftImg8bit/val/empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"leftImg8bit/val/empty/<city>/ has no \*_leftImg8bit.png"):
        CityscapesDataset(
            data_root=str(root), data_prefix=dict(img="leftImg8bit/val/empty", seg="gtFine/val"), pipeline=[]
        )


def test_a_label_that_does_not_exist(root):
    wrong = INSTANCE_IDS.copy()
    wrong[0, 0] = 60002
    write_png(mask_of(root), wrong)
    with pytest.raises(
        ValueError, match=rf"{NAME}_gtFine_instanceIds.png: the value 60002 has label 60, which"
    ):
        dataset(root)[1]
    with pytest.raises(ValueError, match=rf"{NAME}_gtFine_instanceIds.png holds label 60, which"):
        convert_cityscapes(root, "val")
    assert sorted(path.name for path in (root / "gtFine").iterdir()) == ["train", "val"]


def test_a_truncated_mask_is_named_and_nothing_half_done_remains(root):
    mask_of(root).write_bytes(mask_of(root).read_bytes()[:-30])
    with pytest.raises(OSError, match=rf"{NAME}_gtFine_instanceIds.png is truncated"):
        convert_cityscapes(root, "val")
    assert sorted(path.name for path in (root / "gtFine").iterdir()) == ["train", "val"]


def test_converting_what_is_missing_or_half_there(root):
    with pytest.raises(FileNotFoundError, match=r"gtFine/test not found; see data/README.md#cityscapes"):
        convert_cityscapes(root, "test")
    (root / "gtFine/test").mkdir()
    with pytest.raises(FileNotFoundError, match=r"gtFine/test/<city>/ has no \*_gtFine_instanceIds.png"):
        convert_cityscapes(root, "test")
    (root / "gtFine/cityscapes_panoptic_val").mkdir()
    with pytest.raises(
        FileExistsError, match=r"cityscapes_panoptic_val exists without .*_val.json: an unfinished"
    ):
        convert_cityscapes(root, "val")
