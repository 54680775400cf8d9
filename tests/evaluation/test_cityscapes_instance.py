"""Cityscapes' instance AP equals what the official script makes of files on disk."""

import pickle
import sys
from copy import copy

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from PIL import Image

from omgseg.evaluation.functional.cityscapes import match_instances, summarize_cityscapes
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import write_png

PERSON, CAR, ROAD, VOID, CAR_GROUP = 24, 26, 7, 0, 26
HEIGHT, WIDTH = 60, 90


@pytest.fixture
def vocabulary():
    """Labels: person 0, car 1, road 2."""
    return Vocabulary.from_dict(
        {
            "categories": [
                {"id": ROAD, "name": "road", "isthing": 0},
                {"id": PERSON, "name": "person", "isthing": 1},
                {"id": CAR, "name": "car", "isthing": 1},
            ]
        }
    )


@pytest.fixture
def cities(tmp_path):
    """Three images of two cities: instance maps with void, a group of cars, and a person below 100 pixels.

    Returns the folder and, for each image, label ids, scores and masks of its predictions.
    """
    rng = np.random.default_rng(2)
    predictions = {}
    for name in ("aachen_000001_000019", "aachen_000000_000019", "bremen_000000_000019"):
        instances = np.full((HEIGHT, WIDTH), ROAD, np.uint16)
        instances[:, :9], instances[:8, 40:60], instances[50:58, 70:78] = VOID, CAR_GROUP, PERSON * 1000 + 7
        for number, label in enumerate((PERSON, CAR, CAR, PERSON)):
            y, x = rng.integers(8, 30), rng.integers(6, 60)
            instances[y : y + 20, x : x + 16] = label * 1000 + number
        write_png(tmp_path / "gt" / name.split("_")[0] / f"{name}_gtFine_instanceIds.png", instances)
        masks = [
            np.roll(instances == i, rng.integers(0, 4, 2), (0, 1)) for i in np.unique(instances) if i > 99
        ]
        masks += [instances == VOID, instances == CAR_GROUP, masks[0], np.zeros_like(masks[0])]
        labels = [int(i) // 1000 for i in np.unique(instances) if i > 99] + [CAR, CAR, CAR, PERSON]
        predictions[name] = labels, rng.permutation(len(labels)) / 16, np.stack(masks)
    return tmp_path / "gt", predictions


@pytest.fixture
def official(cities, tmp_path, monkeypatch):
    """The result of the package's own command on PNG and text files."""
    script = pytest.importorskip("cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling")
    folder, predictions = cities
    monkeypatch.chdir(tmp_path)  # it leaves a file there
    arguments = copy(script.args)
    arguments.quiet, arguments.JSONOutput = True, False
    arguments.predictionPath, arguments.gtInstancesFile = str(tmp_path), str(tmp_path / "instances.json")
    texts, maps = [], []
    for name, (labels, scores, masks) in predictions.items():
        lines = []
        for number, mask in enumerate(masks):
            Image.fromarray(mask).save(tmp_path / f"{name}_{number}.png")
            lines.append(f"{name}_{number}.png {labels[number]} {scores[number]}")
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
        texts.append(str(tmp_path / f"{name}.txt"))
        maps.append(str(folder / name.split("_")[0] / f"{name}_gtFine_instanceIds.png"))
    return script.evaluateImgLists(texts, maps, arguments)["averages"]


def test_equals_the_official_script(cities, official):
    folder, predictions = cities
    matches = [
        match_instances(folder / name.split("_")[0] / f"{name}_gtFine_instanceIds.png", *prediction)
        for name, prediction in predictions.items()
    ]
    values, per_class = summarize_cityscapes(matches)
    assert values == pytest.approx({"AP": official["allAp"], "AP50": official["allAp50%"]}, abs=1e-12)
    assert 0 < values["AP"] < values["AP50"] < 1
    expected = {name: row["ap"] for name, row in official["classes"].items()}
    assert per_class == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert len(pickle.dumps(matches)) < 20_000, "no masks remain"


def sample_of(make_sample, name, labels, scores, masks):
    sample = make_sample(img_id=name)
    sample.pred_instances = InstanceData(
        labels=torch.as_tensor([{PERSON: 0, CAR: 1}[label] for label in labels], dtype=torch.int64),
        scores=torch.as_tensor(scores),
        masks=torch.as_tensor(masks),
    )
    return sample


def test_metric(cities, official, make_sample, run_metric):
    folder, predictions = cities
    config = {"type": "omgseg.CityscapesInstanceMetric", "seg_prefix": str(folder)}
    samples = [sample_of(make_sample, name, *prediction) for name, prediction in predictions.items()]
    expected = {"cityscapes/AP": 100 * official["allAp"], "cityscapes/AP50": 100 * official["allAp50%"]}
    assert run_metric(config, samples) == pytest.approx(expected, abs=1e-10)
    again = run_metric({**config, "num_workers": 2}, samples[::-1], batch_size=1)
    assert again == pytest.approx(expected, abs=1e-10), "order, workers and earlier runs change nothing"
    nothing = [sample_of(make_sample, name, [], [], masks[:0]) for name, (_, _, masks) in predictions.items()]
    assert set(run_metric(config, nothing).values()) == {0}


def test_wrong_input(cities, make_sample, run_metric, tmp_path):
    folder, predictions = cities
    config = {"type": "omgseg.CityscapesInstanceMetric", "seg_prefix": str(folder)}
    with pytest.raises(FileNotFoundError, match=r"nowhere not found; see data/README\.md#cityscapes"):
        run_metric({**config, "seg_prefix": str(tmp_path / "nowhere")}, [])
    name, (labels, scores, masks) = next(iter(predictions.items()))
    with pytest.raises(FileNotFoundError, match=r"ulm_1_gtFine_instanceIds\.png not found"):
        run_metric(config, [sample_of(make_sample, "ulm_1", labels, scores, masks)])
    with pytest.raises(ValueError, match=r"instanceIds\.png: the prediction has size \(30, 45\)"):
        run_metric(config, [sample_of(make_sample, name, labels, scores, masks[:, ::2, ::2])])
    path = folder / "aachen" / f"{name}_gtFine_instanceIds.png"
    write_png(path, np.full((HEIGHT, WIDTH), 77, np.uint16))
    with pytest.raises(ValueError, match=r"instanceIds\.png holds label 77, which Cityscapes does not have"):
        run_metric(config, [sample_of(make_sample, name, labels, scores, masks)])


def test_package_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cityscapesscripts.evaluation", None)
    with pytest.raises(ImportError, match="pip install cityscapesscripts"):
        summarize_cityscapes([])
