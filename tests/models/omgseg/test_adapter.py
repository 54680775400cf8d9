"""OMG-Seg behind the seam: what goes in and comes out is NumPy and segments, with the values of the model."""

import json
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch.utils._python_dispatch import TorchDispatchMode

from omgseg.datasets.transforms import PackClip, Resize
from omgseg.engine import CheckpointError
from omgseg.inference.loading import load
from omgseg.models.omgseg.adapter import EncodedImage, OMGSegSegmenter
from omgseg.models.omgseg.model import Features
from omgseg.protocols import (
    MaskNamer,
    PromptableModel,
    Prompts,
    Proposer,
    Request,
    Segmenter,
    TrackingModel,
    VideoModel,
)
from omgseg.registry import MODELS
from omgseg.structures import NO_CLASS, Category, Segments, Task, Vocabulary
from omgseg.structures.predictions import segments_of
from omgseg.structures.run_lengths import decode_masks, encode_masks
from tests.tiny_omgseg import CLIP_DIM, clicks, register_clip, scene, tiny_config

HEIGHT, WIDTH = 90, 140
SCALE = (160, 96)
WORDS = Vocabulary([Category("dog"), Category("truck"), Category("sky", False), Category("road", False)])
WORD_TASKS = ("panoptic", "instance", "semantic")


class WordsApart:
    """Every word gets a direction of its own; a random text tower gives all words nearly the same one."""

    def __init__(self, pretrained: str | None = None) -> None:
        self.embed_dim = CLIP_DIM

    def __call__(self, vocabulary: Vocabulary) -> torch.Tensor:
        seeds = (torch.Generator().manual_seed(zlib.crc32(category.name.encode())) for category in vocabulary)
        return F.normalize(
            torch.stack([torch.randn(1, self.embed_dim, generator=seed) for seed in seeds]), dim=-1
        )


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    name = "omgseg_test_adapter"
    register_clip(tmp_path_factory.mktemp("open_clip"), name)
    config = tiny_config()
    config.model.image_encoder.update(model_name=name, pretrained="nowhere.pt")
    config.model.text_encoder = dict(type=WordsApart, pretrained="nowhere.pt")
    pipeline = [dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")]
    config.test_dataloader = dict(dataset=dict(image_size=SCALE, pipeline=pipeline))
    return config


@pytest.fixture(scope="module")
def model(config, spread_weights) -> OMGSegSegmenter:
    loaded = load(config, device="cpu")
    spread_weights(loaded.model, 0.6)
    return loaded


@pytest.fixture(scope="module")
def state(model):
    return model.encode_image(scene())


FRAMES = [scene(5 * index) for index in range(5)]
MASKS = np.zeros((2, HEIGHT, WIDTH), bool)
MASKS[0, 20:60, 30:70] = MASKS[1, 5:15, 80:120] = True
IDS = np.array([3, 8])


def pipeline_of_tests(frames: list[np.ndarray], task: str, is_video: bool) -> dict:
    """The model's input as the transforms of the test pipelines make it."""
    results = dict(
        imgs=list(frames),
        frames=[dict(frame_id=index, img_id=index) for index in range(len(frames))],
        is_video=is_video,
        video_id="video",
        video_length=len(frames),
        ori_shape=(HEIGHT, WIDTH),
        img_shape=(HEIGHT, WIDTH),
        scale_factor=(1.0, 1.0),
        flip=False,
        tasks=(task,),
        source="test",
    )
    packed = PackClip().transform(Resize(SCALE).transform(results))
    return {key: [value] for key, value in packed.items()}


class Largest(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that is computed."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


def test_it_implements_every_protocol(model):
    for protocol in (Segmenter, PromptableModel, Proposer, MaskNamer, VideoModel, TrackingModel):
        assert isinstance(model, protocol)
    abilities = model.abilities
    assert {"panoptic", "instance", "semantic", "interactive", "vos"} <= {
        task.value for task in abilities.tasks
    }
    assert abilities.prompts == {"points", "labels", "boxes", "masks"}
    assert abilities.open_vocabulary and abilities.vocabulary is None and abilities.test_size == SCALE
    assert model.clip_size == 2 and model.device == torch.device("cpu")
    assert MODELS.get("OMGSeg").segmenter == "OMGSegSegmenter"


@pytest.mark.parametrize(
    ("test_data", "size"),
    [
        (dict(), (1333, 800)),
        (dict(test_dataloader=dict(dataset=dict(pipeline=[dict(type="Resize", scale=(8, 4))]))), (8, 4)),
        (
            dict(
                test_dataloader=dict(dataset=dict(pipeline=[dict(type="PackClip")])),
                val_dataloader=dict(
                    dataset=dict(
                        dataset=[dict(pipeline=[dict(type="omgseg.Resize")], image_size=(3, 2))],
                    )
                ),
            ),
            (3, 2),
        ),
    ],
)
def test_images_get_the_size_of_the_test_pipeline(config, test_data, size):
    model = load({"model": config.model, **test_data}, device="cpu")
    assert model.abilities.test_size == size
    assert load({"model": config.model, **test_data}, device="cpu", scale=(7, 5)).abilities.test_size == (
        7,
        5,
    )


def test_ratios_are_kept_unless_the_pipeline_says_otherwise(config):
    def key(size, **options):
        pipeline = [dict(type="Resize", scale=(8, 4), **options)]
        data = dict(test_dataloader=dict(dataset=dict(pipeline=pipeline)))
        return load({"model": config.model, **data}, device="cpu").group_key(size)

    assert key((10, 10)) == (4, 4) and key((100, 50)) == key((100, 51)) == (8, 4)
    assert key((1, 1000)) == (1, 8)
    assert key((100, 50), keep_ratio=False) == (4, 8)


def test_random_weights_read_nothing_and_are_always_the_same(config, capsys):
    first, second = (load(config, device="cpu").model.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        MODELS.build(config.model)


def test_checkpoints_give_weights_and_words(config, model, tmp_path):
    weights = {name: value + 0.25 for name, value in model.model.state_dict().items()}
    words = json.dumps(Vocabulary.from_names(["wolf"]).to_dict())
    torch.save({"state_dict": weights, "meta": {"train_vocabulary": words}}, tmp_path / "trained.pth")
    trained = dict(config.model, image_encoder=dict(config.model.image_encoder, pretrained=None))
    loaded = load(dict(model=trained), tmp_path / "trained.pth", "cpu")
    assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())
    assert loaded.abilities.vocabulary.names == ["wolf"]
    assert loaded.predict([scene()], Request(Task.SEMANTIC))[0].vocabulary.names == ["wolf"]
    torch.save({"other": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="other.pth does not fit the model"):
        load(dict(model=trained), tmp_path / "other.pth", "cpu")


def test_the_model_sees_the_pixels_of_the_test_pipeline(model):
    seen = []
    hook = model.model.data_preprocessor.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        model.predict([scene()], Request(Task.SEMANTIC, WORDS))
        model.predict_video(FRAMES, Request(Task.SEMANTIC, WORDS))
        model.encode_image(scene())
    finally:
        hook.remove()
    expected = [
        pipeline_of_tests([scene()], "semantic", False),
        pipeline_of_tests(FRAMES, "semantic", True),
        pipeline_of_tests([scene()], "interactive", False),
    ]
    for given, wanted in zip(seen, expected, strict=True):
        assert torch.equal(given["inputs"][0], wanted["inputs"][0])
        ours, theirs = (
            getattr(data["data_samples"][0], "video_data_samples", data["data_samples"])
            for data in (given, wanted)
        )
        assert len(ours) == len(theirs)
        for sample, other in zip(ours, theirs, strict=True):
            for field in ("ori_shape", "img_shape", "scale_factor", "tasks"):
                assert sample.get(field) == other.get(field), field


@pytest.mark.parametrize("task", WORD_TASKS)
def test_images_give_what_the_model_gives(model, task):
    (found,) = model.predict([scene()], Request(Task(task), WORDS))
    (sample,) = model.model.test_step(pipeline_of_tests([scene()], task, False))
    assert found == segments_of(Segments, sample, task, WORDS)
    assert len(found) and found.size == (HEIGHT, WIDTH)


def test_images_share_a_batch(model):
    images = [scene(), scene(30)]
    together = model.predict(images, Request(Task.PANOPTIC, WORDS))
    for image, found in zip(images, together, strict=True):
        (alone,) = model.predict([image], Request(Task.PANOPTIC, WORDS))
        assert (found.label_map != alone.label_map).mean() < 0.01  # other batch sizes round differently


def test_a_request_leaves_no_trace_in_the_next_one(model):
    before = model.predict([scene()], Request(Task.INSTANCE, WORDS))[0]
    few = model.predict([scene()], Request(Task.INSTANCE, WORDS, min_score=float(np.median(before.scores))))[
        0
    ]
    assert 0 < len(few) < len(before) and few == before.confident(np.median(before.scores))
    other = model.predict([scene()], Request(Task.INSTANCE, Vocabulary.from_names(["moose"])))[0]
    assert set(other.names) == {"moose"}
    assert model.predict([scene()], Request(Task.INSTANCE, WORDS))[0] == before


def test_requests_that_cannot_be_answered(model):
    with pytest.raises(ValueError, match=r"no words: .* vocabulary=\['dog', 'car'\]"):
        model.predict([scene()], Request(Task.PANOPTIC))
    for task in (Task.INTERACTIVE, Task.VOS):
        with pytest.raises(ValueError, match="from pixels and words alone; panoptic, instance, semantic can"):
            model.predict([scene()], Request(task, WORDS))
        with pytest.raises(ValueError, match="from pixels and words alone"):
            model.predict_video(FRAMES, Request(task, WORDS))


@pytest.mark.parametrize("task", WORD_TASKS)
def test_whole_videos_give_what_the_model_gives(model, task):
    found = model.predict_video(FRAMES, Request(Task(task), WORDS))
    (video,) = model.model.test_step(pipeline_of_tests(FRAMES, task, True))
    expected = [
        segments_of(Segments, sample, task, WORDS, index)
        for index, sample in enumerate(video.video_data_samples)
    ]
    assert found == expected and any(len(frame) for frame in found)


@pytest.mark.parametrize("task", WORD_TASKS)
def test_streams_keep_ids_over_clips(model, task):
    stream = model.open_stream(Request(Task(task), WORDS))
    found = [frame for start in (0, 2, 4) for frame in stream.push(FRAMES[start : start + 2])]
    assert [frame.frame_index for frame in found] == [0, 1, 2, 3, 4]
    class_of: dict[int, int] = {}
    for frame in found:
        for identity, label in zip(frame.ids.tolist(), frame.labels.tolist(), strict=True):
            assert class_of.setdefault(identity, label) == label
    assert set(found[0].ids.tolist()) & set(found[4].ids.tolist())
    with pytest.raises(ValueError, match=r"frame 1 has the size \(90, 100\), the first one \(90, 140\)"):
        stream.push([scene(), scene(width=100)])


def test_objects_are_followed_by_a_model_without_words(config):
    model = load(config, device="cpu")
    whole = model.track_video(FRAMES, MASKS, IDS)
    tracker = model.open_tracker()
    tracker.add(MASKS, IDS)
    streamed = [frame for start in (0, 2, 4) for frame in tracker.push(FRAMES[start : start + 2])]
    for found in (whole, streamed):
        assert [frame.frame_index for frame in found] == [0, 1, 2, 3, 4]
        assert all(frame.task is Task.VOS and set(frame.ids.tolist()) <= {3, 8} for frame in found)
    assert np.array_equal(streamed[0].masks, MASKS)
    tracker.add(MASKS[:1], np.array([11]), frame=1)
    assert np.array_equal(tracker.push(FRAMES[:2])[1].masks[-1], MASKS[0])


def test_objects_that_cannot_be_followed(model):
    for ids, message in (
        ([0, 1], "0 is the background"),
        ([1, 2**31], "ids are numbers from 1 to 2147483647"),
        ([4, 4], "not all different"),
        ([4], r"got \(2, 90, 140\) and \(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            model.track_video(FRAMES, MASKS, np.array(ids))
        with pytest.raises(ValueError, match=message):
            model.open_tracker().add(MASKS, np.array(ids))
    with pytest.raises(ValueError, match=r"the masks are \(90, 100\), the frames \(90, 140\)"):
        model.track_video(FRAMES, MASKS[:, :, :100], IDS)


def test_single_prompts_give_what_the_model_gives(model, state):
    points = np.array([[50, 40], [120, 8]], np.float32)
    data = pipeline_of_tests([scene()], "interactive", False)
    factors = torch.tensor(data["data_samples"][0].scale_factor)
    data["data_samples"][0].prompts = InstanceData(points=torch.from_numpy(points) * factors)
    (sample,) = model.model.test_step(data)
    found = model.segment_prompts(state, Prompts(points=points[:, None]))
    expected = sample.pred_instances
    different = decode_masks(found.rles, (HEIGHT, WIDTH)) != expected.masks.numpy()
    assert different.mean() < 1e-3  # with and without a shared memory, other roundings
    np.testing.assert_allclose(found.scores, expected.scores.numpy(), rtol=1e-3)


def test_objects_of_one_call_do_not_change_each_other(model, state):
    of_objects = [[(50, 40, 1), (100, 80, 0)], [(5, 5, 1)], [(20, 70, 0), (60, 20, 1), (90, 40, 1)]]
    together = model.segment_prompts(state, clicks(*of_objects))
    alone = [model.segment_prompts(state, clicks(own)) for own in of_objects]
    masks = decode_masks(together.rles, (HEIGHT, WIDTH))
    assert (masks != decode_masks([own.rles[0] for own in alone], (HEIGHT, WIDTH))).mean() < 1e-3
    np.testing.assert_allclose(together.scores, [own.scores[0] for own in alone], rtol=1e-3)
    padded = [[*own, (0, 0, -1)] for own in of_objects]
    assert model.segment_prompts(state, clicks(*padded)).rles == together.rles


def test_the_first_positive_click_shows_the_object(model, state):
    positive, negative = (50, 40, 1), (100, 80, 0)
    first = model.segment_prompts(state, clicks([positive, negative]))
    assert model.segment_prompts(state, clicks([negative, positive])).rles == first.rles
    nothing = model.segment_prompts(state, clicks([negative]))
    assert not decode_masks(nothing.rles, (HEIGHT, WIDTH)).any() and nothing.scores.tolist() == [0]


def test_clicks_correct_the_answer_so_far(model, state):
    answer = model.segment_prompts(state, clicks([(50, 40, 1)]))
    mask = decode_masks(answer.rles, (HEIGHT, WIDTH))
    y, x = np.argwhere(mask[0])[mask.sum() // 2]
    corrected = model.segment_prompts(state, clicks([(50, 40, 1), (x, y, 0)], masks=mask, carry=answer.carry))
    after = decode_masks(corrected.rles, (HEIGHT, WIDTH))
    assert mask[0, y, x] and not after[0, y, x]
    # the same without a memory of what was answered: the click is a correction of a mask that is drawn
    drawn = model.segment_prompts(state, clicks([(x, y, 0)], masks=mask))
    assert drawn.rles == corrected.rles
    again = model.segment_prompts(state, clicks([(50, 40, 1), (x, y, 0)], masks=after, carry=corrected.carry))
    assert again.rles == corrected.rles and again.scores == corrected.scores


def test_masks_of_boxes_stay_inside(model, state):
    boxes = np.array([(0, 0, 140, 90), (25.5, 10, 80, 65.5)], np.float32)
    found = model.segment_prompts(state, Prompts(boxes=boxes))
    masks = decode_masks(found.rles, (HEIGHT, WIDTH))
    assert masks.any((1, 2)).all() and (found.scores > 0.5).all()
    assert not masks[1, :10].any() and not masks[1, 66:].any()
    assert not masks[1, :, :25].any() and not masks[1, :, 80:].any()
    y, x = np.argwhere(masks[1])[0]
    fewer = model.segment_prompts(state, clicks([], [(x, y, 0)], boxes=boxes))
    assert fewer.rles[0] == found.rles[0]
    assert not decode_masks(fewer.rles, (HEIGHT, WIDTH))[1, y, x]


def test_proposals_are_sure_and_different(model, state):
    found = model.propose(state, 4, 0.1, 0.7)
    masks = decode_masks(found.rles, (HEIGHT, WIDTH)).reshape(len(found.rles), -1).astype(float)
    assert len(masks) > 2 and (np.diff(found.scores) <= 0).all() and found.scores.min() >= np.float32(0.1)
    overlap = masks @ masks.T
    iou = overlap / (masks.sum(1)[:, None] + masks.sum(1) - overlap)
    assert np.triu(iou, 1).max() < 0.75  # the limit is met at the size of the model's masks
    assert len(model.propose(state, 4, float(np.median(found.scores)), 0.7).rles) < len(masks)
    assert len(model.propose(state, 4, 0.1, 1.0).rles) > len(masks)


def test_masks_are_named_by_what_clip_sees_under_them(model, state):
    tiny = np.zeros((HEIGHT, WIDTH), bool)
    tiny[0, 0] = True
    rles = [*model.propose(state, 4, 0.1, 0.7).rles, *encode_masks([tiny])]
    found = model.name_masks(state, rles, WORDS)
    assert found.shape == (len(rles), len(WORDS)) and found.dtype == np.float32
    np.testing.assert_allclose(found[:-1].sum(1), 1, rtol=1e-5)
    assert not found[-1].any()
    alone = model.name_masks(state, rles[:1], WORDS)
    np.testing.assert_allclose(found[:1], alone, rtol=1e-4)
    assert model.name_masks(state, [], WORDS).shape == (0, len(WORDS))
    words = Vocabulary([WORDS[1], WORDS[0]])
    swapped = model.name_masks(state, rles, words)
    assert (swapped[:-1].argmax(1) == 1 - model.name_masks(state, rles, WORDS.things())[:-1].argmax(1)).all()


class TwoMasks(torch.nn.Module):
    """In place of OMG-Seg: its learned queries find two masks of nearly the same pixels, a point finds nothing."""

    train_vocabulary = vocabulary = None

    def __init__(self, areas: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1))
        self.test_config = SimpleNamespace(clip_size=1)
        self.masks = torch.full((2, size[0] * size[1]), -9.0)
        for mask, area in zip(self.masks, areas, strict=True):
            mask[:area] = 9.0
        self.masks = self.masks.view(2, *size)

    def decode(self, features, prompts=None, **_) -> list[SimpleNamespace]:
        masks = self.masks if prompts is None else torch.full_like(self.masks[:1], -9.0)
        return [
            SimpleNamespace(mask_logits=masks[None, :, None], objectness_logits=torch.zeros(1, len(masks)))
        ]


@pytest.mark.parametrize(("max_overlap", "count"), [(0.855, 1), (0.858, 2)])
def test_masks_of_everything_are_compared_exactly_in_bfloat16(config, max_overlap, count):
    """An IoU of 257 / 300; 257 pixels are 256 in bfloat16."""
    size = (20, 30)
    seg = OMGSegSegmenter.from_model(TwoMasks((257, 300), size), config, torch.bfloat16)
    sizes = dict(ori_shape=size, img_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0))
    state = EncodedImage(
        DetDataSample(metainfo=sizes), Features(torch.zeros(1, 1, *size), [], torch.zeros(1), 1, size)
    )
    assert len(seg.propose(state, 1, 0.0, max_overlap).rles) == count


def test_memory_does_not_grow_with_masks_times_pixels(model):
    """No tensor holds many masks at the size of the image."""
    image = np.ascontiguousarray(scene().repeat(8, 0).repeat(8, 1))
    state, pixels = model.encode_image(image), image.shape[0] * image.shape[1]
    points = np.stack(np.meshgrid(np.arange(20, 1100, 180), np.arange(20, 700, 120)), -1).reshape(-1, 1, 2)
    with Largest() as of_prompts:
        found = model.segment_prompts(state, Prompts(points=points.astype(np.float32)))
    assert len(found.rles) == len(points) > 30 and of_prompts.elements <= 8 * pixels
    with Largest() as of_names:
        model.name_masks(state, found.rles, WORDS)
    assert of_names.elements <= 2 * pixels
    with Largest() as of_everything:
        proposed = model.propose(state, 6, min_score=0.0, max_overlap=1.0)
    assert len(proposed.rles) > 20 and of_everything.elements <= 8 * pixels


def test_calls_compute_in_the_chosen_precision_without_gradients(config, spread_weights):
    model = load(config, device="cpu", dtype="bfloat16")
    spread_weights(model.model, 0.6)
    seen = []

    def note(*_):
        seen.append((torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()))

    model.model.pixel_decoder.register_forward_pre_hook(note)
    model.model.query_decoder.register_forward_pre_hook(note)
    model.predict([scene()], Request(Task.PANOPTIC, WORDS))
    model.predict_video(FRAMES[:2], Request(Task.INSTANCE, WORDS))
    model.open_stream(Request(Task.SEMANTIC, WORDS)).push(FRAMES[:2])
    model.track_video(FRAMES[:2], MASKS, IDS)
    tracker = model.open_tracker()
    tracker.add(MASKS, IDS)
    tracker.push(FRAMES[:2])
    state = model.encode_image(scene())
    model.name_masks(state, model.segment_prompts(state, clicks([(50, 40, 1)])).rles, WORDS)
    model.propose(state, 2, 0.0, 0.7)
    assert len(seen) >= 12 and set(seen) == {(True, False)}
    assert not torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()


def test_answers_without_classes_have_none(model):
    (frame, *_) = model.track_video(FRAMES[:1], MASKS, IDS)
    assert set(frame.labels.tolist()) <= {NO_CLASS} and not len(frame.vocabulary)
