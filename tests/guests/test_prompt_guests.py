"""SAM and its successors behind the seam answer prompts as their own processors read them out."""

import numpy as np
import pytest
import torch
from PIL import Image

import omgseg
from omgseg.cli.main import main
from omgseg.guests import promptable
from omgseg.inference import InteractivePredictor
from omgseg.models.sam import prompting
from omgseg.protocols import MaskSet, PromptableModel, Prompts, Proposer, Request, TrackingModel
from omgseg.structures import Task
from omgseg.structures.run_lengths import decode_masks
from tests.guests.tiny import copied, transformers
from tests.guests.tiny_sam import IMAGES, SAMS, SIDE, VIDEOS

CLICK = dict(points=[[[20, 30]], [[70, 50]]])
CLICKS = dict(points=[[[20, 30], [60, 10]], [[70, 50], [10, 80]]], labels=[[1, 0], [1, 1]])
BOXES = dict(boxes=[[10, 10, 50, 60], [40, 20, 119, 80]])
ASKED = {
    "click": CLICK,
    "not_this": dict(points=CLICK["points"], labels=[[1], [0]]),
    "clicks": CLICKS,
    "boxes": BOXES,
    "both": {**BOXES, **CLICKS},
}


def prompts(carry: object = None, **fields: object) -> Prompts:
    kinds = {"labels": np.int8, "masks": bool}
    return Prompts(
        **{kind: np.asarray(value, kinds.get(kind, np.float32)) for kind, value in fields.items()},
        carry=carry,
    )


def masks_of(found: MaskSet, photo: np.ndarray) -> np.ndarray:
    return decode_masks(found.rles, photo.shape[:2])


@pytest.fixture(scope="module")
def encoded(loaded, photo):
    """``encoded(name)``: a guest, and the photo encoded by it."""
    states = {}

    def encode(name: str) -> tuple:
        if name not in states:
            states[name] = loaded(name).encode_image(photo)
        return loaded(name), states[name]

    return encode


@pytest.fixture(scope="module")
def theirs(guest_folder):
    """``theirs(name)``: the network for images with the weights of a folder, and its processor."""
    kinds = {
        "sam": "Sam",
        "sam_hq": "SamHQ",
        "sam2": "Sam2",
        "edgetam": "EdgeTam",
        "sam3_tracker": "Sam3Tracker",
        "sam3": "Sam3Tracker",
    }

    def load(name: str) -> tuple:
        kind = kinds[name.removesuffix("_video")]
        folder = guest_folder(name)
        images = transformers.AutoImageProcessor.from_pretrained(folder)
        of_video = kind == "Sam3Tracker" and name in VIDEOS
        twin = guest_folder("sam3_tracker_video") if of_video else folder
        network = getattr(transformers, f"{kind}Model").from_pretrained(twin)
        if of_video:  # Sam3TrackerModel would add `no_memory_embedding` to a map that it drops
            video = transformers.Sam3TrackerVideoModel.from_pretrained(folder).eval()
            network.load_state_dict(video.state_dict(), strict=False)
            network.get_image_features = video.get_image_features
        network.eval()
        if kind in ("Sam", "SamHQ"):
            return network, getattr(transformers, f"{kind}Processor")(images)
        return network, getattr(transformers, f"{kind.replace('EdgeTam', 'Sam2')}Processor")(images, SIDE)

    return load


def expected(network, processor, photo: np.ndarray, multimask: bool, **given: object) -> tuple:
    """The masks and scores of transformers, of several candidates the best ones."""
    inputs = processor(
        images=Image.fromarray(photo),
        input_points=[given["points"]] if "points" in given else None,
        input_labels=[given["labels"]] if "labels" in given else None,
        input_boxes=[given["boxes"]] if "boxes" in given else None,
        return_tensors="pt",
    )
    sizes = {name: inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs}
    with torch.no_grad():
        output = network(**inputs, multimask_output=multimask)
    (masks,) = processor.post_process_masks(output.pred_masks, *(some.tolist() for some in sizes.values()))
    scores, best = output.iou_scores[0].max(1)
    return masks[torch.arange(len(best)), best].numpy(), scores.clamp(0, 1).numpy()


@pytest.mark.parametrize("name", SAMS)
def test_what_it_offers(loaded, name):
    model = loaded(name)
    assert isinstance(model, PromptableModel) and isinstance(model, Proposer)
    assert isinstance(model, TrackingModel) == (name in VIDEOS) == (Task.VOS in model.abilities.tasks)
    assert {Task.INTERACTIVE, Task.EVERYTHING} <= model.abilities.tasks
    assert {"points", "labels", "boxes", "masks"} <= model.abilities.prompts
    assert model.abilities.test_size == (SIDE, SIDE)


@pytest.mark.parametrize("name", SAMS)
def test_answers_are_those_of_transformers(encoded, theirs, photo, name):
    model, state = encoded(name)
    network, processor = theirs(name)
    answers = []
    for kind, given in ASKED.items():
        found = model.segment_prompts(state, prompts(**given))
        masks, scores = expected(network, processor, photo, kind in ("click", "not_this"), **given)
        assert np.array_equal(masks_of(found, photo), masks), kind
        np.testing.assert_allclose(found.scores, scores, atol=1e-5)
        answers.append(masks)
    assert all(0 < masks.mean() < 1 for masks in answers)
    assert len({masks.tobytes() for masks in answers}) == len(ASKED), "all that is given matters"


@pytest.mark.parametrize("name", SAMS)
def test_objects_together_are_as_alone(encoded, photo, name, monkeypatch):
    """Of other numbers of clicks too, and of more objects than are decoded together."""
    model, state = encoded(name)
    points = np.random.default_rng(1).uniform(0, 90, (7, 3, 2)).round(1)
    labels = np.array([[1, -1, -1], [1, 0, -1], [1, -1, 1], [1, 1, 0], [0, -1, -1], [1, -1, -1], [-1, 1, 0]])
    together = model.segment_prompts(state, prompts(points=points, labels=labels))
    monkeypatch.setattr(promptable, "CELLS_AT_ONCE", 1)
    monkeypatch.setattr(prompting, "PROMPTS_AT_ONCE", 2)
    apart = model.segment_prompts(state, prompts(points=points, labels=labels))
    assert together.rles == apart.rles
    for row, (some, meaning) in enumerate(zip(points, labels, strict=True)):
        real = meaning >= 0
        alone = model.segment_prompts(state, prompts(points=some[real][None], labels=meaning[real][None]))
        torch.testing.assert_close(alone.carry.logits[0], together.carry.logits[row], atol=1e-4, rtol=1e-4)
        assert alone.scores[0] == pytest.approx(together.scores[row], abs=1e-5)


def test_a_config_may_name_the_network_for_images(guest_folder, encoded, photo, tmp_path):
    """Beside the weights of the one for videos."""
    folder = copied(guest_folder("sam2_video"), tmp_path / "sam2", architectures=["Sam2Model"])
    model = omgseg.load(folder, device="cpu", dtype="float32")
    video, state = encoded("sam2_video")
    assert not isinstance(model, TrackingModel)
    found = model.segment_prompts(model.encode_image(photo), prompts(**CLICKS))
    assert found.rles == video.segment_prompts(state, prompts(**CLICKS)).rles


@pytest.mark.parametrize("name", IMAGES)
def test_a_correction_continues_from_the_logits_and_the_box(encoded, theirs, photo, name):
    model, state = encoded(name)
    first = model.segment_prompts(state, prompts(**BOXES))
    masks = masks_of(first, photo)
    clicks = dict(points=[[[30, 40]], [[90, 30]]], labels=[[0], [1]])
    second = model.segment_prompts(state, prompts(**clicks, masks=masks, carry=first.carry))
    drawn = model.segment_prompts(state, prompts(**clicks, masks=masks))
    alone = model.segment_prompts(state, prompts(masks=masks))
    assert len({str(found.rles) for found in (first, second, drawn, alone)}) == 4
    network, processor = theirs(name)
    for row in range(2):
        given = {kind: [value[row]] for kind, value in {**clicks, **BOXES}.items()}
        inputs = processor(
            images=Image.fromarray(photo),
            return_tensors="pt",
            **{f"input_{k}": [v] for k, v in given.items()},
        )
        for size in ("original_sizes", "reshaped_input_sizes"):
            inputs.pop(size, None)
        with torch.no_grad():
            output = network(**inputs, input_masks=first.carry.logits[row : row + 1], multimask_output=False)
        torch.testing.assert_close(
            output.pred_masks[0], second.carry.logits[row : row + 1], atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("name", IMAGES)
def test_everything_is_found_without_prompts(encoded, photo, name):
    model, state = encoded(name)
    model.grid = prompting.GridConfig(min_stability=0.0, min_iou=0.0, points_per_side=4)
    found = model.propose(state, points_per_side=4, min_score=0.0, max_overlap=1.0)
    assert len(found.rles) == 4 * 4 * 3 and (np.diff(found.scores) <= 0).all()
    clicked = model.segment_prompts(state, prompts(points=[[[15, 11.25]]]))  # the first point of the grid
    assert clicked.rles[0] in found.rles
    limit = float(np.median(found.scores))
    surer = model.propose(state, 4, limit, 0.5)
    assert len(surer.rles) < len(found.rles) and (surer.scores > limit).all()
    (result,) = model.predict([photo], Request(Task.EVERYTHING))
    assert 0 < len(result.rles) and all(rle in found.rles for rle in result.rles)
    with pytest.raises(ValueError, match="SAM knows no classes"):
        model.predict([photo], Request(Task.PANOPTIC))


@pytest.mark.parametrize("name", sorted({*SAMS} - {"sam3_video"}))  # its tracker is one of the others
def test_bfloat16_gives_nearly_the_same(encoded, guest_folder, photo, name):
    full, state = encoded(name)
    short = omgseg.load(guest_folder(name), device="cpu", dtype="bfloat16")
    answers = []
    for model, place in ((full, state), (short, short.encode_image(photo))):
        found = model.segment_prompts(place, prompts(**CLICKS))
        assert found.carry.logits.dtype == torch.float32 and len(found.rles) == 2
        clicks = model.place(np.float32(CLICK["points"]), place), torch.ones(2, 1, dtype=torch.long)
        with torch.no_grad():
            answers.append(torch.cat(model.decode(place, *clicks, None, None, True)[0].float().unbind()))
    assert torch.corrcoef(torch.stack([answer.flatten() for answer in answers]))[0, 1] > 0.99


def test_clicks_one_by_one(loaded, photo):
    predictor = InteractivePredictor(loaded("sam2"))
    predictor.set_image(photo)
    first = predictor.predict(points=(60, 40))
    second = predictor.predict(points=(20, 20), labels=[0], mask=first.masks[0])
    many = predictor.predict_many(points=[(60, 40), (20, 20)])
    assert np.array_equal(many.masks[0], first.masks[0]) and not np.array_equal(first.masks, second.masks)


@pytest.mark.parametrize("name", ["sam", "sam2_video"])
def test_on_the_command_line(guest_folder, photo, tmp_path, name, capsys):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    model = ["--model", str(guest_folder(name)), "--device", "cpu", "--format", "json"]
    for number, asked in enumerate(
        (
            ["--points", "20,30"],
            ["--boxes", "10,20,90,80", "--points", "20,30", "--labels", "0", "--weights", "none"],
            ["--task", "everything"],
        )
    ):
        out = tmp_path / str(number)
        assert main(["predict", str(tmp_path / "photo.png"), *model, "--out", str(out), *asked]) == 0
        result = omgseg.SegmentationResult.load(out / "photo.json")
        assert result.size == (90, 120)
        if "--points" in asked:
            assert len(result.rles) == 1
    wrong = ["--out", str(tmp_path / "no"), "--task", "panoptic"]
    assert main(["predict", str(tmp_path / "photo.png"), *model, *wrong]) == 2
    assert "does not offer the task 'panoptic'" in capsys.readouterr().err
