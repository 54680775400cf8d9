"""Guests that segment videos: the answer of transformers, identities, streams."""

import numpy as np
import pytest
import torch

import omgseg
from omgseg.protocols import Request, VideoModel
from omgseg.structures import Task, Vocabulary
from omgseg.structures.predictions import STUFF_ID
from tests.guests.tiny import WORDS, copied

STUFF = {1, 3}
"""Of WORDS."""


@pytest.fixture(scope="module")
def film(photo) -> list[np.ndarray]:
    """A view (60, 90) that moves over the photo and becomes darker, 12 frames."""
    return [photo[t : 60 + t, 2 * t : 90 + 2 * t] // (1 + t // 4) for t in range(12)]


@pytest.fixture(scope="module")
def videomt(guest_folder):
    return omgseg.load(guest_folder("videomt"), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def published(videomt, film):
    """The output of transformers for the whole film."""
    inputs = videomt.processor(
        videos=[np.stack(film)], return_tensors="pt", input_data_format="channels_last"
    )
    with torch.no_grad():
        return videomt.network(**inputs)


def classes_of(model, result) -> list[int]:
    """Classes of the network."""
    class_of = {label: number for number, label in enumerate(model.words.places(None))}
    return [class_of[label] for label in result.labels.tolist()]


def differing(one: np.ndarray, other: np.ndarray) -> float:
    """Share of pixels; rounding moves single ones."""
    return float(np.mean(one != other)) if one.size else 0.0


def test_semantic_maps_of_a_film_are_those_of_transformers(videomt, film, published):
    sizes = [frame.shape[:2] for frame in film]
    theirs = videomt.processor.post_process_semantic_segmentation(published, target_sizes=sizes)
    for ours, expected in zip(videomt.predict_video(film, Request(Task.SEMANTIC)), theirs, strict=True):
        of_label = np.argsort(videomt.words.places(None))
        assert differing(of_label[ours.label_map], expected.numpy()) < 2e-3
        assert ours.ids.tolist() == (ours.labels + 1).tolist()


def test_panoptic_maps_of_a_film_are_those_of_transformers(videomt, film, published):
    sizes = [frame.shape[:2] for frame in film]
    theirs = videomt.processor.post_process_panoptic_segmentation(
        published, target_sizes=sizes, label_ids_to_fuse=STUFF
    )
    ours = videomt.predict_video(film, Request(Task.PANOPTIC))
    assert sum(map(len, ours)) > len(film)
    for result, expected in zip(ours, theirs, strict=True):
        shown = expected["segmentation"].numpy()
        infos = [info for info in expected["segments_info"] if (shown == info["id"]).any()]
        assert classes_of(videomt, result) == [info["label_id"] for info in infos]
        for mask, info in zip(result.masks, infos, strict=True):
            assert differing(mask, shown == info["id"]) < 2e-3
        is_stuff = np.array([category in STUFF for category in classes_of(videomt, result)], bool)
        assert (result.ids[is_stuff] == STUFF_ID + result.labels[is_stuff]).all()


def test_instances_of_a_film_are_those_of_transformers_and_an_identity_is_a_query(videomt, film, published):
    sizes, limit = [frame.shape[:2] for frame in film], 0.3
    theirs = videomt.processor.post_process_instance_segmentation(
        published, target_sizes=sizes, threshold=limit
    )
    ours = videomt.predict_video(film, Request(Task.INSTANCE, min_score=limit))
    query_of: dict[int, int] = {}
    for number, (result, expected) in enumerate(zip(ours, theirs, strict=True)):
        infos = [info for info in expected["segments_info"] if info["label_id"] not in STUFF]
        scores = np.array([info["score"] for info in infos])
        order = np.argsort(-scores, kind="stable")
        assert np.allclose(result.scores, scores[order], atol=1e-4)
        assert classes_of(videomt, result) == [infos[row]["label_id"] for row in order]
        logits = torch.nn.functional.interpolate(
            published.masks_queries_logits[number][None], sizes[0], mode="bilinear"
        )
        queries = (logits[0] > 0).numpy()
        for mask, identity in zip(result.masks, result.ids.tolist(), strict=True):
            closest = int(np.argmin([differing(mask, one) for one in queries]))
            assert differing(mask, queries[closest]) < 2e-3
            assert query_of.setdefault(identity, closest) == closest
    assert len(set(query_of.values())) == len(query_of) > 3
    assert ours[0].ids.tolist() == list(range(1, len(ours[0]) + 1))


@pytest.mark.parametrize("task", [Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC])
def test_a_stream_gives_what_the_whole_film_gives(videomt, film, task):
    request = Request(task, Vocabulary(reversed(list(videomt.abilities.vocabulary)[1:])))
    stream = videomt.open_stream(request)
    streamed = [result for clip in (film[:1], film[1:8], film[8:]) for result in stream.push(clip)]
    whole = videomt.predict_video(film, request)
    assert [result.frame_index for result in streamed] == list(range(len(film)))
    for one, other in zip(streamed, whole, strict=True):
        assert one.ids.tolist() == other.ids.tolist() and one.labels.tolist() == other.labels.tolist()
        assert np.allclose(one.scores, other.scores, atol=1e-4)
        assert differing(one.masks, other.masks) < 2e-3
        assert one.vocabulary == request.words


def test_a_frame_remembers_the_ones_before(videomt, film):
    request = Request(Task.SEMANTIC)
    alone = videomt.predict([film[6]], request)[0]
    in_film = videomt.predict_video(film, request)[6]
    assert isinstance(videomt, VideoModel)
    assert differing(alone.label_map, in_film.label_map) > 0.01
    assert differing(alone.label_map, videomt.predict_video(film[6:], request)[0].label_map) == 0


def test_a_stream_keeps_nothing_of_earlier_frames(videomt, film):
    stream = videomt.open_stream(Request(Task.INSTANCE))
    stream.push(film[:2])
    held = torch.numel(stream._queries), len(vars(stream))
    for _ in range(5):
        stream.push(film)
    assert (torch.numel(stream._queries), len(vars(stream))) == held
    assert len(stream._numbers) <= videomt.network.config.num_queries
    with pytest.raises(ValueError, match=r"frame 62 has the size \(30, 90\), the first one \(60, 90\)"):
        stream.push([film[0][:30]])


@pytest.mark.parametrize(
    ("name", "words", "tasks"),
    [
        ("videomt-dinov2-small-ytvis2019", {0: "person", 1: "giant_panda"}, {"instance"}),
        ("videomt-dinov2-large-vipseg", WORDS, {"panoptic", "instance", "semantic"}),
        ("videomt-dinov2-large-vspw", WORDS, {"semantic"}),
    ],
)
def test_tasks_by_the_published_names(guest_folder, tmp_path, name, words, tasks):
    folder = copied(guest_folder("videomt"), tmp_path / name, id2label=words, label2id=None)
    assert {task.value for task in omgseg.load(folder, "random", device="cpu").abilities.tasks} == tasks


def test_the_inferencer_numbers_the_objects_of_a_film(videomt, film):
    seg = omgseg.OMGSegInferencer(videomt)
    whole = seg(np.stack(film), task="instance", min_score=0.3, max_overlap=1)
    streamed = seg(np.stack(film), task="instance", min_score=0.3, max_overlap=1, online=True)
    assert whole.ids.tolist() == streamed.ids.tolist() and 0 < len(whole.ids) <= 12


def test_a_folder_without_a_video_processor(guest_folder, tmp_path):
    folder = copied(guest_folder("videomt"), tmp_path / "half", without=("video_preprocessor_config.json",))
    with pytest.raises(FileNotFoundError, match="half lacks files of the processor of Videomt"):
        omgseg.load(folder, device="cpu")
