"""FastSAM trained, behind the seam, and with wrong input."""

from dataclasses import replace

import cv2
import numpy as np
import open_clip
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

import omgseg
from omgseg.engine.config import check_arguments
from omgseg.inference import InteractivePredictor
from omgseg.model_table import find_model
from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.projects.fast_sam import FastSam, FastSamSegmenter
from omgseg.projects.fast_sam.selection import Candidates
from omgseg.protocols import PromptableModel, Prompts, Proposer, Request, Segmenter
from omgseg.registry import MODELS
from omgseg.structures import Task, Vocabulary
from omgseg.structures.run_lengths import decode_masks, encode_masks

CLIP = """{"embed_dim": 32,
 "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
 "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}}"""


@pytest.fixture(scope="module")
def settings():
    settings = Config.fromfile("projects/fast_sam/configs/toy.py").model.to_dict()
    settings["backbone"]["base_channels"], settings["channels"] = 8, 16
    settings["test_cfg"]["score_thr"] = 0.52  # random scores lie around one half
    return settings


@pytest.fixture(scope="module")
def segmenter(settings):
    return FastSamSegmenter({"model": settings}, None, torch.device("cpu"))


@pytest.fixture(scope="module")
def photo():
    noise = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
    return cv2.resize(noise, (85, 60), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def squares():
    """A large square with a small one inside, and one beside, of 20 x 30 pixels."""
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:14, 2:14] = masks[1, 6:10, 6:10] = masks[2, 4:16, 18:28] = True
    return Candidates(encode_masks(masks), np.array([0.5, 0.9, 0.7], np.float32), (20, 30)), masks


def test_it_offers_what_it_does(segmenter, photo):
    assert isinstance(segmenter, Segmenter)
    assert isinstance(segmenter, PromptableModel) and isinstance(segmenter, Proposer)
    assert segmenter.abilities.tasks == {Task.INTERACTIVE, Task.EVERYTHING}
    (found,) = segmenter.predict([photo], Request(Task.EVERYTHING))
    assert len(found) and found.areas.all() and (np.diff(found.scores) <= 0).all()
    limit = float(np.median(found.scores))
    (few,) = segmenter.predict([photo], Request(Task.EVERYTHING, min_score=limit))
    assert 0 < len(few) < len(found)
    with pytest.raises(ValueError, match="this FastSAM does 'everything', not 'panoptic'"):
        segmenter.predict([photo], Request(Task.PANOPTIC))


def test_proposals_go_by_the_limits_of_the_call(segmenter, photo):
    state = segmenter.encode_image(photo)
    many, few = (segmenter.propose(state, 32, 0.52, overlap) for overlap in (0.9, 0.1))
    assert len(few.rles) < len(many.rles) and (np.diff(many.scores) <= 0).all()
    limit = float(many.scores[len(many.scores) // 2])
    assert (segmenter.propose(state, 32, limit, 0.9).scores > limit).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (97, 41)])
def test_images_of_any_shape_are_prompted(segmenter, size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    state = segmenter.encode_image(image)
    points = np.array([[[size[1] / 2, size[0] / 2]], [[size[1], size[0]]]], np.float32)
    assert decode_masks(segmenter.segment_prompts(state, Prompts(points)).rles, size).shape == (2, *size)


def test_clicks_and_boxes_choose_masks(segmenter, photo):
    predictor = InteractivePredictor(segmenter)
    predictor.set_image(photo)
    everything = segmenter.encode_image(photo).everything
    index = int(everything.areas.argmax())
    rows, columns = np.nonzero(everything.mask(index))
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    (of_box,) = predictor.predict(boxes=[box]).masks
    best = int(everything.overlaps(np.array(box)).argmax())
    assert np.array_equal(of_box, everything.mask(best))
    (clicked,) = predictor.predict(points=[[columns[0] + 0.5, rows[0] + 0.5]]).masks
    assert clicked[rows[0], columns[0]] and (clicked | everything.mask(index) == clicked).all()


def test_negative_points_erase_the_masks_they_lie_in(squares):
    candidates, masks = squares
    on_both, on_large, beside, nowhere = (7, 7), (3, 3), (20, 8), (15, 1)

    def paint(*points, labels):
        return candidates.paint(np.array(points, np.float32), np.array(labels))

    mask, score = paint(on_both, labels=[1])
    assert np.array_equal(mask, masks[0]) and score == pytest.approx(0.9)
    mask, score = paint(on_large, labels=[1])
    assert np.array_equal(mask, masks[0]) and score == pytest.approx(0.5)
    mask, _ = paint(on_large, on_both, labels=[1, 0])
    assert not mask.any()  # the negative point lies in both
    mask, _ = paint(on_both, beside, labels=[1, 1])
    assert np.array_equal(mask, masks[0] | masks[2])
    assert candidates.agreement(np.array([on_large, on_both]), np.array([1, 0])).tolist() == [1, 0, 1]
    assert candidates.agreement(np.array([on_both, on_large]), np.array([1, 0])).tolist() == [1, 2, 1]
    assert candidates.agreement(np.array([nowhere, beside]), np.array([0, -1])).tolist() == [1, 1, 1]
    mask, score = paint(nowhere, (0, 0), labels=[1, -1])
    assert not mask.any() and score == 0


def test_points_narrow_what_a_box_chooses_from(segmenter, photo, squares):
    candidates, masks = squares
    state = replace(segmenter.encode_image(photo), everything=candidates)
    around = np.array([[2, 2, 14, 14]], np.float32)

    def choose(**points):
        (rle,) = segmenter.segment_prompts(state, Prompts(boxes=around, **points)).rles
        return decode_masks([rle], candidates.size)[0]

    assert np.array_equal(choose(), masks[0])
    not_here = dict(points=np.array([[[3, 3], [7, 7]]], np.float32), labels=np.array([[0, 1]], np.int8))
    assert np.array_equal(choose(**not_here), masks[1])


def test_no_candidates_give_empty_masks(settings, photo):
    nothing = {**settings, "test_cfg": dict(score_thr=1.0)}
    segmenter = FastSamSegmenter({"model": nothing}, None, torch.device("cpu"))
    state = segmenter.encode_image(photo)
    boxes = np.array([[5, 5, 40, 30]], np.float32)
    found = segmenter.segment_prompts(state, Prompts(np.array([[[7, 7]]], np.float32), boxes=boxes))
    assert not decode_masks(found.rles, photo.shape[:2]).any() and found.scores.tolist() == [0.0]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    file = tmp_path_factory.mktemp("clip") / "omgseg_test_fast_sam.json"
    file.write_text(CLIP)
    open_clip.add_model_config(file)
    return file.stem


def test_words_choose_the_crop_most_like_them(settings, clip, photo):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        segmenter = FastSamSegmenter(
            {"model": settings}, None, torch.device("cpu"), clip=dict(model_name=clip)
        )
        words = Vocabulary.from_names(["a cat", "the sky"])
        (found,) = segmenter.predict([photo], Request(Task.INSTANCE, words))
    assert segmenter.abilities.open_vocabulary and Task.INSTANCE in segmenter.abilities.tasks
    assert sorted(found.labels.tolist()) == [0, 1] and (np.diff(found.scores) <= 0).all()
    assert (found.areas > 100).all()
    (nothing,) = segmenter.predict([photo], Request(Task.INSTANCE, Vocabulary()))
    assert len(nothing) == 0


def test_any_annotation_is_an_object(settings):
    model = MODELS.build(settings)
    masks = torch.zeros(2, 128, 128, dtype=torch.bool)
    masks[0, 10:50, 20:60] = masks[1, 40:, :] = True
    boxes = torch.tensor([[20.0, 10, 60, 50], [0, 40, 128, 128]])
    sample = DetDataSample(metainfo=dict(img_shape=(128, 128)))
    sample.gt_instances = InstanceData(masks=masks, labels=torch.tensor([-1, -1]), bboxes=boxes)
    losses = model(torch.zeros(1, 1, 3, 128, 128, dtype=torch.uint8), [sample], mode="loss")
    assert losses["loss_mask"] > 0 and losses["loss_class"] > 0
    empty = DetDataSample(metainfo=dict(img_shape=(128, 128)))
    empty.gt_instances = sample.gt_instances[:0]
    losses = model(torch.zeros(1, 1, 3, 128, 128, dtype=torch.uint8), [empty], mode="loss")
    assert losses["loss_mask"] == 0 and all(value.isfinite() for value in losses.values())


def test_a_file_of_yolov8_is_named(tmp_path):
    file = tmp_path / "FastSAM.pt"
    torch.save({"model.22.dfl.conv.weight": torch.zeros(1, 16, 1, 1)}, file)
    with pytest.raises(CheckpointError, match=r"YOLOv8-seg.*this FastSAM is a YOLACT"):
        omgseg.load("projects/fast_sam/configs/toy.py", str(file), "cpu")


def test_the_file_of_another_model_is_named(tmp_path):
    file = tmp_path / "other.pth"
    torch.save({"image_encoder.fuse_stage2.weight": torch.zeros(256, 192, 1, 1)}, file)
    with pytest.raises(CheckpointError, match=r"other\.pth holds edge-sam"):
        omgseg.load("projects/fast_sam/configs/toy.py", str(file), "cpu")


def test_the_row_of_the_table_is_true():
    entry = find_model("fast-sam")
    check_arguments(Config.fromfile(entry.config))
    with torch.device("meta"):
        model = MODELS.build(Config.fromfile(entry.config).model)
    assert isinstance(model, FastSam)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
