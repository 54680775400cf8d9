"""A model behind the seam that is prompted: simulated clicks, the protocol of the small SAMs, a detector's boxes,
all masks."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from PIL import Image
from torch.utils.data import DataLoader

from omgseg.engine import ConfigError
from omgseg.evaluation.metrics import InteractiveMetric, NamingMetric, ProposalMetric, RefinementMetric
from omgseg.protocols import Abilities, MaskSet
from omgseg.structures import Category, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks
from tests.fakes import ClickOnlyFake, FindsEverything, NamesMasks, picture

SCENE = picture(60, 80, ("red", 5, 5, 25, 25), ("blue", 5, 40, 25, 60), ("green", 40, 0, 60, 80))
RED, BLUE, GREEN = (SCENE[..., channel] > 150 for channel in (0, 2, 1))


class Wrapped(BaseModel):
    """What a runner tests; the factory of its class makes it clickable."""

    class segmenter(ClickOnlyFake):
        made_of: list[Any] = []

        @classmethod
        def from_model(cls, model, config, dtype):
            cls.made_of.append((model, config, dtype))
            return cls()

    def forward(self, *args, **kwargs):
        raise AssertionError("the loop asks the segmenter")


class Direct(BaseModel, ClickOnlyFake):
    """Implements the protocol itself."""

    def __init__(self):
        BaseModel.__init__(self)
        object.__setattr__(self, "calls", [])

    def forward(self, *args, **kwargs):
        raise AssertionError("the loop clicks")


class Keep(Hook):
    """Keeps the samples."""

    def __init__(self):
        self.samples = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.samples += outputs


def sample_of(tmp_path, name: str, *objects: np.ndarray) -> dict[str, Any]:
    """An image whose pipeline has halved its size: prompts lie in the half image, objects in the original one."""
    Image.fromarray(SCENE).save(tmp_path / f"{name}.png")
    sample = DetDataSample(
        metainfo=dict(
            img_path=str(tmp_path / f"{name}.png"),
            img_id=name,
            ori_shape=(60, 80),
            img_shape=(30, 40),
            scale_factor=(0.5, 0.5),
            source="coco",
        )
    )
    masks = np.array(objects, bool).reshape(-1, 60, 80)
    rows = [np.argwhere(mask) for mask in masks]
    boxes = [(*row.min(0)[::-1], *(row.max(0)[::-1] + 1)) for row in rows]
    points = [(row[0][::-1] + 0.5) * 0.5 for row in rows]
    sample.gt_instances = InstanceData(
        masks=torch.from_numpy(masks), bboxes=torch.tensor(np.array(boxes, np.float32).reshape(-1, 4))
    )
    sample.prompts = InstanceData(points=torch.tensor(np.array(points, np.float32).reshape(-1, 2)))
    return dict(inputs=torch.zeros(1, 3, 30, 40, dtype=torch.uint8), data_samples=sample)


def run(
    tmp_path, model, data, metric=None, kind="ClickLoop", **loop
) -> tuple[dict[str, float], list[DetDataSample]]:
    keep = Keep()
    runner = Runner(
        model=model,
        work_dir=str(tmp_path / "work"),
        test_dataloader=DataLoader(data, batch_size=2, collate_fn=pseudo_collate),
        test_evaluator=[metric or InteractiveMetric()],
        test_cfg=dict(type=f"omgseg.{kind}", **loop),
        custom_hooks=[keep],
        default_scope="omgseg",
        experiment_name=f"clicks-{tmp_path.name}",
        log_level="ERROR",
        cfg=dict(image_size=(40, 30)),
    )
    return runner.test(), keep.samples


@pytest.mark.parametrize("kind", [Wrapped, Direct])
def test_clicks_correct_the_largest_error(tmp_path, kind):
    """Of red and blue, the first click finds red, the second one adds blue; green is whole at once."""
    data = [
        sample_of(tmp_path, "a", RED | BLUE, GREEN),
        sample_of(tmp_path, "none"),
        sample_of(tmp_path, "b", RED),
    ]
    values, samples = run(tmp_path, kind(), data, num_clicks=3)
    assert values["interactive/mIoU"] == pytest.approx(100 * 2.5 / 3, abs=0.01)
    assert values["interactive/mIoU_clicks1"] == values["interactive/mIoU"]
    assert values["interactive/mIoU_clicks2"] == values["interactive/mIoU_clicks3"] == 100
    assert values["interactive/mIoU_box"] == 100
    assert values["interactive/NoC3@85"] == values["interactive/NoC3@90"] == pytest.approx(4 / 3)
    first, empty, _ = samples
    assert first.pred_clicks.masks.shape == (2, 3, 60, 80) and first.pred_clicks.masks.dtype == torch.bool
    assert np.array_equal(first.pred_instances.masks[0], RED) and first.pred_instances.scores.shape == (2,)
    assert np.array_equal(first.pred_clicks.masks[0, 1], RED | BLUE)
    assert empty.pred_clicks.masks.shape == (0, 3, 60, 80) and empty.pred_box.masks.shape == (0, 60, 80)


def test_a_click_may_take_away(tmp_path):
    """Only the left half of red is wanted: a click into the right half takes all of red away, as the fake has it."""
    half = RED.copy()
    half[:, 15:] = False
    _, (sample,) = run(tmp_path, Direct(), [sample_of(tmp_path, "a", half)], num_clicks=2)
    assert np.array_equal(sample.pred_clicks.masks[0, 0], RED)
    assert not sample.pred_clicks.masks[0, 1].any()


def test_a_factory_gets_the_model_its_config_and_the_precision(tmp_path):
    Wrapped.segmenter.made_of.clear()
    model = Wrapped()
    run(tmp_path, model, [sample_of(tmp_path, name, RED) for name in "abc"], num_clicks=1)
    ((given, config, dtype),) = Wrapped.segmenter.made_of
    assert given is model and config.image_size == (40, 30) and dtype is torch.float32


def test_a_model_without_boxes(tmp_path):
    model = Direct()
    model.abilities = Abilities(frozenset({Task.INTERACTIVE}), frozenset({"points", "labels"}))
    values, (sample,) = run(tmp_path, model, [sample_of(tmp_path, "a", RED | BLUE)], num_clicks=2)
    assert values["interactive/mIoU_clicks2"] == 100
    assert "pred_box" not in sample and "interactive/mIoU_box" not in values


class Neither(BaseModel):
    def forward(self, *args, **kwargs):
        pass


class NoNegatives(Direct):
    abilities = Abilities(frozenset({Task.INTERACTIVE}), frozenset({"points"}))


def test_models_that_take_no_clicks(tmp_path):
    with pytest.raises(
        ConfigError, match="ClickLoop: Neither is not a PromptableModel, and its class attribute"
    ):
        run(tmp_path, Neither(), [sample_of(tmp_path, "a", RED)])
    with pytest.raises(ConfigError, match="ClickLoop: NoNegatives does not take clicks"):
        run(tmp_path / "x", NoNegatives(), [sample_of(tmp_path, "a", RED)])


def test_at_least_one_click(tmp_path):
    with pytest.raises(ValueError, match="num_clicks is 0"):
        run(tmp_path, Direct(), [sample_of(tmp_path, "a", RED)], num_clicks=0)


def refine(tmp_path, model, data, **loop):
    return run(tmp_path, model, data, RefinementMetric(), "RefinementLoop", **{"frame": 128, **loop})


def test_corrective_points(tmp_path):
    """A box finds all; the centre of red and blue finds one of them, and the point that follows adds the other."""
    both, wide = RED | BLUE, GREEN.copy()
    data = [
        sample_of(tmp_path, "a", RED, both, wide),
        sample_of(tmp_path, "none"),
        sample_of(tmp_path, "b", BLUE),
    ]
    model = Direct()
    values, (first, none, _) = refine(tmp_path, model, data)
    names = [f"interactive/mIoU_{kind}{more}" for kind in ("box", "centre") for more in ("", "+1", "+2")]
    assert list(values) == names
    assert [values[name] > 95 for name in names] == [True, True, True, False, True, True], values
    assert first.pred_overlaps_centre.intersection.shape == (3, 3) and len(none.pred_overlaps_box) == 0
    halves = first.pred_overlaps_centre.intersection[1] / first.pred_overlaps_centre.union[1]
    assert halves[0] < 0.6 and halves[1] > 0.9, "one of two squares, then both"
    assert model.calls.count(("encode_image", [(60, 80)])) == 2, "the image without objects is not encoded"
    again = refine(tmp_path / "again", Direct(), data[:1])[1][0]
    assert torch.equal(again.pred_overlaps_box.union, first.pred_overlaps_box.union), "whatever came before"


def test_prompts_come_in_bounded_batches(tmp_path):
    model = Direct()
    refine(tmp_path, model, [sample_of(tmp_path, "a", *[RED] * 100)], num_points=0)
    sizes = [len(sizes) for name, sizes in model.calls if name == "segment_prompts"]
    assert sizes == [64, 64, 36, 36]


def test_a_model_without_boxes_has_centres_only(tmp_path):
    model = Direct()
    model.abilities = Abilities(frozenset({Task.INTERACTIVE}), frozenset({"points", "labels"}))
    values, _ = refine(tmp_path, model, [sample_of(tmp_path, "a", RED)], num_points=1)
    assert list(values) == ["interactive/mIoU_centre", "interactive/mIoU_centre+1"]
    with pytest.raises(ValueError, match="num_points is -1"):
        refine(tmp_path, model, [], num_points=-1)


class Replay(Direct):
    """Answers with the logits of a stored run, whatever is asked, and keeps the prompts."""

    def __init__(self, calls, images, side):
        super().__init__()
        object.__setattr__(self, "stored", (calls, images, side))
        object.__setattr__(self, "asked", [])

    def segment_prompts(self, state, prompts):
        calls, images, side = self.stored
        call = calls[len(self.asked)]
        self.asked.append((call, prompts))
        image = images[call["image"]]
        height, width = image["input_size"]
        resize = torch.nn.functional.interpolate
        full = resize(call["low_res"], (side, side), mode="bilinear")[..., :height, :width]
        masks = (resize(full, tuple(image["original_size"]), mode="bilinear") > 0)[:, 0].numpy()
        return MaskSet(encode_masks(masks), np.ones(len(masks), np.float32))


@pytest.mark.golden
@pytest.mark.parametrize("kind", ["box", "centre"])
def test_the_published_script_through_the_seam(tmp_path, golden_dir, kind):
    golden = torch.load(golden_dir / "edge_sam" / "golden.pt", weights_only=True)["evaluation"]
    stored, side = golden["runs"][kind], golden["img_size"]
    calls, data = [], []
    for number, image in enumerate(golden["images"]):
        sample = sample_of(tmp_path, str(number))
        height, width = image["original_size"]
        Image.new("RGB", (width, height)).save(tmp_path / f"{number}.png")
        boxes = image["boxes_original_xyxy"].float()
        sample["data_samples"].gt_instances = InstanceData(masks=image["gt_masks"], bboxes=boxes)
        data.append(sample)
        own = [call for call in stored["calls"] if call["image"] == number]
        calls += own + own  # what the loop asks with boxes, then with centres
    model = Replay(calls, golden["images"], side)
    points = len(stored["mIoU_percent"]) - 1
    values, samples = refine(tmp_path, model, data, frame=side, num_points=points)
    for number, wanted in enumerate(stored["mIoU_percent"]):
        name = f"interactive/mIoU_{kind}+{number}" if number else f"interactive/mIoU_{kind}"
        assert values[name] == pytest.approx(wanted, abs=1e-3)
    counts = [sample.get(f"pred_overlaps_{kind}") for sample in samples]
    found = torch.cat([both.intersection / both.union for both in counts])
    torch.testing.assert_close(found.T.float(), stored["iou_per_instance"], atol=1e-6, rtol=0)
    for call, prompts in model.asked:
        if (prompts.boxes is not None) != (kind == "box"):
            continue
        image = golden["images"][call["image"]]
        factor = np.array(image["input_size"][::-1]) / np.array(image["original_size"][::-1])
        if kind == "box":
            np.testing.assert_allclose(prompts.boxes * np.tile(factor, 2), call["boxes"], atol=1e-3)
        elif call["iteration"] == 0:
            np.testing.assert_allclose(prompts.points * factor, call["points"], atol=1e-3)
        given = 0 if prompts.points is None else prompts.points.shape[1]
        assert given == call["iteration"] + (kind == "centre") and prompts.masks is None


class Detected(torch.utils.data.Dataset):
    """Two images with words; what of a dataset a loop over detections looks at."""

    vocabulary = Vocabulary([Category("dog", id=9), Category("cat", id=4)])
    metainfo = dict(vocabulary=vocabulary)

    def __init__(self, folder):
        self.samples = [sample_of(folder, name, RED) for name in "ab"]
        for sample in self.samples:
            sample["data_samples"].set_metainfo(dict(img_id=ord(sample["data_samples"].img_id)))

    def get_data_info(self, index):
        return dict(frames=[dict(img_id=self.samples[index]["data_samples"].img_id)])

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def detect(tmp_path, content, model=None):
    file = tmp_path / "boxes.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    loop = dict(kind="DetectedBoxLoop", metric=InteractiveMetric(), boxes=str(file))
    return run(tmp_path, model or Direct(), Detected(tmp_path), **loop)[1]


ENTRY = dict(image_id=ord("a"), category_id=9, bbox=[5, 5, 20, 20], score=0.25)


class Kept(InteractiveMetric):
    """Counts images."""

    def reduce(self, sample):
        return {}

    def summarize(self, results):
        return {"images": len(results)}


def test_masks_for_the_boxes_of_a_detector(tmp_path):
    outside, wide = (
        dict(ENTRY, bbox=[90, 5, 9, 9]),
        dict(ENTRY, bbox=[-5, -5, 70, 35], category_id=4, score=1),
    )
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps([ENTRY, outside, wide]))

    _, (first, second) = run(
        tmp_path, Direct(), Detected(tmp_path), Kept(), "DetectedBoxLoop", boxes=str(file)
    )
    found = first.pred_instances
    assert found.labels.tolist() == [0, 0, 1] and found.scores.tolist() == [0.25, 0.25, 1]
    assert np.array_equal(found.masks[0], RED) and not found.masks[1].any()
    assert np.array_equal(found.masks[2], RED | BLUE)
    assert len(second.pred_instances) == 0 and second.pred_instances.masks.shape == (0, 60, 80)


def test_a_model_names_the_boxes_of_a_detector(tmp_path, coloured):
    """A red and a blue box, which the detector calls green; the third one holds nothing to name."""
    green = dict(ENTRY, image_id="a", category_id=3)
    entries = [green, dict(green, bbox=[40, 5, 20, 20], score=0.75), dict(green, bbox=[65, 5, 9, 9])]
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(entries))
    loop = dict(kind="DetectedBoxLoop", boxes=str(file), labels="model")
    _, (sample, *others) = run(tmp_path, Names(), coloured, Kept(), **loop)
    found = sample.pred_instances
    assert found.labels.tolist() == [0, 1] and found.scores.tolist() == [0.25, 0.75]
    assert np.array_equal(found.masks[1], BLUE) and not any(len(other.pred_instances) for other in others)
    _, (sample, *_) = run(tmp_path / "x", Names(), coloured, Kept(), category_ids=[2], **loop)
    assert sample.pred_instances.labels.tolist() == [1, 1]
    with pytest.raises(ConfigError, match="DetectedBoxLoop: Direct does not take boxes and name masks"):
        run(tmp_path / "y", Direct(), coloured, **loop)
    with pytest.raises(ValueError, match="labels is 'mine', not 'detector' or 'model'"):
        run(tmp_path / "z", Names(), coloured, **{**loop, "labels": "mine"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[{", "is not complete JSON"),
        ({"annotations": []}, "is not a list of entries with 'bbox'"),
        ([], "holds no boxes"),
        ([7], "entry 0 is not an object"),
        (
            [ENTRY, {key: ENTRY[key] for key in ("image_id", "category_id", "score")}],
            "entry 1 has no field 'bbox'",
        ),
        ([dict(ENTRY, image_id=5)], "entry 0: 'image_id' is 5, which the annotations"),
        ([dict(ENTRY, category_id=5)], "'category_id' is 5"),
        ([dict(ENTRY, bbox=[1, 2, 3])], r"'bbox' is \[1, 2, 3\]"),
        ([dict(ENTRY, bbox=[1, 2, 3, float("nan")])], "'bbox' is"),
        ([dict(ENTRY, score=None)], "'score' is None"),
    ],
)
def test_files_that_hold_no_detections(tmp_path, content, words):
    with pytest.raises(ConfigError, match=f"DetectedBoxLoop: .*boxes.json.*{words}") as error:
        detect(tmp_path, content)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_model_without_boxes(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.json not found"):
        run(tmp_path, Direct(), Detected(tmp_path), kind="DetectedBoxLoop", boxes=str(tmp_path / "none.json"))
    model = Direct()
    model.abilities = Abilities(frozenset({Task.INTERACTIVE}), frozenset({"points", "labels"}))
    with pytest.raises(ConfigError, match="DetectedBoxLoop: Direct does not take boxes"):
        detect(tmp_path, [ENTRY], model)


class Everything(Direct, FindsEverything):
    """Finds the three squares of the scene: blue scores less than red and green."""


def test_all_masks_of_an_image(tmp_path):
    truth = dict(
        images=[dict(id=name, height=60, width=80) for name in "ab"],
        annotations=[
            dict(id=1, image_id="a", category_id=1, segmentation=encode_masks([RED])[0], area=400, iscrowd=0),
            dict(
                id=2,
                image_id="a",
                category_id=1,
                segmentation=encode_masks([RED | BLUE])[0],
                area=800,
                iscrowd=0,
            ),
        ],
        categories=[dict(id=1, name="thing")],
    )
    for entry in truth["annotations"]:
        entry["bbox"] = [0, 0, 1, 1]
    file = tmp_path / "truth.json"
    file.write_text(json.dumps(truth))
    data = [sample_of(tmp_path, "a", RED), sample_of(tmp_path, "b")]
    model = Everything()
    values, (first, _) = run(tmp_path, model, data, ProposalMetric(str(file)), "ProposalLoop", min_score=0.7)
    assert [np.asarray(mask["size"]).tolist() for mask in first.pred_proposals.masks] == [[60, 80]] * 2
    assert first.pred_proposals.scores.tolist() == pytest.approx([0.9, 0.8]), "blue is below the limit"
    assert values["proposals/AR@100"] == pytest.approx(50), "red is found, both as one object are not"
    with pytest.raises(ConfigError, match="ProposalLoop: Direct does not find all masks of an image"):
        run(tmp_path / "x", Direct(), data, ProposalMetric(str(file)), "ProposalLoop")
    with pytest.raises(ValueError, match="points_per_side is 0"):
        run(tmp_path / "y", model, data, ProposalMetric(str(file)), "ProposalLoop", points_per_side=0)


class Names(Direct, NamesMasks):
    """Takes boxes, and names what is in them."""


@pytest.fixture
def coloured(tmp_path):
    """Red and blue are right, green is no thing, and the last box holds nothing to name."""
    data = Detected(tmp_path)
    data.vocabulary = Vocabulary(
        [Category("red", id=1), Category("blue", id=2), Category("green", False, id=3)]
    )
    data.metainfo = dict(vocabulary=data.vocabulary)
    data.samples = [
        sample_of(tmp_path, "a", RED, BLUE, GREEN),
        sample_of(tmp_path, "b", picture(60, 80, ("red", 30, 30, 32, 32))[..., 0] > 150),
        sample_of(tmp_path, "none"),
    ]
    for sample, labels in zip(data.samples, ([0, 1, 1], [0], []), strict=True):
        sample["data_samples"].gt_instances.labels = torch.tensor(labels, dtype=torch.long)
    return data


NAMED = dict(kind="NamedPromptLoop", frame=64)


def test_names_of_what_is_in_boxes_and_at_centres(tmp_path, coloured):
    groups = dict(base=[1], novel=[2], none=[3])
    model = Names()
    values, (first, second, third) = run(tmp_path, model, coloured, NamingMetric(groups), **NAMED)
    for found in (first.pred_instances, first.pred_centres):
        assert found.labels.tolist()[:2] == [0, 1] and np.array_equal(found.masks[0], RED)
    assert second.pred_instances.labels.tolist() == [-1] and not second.pred_instances.masks.any()
    assert first.pred_instances.scores[0] > 0.9 and second.pred_instances.scores.tolist() == [0]
    assert third.pred_centres.masks.shape == (0, 60, 80)
    assert np.isnan(values.pop("naming/Acc_box_none")) and np.isnan(values.pop("naming/mIoU_centre_none"))
    shown = {name.removeprefix("naming/"): value for name, value in values.items()}
    for prompt in ("box", "centre"):
        assert shown[f"Acc_{prompt}"] == 50 and shown[f"mIoU_{prompt}"] == 75
        assert shown[f"Acc_{prompt}_base"] == shown[f"mIoU_{prompt}_base"] == 50
        assert shown[f"Acc_{prompt}_novel"] == 50 and shown[f"mIoU_{prompt}_novel"] == 100
    assert sum(call[0] == "encode_image" for call in model.calls) == 2, "once for both kinds of prompts"


def test_a_name_is_one_of_the_categories_that_are_asked_for(tmp_path, coloured):
    """Without red, its objects are not prompted, and what looks red gets another name."""
    coloured.samples[0]["data_samples"].gt_instances.labels = torch.tensor([1, 1, 0])
    values, (first, second, _) = run(tmp_path, Names(), coloured, NamingMetric(), category_ids=[2], **NAMED)
    assert first.gt_instances.labels.tolist() == first.pred_instances.labels.tolist() == [1, 1]
    assert first.pred_instances.scores.tolist() == pytest.approx([0.05, 0.95])
    assert len(second.gt_instances) == len(second.pred_centres) == 0
    assert values["naming/Acc_box"] == 100
    with pytest.raises(ConfigError, match=r"category_ids \[7\] has no thing of the dataset"):
        run(tmp_path / "x", Names(), coloured, NamingMetric(), category_ids=[7], **NAMED)


def test_models_that_name_no_masks_or_take_no_points(tmp_path, coloured):
    with pytest.raises(ConfigError, match="NamedPromptLoop: Direct does not take boxes and name masks"):
        run(tmp_path, Direct(), coloured, NamingMetric(), **NAMED)
    model = Names()
    model.abilities = Abilities(frozenset({Task.INTERACTIVE}), frozenset({"boxes"}))
    values, _ = run(tmp_path / "x", model, coloured, NamingMetric(), **NAMED)
    assert values == {"naming/Acc_box": 50, "naming/mIoU_box": 75}
