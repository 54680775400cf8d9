"""SAM behind the seam: clicks, boxes, masks and everything, on images of any size."""

import cv2
import numpy as np
import pytest
import torch

import omgseg
from omgseg import InteractiveVideo, OMGSegInferencer
from omgseg.cli.main import main
from omgseg.inference import InteractivePredictor, UnsupportedRequest
from omgseg.model_table import find_model
from omgseg.models.sam.adapter import SamSegmenter
from omgseg.models.sam.everything import stability
from omgseg.models.sam.model import to_model_frame
from omgseg.protocols import PromptableModel, Prompts, Proposer, Request, TrackingModel
from omgseg.registry import MODELS
from omgseg.structures import Task
from omgseg.structures.run_lengths import decode_masks

from .conftest import sam_config


@pytest.fixture(scope="module")
def sam(small_config):
    """With random weights: its masks mean nothing, but depend on all that is given."""
    model = MODELS.build(small_config)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for parameter in model.mask_decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return SamSegmenter.from_model(model.eval(), {"model": small_config})


@pytest.fixture(scope="module")
def disc_sam(golden, marker):
    """It marks a disc around a point, with soft edges, which are not so stable as a large model's."""
    config = {
        "model": sam_config(golden["automatic"]["config"]),
        "segmenter": dict(everything=dict(min_stability=0.8)),
    }
    return SamSegmenter.from_model(marker, config)


@pytest.fixture(scope="module")
def photo():
    noise = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
    return cv2.resize(noise, (85, 60), interpolation=cv2.INTER_CUBIC)


def logits_of(sam, image, **prompts):
    arrays = {
        kind: value
        if kind == "carry"
        else np.asarray(value, {"labels": np.int8, "masks": bool}.get(kind, np.float32))
        for kind, value in prompts.items()
    }
    return sam.segment_prompts(sam.encode_image(image), Prompts(**arrays)).carry.logits


def test_it_says_what_it_can_do(sam, small_config):
    loaded = omgseg.load({"model": small_config}, "random", "cpu")
    assert loaded.abilities == sam.abilities
    assert loaded.abilities.tasks == {Task.INTERACTIVE, Task.EVERYTHING}
    assert (
        loaded.abilities.prompts == {"points", "labels", "boxes", "masks"}
        and not loaded.abilities.open_vocabulary
    )
    assert isinstance(loaded, PromptableModel) and isinstance(loaded, Proposer)
    assert not isinstance(loaded, TrackingModel)
    assert OMGSegInferencer(loaded).default_task is Task.EVERYTHING


@pytest.mark.parametrize("size", [(60, 85), (64, 64), (1, 1), (1, 200), (300, 2)])
def test_masks_have_the_size_of_the_image(sam, size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    predictor = InteractivePredictor(sam)
    predictor.set_image(image)
    clicked = predictor.predict(points=(size[1] - 0.5, size[0] - 0.5))
    boxed = predictor.predict(boxes=(0, 0, size[1], size[0]))
    for result in (clicked, boxed):
        assert result.masks.shape == (1, *size) and 0 <= result.scores[0] <= 1
    assert all(mask.shape == size for mask in predictor.segment_everything(4, min_score=0).masks)


def test_everything_that_is_given_matters(sam, photo):
    asked = [
        dict(points=[[[20, 30]]]),
        dict(points=[[[60, 30]]]),
        dict(points=[[[20, 30]]], labels=[[0]]),
        dict(points=[[[20, 30], [60, 10]]]),
        dict(points=[[[20, 30], [60, 10]]], labels=[[1, 0]]),
        dict(boxes=[[10, 10, 50, 40]]),
        dict(boxes=[[10, 10, 50, 40]], points=[[[20, 30]]]),
        dict(boxes=[[10, 10, 50, 40]], points=[[[20, 30]]], labels=[[0]]),
        dict(points=[[[20, 30]]], masks=np.eye(60, 85)[None]),
        dict(masks=np.eye(60, 85)[None]),
    ]
    answers = [logits_of(sam, photo, **prompts) for prompts in asked]
    for number, one in enumerate(answers):
        assert one.shape == (1, 1, 32, 32)
        assert not any(torch.allclose(one, other, atol=1e-4) for other in answers[:number])


def test_padding_clicks_and_labels_left_out_change_nothing(sam, photo):
    plain = logits_of(sam, photo, points=[[[20, 30], [60, 10]]])
    assert torch.equal(plain, logits_of(sam, photo, points=[[[20, 30], [60, 10]]], labels=[[1, 1]]))
    padded = dict(
        points=[[[20, 30], [0, 0], [60, 10]], [[20, 30], [0, 0], [0, 0]]], labels=[[1, -1, 1], [1, -1, -1]]
    )
    both = logits_of(sam, photo, **padded)
    torch.testing.assert_close(both[:1], plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both[1:], logits_of(sam, photo, points=[[[20, 30]]]), atol=1e-5, rtol=1e-5)


def test_objects_together_are_as_alone(sam, photo):
    """More of them than are decoded at a time."""
    random = np.random.default_rng(3)
    corners = np.sort(random.uniform(0, 60, (130, 2, 2)).astype(np.float32), axis=1)
    boxes = corners.reshape(-1, 4) + np.float32([0, 0, 1, 1])
    state = sam.encode_image(photo)
    together = sam.segment_prompts(state, Prompts(boxes=boxes))
    assert len(together.rles) == len(together.scores) == 130
    for row in (0, 63, 64, 129):
        alone = sam.segment_prompts(state, Prompts(boxes=boxes[row : row + 1]))
        torch.testing.assert_close(alone.carry.logits[0], together.carry.logits[row], atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-4)


def test_a_correction_continues_from_the_logits_and_the_box_of_the_answer(sam, photo):
    predictor = InteractivePredictor(sam)
    predictor.set_image(photo)
    first = predictor.predict(boxes=(10, 10, 50, 40))
    second = predictor.predict(points=(30, 30), labels=[0], mask=first.masks[0])
    state = sam.encode_image(photo)
    box, click = np.float32([[10, 10, 50, 40]]), np.float32([[[30, 30]]])
    before = sam.segment_prompts(state, Prompts(boxes=box))
    masks = decode_masks(before.rles, photo.shape[:2])
    label = np.zeros((1, 1), np.int8)
    expected = sam.segment_prompts(
        state, Prompts(points=click, labels=label, boxes=box, masks=masks, carry=before.carry)
    )
    assert np.array_equal(second.masks, decode_masks(expected.rles, photo.shape[:2]))
    without = sam.segment_prompts(state, Prompts(points=click, labels=label, masks=masks))
    assert not torch.allclose(without.carry.logits, expected.carry.logits, atol=1e-3)


@pytest.mark.golden
def test_a_click_finds_what_is_around_it(disc_sam, golden_pictures):
    predictor = InteractivePredictor(disc_sam)
    predictor.set_image(golden_pictures.picture(3, 90, 120))
    for x, y in ((30, 30), (90, 60)):
        mask = predictor.predict(points=(x, y)).masks[0]
        rows, columns = np.nonzero(mask)
        assert mask[y, x] and abs(rows.mean() - y) < 10 and abs(columns.mean() - x) < 10
    masks = predictor.predict_many(points=[(30, 30), (90, 60)]).masks
    assert masks[0, 30, 30] and masks[1, 60, 90] and not (masks[0] & masks[1]).any()


@pytest.mark.golden
def test_everything_is_found_without_prompts(disc_sam, golden_pictures):
    image = golden_pictures.picture(3, 90, 120)
    seg = OMGSegInferencer(disc_sam)
    result = seg(image, task="everything", min_score=0.5)
    assert len(result) > 4 and (np.diff(result.scores) <= 0).all() and (result.scores >= 0.5).all()
    surer = seg(image, task="everything", min_score=float(result.scores[2]))
    assert len(surer) < len(result)
    state = disc_sam.encode_image(image)
    few, many = (disc_sam.propose(state, 8, 0.5, overlap) for overlap in (0.2, 1.0))
    assert len(few.rles) < len(many.rles) == 8 * 8 * 3


@pytest.mark.golden
def test_the_model_alone_finds_everything_as_its_config_says(disc_sam, golden, marker, golden_pictures):
    image = golden_pictures.picture(3, 90, 120)
    config = {"segmenter": dict(everything=dict(points_per_side=4, min_iou=0.0, min_stability=0.0))}
    segmenter = type(disc_sam).from_model(marker, config)
    (found,) = segmenter.predict([image], Request(Task.EVERYTHING))
    (surer,) = segmenter.predict([image], Request(Task.EVERYTHING, min_score=float(np.median(found.scores))))
    assert 0 < len(surer.scores) < len(found.scores) <= 4 * 4 * 3
    with pytest.raises(ValueError, match="SAM knows no classes.*'panoptic'"):
        segmenter.predict([image], Request(Task.PANOPTIC))


def test_everything_of_an_image_of_a_pixel_in_crops(sam, small_config):
    config = {"segmenter": dict(everything=dict(crop_layers=2, crop_points_divisor=4, min_iou=0.0))}
    segmenter = type(sam).from_model(sam.model, config)
    for size in ((1, 1), (1, 9), (3, 2)):
        state = segmenter.encode_image(np.full((*size, 3), 7, np.uint8))
        found = segmenter.propose(state, 2, 0.0, 1.0)
        assert all(tuple(rle["size"]) == size for rle in found.rles)


def test_an_image_of_50_megapixels_takes_the_memory_of_a_few_masks(sam):
    image = np.zeros((5000, 10000, 3), np.uint8)
    state = sam.encode_image(image)
    points = np.float32([[[9999, 10 * number]] for number in range(3)])
    found = sam.segment_prompts(state, Prompts(points=points))
    assert all(tuple(rle["size"]) == (5000, 10000) for rle in found.rles)
    rows = [rows for rows, _ in state.geometry.resized_chunks(found.carry.logits[:, 0])]
    assert [row.stop - row.start for row in rows] == [1, 1, 1]


def test_bfloat16_gives_nearly_the_same(sam, photo):
    short = type(sam).from_model(sam.model, {}, torch.bfloat16)
    for prompts in (
        dict(points=[[[20, 30]]]),
        dict(boxes=[[10, 10, 50, 40]]),
        dict(masks=np.eye(60, 85)[None]),
    ):
        full, half = (logits_of(model, photo, **prompts) for model in (sam, short))
        assert half.dtype == torch.float32
        assert torch.corrcoef(torch.stack([full.flatten(), half.flatten()]))[0, 1] > 0.99
    assert len(short.propose(short.encode_image(photo), 3, 0.0, 1.0).rles) <= 27


def test_what_it_cannot_do_is_named(sam, photo, tmp_path):
    seg = OMGSegInferencer(sam)
    with pytest.raises(UnsupportedRequest, match="panoptic"):
        seg(photo, task="panoptic")
    with pytest.raises(UnsupportedRequest):
        seg(photo, task="everything", vocabulary=["dog"])
    frames = np.stack([photo, photo])
    with pytest.raises(UnsupportedRequest, match="vos"):
        InteractiveVideo(seg.interactive, frames)
    with pytest.raises(UnsupportedRequest, match="vos"):
        seg.track(frames, np.ones((1, 60, 85), bool))
    with pytest.raises(ValueError, match="is a video"):
        seg(frames, task="everything", as_video=True)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (dict(points=[(85, 3)]), "outside of the image of 85x60"),
        (dict(points=[(3, -1)]), "outside of the image"),
        (dict(points=[(float("nan"), 1)]), "outside of the image"),
        (dict(points=[(3, 3)], labels=[0]), "negative points"),
        (dict(points=[(3, 3)], labels=[1, 0]), "one number per point"),
        (dict(labels=[1]), "give points"),
        (dict(labels=[1], boxes=(5, 5, 9, 9)), "labels belong to points; give points"),
        (dict(), "give points"),
        (dict(points=[]), "at least one"),
        (dict(boxes=(5, 5, 5, 9)), "x1 < x2"),
        (dict(boxes=(5, 9, 8, 9)), "y1 < y2"),
        (dict(boxes=(5, 5, 86, 9)), "outside of the image of 85x60"),
        (dict(boxes=[]), "at least one"),
        (dict(points=[(3, 3)], mask=np.ones((85, 60))), r"\(60, 85\) of the image"),
    ],
)
def test_wrong_prompts_are_named(sam, photo, prompts, message):
    predictor = OMGSegInferencer(sam).interactive
    predictor.set_image(photo)
    with pytest.raises(ValueError, match=message) as caught:
        predictor.predict(**prompts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prompts", [dict(points=[]), dict(boxes=[]), dict()])
def test_no_objects_are_named(sam, photo, prompts):
    predictor = OMGSegInferencer(sam).interactive
    predictor.set_image(photo)
    with pytest.raises(ValueError, match="at least one|give either points"):
        predictor.predict_many(**prompts)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--points", "85,3"], 1, "point (85, 3) lies outside of the image of 85x60 pixels"),
        (["--boxes", "5,5,5,9"], 1, "x1 < x2 and y1 < y2"),
        (["--labels", "1"], 2, "--labels needs one label, 1 or 0, per point of --points"),
        (["--task", "interactive"], 2, "--task interactive needs --points, --boxes or --exemplars"),
        (["--task", "panoptic"], 2, "does not offer the task 'panoptic'"),
        (
            ["--points", "3,3", "--weights", "OTHER"],
            2,
            "holds mobile-sam, the config is that of another model: use ",
        ),
        (["--task", "vos", "--first-mask", "PHOTO"], 2, "does not offer the task 'vos'"),
    ],
)
def test_the_command_names_mistakes_in_one_line(
    small_config, photo, tmp_path, capsys, arguments, status, message
):
    image, config, other = tmp_path / "photo.png", tmp_path / "sam.py", tmp_path / "other.pth"
    cv2.imwrite(str(image), photo)
    config.write_text(f"model = {small_config!r}\n")
    known_by = find_model("mobile-sam").known_by
    torch.save({name: torch.zeros(shape) for name, shape in known_by.items()}, other)
    places = {"OTHER": str(other), "PHOTO": str(image)}
    arguments = [places.get(argument, argument) for argument in arguments]
    weights = [] if "--weights" in arguments else ["--weights", "none"]
    out = str(tmp_path / "out")
    assert (
        main(["predict", str(image), "--config", str(config), *weights, "--out", out, *arguments]) == status
    )
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1 and message in errors[0]


@pytest.mark.golden
def test_stability_takes_the_place_of_the_expected_iou(disc_sam, golden, marker, golden_pictures):
    image = golden_pictures.picture(3, 90, 120)
    options = dict(type="SamSegmenter", scores="stability", everything=dict(min_stability=0.0))
    stable = type(disc_sam).from_model(marker, {"segmenter": options})
    state = stable.encode_image(image)
    clicks = np.float32([[[30, 30]], [[90, 60]]])
    with torch.no_grad():
        placed = torch.from_numpy(to_model_frame(clicks, state.geometry)).float()
        prediction = marker.decode(state.embedding, placed, torch.ones(2, 1))
    expected = stability(prediction.logits[:, 1:], 1.0).nan_to_num().max(1).values
    found = stable.segment_prompts(state, Prompts(clicks))
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    assert not np.allclose(found.scores, disc_sam.segment_prompts(state, Prompts(clicks)).scores, atol=1e-3)
    everything = stable.propose(state, 4, 0.0, 1.0).scores
    best = stable.propose(state, 4, float(np.median(everything)), 1.0).scores
    assert 0 < len(best) < len(everything) and (best > np.median(everything)).all()
    with pytest.raises(ValueError, match="segmenter.scores is 'iou' or 'stability', not 'area'"):
        type(disc_sam).from_model(marker, {"segmenter": dict(scores="area")})


@torch.no_grad()
def test_prompts_decoded_a_few_at_a_time_have_the_masks_of_all_together(small_config, monkeypatch):
    model = MODELS.build(small_config).eval()
    torch.manual_seed(0)
    boxes = torch.rand(5, 4) * 64
    masks = torch.randn(5, 1, 32, 32)
    for embedding in (torch.randn(1, 32, 8, 8), torch.randn(5, 32, 8, 8)):
        together = model.decode(embedding, boxes=boxes, masks=masks)
        monkeypatch.setattr("omgseg.models.sam.model.CELLS_AT_ONCE", 2 * 8 * 8)
        apart = model.decode(embedding, boxes=boxes, masks=masks)
        monkeypatch.undo()
        assert len(apart.logits) == len(boxes)
        for some, expected in zip(apart, together, strict=True):
            torch.testing.assert_close(some, expected, atol=1e-5, rtol=1e-4)
