"""Models behind the seam in the place of a runner's model."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.structures import InstanceData
from PIL import Image

from omgseg.engine import ConfigError
from omgseg.engine.seam_model import SeamModel, map_words
from omgseg.inference.frame_by_frame import FrameByFrame
from omgseg.protocols import Abilities
from omgseg.structures import Category, Task, Vocabulary
from tests.fakes import ClickOnlyFake, FakeSegmenter, ImageOnlyFake, moving_square, picture, regions

ROOM = Vocabulary(
    [Category("bird", id=5), Category("crimson", synonyms=("red",), id=8), Category("green", False, id=9)]
)
"""Of a dataset: of the words of the fakes, red under another name, green, and no blue."""


@pytest.fixture
def frame_of(tmp_path):
    """``frame_of(image, *tasks)``: a sample of an image file."""
    count = 0

    def make(image: np.ndarray, *tasks: str) -> DetDataSample:
        nonlocal count
        count += 1
        path = tmp_path / f"{count}.png"
        Image.fromarray(image).save(path)
        return DetDataSample(metainfo=dict(img_path=str(path), ori_shape=image.shape[:2], tasks=tasks))

    return make


def video_of(frames: list[DetDataSample]) -> TrackDataSample:
    video = TrackDataSample()
    video.video_data_samples = frames
    return video


def model_of(segmenter, words: Vocabulary = ROOM) -> SeamModel:
    model = SeamModel(
        segmenter, segmenter if isinstance(segmenter, FakeSegmenter) else FrameByFrame(segmenter)
    )
    model.set_vocabulary(words)
    return model


def predict(model: SeamModel, sample):
    (found,) = model.test_step({"inputs": [torch.zeros(1)], "data_samples": [sample]})
    return found


SCENE = picture(40, 60, ("red", 5, 5, 15, 15), ("green", 20, 0, 40, 60), ("blue", 5, 30, 15, 50))


@pytest.mark.parametrize("fake", [ImageOnlyFake, FakeSegmenter])
def test_labels_are_those_of_the_dataset(frame_of, fake):
    """A closed model is mapped by its words, an open one is asked for the dataset's."""
    model = model_of(fake())
    sample = predict(model, frame_of(SCENE, "panoptic", "instance", "semantic"))
    semantic = sample.pred_sem_seg.sem_seg[0]
    assert (semantic[10, 10], semantic[30, 30], semantic[0, 0], semantic[10, 40]) == (1, 2, 3, 3)
    panoptic = sample.pred_panoptic_seg.sem_seg[0]
    assert (panoptic[10, 10], panoptic[30, 30], panoptic[10, 40]) == (1001, 2, 3)
    assert sample.pred_instances.labels.tolist() == [1]
    assert sample.pred_instances.masks.shape == (1, 40, 60) and sample.pred_instances.masks[0].sum() == 100


def test_the_report_names_words_that_do_not_map():
    closed = model_of(ImageOnlyFake())
    assert closed.report == (
        "1 of the benchmark's 3 words are not among the model's: bird; "
        "3 of the model's 5 words are not among the benchmark's"
    )
    assert model_of(FakeSegmenter()).report == ""
    assert model_of(ImageOnlyFake(), Vocabulary()).report == "", "prompts need no words"
    assert model_of(ImageOnlyFake(), ImageOnlyFake.abilities.vocabulary).report == ""


def test_a_word_takes_the_equal_category_then_one_of_its_kind():
    own = Vocabulary(
        [Category("table"), Category("chair"), Category("sky", False), Category("Sofa_or_couch", False)]
    )
    wanted = Vocabulary(
        [
            Category("desk/table"),
            Category("table"),
            Category("sky"),
            Category("couch"),
            Category("Sky/cloud", False),
        ]
    )
    labels, report = map_words(own, wanted)
    assert [own[n].name for n in range(4)] == ["table", "chair", "sky", "Sofa_or_couch"]
    assert labels.tolist() == [1, -1, 4, 3, -1]
    assert report.startswith("2 of the benchmark's 5 words are not among the model's: desk/table, sky;")


def test_videos_keep_identities(frame_of):
    for fake in (FakeSegmenter(), ImageOnlyFake()):
        model = model_of(fake)
        found = predict(model, video_of([frame_of(image, "instance") for image in moving_square(3)]))
        tracks = [frame.pred_track_instances for frame in found.video_data_samples]
        assert {tuple(frame.labels.tolist()) for frame in tracks} == {(1,)}
        assert all(frame.masks[0] is not None for frame in tracks)


@pytest.mark.parametrize(("red", "blue"), [(0, 0), (1, 1), (0, 3), (2, 1)])
def test_objects_are_followed_from_where_they_are_given(frame_of, red, blue):
    images = moving_square(5)
    frames = [frame_of(image, "vos") for image in images]
    truth = [dict(regions(image)) for image in images]
    given = {"red": (4, red), "blue": (9, blue)}
    for number, frame in enumerate(frames):  # as datasets have it, also of a frame that shows nothing new
        shown = {name: identity for name, (identity, start) in given.items() if start <= number}
        masks = np.array([truth[number][name] for name in shown]).reshape(-1, 60, 80)
        identities = torch.tensor(list(shown.values()), dtype=torch.long)
        frame.gt_instances = InstanceData(masks=torch.from_numpy(masks), instances_ids=identities)
    found = predict(model_of(FakeSegmenter()), video_of(frames)).video_data_samples
    for number, (frame, masks) in enumerate(zip(found, truth, strict=True)):
        expected = sum(
            identity * masks[name] * (number >= start) for name, (identity, start) in given.items()
        )
        assert np.array_equal(frame.pred_vos_seg.sem_seg[0], expected)
    none = predict(model_of(FakeSegmenter()), video_of([frame_of(image, "vos") for image in images]))
    assert not any(frame.pred_vos_seg.sem_seg.any() for frame in none.video_data_samples)


def test_what_a_model_cannot_do_is_one_sentence(frame_of):
    sample = frame_of(SCENE, "panoptic")
    with pytest.raises(
        ConfigError, match=r"task panoptic, which ClickOnlyFake does not offer .*interactive\)"
    ):
        predict(model_of(ClickOnlyFake()), sample)
    with pytest.raises(ConfigError, match="task vos, and ImageOnlyFake does not follow given objects"):
        predict(model_of(ImageOnlyFake()), video_of([frame_of(SCENE, "vos")]))
    with pytest.raises(ConfigError, match="ImageOnlyFake knows none of the benchmark's words"):
        predict(model_of(ImageOnlyFake(), Vocabulary.from_names(["unicorn"])), sample)
    nothing = ImageOnlyFake()
    nothing.abilities = Abilities(frozenset({Task.SEMANTIC}), vocabulary=ROOM)
    with pytest.raises(ConfigError, match="its tasks: semantic"):
        predict(model_of(nothing), sample)
