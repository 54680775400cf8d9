"""Clicks in any frame, followed to both ends of a video."""

import threading
import time

import numpy as np
import pytest
from PIL import Image

from omgseg.inference import (
    InteractivePredictor,
    InteractiveVideo,
    OMGSegInferencer,
    UnsupportedRequest,
    VideoResult,
)
from omgseg.structures import Task
from omgseg.visualization import VideoWriter
from tests.fakes import FakeSegmenter, ImageOnlyFake, moving_square, picture

FRAMES = 11
SIZE = (60, 80)
STAYS = (10, 40)
"""A click on the blue square, which stays where it is."""


def moving(index: int) -> tuple[int, int]:
    """A click on the red square, which moves to the right."""
    return (7 + 4 * index, 10)


@pytest.fixture
def film() -> np.ndarray:
    return np.stack(moving_square(FRAMES))


@pytest.fixture
def model() -> FakeSegmenter:
    return FakeSegmenter()


@pytest.fixture
def predictor(model) -> InteractivePredictor:
    return InteractivePredictor(model)


@pytest.fixture
def video(predictor, film) -> InteractiveVideo:
    return InteractiveVideo(predictor, film)


def block(start: int, stop: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[:, start:stop] = True
    return mask


def left_edges(result: VideoResult, identity: int = 1) -> list[int]:
    """Where an object begins in each frame; -1 where it is not seen."""
    places = [frame.ids.tolist() for frame in result]
    return [
        int(frame.boxes[ids.index(identity), 0]) if identity in ids else -1
        for frame, ids in zip(result, places, strict=True)
    ]


def test_objects_are_followed_to_both_ends(video, model):
    video.click(6, points=[moving(6)])
    result = video.propagate()
    assert isinstance(result, VideoResult) and len(result) == FRAMES and result[0].task is Task.VOS
    assert [frame.frame_index for frame in result] == list(range(FRAMES))
    assert left_edges(result) == [5 + 4 * index for index in range(FRAMES)]
    assert max(len(images) for name, images in model.calls if name == "track") == model.clip_size


def test_long_ways_backwards(predictor):
    """Longer than what is in memory at a time."""
    count = 90
    film = [picture(20, 200, ("red", 5, index, 15, index + 10)) for index in range(count)]
    video = InteractiveVideo(predictor, film)
    video.click(count - 1, points=[(count, 10)])
    assert left_edges(video.propagate()) == list(range(count))


def test_the_nearest_frame_with_clicks_decides(video):
    video.click(2, mask=block(5, 25))
    video.click(8, mask=block(40, 50))
    video.click(8, points=[STAYS], object_id=5)
    result = video.propagate()
    areas = [frame.areas[0] for frame in result]
    # the first mask holds mostly blue, the second one a part of the red square
    assert areas[2] == 20 * 60 and areas[8] == 10 * 60
    assert [edge == 5 for edge in left_edges(result)[:6]] == [True] * 6
    assert left_edges(result)[6:] == [29, 33, 40, 41, 45]
    assert left_edges(result, 5) == [5] * FRAMES
    assert video.propagate() == result


def test_nothing_is_read_backwards_for_objects_of_the_first_frame(video, model):
    video.click(0, points=[moving(0)])
    video.propagate()
    assert sum(len(images) for name, images in model.calls if name == "track") == FRAMES


def test_an_empty_mask_says_that_the_object_is_gone(predictor, film):
    film[6:, :30] = 0  # no red square from frame 6 on
    video = InteractiveVideo(predictor, film)
    video.click(0, points=[moving(0)])
    video.click(6, mask=block(0, 0))
    assert [len(frame) for frame in video.propagate()] == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_clicks_correct_what_was_found(video):
    shown = video.click(3, points=[moving(3)])
    assert (shown.frame_index, shown.ids.tolist(), shown.areas.tolist()) == (3, [1], [400])
    assert video.click(3, points=[STAYS]).areas.tolist() == [800], "both, as the second click adds"
    assert video.click(3, boxes=(5, 35, 25, 55)).areas.tolist() == [400], "a box shows it anew"
    assert video.click(3, mask=block(0, 9)).areas.tolist() == [9 * 60], "a mask is taken as it is"
    video.propagate()
    corrected = video.click(7, points=[STAYS], labels=[0])
    assert not corrected.masks[0][40, 10]
    assert left_edges(video.propagate())[3] == 0


def test_a_frame_is_encoded_once_for_many_clicks(video, model):
    video.click(3, points=[moving(3)])
    video.click(3, points=[STAYS], object_id=2)
    assert [name for name, _ in model.calls].count("encode_image") == 1


def test_the_predictors_image_is_left_alone(video, predictor, film):
    predictor.vocabulary = ["red"]
    predictor.set_image(film[0])
    video.click(9, points=[moving(9)])
    assert np.array_equal(predictor.image, film[0])
    assert predictor.predict(points=[moving(0)]).areas.tolist() == [400]


def test_threads_do_not_mix_frames(video, model, monkeypatch):
    wrong, encode = [], model.encode_image

    def encode_slowly(image):
        time.sleep(0.002)  # by then the other threads wait for the model
        return encode(image)

    monkeypatch.setattr(model, "encode_image", encode_slowly)

    def click(index: int) -> None:
        for _ in range(20):
            found = video.click(index, boxes=(0, 0, 80, 30), object_id=index + 1)
            if found.boxes[0, 0] != 5 + 4 * index or found.frame_index != index:
                wrong.append(index)

    threads = [threading.Thread(target=click, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("kind", [np.asarray, lambda frame: Image.fromarray(frame)])
def test_frames_in_memory_keep_their_pixels(predictor, film, kind):
    video = InteractiveVideo(predictor, [kind(frame) for frame in film])
    video.click(0, points=[moving(0)])
    result = video.propagate()
    assert all(np.array_equal(image, frame) for image, frame in zip(result.images(), film, strict=True))
    assert all(np.array_equal(frame.image, pixels) for frame, pixels in zip(result, film, strict=True))


def test_video_files_are_read_lazily(predictor, tmp_path, film):
    file = tmp_path / "film.mp4"
    with VideoWriter(file, 10) as writer:
        for frame in film:
            writer.add(frame)
    video = InteractiveVideo(predictor, file)
    video.click(6, points=[moving(6)])
    result = video.propagate()
    assert len(result) == FRAMES and result.path == file and result.fps == 10
    np.testing.assert_allclose(left_edges(result), [5 + 4 * index for index in range(FRAMES)], atol=1)
    assert result[0].replace(path=None).image is None
    with pytest.raises(IndexError, match="no frame 99"):
        video.click(99, points=[(1, 1)])
    assert video.click(10, points=[moving(10)]).frame_index == 10


def test_mistakes_are_named(video, predictor):
    with pytest.raises(RuntimeError, match="call click first"):
        video.propagate()
    for number in (0, 1.5, 2**31):
        with pytest.raises(ValueError, match="ids are integers from 1"):
            video.click(0, points=[(1, 1)], object_id=number)
    with pytest.raises(IndexError, match="no frame -1"):
        video.click(-1, points=[(1, 1)])
    with pytest.raises(IndexError, match="no frame 11"):
        video.click(FRAMES, points=[(1, 1)])
    with pytest.raises(ValueError, match="live"):
        InteractiveVideo(predictor, "rtsp://localhost/door")


def test_a_model_that_follows_no_objects(film):
    class Clicks(ImageOnlyFake):
        encode_image, segment_prompts = FakeSegmenter.encode_image, FakeSegmenter.segment_prompts

    with pytest.raises(UnsupportedRequest, match="does not offer the task 'vos'"):
        InteractiveVideo(OMGSegInferencer(Clicks()).interactive, film)
