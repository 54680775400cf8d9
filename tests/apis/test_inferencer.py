"""One call for any input and any task."""

import itertools

import cv2
import numpy as np
import pytest
from PIL import Image

from omgseg.apis import SegmentationResult, UnreadableInputs, VideoResult, read_image, result_of
from omgseg.apis.inferencer import LONGEST_EXACT
from omgseg.datasets.transforms import LoadFrames, PackClip, Resize
from omgseg.models.readout import results as readout
from omgseg.structures import Category, Task, Vocabulary

TASKS = ("panoptic", "instance", "semantic")


@pytest.mark.parametrize("task", TASKS)
def test_equals_the_model_behind_the_test_pipeline(seg, photo, task):
    ours = seg(photo, task, min_score=0, max_overlap=1)
    results = dict(
        frames=[dict(img_path=str(photo), frame_id=0)],
        is_video=False,
        tasks=(task,),
        source="coco",
        readme_anchor="coco",
    )
    for step in (LoadFrames(), Resize((160, 96)), PackClip()):
        results = step(results)
    (reference,) = seg.model.test_step({key: [value] for key, value in results.items()})
    assert ours == result_of(reference, seg.vocabulary, path=photo, name="photo")
    assert isinstance(ours, SegmentationResult) and len(ours) and ours.size == (90, 140)
    assert np.array_equal(ours.image, read_image(photo))


@pytest.mark.parametrize("task", TASKS)
def test_batches_give_what_single_images_give(seg, video, tmp_path, task):
    Image.fromarray(read_image(video / "8.png")[:50]).save(video / "8.png")  # of another size
    single = [seg(path, task) for path in sorted(video.glob("*.png"), key=lambda path: int(path.stem))]
    for found in (seg(video, task, batch_size=2), list(seg.stream(video, task, batch_size=3))):
        assert [each.name for each in found] == ["7", "8", "9", "10", "11"]
        for one, many in zip(single, found, strict=True):
            assert one.names == many.names and one.scores == pytest.approx(many.scores, abs=1e-4)
            assert (one.label_map == many.label_map).mean() > 0.999


def test_what_is_returned(seg, photo, video):
    image = read_image(photo)
    assert isinstance(seg(image), SegmentationResult)
    assert isinstance(seg([photo]), list)
    assert isinstance(seg(f"{video}/*.png"), list)
    assert isinstance(seg(np.stack([image] * 3)), VideoResult)
    assert seg(Image.open(photo)).label_map.tolist() == seg(photo).label_map.tolist()
    film, still = seg([np.stack([image] * 3), photo])
    assert isinstance(film, VideoResult) and isinstance(still, SegmentationResult)


def test_low_scores_are_left_out(seg, photo):
    everything = seg(photo, "instance", min_score=0, max_overlap=1)
    limit = float(np.median(everything.scores))
    assert seg(photo, "instance", min_score=limit, max_overlap=1) == everything.confident(limit)
    assert seg(photo, "instance", max_overlap=1) == everything.confident(0.3)


def test_poor_guesses_cost_nothing(seg, photo, video, monkeypatch):
    """Their masks, which would be left out, are not made."""
    limits = []
    select = readout.select_pairs
    monkeypatch.setattr(readout, "select_pairs", lambda *args: limits.append(args[3]) or select(*args))
    everything = seg(photo, "instance", min_score=0, max_overlap=1)
    limit = float(everything.scores[1])
    assert seg(photo, "instance", min_score=limit, max_overlap=1) == everything.select([0, 1])
    assert limits == [0, limit]
    assert seg.model.test_config.min_score == 0
    limit = 0.15
    for online in (False, True):
        options = dict(task="instance", as_video=True, online=online)
        assert seg(video, min_score=limit, **options) == seg(video, min_score=0, **options).confident(limit)


def test_an_object_is_found_once(seg, photo):
    everything = seg(photo, "instance", min_score=0, max_overlap=1)
    once = seg(photo, "instance", min_score=0)
    assert 0 < len(once) < len(everything)
    assert once.scores[0] == everything.scores[0] and set(once.labels) == set(everything.labels)
    masks = once.masks.reshape(len(once), -1).astype(int)
    common = masks @ masks.T
    overlap = common / (masks.sum(1)[:, None] + masks.sum(1) - common)
    same = once.labels[:, None] == once.labels
    assert overlap[same & ~np.eye(len(once), dtype=bool)].max(initial=0) <= 0.7


def test_words_of_a_call_do_not_stay(seg, photo):
    before = seg(photo, "semantic")
    other = seg(photo, "semantic", {"things": ["moose"], "stuff": ["lake"]})
    assert other.vocabulary == Vocabulary([Category("moose"), Category("lake", is_thing=False)])
    assert seg(photo, "semantic") == before
    streams = (
        seg.stream([photo] * 2, "semantic"),
        seg.stream([photo] * 2, "semantic", ["moose"], background=[]),
    )
    for own, moose in zip(*streams, strict=True):  # in turns
        assert own.replace(name="photo") == before and set(moose.names) == {"moose"}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("online", [False, True])
def test_video_in_every_task(seg, video, task, online):
    found = seg(video, task, as_video=True, online=online, min_score=0)
    assert isinstance(found, VideoResult) and found.path == video and len(found) == 5
    assert [frame.frame_index for frame in found] == list(range(5))
    assert [frame.path.stem for frame in found] == ["7", "8", "9", "10", "11"]
    label_of = {}
    for frame in found:
        assert frame.size == (90, 140) and frame.task == Task(task)
        for identity, label in zip(frame.ids.tolist(), frame.labels.tolist(), strict=True):
            assert label_of.setdefault(identity, label) == label
    assert label_of


def test_identities_are_constant_over_clips(seg, photo):
    """Five times the same frame, read as three clips: every frame must get the same numbers."""
    frames = seg(np.stack([read_image(photo)] * 5))
    assert len(frames[0]) > 1
    for frame in frames:
        # clips of two and of one frame differ a little; a swapped identity would differ a lot
        assert (frame.id_map == frames[0].id_map).mean() > 0.9


def test_long_videos_are_streams(seg, photo, monkeypatch):
    small = cv2.resize(read_image(photo), (32, 24))
    exact = []
    monkeypatch.setattr(seg._calls, "video", lambda frames, question: exact.append(len(frames)) or [])
    assert len(seg(np.stack([small] * LONGEST_EXACT))) == 0 and exact == [LONGEST_EXACT]
    assert len(seg(np.stack([small] * (LONGEST_EXACT + 1)), "semantic")) == LONGEST_EXACT + 1
    assert exact == [LONGEST_EXACT]


class Camera:
    """A camera without an end."""

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
    assert indices == sorted(set(indices)) and indices[-1] > 7  # the reader is faster, and does not wait
    for frame in found:
        assert (frame.image == (frame.frame_index + 1) % 256).all()
    with pytest.raises(ValueError, match=r"camera0 has no end; use seg\.stream"):
        seg(0)


def test_stream_is_lazy_and_holds_pixels(seg, video):
    stream = seg.stream(video, "semantic", as_video=True)
    first = next(stream)
    assert first._image is not None and first.draw().shape == (90, 140, 3)
    stream.close()
    assert seg(video, "semantic")[0]._image is None  # read again when needed


def test_one_unreadable_image_does_not_lose_the_others(seg, video, monkeypatch):
    (video / "8.png").write_text("no picture")
    paths = [*sorted(video.glob("*.png")), video / "nothing.png"]
    with pytest.raises(UnreadableInputs, match=r"^2 inputs could not be read") as caught:
        seg(paths, "semantic")
    assert [each.name for each in caught.value.results] == ["10", "11", "7", "9"]
    assert [name for name, _ in caught.value.failures] == [str(video / "8.png"), str(video / "nothing.png")]
    stream = seg.stream(paths, "semantic", batch_size=2)
    assert [each.name for each in itertools.islice(stream, 4)] == ["10", "11", "7", "9"]
    with pytest.raises(UnreadableInputs, match="2 inputs"):
        next(stream)
    messages = []
    monkeypatch.setattr("omgseg.apis.failures.print_log", lambda message, **_: messages.append(message))
    assert len(seg(paths, "semantic", on_error="skip")) == 4
    assert "2 inputs could not be read" in messages[0] and "nothing.png not found" in messages[0]
    with pytest.raises(OSError, match=r"8\.png is truncated or not an image"):
        seg(video / "8.png")
    film = video / "film.mp4"
    film.write_text("no film")
    with pytest.raises(UnreadableInputs, match=r"film\.mp4 cannot be opened") as caught:
        seg([film, video / "7.png"], "semantic")
    assert [each.name for each in caught.value.results] == ["7"]


@pytest.mark.parametrize("online", [False, True])
def test_track(seg, video, tmp_path, online):
    objects = np.zeros((90, 140), np.uint8)
    objects[20:60, 30:70], objects[70:, :40] = 3, 8
    Image.fromarray(objects).save(tmp_path / "objects.png")
    found = seg.track(video, tmp_path / "objects.png", online=online)
    assert isinstance(found, VideoResult) and len(found) == 5 and found[0].task is Task.VOS
    assert set(found.ids.tolist()) <= {3, 8} and len(found.ids)
    assert seg.track(video, {3: objects == 3, 8: objects == 8}, online=online) == found
    assert seg(video, "vos", prompts={"masks": objects}, as_video=True, online=online) == found
    if online:
        assert list(seg.stream_track(video, objects)) == list(found)


def test_masks_that_do_not_fit(seg, video):
    for online in (False, True):
        with pytest.raises(ValueError, match=r"masks are 5x4, the video's frames 140x90"):
            seg.track(video, np.ones((4, 5), np.uint8), online=online)
    with pytest.raises(ValueError, match="mask is empty"):
        seg.track(video, np.zeros((90, 140), np.uint8))


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
        (dict(prompts={"points": [(1, 1)]}), "'panoptic' takes no prompts"),
        (dict(task="vos"), r"use seg\.track"),
        (dict(task="vos", prompts={"masks": np.ones((90, 140), np.uint8)}), "photo is no video"),
        (dict(on_error="ignore"), "on_error is 'raise' or 'skip'"),
        (dict(batch_size=0), "batch_size"),
    ],
)
def test_wrong_calls(seg, photo, arguments, message):
    with pytest.raises(ValueError, match=message):
        seg(photo, **arguments)
    if "stream" not in message:
        with pytest.raises(ValueError, match=message):
            seg.stream(photo, **arguments)  # at once, not at the first result


def test_prompts_on_a_video(seg, video):
    with pytest.raises(ValueError, match="clip is a video; prompts are for images"):
        seg(video, "interactive", prompts={"points": [(1, 1)]}, as_video=True)


def test_clicks(seg, photo):
    found = seg([photo, photo], "interactive", prompts={"points": [(50, 40), (100, 80)]})
    assert [len(each) for each in found] == [2, 2] and found[0].path == photo
    assert len(seg(photo, "interactive", prompts={"points": [(50, 40), (100, 80)], "labels": [1, 0]})) == 1
    assert len(seg(photo, "interactive", prompts={"boxes": [(5, 5, 80, 70)]})) == 1


def test_clicks_with_words(seg, photo):
    named = seg(photo, "interactive", ["dog", "cat"], prompts={"points": [(50, 40)]})
    assert named.vocabulary.names == ["dog", "cat"] and named.names[0] in ("dog", "cat")
    assert not len(seg.interactive.vocabulary), "the words are those of this call"
