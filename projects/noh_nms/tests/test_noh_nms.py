"""Suppression in crowds, as functions, in mmdet, and the command that evaluates CrowdHuman."""

import json
import time

import numpy as np
import pytest
import torch
from mmdet.models.layers import multiclass_nms
from PIL import Image

from omgseg.projects.noh_nms.crowd_human import Detections, evaluate, main, read_odgt
from omgseg.projects.noh_nms.speed import made_up_crowd
from omgseg.projects.noh_nms.suppression import METHODS, neighbour_weight, overlap, suppress


@pytest.fixture(scope="module")
def crowd():
    return made_up_crowd(1000)


def one_by_one(boxes, scores, method, nearby_boxes, nearby_probs, threshold=0.5):
    """The published rule, box by box, in plain Python."""
    overlaps = overlap(boxes[:, None], boxes)
    scores, expected, kept = scores.clone(), set(), []
    left = list(range(len(boxes)))
    while left:
        best = max(left, key=lambda row: (scores[row].item(), -row))
        left.remove(best)
        kept.append((best, scores[best].item()))
        for other in list(left):
            amount = overlaps[best, other]
            if amount <= threshold:
                continue
            weight = dict(
                greedy=0.0,
                soft_linear=1 - amount,
                soft_gaussian=torch.exp(-(amount**2) / 0.5),
                adaptive=float(amount <= max(nearby_probs[best], threshold)),
                noh=0.0,
            )[method]
            if method == "noh" and nearby_probs[best] > 0.3 and best not in expected:
                weight = neighbour_weight(boxes[best], nearby_boxes[best], boxes[other])
                if weight >= 0.6:
                    expected.add(other)
            scores[other] *= weight
            if scores[other] < 0.01:
                left.remove(other)
    return kept


@pytest.mark.parametrize("method", METHODS)
def test_pairs_at_once_give_what_box_by_box_gives(crowd, method):
    some = {name: values[:80] for name, values in crowd.items()}
    kept, scores = suppress(method=method, **some)
    wanted = one_by_one(method=method, **some)
    assert kept.tolist() == [row for row, _ in wanted] and len(kept) > 8
    assert torch.allclose(scores, torch.tensor([score for _, score in wanted]), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_thousand_boxes_take_milliseconds(crowd, method):
    """Of the processor: 10 on a quiet one; a loop over the 9,000 pairs that touch takes hundreds."""
    times = []
    for _ in range(10):
        start = time.process_time()
        suppress(method=method, **crowd)
        times.append(time.process_time() - start)
    assert min(times) < 0.1


def test_methods_differ_as_their_papers_say(crowd):
    counts = {method: len(suppress(method=method, **crowd)[0]) for method in METHODS}
    assert (
        counts["greedy"] < counts["noh"] < counts["soft_gaussian"] and counts["greedy"] < counts["adaptive"]
    )
    without = suppress(crowd["boxes"], crowd["scores"], "noh")
    assert torch.equal(without[0], suppress(crowd["boxes"], crowd["scores"], "greedy")[0])


def test_an_expected_neighbour_is_kept_and_no_other():
    boxes = torch.tensor([[0.0, 0, 40, 100], [12, 0, 52, 100], [3, 0, 43, 100]])
    nearby = torch.tensor([[12.0, 0, 52, 100], [0, 0, 1, 1], [0, 0, 1, 1]])
    scores, probs = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0.9, 0.9, 0.9])
    kept, new = suppress(boxes, scores, nearby_boxes=nearby, nearby_probs=probs)
    assert kept.tolist() == [0, 1] and torch.allclose(new, scores[:2])
    assert suppress(boxes, scores, nearby_boxes=nearby, nearby_probs=probs / 4)[0].tolist() == [0]


def test_classes_do_not_touch_each_other(crowd):
    labels = torch.arange(1000) % 3
    kept, _ = suppress(method="noh", labels=labels, **crowd)
    alone = [
        rows[suppress(method="noh", **{name: values[rows] for name, values in crowd.items()})[0]]
        for rows in ((labels == label).nonzero()[:, 0] for label in range(3))
    ]
    assert sorted(kept.tolist()) == sorted(torch.cat(alone).tolist())


@pytest.mark.parametrize("method", METHODS)
def test_no_boxes_and_few_boxes(method):
    kept, scores = suppress(torch.zeros(0, 4), torch.zeros(0), method)
    assert kept.shape == scores.shape == (0,) and kept.dtype == torch.long
    boxes = torch.tensor([[0.0, 0, 9, 9], [50, 50, 59, 59], [90, 0, 99, 9]])
    kept, _ = suppress(boxes, torch.tensor([0.2, 0.9, 0.5]), method, max_num=2)
    assert kept.tolist() == [1, 2]


def test_it_is_an_nms_of_mmdet(crowd):
    scores = torch.stack([crowd["scores"], 1 - crowd["scores"], torch.zeros(1000)], 1)
    for options in (dict(), dict(method="soft_linear")):
        config = dict(type="noh_nms", iou_threshold=0.5, **options)
        found, labels, rows = multiclass_nms(crowd["boxes"], scores, 0.05, config, 100, return_inds=True)
        assert found.shape == (100, 5) and set(labels.tolist()) == {0, 1} and len(rows) == 100
    one = multiclass_nms(crowd["boxes"], scores[:, [0, 2]], 0.05, dict(type="noh_nms", iou_threshold=0.5))[0]
    rows = (crowd["scores"] > 0.05).nonzero()[:, 0]
    kept, _ = suppress(crowd["boxes"][rows], crowd["scores"][rows], "greedy")
    assert torch.equal(one[:, :4], crowd["boxes"][rows][kept])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(method="hard"), "unknown NMS method 'hard'; choose from greedy, soft_linear"),
        (dict(min_score=0.0), "min_score is 0.0, and suppressed boxes score 0; give a number above 0"),
        (dict(boxes=torch.zeros(2, 5)), r"boxes have the shape \(2, 5\), but 2 boxes need \(2, 4\)"),
        (dict(scores=torch.tensor([0.5, torch.nan])), "scores are not all finite numbers"),
        (dict(nearby_boxes=torch.zeros(3, 4), nearby_probs=torch.zeros(2)), "nearby_boxes have the shape"),
    ],
)
def test_wrong_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        suppress(**{**dict(boxes=torch.zeros(2, 4), scores=torch.ones(2)), **change})


def person(box, **more):
    return {"tag": "person", "fbox": box, "vbox": box, "hbox": box, **more}


@pytest.fixture
def files(tmp_path):
    """An annotation file of two images, detections, and the images."""
    half = person([60, 0, 20, 40])
    half["vbox"] = [60, 0, 20, 20]
    boxes = [
        person([10, 10, 20, 40], extra={"occ": 0}),
        half,
        person([95, 0, 30, 40]),  # its centre is outside
        person([40, 50, 10, 10], extra={"ignore": 1}),
        {"tag": "mask", "fbox": [0, 60, 30, 30], "vbox": [0, 60, 30, 30]},
    ]
    lines = [{"ID": "a,1", "gtboxes": boxes}, {"ID": "b,2", "gtboxes": []}]
    (tmp_path / "val.odgt").write_text("\n".join(map(json.dumps, lines)) + "\n")
    found = [("a,1", [11, 10, 20, 40], 0.9), ("a,1", [5, 65, 10, 10], 0.8), ("b,2", [0, 0, 9, 9], 0.7)]
    rows = [dict(image_id=name, category_id=1, bbox=box, score=score) for name, box, score in found]
    (tmp_path / "found.json").write_text(json.dumps(rows))
    for name in ("a,1", "b,2"):
        Image.new("RGB", (100, 100)).save(tmp_path / f"{name}.jpg")
    return tmp_path


def test_annotations_are_read_as_published(files):
    people = read_odgt(files / "val.odgt", {"a,1": (100, 100), "b,2": (100, 100)}, clip=True)
    assert people["a,1"].ignored.tolist() == [False, False, True, True, True] and not len(people["b,2"].boxes)
    assert people["a,1"].boxes[2].tolist() == [95, 0, 100, 40]
    assert people["a,1"].visibility.tolist() == [1, 0.5, 1, 1, 1]
    assert people["a,1"].restricted(min_visibility=0.6).ignored.tolist() == [False, True, True, True, True]
    assert not read_odgt(files / "val.odgt")["a,1"].ignored[2]


def test_the_command_evaluates(files, capsys):
    command = [str(files / "val.odgt"), str(files / "found.json"), "--images", str(files)]
    scores = main(command)
    assert scores["Recall"] == 0.5 and scores["AP"] == pytest.approx(0.5)
    assert scores["MR"] == pytest.approx(0.5)  # one of two persons before the first false alarm
    assert "50.0" in capsys.readouterr().out
    assert main([*command, "--min-visibility", "0.6"])["Recall"] == 1
    assert main([*command, "--published"])["AP"] < 0.01


def test_images_without_detections_count_as_missed(files):
    people = read_odgt(files / "val.odgt")
    assert evaluate(people, {}) == dict(AP=0.0, Recall=0.0, MR=1.0)


def test_wrong_files_are_named(files):
    with pytest.raises(FileNotFoundError, match=r"gone\.odgt not found"):
        read_odgt(files / "gone.odgt")
    with pytest.raises(FileNotFoundError, match=r"gone\.json not found"):
        main([str(files / "val.odgt"), str(files / "gone.json")])
    with pytest.raises(FileNotFoundError, match=r"a,1\.jpg not found; --images is the folder"):
        main([str(files / "val.odgt"), str(files / "found.json"), "--images", str(files / "gone")])
    (files / "bad.json").write_text('[{"image_id": "a,1", "bbox": [0, 0, 1, 1]}]')
    with pytest.raises(
        SystemExit, match=r"bad\.json is not a list of results in COCO's format: KeyError\('score'\)"
    ):
        main([str(files / "val.odgt"), str(files / "bad.json")])
    (files / "bad.json").write_text('[{"image_id": "a,1", "bbox": [0, 0, 1, NaN], "score": 1}]')
    with pytest.raises(SystemExit, match=r"a box or a score of the image a,1 is not a finite number"):
        main([str(files / "val.odgt"), str(files / "bad.json")])
    people = read_odgt(files / "val.odgt")
    with pytest.raises(ValueError, match="the detections have the image c, which is not annotated"):
        evaluate(people, {"c": Detections(np.zeros((0, 4)), np.zeros(0))})
    with pytest.raises(ValueError, match="there is no person that counts"):
        evaluate({"b,2": people["b,2"]}, {})
    with pytest.raises(SystemExit):
        main([str(files / "val.odgt"), str(files / "found.json"), "--clip"])


BOX = dict(tag="person", fbox=[0, 0, 2, 4], vbox=[0, 0, 2, 2])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"ID": "a"}', r"KeyError\('gtboxes'\)"),
        ('{"ID": "a", "gtboxes": [', "JSONDecodeError"),
        ("\xff\xfe", "JSONDecodeError"),
        ("[1, 2]", "TypeError"),
        (json.dumps(dict(ID="a", gtboxes=[{**BOX, "fbox": [0, 0, 2]}])), "not enough values"),
        (json.dumps(dict(ID="a", gtboxes=[{**BOX, "fbox": [0, 0, float("nan"), 4]}])), r"\[0, 0, nan, 4\]"),
        (json.dumps(dict(ID="a", gtboxes=[{**BOX, "fbox": [0, 0, -2, 4]}])), "has a size below 0"),
        (json.dumps(dict(ID="a", gtboxes=[{**BOX, "vbox": "all"}])), "could not convert"),
        (json.dumps(dict(ID="a", gtboxes=[{**BOX, "extra": [1]}])), "AttributeError"),
    ],
)
def test_broken_lines_are_named(tmp_path, line, reason):
    file = tmp_path / "bad.odgt"
    file.write_text(json.dumps(dict(ID="first", gtboxes=[BOX])) + f"\n{line}\n", encoding="latin-1")
    with pytest.raises(ValueError, match=rf"bad\.odgt, line 2 is not an image of CrowdHuman: .*{reason}"):
        read_odgt(file)
    with pytest.raises(SystemExit, match=r"bad\.odgt, line 2"):
        main([str(file), str(tmp_path / "found.json")])


def test_files_without_images_and_images_twice_are_named(tmp_path):
    file = tmp_path / "bad.odgt"
    file.write_text("\n")
    with pytest.raises(ValueError, match=r"bad\.odgt has no images"):
        read_odgt(file)
    file.write_text(2 * (json.dumps(dict(ID="a", gtboxes=[])) + "\n"))
    with pytest.raises(ValueError, match=r"bad\.odgt, line 2: the image a occurs twice"):
        read_odgt(file)


@pytest.mark.parametrize("method", METHODS)
def test_one_box_stays_and_has_no_neighbours(method):
    box, score = torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([0.4])
    kept, scores = suppress(box, score, method, nearby_boxes=box, nearby_probs=torch.ones(1))
    assert kept.tolist() == [0] and torch.equal(scores, score)
    with pytest.raises(ValueError, match="boxes are not all finite numbers"):
        suppress(torch.full((1, 4), torch.nan), score, method)
