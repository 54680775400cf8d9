"""Clicks in any frame, followed to both ends of a video."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from omgseg.apis import InteractiveVideo, VideoResult, interactive_video
from omgseg.structures import Task
from omgseg.visualization import VideoWriter

FRAMES = 11
SIZE = (48, 64)


class RecordingTracker:
    """Knows an object by its id alone: shows it as it was given last, and notes what it was asked."""

    calls: list["RecordingTracker"] = []

    def __init__(self, model):
        self.added, self.clips, self.last = [], [], {}
        self.pending = []
        RecordingTracker.calls.append(self)

    def add(self, masks, ids, frame=0):
        self.pending.append((frame, masks, ids))

    def push(self, inputs, samples):
        assert len(inputs) == len(samples)
        shades = []
        for number, (pixels, sample) in enumerate(zip(inputs, samples, strict=True)):
            shade = round(pixels.float().mean().item())
            shades.append(shade)
            for frame, masks, ids in self.pending:
                if frame == number:
                    self.added.append((shade, ids.tolist()))
                    self.last.update(zip(ids.tolist(), masks, strict=True))
            objects = torch.zeros(SIZE, dtype=torch.int32)
            for identity, mask in self.last.items():
                objects[mask] = identity
            sample.pred_vos_seg = PixelData(sem_seg=objects.unsqueeze(0))
        self.pending = []
        self.clips.append(shades)
        return samples


@pytest.fixture
def film() -> np.ndarray:
    """Frame i has the shade i everywhere."""
    return np.broadcast_to(np.arange(FRAMES, dtype=np.uint8)[:, None, None, None], (FRAMES, *SIZE, 3)).copy()


@pytest.fixture
def tracker(monkeypatch):
    monkeypatch.setattr(interactive_video, "ObjectTracker", RecordingTracker)
    RecordingTracker.calls = []
    return RecordingTracker


def block(start: int, stop: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[:, start:stop] = True
    return mask


def test_objects_are_followed_to_both_ends(seg, film, tracker, monkeypatch):
    monkeypatch.setattr(interactive_video, "BACKWARD_WINDOW", 4)
    video = InteractiveVideo(seg.interactive, film)
    video.click(6, mask=block(0, 9))
    result = video.propagate()
    assert isinstance(result, VideoResult) and len(result) == FRAMES and result.frames[0].task is Task.VOS
    assert [frame.frame_index for frame in result] == list(range(FRAMES))
    assert all(frame.ids.tolist() == [1] for frame in result)
    assert all(np.array_equal(frame.masks[0], block(0, 9)) for frame in result)
    forwards, backwards = tracker.calls
    assert sum(forwards.clips, []) == [6, 7, 8, 9, 10] and max(map(len, forwards.clips)) == 2
    assert sum(backwards.clips, []) == [6, 5, 4, 3, 2, 1, 0]
    assert forwards.added == backwards.added == [(6, [1])]


def test_the_nearest_frame_with_clicks_decides(seg, film, tracker):
    video = InteractiveVideo(seg.interactive, film)
    video.click(2, mask=block(0, 9))
    video.click(8, mask=block(20, 30))
    video.click(8, mask=block(40, 50), object_id=5)
    result = video.propagate()
    first = [frame.masks[frame.ids.tolist().index(1)] for frame in result]
    assert [np.array_equal(mask, block(0, 9)) for mask in first] == [True] * 6 + [False] * 5
    assert all(np.array_equal(mask, block(20, 30)) for mask in first[6:])
    assert all(frame.ids.tolist() == [1, 5] for frame in result)
    assert video.propagate() == result


def test_nothing_is_read_backwards_for_objects_of_the_first_frame(seg, film, tracker):
    video = InteractiveVideo(seg.interactive, film)
    video.click(0, mask=block(0, 9))
    video.propagate()
    assert len(tracker.calls) == 1


def test_an_empty_mask_says_that_the_object_is_gone(seg, film, tracker):
    video = InteractiveVideo(seg.interactive, film)
    video.click(0, mask=block(0, 9))
    video.click(6, mask=block(0, 0))
    assert [len(frame) for frame in video.propagate()] == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_clicks_correct_what_was_found(seg, film, tracker, monkeypatch):
    predictor = seg.interactive
    asked = []
    predict = predictor.predict
    monkeypatch.setattr(predictor, "predict", lambda *args: asked.append(args[3]) or predict(*args))
    video = InteractiveVideo(predictor, film)
    video.click(3, points=[(4, 4)])
    assert asked.pop() is None
    shown = video.click(3, mask=block(0, 9))
    assert (
        shown.frame_index == 3 and shown.ids.tolist() == [1] and np.array_equal(shown.masks[0], block(0, 9))
    )
    video.propagate()
    corrected = video.click(7, points=[(5, 5)], labels=[0])
    assert np.array_equal(asked.pop(), block(0, 9))
    assert not corrected.masks[0][5, 5]
    again = video.click(7, points=[(60, 5)], labels=[0])
    assert np.array_equal(asked.pop(), corrected.masks[0]) and np.array_equal(again.masks, corrected.masks)
    video.click(7, boxes=(1, 1, 20, 20))
    assert asked.pop() is None
    result = video.propagate()
    assert result[3].masks[0].sum() == block(0, 9).sum()


def test_a_frame_is_encoded_once_for_many_clicks(seg, film, monkeypatch):
    calls = []
    predictor = seg.interactive
    set_image = predictor.set_image
    monkeypatch.setattr(predictor, "set_image", lambda image: calls.append(1) or set_image(image))
    video = InteractiveVideo(predictor, film)
    video.click(3, points=[(4, 4)])
    video.click(3, points=[(30, 20)], object_id=2)
    assert len(calls) == 1
    predictor.set_image(film[0])
    video.click(3, points=[(40, 4)], object_id=3)
    assert len(calls) == 3


def test_the_real_tracker_covers_all_frames(seg, film):
    film[:, 10:30, 10:30] = 200
    video = InteractiveVideo(seg.interactive, film)
    shown = video.click(5, points=[(20, 20)])
    result = video.propagate()
    assert len(result) == FRAMES
    assert np.array_equal(result[5].masks[0], shown.masks[0])


def test_video_files_and_folders_are_read_lazily(seg, tmp_path, film, tracker):
    file = tmp_path / "film.mp4"
    with VideoWriter(file, 10) as writer:
        for index in range(FRAMES):
            writer.add(np.full((*SIZE, 3), 20 * index, np.uint8))
    video = InteractiveVideo(seg.interactive, file)
    video.click(6, mask=block(0, 9))
    result = video.propagate()
    assert len(result) == FRAMES and result.path == file and result.fps == 10
    shades = [round(shade / 20) for shade in sum(tracker.calls[1].clips, [])]
    assert shades == [6, 5, 4, 3, 2, 1, 0]
    assert round(np.mean(next(iter(result.images()))) / 20) == 0
    with pytest.raises(IndexError, match="no frame 99"):
        video.click(99, points=[(1, 1)])


def test_mistakes_are_named(seg, film):
    video = InteractiveVideo(seg.interactive, film)
    with pytest.raises(RuntimeError, match="call click first"):
        video.propagate()
    with pytest.raises(ValueError, match="above 0"):
        video.click(0, points=[(1, 1)], object_id=0)
    with pytest.raises(IndexError, match="no frame -1"):
        video.click(-1, points=[(1, 1)])
    with pytest.raises(IndexError, match="no frame 11"):
        video.click(FRAMES, points=[(1, 1)])
    with pytest.raises(ValueError, match="live"):
        InteractiveVideo(seg.interactive, "rtsp://localhost/door")
