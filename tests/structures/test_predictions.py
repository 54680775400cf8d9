"""What was predicted for a frame, as segments."""

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from omgseg.structures import Category, Segments, Vocabulary
from omgseg.structures.predictions import segments_of, set_predictions
from omgseg.structures.run_lengths import encode_masks

WORDS = Vocabulary([Category("cat"), Category("dog"), Category("sky", is_thing=False)])
SIZE = (4, 6)


def masks(*columns: slice) -> list[dict]:
    """Run lengths of masks of whole columns."""
    drawn = np.zeros((len(columns), *SIZE), bool)
    for mask, some in zip(drawn, columns, strict=True):
        mask[:, some] = True
    return encode_masks(drawn)


def frames(count: int) -> list[DetDataSample]:
    return [DetDataSample(metainfo=dict(ori_shape=SIZE)) for _ in range(count)]


def there_and_back(found: list[Segments], is_video: bool) -> list[Segments]:
    samples = frames(len(found))
    set_predictions(samples, found, is_video)
    numbers = range(len(found)) if is_video else [None]
    return [
        segments_of(Segments, sample, found[0].task, found[0].vocabulary, frame_index=number)
        for sample, number in zip(samples, numbers, strict=True)
    ]


def content(segments: Segments) -> list[tuple]:
    rows = zip(segments.labels.tolist(), segments.scores.tolist(), segments.rles, strict=True)
    return sorted((label, round(score, 6), mask["counts"]) for label, score, mask in rows)


def test_an_image_is_the_same_there_and_back():
    apart = [slice(0, 2), slice(2, 3), slice(3, 5)]
    panoptic = Segments("panoptic", SIZE, masks(*apart), [0, 0, 2], [0.9, 0.8, 0.7], [7, 3, 5], WORDS)
    semantic = Segments("semantic", SIZE, masks(*apart[:2]), [2, 0], [1, 1], None, WORDS)
    overlapping = masks(slice(0, 3), slice(1, 4))
    instances = Segments("instance", SIZE, overlapping, [1, 0], [0.9, 0.5], None, WORDS)
    for segments in (panoptic, semantic, instances):
        (again,) = there_and_back([segments], is_video=False)
        assert content(again) == content(segments)


def test_what_has_no_class_is_void():
    columns = masks(slice(0, 2), slice(2, 4), slice(4, 6))
    for task, field in (("panoptic", "pred_panoptic_seg"), ("semantic", "pred_sem_seg")):
        (sample,) = frames(1)
        set_predictions(
            [sample], [Segments(task, SIZE, columns[:2], [-1, 2], [0.9, 0.8], None, WORDS)], False
        )
        assert sample.get(field).sem_seg[0, 0].tolist() == [3, 3, 2, 2, 3, 3]
    (sample,) = frames(1)
    set_predictions(
        [sample], [Segments("instance", SIZE, columns, [-1, 2, 1], [0.9] * 3, None, WORDS)], False
    )
    assert sample.pred_instances.labels.tolist() == [1], "instances are things"


def test_a_thing_of_a_video_keeps_its_number():
    ids = [40, 2_000_000_002]
    first = Segments("panoptic", SIZE, masks(slice(0, 2), slice(2, 6)), [0, 2], [0.9, 0.8], ids, WORDS)
    second = Segments("panoptic", SIZE, masks(slice(3, 4), slice(4, 6)), [1, 0], [0.7, 0.6], [9, 40], WORDS)
    samples = frames(2)
    set_predictions(samples, [first, second], True)
    rows = [sample.pred_panoptic_seg.sem_seg[0, 0].tolist() for sample in samples]
    assert rows == [[2000, 2000, 2, 2, 2, 2], [3, 3, 3, 1001, 2000, 2000]]
    assert samples[0].pred_panoptic_seg.segment_scores.keys() == {2000, 2}


def test_tracks_have_a_row_in_every_frame():
    first = Segments("instance", SIZE, masks(slice(0, 2), slice(2, 6)), [0, 1], [0.5, 0.3], [40, 7], WORDS)
    second = Segments("instance", SIZE, masks(slice(0, 1)), [1], [0.7], [7], WORDS)
    third = Segments("instance", SIZE, masks(slice(0, 1)), [0], [0.8], [7], WORDS)
    samples = frames(3)
    set_predictions(samples, [first, second, third], True)
    for sample in samples:
        tracks = sample.pred_track_instances
        assert tracks.instances_id.tolist() == [7, 40]
        assert tracks.labels.tolist() == [1, 0], "the most frequent label"
        assert np.allclose(tracks.scores, [0.6, 0.5])
    assert [sample.pred_track_instances.masks[1] is None for sample in samples] == [False, True, True]


def test_followed_objects_are_a_map_of_ids():
    found = [Segments("vos", SIZE, masks(slice(0, 2)), [-1], [1.0], [300])]
    (again,) = there_and_back(found, is_video=True)
    assert again.ids.tolist() == [300] and again.rles == found[0].rles


def test_a_thing_of_a_long_stream_is_not_taken_for_stuff():
    words = Vocabulary([Category("cat"), Category("sky", is_thing=False)])
    identity = 1_000_001
    sample = DetDataSample(metainfo=dict(ori_shape=(4, 6)))
    panoptic = torch.full((1, 4, 6), 1, dtype=torch.int64)
    panoptic[..., :3] = 1000 * identity
    sample.pred_panoptic_seg = PixelData(sem_seg=panoptic)
    found = segments_of(Segments, sample, "panoptic", words, frame_index=0)
    assert found.labels.tolist() == [1, 0]
    assert found.ids[1] == identity != found.ids[0]
