"""One call for any input and any task, with a model that is right by construction."""

import itertools
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from omgseg.inference import (
    OMGSegInferencer,
    SegmentationResult,
    UnreadableInputs,
    UnsupportedRequest,
    VideoResult,
    abilities_of,
    describe,
)
from omgseg.inference.inferencer import LONGEST_EXACT
from omgseg.protocols import Abilities
from omgseg.structures import Segments, Task
from omgseg.structures.run_lengths import encode_masks
from omgseg.visualization import VideoWriter
from tests.fakes import WORDS, ClickOnlyFake, FakeSegmenter, ImageOnlyFake, moving_square, picture

TASKS = ("panoptic", "instance", "semantic")
SCENE = (
    ("red", 5, 5, 25, 25),
    ("red", 5, 50, 25, 70),
    ("blue", 35, 5, 50, 25),
    ("yellow", 35, 50, 50, 70),
    ("green", 54, 0, 60, 80),
)
"""Two red things, a blue and a doubtful yellow one, and green stuff."""


@pytest.fixture
def model() -> FakeSegmenter:
    return FakeSegmenter()


@pytest.fixture
def seg(model) -> OMGSegInferencer:
    return OMGSegInferencer(model)


@pytest.fixture
def image() -> np.ndarray:
    return picture(60, 80, *SCENE)


@pytest.fixture
def photo(tmp_path, image) -> Path:
    file = tmp_path / "photo.png"
    Image.fromarray(image).save(file)
    return file


@pytest.fixture
def folder(tmp_path, image) -> Path:
    """Images 7, 8, ... 11, of which 8 is lower; and a file that is not an image."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(7, 12):
        Image.fromarray(image[:52] if number == 8 else image).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def film(tmp_path) -> Path:
    file = tmp_path / "film.mp4"
    with VideoWriter(file, 10) as writer:
        for frame in moving_square(5):
            writer.add(frame)
    return file


def sizes(model: FakeSegmenter, method: str) -> list[int]:
    """How many images each call of a method got."""
    return [len(images) for name, images in model.calls if name == method]


@pytest.mark.parametrize("task", TASKS)
def test_an_image(seg, photo, image, task):
    found = seg(photo, task, min_score=0)
    assert isinstance(found, SegmentationResult) and found.task is Task(task) and found.size == (60, 80)
    assert (found.path, found.name, found.frame_index) == (photo, "photo", None)
    assert found.vocabulary == WORDS and np.array_equal(found.image, image)
    expected = {
        "panoptic": ["red", "red", "green", "blue", "yellow"],
        "instance": ["red", "red", "blue", "yellow"],
        "semantic": ["red", "green", "blue", "yellow"],
    }
    assert found.names == expected[task]
    assert np.array_equal(found.masks[0] & (found.id_map == 1), found.masks[0])


def test_what_is_returned(seg, photo, folder, image):
    assert isinstance(seg(image), SegmentationResult)
    assert isinstance(seg([photo]), list)
    assert isinstance(seg(f"{folder}/*.png"), list)
    assert isinstance(seg(np.stack([image] * 3)), VideoResult)
    assert seg(Image.open(photo)).label_map.tolist() == seg(photo).label_map.tolist()


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batches_give_what_single_images_give(seg, model, folder, batch_size):
    single = [seg(path) for path in sorted(folder.glob("*.png"), key=lambda path: int(path.stem))]
    model.calls.clear()
    found = seg(folder, batch_size=batch_size)
    assert found == single == list(seg.stream(folder, batch_size=batch_size))
    assert [result.name for result in found] == ["7", "8", "9", "10", "11"]
    assert sum(sizes(model, "predict")) == 10 and max(sizes(model, "predict")) == batch_size


def test_generators_are_sources(seg, image, photo):
    """Of images, of the frames of a video, and of as many images as are asked for."""
    found = seg((photo if number else image for number in range(2)), "instance", min_score=0)
    assert found == seg([image, photo], "instance", min_score=0)
    frames = moving_square(5)
    film = seg(iter(frames), "instance", as_video=True)
    assert isinstance(film, VideoResult) and film.frames == seg(np.stack(frames), "instance").frames
    objects = {1: (frames[0] == frames[0][35, 5]).all(-1)}
    assert seg.track(iter(frames), objects).frames == seg.track(np.stack(frames), objects).frames
    endless = seg.stream(itertools.repeat(image), "instance", min_score=0)
    assert [len(next(endless)) for _ in range(3)] == [4] * 3
    endless.close()


def test_low_scores_are_left_out(seg, image):
    everything = seg(image, "instance", min_score=0)
    assert everything.scores.min() == pytest.approx(0.2)
    assert seg(image, "instance") == everything.confident(0.3)
    assert seg(image, "instance", min_score=0.85) == everything.confident(0.85)
    assert len(seg(image, "panoptic")) == 5


class Doubling(ImageOnlyFake):
    """Finds every instance twice."""

    def predict(self, images, request):
        twice = []
        for found in super().predict(images, request):
            rows = np.repeat(np.arange(len(found)), 2)
            twice.append(
                Segments(
                    found.task,
                    found.size,
                    [found.rles[row] for row in rows],
                    found.labels[rows],
                    found.scores[rows],
                    vocabulary=found.vocabulary,
                )
            )
        return twice


def test_an_object_is_found_once(image):
    seg = OMGSegInferencer(Doubling())
    assert len(seg(image, "instance", max_overlap=1)) == 6
    once = seg(image, "instance")
    assert once.names == ["red", "red", "blue"] and once.ids.tolist() == [1, 3, 5]


def test_words_of_a_call_do_not_stay(seg, image):
    before = seg(image)
    found = seg(image, "semantic", {"things": ["blue"], "stuff": ["sky"]})
    assert found.names == ["blue"] and found.vocabulary.names == ["blue", "sky"]
    assert seg(image) == before
    assert OMGSegInferencer(FakeSegmenter(), vocabulary=["red"])(image, "instance").names == ["red", "red"]
    with pytest.raises(ValueError, match=r"takes up to 999 words, the vocabulary has 1203"):
        seg(image, vocabulary="lvis")
    assert seg(image, "instance", "lvis").vocabulary.num_things == 1203


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", [FakeSegmenter, ImageOnlyFake])
def test_a_video_in_every_task(kind, folder, image, task):
    """A model for images sees one frame after the other."""
    Image.fromarray(image).save(folder / "8.png")
    for online in (False, True):
        found = OMGSegInferencer(kind())(folder, task, as_video=True, online=online)
        assert isinstance(found, VideoResult) and found.path == folder and len(found) == 5
        assert [frame.frame_index for frame in found] == list(range(5))
        assert [frame.path.stem for frame in found] == ["7", "8", "9", "10", "11"]
        assert all(frame.task == Task(task) and frame.names == found[0].names for frame in found)


def test_long_videos_are_streams(seg, model, image):
    small = cv2.resize(image, (32, 24), interpolation=cv2.INTER_NEAREST)
    assert len(seg(np.stack([small] * LONGEST_EXACT))) == LONGEST_EXACT
    assert sizes(model, "predict_video") == [LONGEST_EXACT] and not sizes(model, "push")
    assert len(seg(np.stack([small] * (LONGEST_EXACT + 1)))) == LONGEST_EXACT + 1
    assert sizes(model, "predict_video") == [LONGEST_EXACT] and max(sizes(model, "push")) == model.clip_size


class Camera:
    """A camera without an end, whose frames are of one shade each."""

    released = False

    def __init__(self, number):
        self.count = 0

    def isOpened(self):
        return True

    def read(self):
        self.count += 1
        return True, np.full((24, 32, 3), self.count % 256, np.uint8)

    def release(self):
        Camera.released = True


def test_live_streams(seg, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    stream = seg.stream(0, "semantic")
    found = list(itertools.islice(stream, 7))
    stream.close()
    assert Camera.released
    indices = [frame.frame_index for frame in found]
    assert indices == sorted(set(indices))
    for frame in found:
        assert (frame.image == (frame.frame_index + 1) % 256).all()
    with pytest.raises(ValueError, match=r"camera0 has no end; use seg\.stream"):
        seg(0)


def test_a_stream_is_lazy_and_holds_pixels(seg, model, folder):
    stream = seg.stream(folder, "semantic")
    assert not model.calls
    first = next(stream)
    assert first.replace(path=None).image is not None and len(model.calls) == 1
    stream.close()
    assert seg(folder, "semantic")[0].replace(path=None).image is None  # read again when needed


@pytest.fixture
def broken(folder) -> list[Path]:
    """Five images and a missing one; one is no image."""
    (folder / "8.png").write_text("not an image")
    return [*sorted(folder.glob("*.png")), folder / "nothing.png"]


def test_one_unreadable_image_does_not_lose_the_others(seg, folder, broken):
    with pytest.raises(UnreadableInputs, match=r"^2 inputs could not be read") as caught:
        seg(broken, "semantic")
    assert [result.name for result in caught.value.results] == ["10", "11", "7", "9"]
    assert [name for name, _ in caught.value.failures] == [str(folder / "8.png"), str(folder / "nothing.png")]
    stream = seg.stream(broken, "semantic", batch_size=2)
    assert [result.name for result in itertools.islice(stream, 4)] == ["10", "11", "7", "9"]
    with pytest.raises(UnreadableInputs, match="2 inputs"):
        next(stream)
    assert len(seg(broken, "semantic", on_error="skip")) == 4
    with pytest.raises(OSError, match=r"8\.png is truncated or not an image"):
        seg(folder / "8.png")


def test_images_beside_a_video_keep_batches_errors_and_no_pixels(seg, model, folder, film, image):
    odd = np.zeros((9, 9, 7), np.uint8)  # a ValueError
    paths = [folder / "7.png", odd, folder / "9.png", film, folder / "10.png", image]
    with pytest.raises(UnreadableInputs, match=r"input 1: expected an RGB image") as caught:
        seg(paths, batch_size=2)
    first, second, video, third, last = caught.value.results
    assert isinstance(video, VideoResult) and len(video) == 5 and video.path == film
    assert [result.name for result in (first, second, third)] == ["7", "9", "10"]
    assert sizes(model, "predict") == [2, 2]
    assert all(result.replace(path=None).image is None for result in (first, second, third))
    assert last.image is not None
    film.write_text("not a film")
    with pytest.raises(UnreadableInputs, match=r"film\.mp4 cannot be opened") as caught:
        seg([film, folder / "7.png"])
    assert [result.name for result in caught.value.results] == ["7"]


def test_inputs_without_a_file_are_numbered_over_the_whole_list(seg, film, image):
    results = seg([image, film, image])
    assert [result.name for result in results] == ["00000", "film", "00002"]
    with pytest.raises(UnreadableInputs, match=r"^1 input could not be .*\n  input 2: expected an RGB image"):
        seg([image, film, np.zeros((9, 9, 7), np.uint8)])


def test_streams_in_a_list_show_no_password(seg, photo):
    addresses = [
        "rtsp://user:secret@localhost:1/live",
        "http://user:secret@localhost:1/film.mp4?token=secret",
        "http://user:secret@localhost:1/photo.png",
    ]
    with pytest.raises(UnreadableInputs, match=r"^3 inputs could not be read") as caught:
        seg([*addresses, photo])
    assert [result.name for result in caught.value.results] == ["photo"]
    assert "secret" not in f"{caught.value} {caught.value.failures}"


def test_a_folder_is_listed_once(seg, folder, monkeypatch):
    scandir, listed = os.scandir, []
    monkeypatch.setattr(os, "scandir", lambda place: listed.append(str(place)) or scandir(place))
    assert len(seg(folder)) == 5
    assert listed == [str(folder)]


def test_a_click_outside_of_one_image_does_not_lose_the_others(seg, folder):
    with pytest.raises(
        UnreadableInputs, match=r"8\.png: the point \(10, 55\) lies outside .* 80x52"
    ) as caught:
        seg(folder, "interactive", prompts={"points": [(10, 55)]})
    assert [result.name for result in caught.value.results] == ["7", "9", "10", "11"]
    found = seg.stream(folder, "interactive", prompts={"points": [(10, 55)]}, on_error="skip")
    assert [result.name for result in found] == ["7", "9", "10", "11"]
    with pytest.raises(ValueError, match="lies outside"):
        seg(folder / "8.png", "interactive", prompts={"points": [(10, 55)]})


class Picky(ImageOnlyFake):
    """Takes no image of 52 rows."""

    def predict(self, images, request):
        if any(len(image) == 52 for image in images):
            raise ValueError("too low")
        return super().predict(images, request)


def test_an_image_that_a_model_refuses_does_not_lose_its_batch(folder):
    seg = OMGSegInferencer(Picky(batch_by_size=False))
    with pytest.raises(UnreadableInputs, match=r"8\.png: too low") as caught:
        seg(folder, batch_size=3)
    assert [result.name for result in caught.value.results] == ["7", "9", "10", "11"]


@pytest.mark.parametrize("online", [False, True])
def test_track(seg, tmp_path, online):
    frames = moving_square(5)
    objects = np.zeros((60, 80), np.uint8)
    objects[5:25, 5:25], objects[35:55, 5:25] = 3, 8
    Image.fromarray(objects).save(tmp_path / "objects.png")
    found = seg.track(frames, tmp_path / "objects.png", online=online)
    assert isinstance(found, VideoResult) and len(found) == 5 and found[0].task is Task.VOS
    assert all(frame.ids.tolist() == [3, 8] for frame in found)
    assert [int(frame.boxes[0, 0]) for frame in found] == [5, 9, 13, 17, 21]
    assert seg.track(frames, {3: objects == 3, 8: objects == 8}, online=online) == found
    assert seg(frames, "vos", prompts={"masks": objects}, as_video=True, online=online) == found
    if online:
        assert list(seg.stream_track(frames, objects)) == list(found)


def test_objects_that_do_not_fit(seg):
    frames = moving_square(3)
    for online in (False, True):
        with pytest.raises(ValueError, match=r"masks are 5x4, the video's frames 80x60"):
            seg.track(frames, np.ones((4, 5), np.uint8), online=online)
    with pytest.raises(ValueError, match="mask is empty"):
        seg.track(frames, np.zeros((60, 80), np.uint8))
    with pytest.raises(TypeError, match="not NoneType"):
        seg.track(frames, None)
    with pytest.raises(ValueError, match="object 2147483648: ids are .* up to 2147483647"):
        seg.track(frames, {2**31: np.ones((60, 80), bool)})


def test_clicks(seg, photo):
    points = [(10, 10), (60, 10)]
    found = seg([photo, photo], "interactive", prompts={"points": points})
    assert [len(result) for result in found] == [2, 2] and found[0].path == photo
    assert np.array_equal(found[0].masks.any(0), seg(photo, "instance", ["red"]).masks.any(0))
    one = seg(photo, "interactive", prompts={"points": points, "labels": [1, 0]})
    assert len(one) == 1 and one.areas[0] == 400
    assert len(seg(photo, "interactive", prompts={"boxes": [(5, 5, 70, 50)]})) == 1
    assert seg(photo, "interactive", prompts={"points": points, "labels": None}) == found[0]


def test_exemplars(seg, photo):
    exemplars = {"exemplars": [(5, 5, 30, 30)]}
    (found, _) = seg([photo, photo], "interactive", prompts=exemplars)
    assert found.path == photo and found.names == [""] * len(found)
    assert np.array_equal(found.masks.any(0), seg(photo, "instance", ["red"]).masks.any(0))
    assert seg(photo, "interactive", ["taxi"], prompts=exemplars).names == ["taxi"] * len(found)


def test_doubtful_answers_to_clicks_are_left_out(seg, image):
    points = [(10, 10), (30, 30)]  # there is nothing at the second one, which scores 0
    assert len(seg(image, "interactive", prompts={"points": points})) == 2
    sure = seg(image, "interactive", prompts={"points": points}, min_score=0.5)
    assert len(sure) == 1 and sure.areas[0] == 400


def test_clicks_with_words(seg, image):
    named = seg(image, "interactive", ["blue", "red"], prompts={"points": [(10, 10)]})
    assert named.vocabulary.names == ["blue", "red"] and named.names == ["red"]
    assert not len(seg.interactive.vocabulary), "the words are those of this call"


def test_everything(seg, model, folder, image):
    found = seg(folder, "everything", min_score=0)
    assert [len(result) for result in found] == [5, 4, 5, 5, 5] and found[0].task is Task.EVERYTHING
    assert found[0].scores.tolist() == sorted(found[0].scores.tolist(), reverse=True)
    assert len(seg(image, "everything")) == 3, "from 0.8 on"
    assert set(seg(image, "everything", ["red", "green"]).names) == {"red", "green"}
    assert next(seg.stream(image, "everything")) == seg(image, "everything")
    with pytest.raises(ValueError, match="is a video; the task 'everything' is for images"):
        seg(np.stack([image] * 2), "everything")


def test_calls_leave_the_image_of_the_predictor(seg, image):
    seg.interactive.set_image(image)
    before = seg.interactive.predict(points=[(10, 10)])
    other = np.zeros((20, 30, 3), np.uint8)
    for task, prompts in (("interactive", {"points": [(1, 1)]}), ("everything", None)):
        seg(other, task, prompts=prompts)
    assert seg.interactive.image is image
    assert seg.interactive.predict(points=[(10, 10)]) == before


def test_threads_get_what_they_would_get_alone(seg, image):
    """Also with clicks, on images of their own."""
    images = [image, np.ascontiguousarray(image[::-1, ::-1])]
    point = {"points": [(10, 10)]}
    alone = [(seg(own, "interactive", prompts=point), seg(own, "instance")) for own in images]
    wrong = []

    def ask(number: int) -> None:
        for _ in range(10):
            found = seg(images[number], "interactive", prompts=point), seg(images[number], "instance")
            wrong.extend([number] if found != alone[number] else [])

    threads = [threading.Thread(target=ask, args=(number % 2,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone[0] != alone[1] and not wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(task="panoptik"), r"unknown task 'panoptik'; did you mean 'panoptic'\?"),
        (dict(task="interactive"), "needs prompts="),
        (
            dict(task="interactive", prompts={"point": [(1, 1)]}),
            "no key 'point'; keys: points, labels, boxes",
        ),
        (dict(task="interactive", prompts={"labels": [1]}), "needs prompts="),
        (dict(task="interactive", prompts={"points": None}), "needs prompts="),
        (dict(prompts={"points": [(1, 1)]}), "'panoptic' takes no prompts"),
        (
            dict(task="interactive", prompts={"exemplars": [(1, 1, 9, 9)], "points": [(1, 1)]}),
            "either exemplars, or points and boxes",
        ),
        (
            dict(task="interactive", prompts={"exemplars": [(1, 1, 9, 9)]}, vocabulary=["a", "b"]),
            "exemplars take one word, and there are 2",
        ),
        (dict(task="everything", prompts={"points": [(1, 1)]}), "'everything' takes no prompts"),
        (dict(task="vos"), r"use seg\.track"),
        (dict(task="vos", prompts={"masks": np.ones((60, 80), np.uint8)}), "photo is not a video"),
        (dict(on_error="ignore"), "on_error must be 'raise' or 'skip'"),
        (dict(batch_size=0), "batch_size"),
        (dict(min_score=float("nan")), "min_score must be a number from 0 to 1, not nan"),
        (dict(min_score=2), "min_score must be a number from 0 to 1, not 2"),
        (dict(max_overlap=-1), "max_overlap must be a number from 0 to 1, not -1"),
    ],
)
def test_wrong_calls(seg, photo, arguments, message):
    with pytest.raises(ValueError, match=message):
        seg(photo, **arguments)
    with pytest.raises(ValueError, match=message):
        seg.stream(photo, **arguments)  # at once, not at the first result


@pytest.mark.parametrize("arguments", [dict(min_score="0.5"), dict(vocabulary=[None])])
def test_wrong_kinds(seg, photo, arguments):
    with pytest.raises(TypeError, match=r"min_score must be a number|a word must be a text"):
        seg(photo, **arguments)


def test_prompts_on_a_video(seg, folder):
    with pytest.raises(ValueError, match="images is a video; prompts are for images"):
        seg(folder, "interactive", prompts={"points": [(1, 1)]}, as_video=True)


def test_making_one():
    with pytest.raises(ValueError, match="the model is loaded already"):
        OMGSegInferencer(FakeSegmenter(), device="cpu")
    with pytest.raises(TypeError, match="not None"):
        OMGSegInferencer(None)
    config = dict(segmenter=dict(type="tests.fakes.FakeSegmenter"))
    for scale in ((0, 0), 256):
        with pytest.raises(ValueError, match=r"scale must be \(width, height\)"):
            OMGSegInferencer(config, scale=scale)
    with pytest.raises(TypeError, match="a word must be a text"):
        OMGSegInferencer("no such run", vocabulary=[None])  # before anything is loaded
    seg = OMGSegInferencer(config)
    assert isinstance(seg.segmenter, FakeSegmenter) and seg.vocabulary == WORDS
    assert seg.abilities.tasks == set(Task)


def test_what_a_model_cannot_do_is_said_in_one_sentence(image):
    segments, clicks = OMGSegInferencer(ImageOnlyFake()), OMGSegInferencer(ClickOnlyFake())
    offers = "it offers the tasks semantic, instance, panoptic and its own 5 words (red, blue, yellow, ...)"
    for wanted, call in {
        "the task 'interactive'": lambda: segments(image, "interactive", prompts={"points": [(1, 1)]}),
        "the task 'everything'": lambda: segments(image, "everything"),
        "the task 'vos'": lambda: segments.track(np.stack([image] * 2), image[..., 0]),
        "clicks and boxes": lambda: segments.interactive,
        "the word 'motorway'": lambda: segments(image, vocabulary=["motorway"]),
    }.items():
        with pytest.raises(UnsupportedRequest) as caught:
            call()
        assert str(caught.value) == f"the model does not offer {wanted}; {offers}"
    offers = "it offers the tasks interactive, prompts by points, labels, boxes, masks and no words"
    for wanted, call in {
        "the task 'panoptic'": lambda: clicks(image),
        "names for masks": lambda: clicks(image, "interactive", ["red"], {"points": [(1, 1)]}),
    }.items():
        with pytest.raises(UnsupportedRequest) as caught:
            call()
        assert str(caught.value) == f"the model does not offer {wanted}; {offers}"


def test_the_task_of_calls_that_name_none(image):
    assert OMGSegInferencer(FakeSegmenter())(image).task is Task.PANOPTIC
    model = FakeSegmenter()
    for left in (Task.SEMANTIC, Task.INSTANCE):
        model.abilities = Abilities(frozenset({Task.SEMANTIC, left}), vocabulary=WORDS)
        seg = OMGSegInferencer(model)
        assert seg.default_task is left
        assert seg(image).task is left and next(seg.stream(image)).task is left
    model.abilities = Abilities(frozenset())
    assert OMGSegInferencer(model)(image).task is Task.EVERYTHING


def test_abilities_follow_from_what_a_model_implements():
    model = ImageOnlyFake()
    model.abilities = Abilities(frozenset(Task), open_vocabulary=True)
    assert abilities_of(model).tasks == {Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC}
    model = FakeSegmenter()
    model.abilities = Abilities(frozenset({Task.INSTANCE}), frozenset({"points"}), vocabulary=WORDS)
    assert abilities_of(model).tasks == {Task.INSTANCE, Task.INTERACTIVE, Task.EVERYTHING, Task.VOS}
    assert describe(model) == (
        "the tasks instance, interactive, everything, vos, prompts by points, names for masks "
        "and its own 5 words (red, blue, yellow, ...)"
    )


def test_a_model_without_words(image):
    """It finds things, and says nothing about what they are."""

    class Nameless(ImageOnlyFake):
        abilities = Abilities(frozenset({Task.INSTANCE}))

        def predict(self, images, request):
            assert request.words is None
            rles = encode_masks([images[0][..., 0] > 100])
            return [Segments("instance", images[0].shape[:2], rles, [-1], [0.9]) for _ in images]

    seg = OMGSegInferencer(Nameless())
    assert seg.vocabulary is None and seg(image, "instance").names == [""]
