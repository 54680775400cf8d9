"""Videos with a model of images."""

import numpy as np
import pytest

from omgseg.inference.frame_by_frame import FrameByFrame
from omgseg.protocols import Request, TrackingModel, VideoModel
from omgseg.structures import Task, Vocabulary
from tests.fakes import FakeSegmenter, ImageOnlyFake, moving_square, picture


def ids_of(frames, task=Task.INSTANCE, words=None):
    found = FrameByFrame(FakeSegmenter()).predict_video(frames, Request(task, words))
    return [dict(zip(frame.ids.tolist(), frame.names, strict=True)) for frame in found]


def test_it_is_a_video_model_of_any_segmenter():
    video = FrameByFrame(ImageOnlyFake())
    assert isinstance(video, VideoModel) and not isinstance(video, TrackingModel)
    frames = video.predict_video(moving_square(3), Request(Task.PANOPTIC))
    assert [frame.frame_index for frame in frames] == [0, 1, 2]
    assert all(frame.size == (60, 80) and len(frame) == 2 for frame in frames)


def test_what_moves_keeps_its_id():
    assert ids_of(moving_square(6)) == [{1: "red", 2: "blue"}] * 6


def test_objects_of_one_class_do_not_change_places():
    """The left one goes and the right one comes nearer; order and scores are those of the other way round."""
    both = [picture(40, 120, ("red", 5, 2 * t, 25, 20 + 2 * t), ("red", 5, 60, 25, 90)) for t in range(4)]
    alone = [picture(40, 120, ("red", 5, 60 - 4 * t, 25, 90 - 4 * t)) for t in range(3)]
    assert ids_of([*both, *alone]) == [{1: "red", 2: "red"}] * 4 + [{2: "red"}] * 3


def test_what_returns_or_jumps_is_new():
    here, gone = picture(40, 80, ("red", 5, 5, 25, 25)), picture(40, 80)
    there = picture(40, 80, ("red", 5, 50, 25, 70))
    assert ids_of([here, gone, here, there]) == [{1: "red"}, {}, {2: "red"}, {3: "red"}]


def test_another_class_at_the_same_place_is_another_object():
    frames = [picture(40, 80, (colour, 5, 5, 25, 25)) for colour in ("red", "blue", "red")]
    assert ids_of(frames) == [{1: "red"}, {2: "blue"}, {3: "red"}]


def test_stuff_and_semantic_classes_have_constant_ids():
    frames = [picture(40, 80, ("green", 0, 40, 40, 80)), picture(40, 80, ("green", 0, 0, 10, 10))]
    (first,), (second,) = ids_of(frames, Task.PANOPTIC)
    assert first == second > 1000
    words = Vocabulary.from_names(["blue", "green"])
    assert ids_of(frames, Task.SEMANTIC, words) == [{2: "green"}] * 2


def test_a_stream_gives_what_the_whole_video_gives_and_keeps_one_frame():
    frames = moving_square(5)
    segmenter = FakeSegmenter()
    video, request = FrameByFrame(segmenter), Request(Task.PANOPTIC)
    whole = video.predict_video(frames, request)
    stream = video.open_stream(request)
    assert [*stream.push(frames[:2]), *stream.push(frames[2:])] == whole
    assert {len(sizes) for _, sizes in segmenter.calls} == {1}


def test_frames_of_another_size():
    stream = FrameByFrame(FakeSegmenter()).open_stream(Request(Task.INSTANCE))
    stream.push([picture(40, 80)])
    with pytest.raises(ValueError, match=r"frame 1 has the size \(40, 81\), the first one \(40, 80\)"):
        stream.push([picture(40, 81)])


def test_ids_of_things_leave_out_those_of_stuff(monkeypatch):
    """A million objects are too many for a test: the numbers of stuff begin at 4."""
    monkeypatch.setattr("omgseg.inference.frame_by_frame.STUFF_ID", 4)
    frames = [picture(40, 80, ("red", 5, 40 * (t % 2), 25, 40 * (t % 2) + 30)) for t in range(6)]
    words = Vocabulary.from_names(["red"])
    found = FrameByFrame(FakeSegmenter()).predict_video(frames, Request(Task.PANOPTIC, words))
    assert np.concatenate([frame.ids for frame in found]).tolist() == [1, 2, 3, 8, 9, 10]
