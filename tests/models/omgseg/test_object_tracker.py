"""Objects that are given in any frame are followed from there."""

import pytest
import torch
from mmdet.structures import DetDataSample

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.readout import ReadoutConfig
from omgseg.models.omgseg.streaming import ObjectTracker


def frames(count: int) -> list[DetDataSample]:
    meta = dict(img_shape=(4, 8), ori_shape=(4, 8), batch_input_shape=(4, 8), tasks=("vos",))
    return [DetDataSample(metainfo=meta) for _ in range(count)]


def columns(*entities: int) -> torch.Tensor:
    masks = torch.zeros(len(entities), 4, 8, dtype=torch.bool)
    for row, entity in enumerate(entities):
        masks[row, :, 2 * entity : 2 * entity + 2] = True
    return masks


class Columns:
    """What a tracker needs of a model; its clips show entities in columns."""

    test_config = ReadoutConfig()

    def __init__(self) -> None:
        self.clips = []

    def decode_clip(self, inputs, samples, with_classes):
        assert not with_classes
        return samples, None, self.clips.pop()


@pytest.fixture
def tracker(clip_output):
    """A tracker of entities in columns; ``tracker.show(order, frames)`` pushes a clip whose queries are in an order."""
    model = Columns()
    tracker = ObjectTracker(model)

    def show(order: list[int], count: int = 1, objectness=(5, 5, 5, 5)) -> list[list[int]]:
        model.clips.append(clip_output(order, count, list(objectness)))
        samples = tracker.push(torch.zeros(count, 3, 4, 8, dtype=torch.uint8), frames(count))
        assert all(sample.pred_vos_seg.sem_seg.dtype == torch.int32 for sample in samples)
        return [sample.pred_vos_seg.sem_seg[0, 0].tolist() for sample in samples]

    tracker.show = show
    return tracker


def test_objects_are_followed_though_queries_change_places(tracker):
    tracker.add(columns(2, 0), torch.tensor([7, 9]))
    assert tracker.show([0, 1, 2, 3], 2) == [[9, 9, 0, 0, 7, 7, 0, 0]] * 2
    assert tracker.show([3, 2, 1, 0]) == [[9, 9, 0, 0, 7, 7, 0, 0]]


def test_objects_may_be_given_later_and_within_a_clip(tracker):
    tracker.add(columns(2), torch.tensor([7]), frame=1)
    assert tracker.show([0, 1, 2, 3], 2) == [[0] * 8, [0, 0, 0, 0, 7, 7, 0, 0]]
    tracker.add(columns(3), torch.tensor([1]))
    assert tracker.show([1, 0, 3, 2]) == [[0, 0, 0, 0, 7, 7, 1, 1]]


def test_a_given_mask_is_shown_as_it_was_given(tracker):
    mask = columns(2)
    mask[:, :, 3] = True
    tracker.add(mask, torch.tensor([7]))
    assert tracker.show([0, 1, 2, 3], 2) == [[0, 0, 0, 7, 7, 7, 0, 0], [0, 0, 0, 0, 7, 7, 0, 0]]


def test_an_object_can_be_corrected(tracker):
    tracker.add(columns(2, 1), torch.tensor([7, 8]))
    tracker.show([0, 1, 2, 3])
    tracker.add(columns(3), torch.tensor([7]))
    assert tracker.show([0, 1, 2, 3], 2) == [[0, 0, 8, 8, 0, 0, 7, 7]] * 2
    tracker.add(torch.zeros(1, 4, 8, dtype=torch.bool), torch.tensor([7]))
    assert tracker.show([0, 1, 2, 3], 2) == [[0, 0, 8, 8, 0, 0, 0, 0]] * 2


def test_an_object_takes_no_query_of_another(tracker):
    tracker.add(columns(2), torch.tensor([7]))
    tracker.show([0, 1, 2, 3])
    between = columns(2)
    between[:, :, 6] = True  # mostly the first object, but that is taken
    tracker.add(between, torch.tensor([8]))
    assert tracker.show([0, 1, 2, 3], 2)[1] == [0, 0, 0, 0, 7, 7, 8, 8]


def test_a_real_model_needs_no_vocabulary(tiny_model, words):
    meta = dict(img_shape=(40, 72), ori_shape=(80, 144), tasks=("vos",))
    tiny_model.eval().set_vocabulary([])
    try:
        tracker = ObjectTracker(tiny_model)
        masks = torch.zeros(1, 80, 144, dtype=torch.bool)
        masks[:, :40, :60] = True
        tracker.add(masks, torch.tensor([3]))
        inputs = torch.randint(0, 255, (2, 3, 40, 72), dtype=torch.uint8, generator=torch.manual_seed(0))
        first, second = tracker.push(inputs, [DetDataSample(metainfo=meta) for _ in range(2)])
    finally:
        tiny_model.set_vocabulary(words)
    assert torch.equal(first.pred_vos_seg.sem_seg[0] == 3, masks[0])
    assert set(second.pred_vos_seg.sem_seg.unique().tolist()) <= {0, 3}


@pytest.mark.parametrize(
    ("masks", "ids", "message"),
    [
        (columns(0), [1, 2], r"masks are \(N, H, W\) and ids \(N,\)"),
        (columns(0)[0], [1], r"masks are \(N, H, W\)"),
        (columns(0), [0], "above 0"),
    ],
)
def test_wrong_objects(tracker, masks, ids, message):
    with pytest.raises(ValueError, match=message):
        tracker.add(masks, torch.tensor(ids))


def test_objects_must_fit_the_clip(tracker):
    tracker.add(columns(0), torch.tensor([1]), frame=2)
    with pytest.raises(ValueError, match="frame 2 of a clip of 2 frames"):
        tracker.show([0, 1, 2, 3], 2)
    other = ObjectTracker(tracker.model)
    other.add(torch.ones(1, 5, 5), torch.tensor([1]))
    with pytest.raises(ValueError, match=r"are \(5, 5\), the frames \(4, 8\)"):
        other._check_given(1, MaskGeometry((4, 8), (4, 8), (4, 8)))
