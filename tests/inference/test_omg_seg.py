"""The whole way with OMG-Seg itself, tiny and with random weights."""

import threading

import numpy as np
import pytest

from omgseg.inference import InteractiveVideo, OMGSegInferencer, read_image
from omgseg.structures import NO_CLASS


@pytest.mark.parametrize("task", ["instance", "panoptic", "semantic"])
def test_background_rejects_what_is_not_asked_for(seg, photo, task):
    """The model's four words: alone, one takes what is the others'; beside them, what it has among them."""
    everything = dict(min_score=0, max_overlap=1)
    among, taken = seg(photo, task, **everything), 0
    for word in ("dog", "truck", "sky"):
        kind = "stuff" if word == "sky" else "things"
        alone = seg(photo, task, {kind: [word]}, background=[], **everything)
        beside = seg(photo, task, {kind: [word]}, background=seg.vocabulary, **everything)
        same = among.select([name == word for name in among.names])
        assert beside.vocabulary.names == [word] and set(beside.names) <= {word}
        assert np.array_equal(beside.masks, same.masks)
        # scores are comparable between calls
        assert beside.scores.tolist() == pytest.approx(same.scores.tolist(), abs=1e-5)
        taken += alone.areas.sum() - beside.areas.sum()
    assert taken > 0


def test_an_object_is_found_once(seg, photo):
    everything = seg(photo, "instance", min_score=0, max_overlap=1)
    once = seg(photo, "instance", min_score=0)
    assert 0 < len(once) < len(everything)
    assert once.scores[0] == everything.scores[0] and set(once.labels) == set(everything.labels)


@pytest.mark.parametrize("task", ["instance", "panoptic", "semantic"])
@pytest.mark.parametrize("online", [False, True])
def test_identities_keep_their_class(seg, video, task, online):
    found = seg(video, task, as_video=True, online=online, min_score=0)
    label_of = {}
    for frame in found:
        for identity, label in zip(frame.ids.tolist(), frame.labels.tolist(), strict=True):
            assert label_of.setdefault(identity, label) == label
    assert label_of and len(found) == 5


def test_identities_are_constant_over_clips(seg, photo):
    """Five times the same frame, read as three clips: every frame must get the same numbers."""
    frames = seg(np.stack([read_image(photo)] * 5))
    assert len(frames[0]) > 1
    for frame in frames:
        # clips of two and of one frame differ a little; a swapped identity would differ a lot
        assert (frame.id_map == frames[0].id_map).mean() > 0.9


def test_threads_take_turns(seg, photo):
    """Each call sets words of its own; a change in the middle of another one would show in its names."""
    words = (["moose", "elk"], ["lamp", "desk"])
    alone = [seg(photo, "semantic", chosen, background=[]) for chosen in words]
    found: list[list] = [[], []]

    def ask(number: int) -> None:
        for _ in range(5):
            found[number].append(seg(photo, "semantic", words[number], background=[]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results, right in zip(found, alone, strict=True):
        assert len(results) == 5 and all(result == right for result in results)


def test_tracking_needs_no_words(tiny_config, video):
    """As the first call, before anything has set words."""
    objects = np.zeros((90, 140), np.uint8)
    objects[20:60, 30:70] = 3
    for online in (False, True):
        found = OMGSegInferencer(tiny_config, device="cpu").track(video, objects, online=online)
        assert len(found) == 5 and set(found.ids.tolist()) <= {3}


def test_clicks(seg, photo):
    predictor = seg.interactive
    predictor.set_image(photo)
    first = predictor.predict(points=[(50, 40)])
    assert first.labels.tolist() == [NO_CLASS] and first.areas[0]
    x, y = (int(place) for place in np.argwhere(~first.masks[0])[0][::-1])
    one_by_one = predictor.predict(points=(x, y), mask=first.masks[0])
    at_once = predictor.predict(points=[(50, 40), (x, y)])
    assert one_by_one.masks[0][y, x] and (one_by_one.masks != at_once.masks).mean() < 1e-3
    many = predictor.predict_many(points=[(50, 40), (x, y)])
    assert (many.masks[0] != first.masks[0]).mean() < 1e-3
    everything = predictor.segment_everything(points_per_side=4, min_score=0.1)
    assert len(everything) > 1 and (np.diff(everything.scores) <= 0).all()
    predictor.vocabulary = ["dog", "truck"]
    assert predictor.predict(points=[(50, 40)]).names[0] in ("dog", "truck")
    predictor.vocabulary = None


def test_clicks_in_a_video(seg, video):
    clicked = InteractiveVideo(seg.interactive, video)
    shown = clicked.click(2, points=[(50, 40)])
    result = clicked.propagate()
    assert len(result) == 5 and np.array_equal(result[2].masks[0], shown.masks[0])
