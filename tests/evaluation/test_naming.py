"""Names and masks of prompted objects: the golden values of the published metric, and groups of an LVIS file."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from omgseg import recipes
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.evaluation.functional.interactive import ModelFrame, centre_of
from omgseg.structures import Category, Vocabulary


def sample(make_sample, image, **fields):
    made = make_sample(img_id=image)
    for name, (labels, masks) in fields.items():
        labels, masks = torch.as_tensor(labels, dtype=torch.long), torch.as_tensor(masks)
        made.set_field(InstanceData(labels=labels, masks=masks), name)
    return made.to_dict()


@pytest.fixture
def vocabulary():
    """Ids that are not labels."""
    return Vocabulary(Category(f"word {label}", id=10 + label) for label in range(8))


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "ov_sam" / "golden.pt", weights_only=True)


@pytest.mark.golden
def test_the_published_metric(golden, run_metric, make_sample, vocabulary):
    case = golden["evaluation"]
    samples = [
        sample(
            make_sample,
            number,
            gt_instances=(image["gt_labels"], image["gt_masks"]),
            pred_instances=(image["pred_labels"], image["pred_masks"]),
        )
        for number, image in enumerate(case["images"])
    ]
    groups = {kind: [vocabulary[label].id for label in case[f"{kind}_classes"]] for kind in ("base", "novel")}
    found = run_metric(dict(type="omgseg.NamingMetric", groups=groups), samples)
    want = case["results"]
    for ours, iou, accuracy in (
        ("", "miou", "score"),
        ("_base", "base_iou", "base_score"),
        ("_novel", "novel_iou", "novel_score"),
    ):
        assert found[f"naming/mIoU_box{ours}"] == pytest.approx(100 * want[iou], rel=1e-4)
        assert found[f"naming/Acc_box{ours}"] == pytest.approx(want[accuracy], rel=1e-4)


@pytest.mark.golden
def test_the_published_centre_points(golden):
    """Those of the masks after resizing, and those of the masks as they are."""
    case = golden["centre_points"]
    masks = case["masks"].numpy()
    frame = ModelFrame(masks.shape[1:], max(case["img_shape"]))
    assert list(frame.image) == case["img_shape"]
    found = [centre_of(mask) for mask in frame.place(masks)]
    assert found == [tuple(point) for point in case["points_rescaled"][:, 0].tolist()]
    found = [centre_of(mask) for mask in masks]
    assert found == [tuple(point) for point in case["points_unscaled"][:, 0].tolist()]


def lvis_file(folder, **categories):
    content = dict(
        images=[],
        categories=[dict(id=int(name[1:]), name=name, frequency=kind) for name, kind in categories.items()],
    )
    file = folder / "lvis.json"
    file.write_text(json.dumps(content))
    return str(file)


def test_groups_by_the_frequencies_of_a_file(tmp_path, run_metric, make_sample, vocabulary):
    whole, half = np.ones((1, 4, 4), bool), np.zeros((1, 4, 4), bool)
    half[:, :2] = True
    samples = [
        sample(
            make_sample,
            name,
            gt_instances=([label], whole),
            pred_instances=([0], half),
            pred_centres=([label], whole),
        )
        for name, label in (("a", 0), ("b", 1), ("c", 2))
    ]
    groups = dict(base=["f", "c"], novel=["r"])
    config = dict(
        type="omgseg.NamingMetric", groups=groups, ann_file=lvis_file(tmp_path, c10="f", c11="r", c12="c")
    )
    found = run_metric(config, samples)
    assert found["naming/Acc_box_base"] == 50 and found["naming/Acc_box_novel"] == 0
    assert found["naming/Acc_centre_novel"] == 100 and found["naming/mIoU_box_novel"] == 50
    assert found["naming/Acc_box"] == pytest.approx(100 / 3) and found["naming/mIoU_centre"] == 100
    with pytest.raises(ValueError, match="category 10 has no 'frequency'"):
        run_metric(dict(config, ann_file=lvis_file(tmp_path, c10="often")), samples)
    with pytest.raises(ValueError, match="NamingMetric: sample without 'pred_instances'"):
        run_metric(dict(type="omgseg.NamingMetric"), [sample(make_sample, "a", gt_instances=([0], whole))])


def test_the_usual_split_of_coco():
    """The words that the published model was trained on are those of its base categories."""
    words = load_vocabulary("coco_panoptic").things()
    base = Vocabulary.from_names(Config.fromfile("projects/ov_sam/configs/ov_sam_coco.py").model.base_words)
    seen = dict(zip(words.label_to_id, words.shares_word_with(base), strict=True))
    assert [len(recipes.COCO_48_17[kind]) for kind in ("base", "novel")] == [48, 17]
    assert all(seen[number] for number in recipes.COCO_48_17["base"])
    assert not any(seen[number] for number in recipes.COCO_48_17["novel"])
