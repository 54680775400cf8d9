"""SAM 3 on videos: the answer of transformers, streams of any length, what is kept."""

import sys

import numpy as np
import pytest
import torch

import omgseg
from omgseg.guests import sam3_video
from omgseg.guests.sam3_video import MaskOperators
from omgseg.protocols import Request, Segmenter, VideoModel
from omgseg.structures import Category, Segments, Task, Vocabulary

WORDS = Vocabulary.from_names(["street", "red kite"])
REQUEST = Request(Task.INSTANCE, WORDS)


@pytest.fixture(scope="module")
def model(guest_folder):
    return omgseg.load(guest_folder("sam3_film"), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def film(photo) -> list[np.ndarray]:
    """A view (60, 90) that moves over the photo, 14 frames."""
    return [photo[t : 60 + t, 3 * t : 90 + 3 * t] for t in (*range(11), 9, 8, 7)]


@pytest.fixture(scope="module")
def streamed(model, film) -> list[Segments]:
    stream = model.open_stream(REQUEST)
    return [result for clip in (film[:5], film[5:6], film[6:]) for result in stream.push(clip)]


@pytest.fixture(scope="module")
def whole(model, film) -> list[Segments]:
    return model.predict_video(film, REQUEST)


def same(found: Segments, expected: dict) -> bool:
    """Equal to rounding to an output of transformers' processor."""
    rows = {identity + 1: row for row, identity in enumerate(expected["object_ids"].tolist())}
    rows = {identity: row for identity, row in rows.items() if expected["masks"][row].any()}
    words = {
        identity + 1: text
        for text, identities in expected["prompt_to_obj_ids"].items()
        for identity in identities
    }
    return set(rows) == set(found.ids.tolist()) and all(
        (mask != expected["masks"][rows[identity]].numpy()).mean() < 2e-3
        and name == words[identity]
        and abs(score - expected["scores"][rows[identity]]) < 1e-4
        for identity, mask, name, score in zip(
            found.ids.tolist(), found.masks, found.names, found.scores, strict=True
        )
    )


def test_clicks_and_exemplars_share_the_pass_of_an_image(model, photo, monkeypatch):
    from transformers import Sam3ViTModel

    passes, forward = [], Sam3ViTModel.forward
    monkeypatch.setattr(
        Sam3ViTModel, "forward", lambda self, *a, **k: passes.append(1) or forward(self, *a, **k)
    )
    predictor = omgseg.InteractivePredictor(model)
    predictor.set_image(photo)
    clicked = predictor.predict(points=[(20, 30)])
    alike = predictor.find_alike([(10, 5, 60, 50)], min_score=0.0)
    assert len(passes) == 1
    assert len(clicked) == 1 and len(alike)


def test_a_stream_gives_what_transformers_gives_frame_by_frame(model, film, streamed):
    session = model.reader.init_video_session()
    model.reader.add_text_prompt(session, WORDS.names)
    for frame, found in zip(film, streamed, strict=True):
        pixels = model.processor(images=[frame], return_tensors="pt", input_data_format="channels_last")
        output = model.tracking_network(session, frame=pixels["pixel_values"])
        assert same(found, model.reader.postprocess_outputs(session, output, original_sizes=[[60, 90]]))
        assert (np.diff(found.scores) <= 0).all()
    assert [found.frame_index for found in streamed] == list(range(len(film)))
    assert len(session.output_dict_per_obj[0]["cond_frame_outputs"]) > 1, "memories are renewed in this film"
    assert set(streamed[-1].names) == {"street", "red kite"} and len(streamed[-1].ids) > 4


def test_a_whole_film_gives_what_transformers_gives(model, guest_folder, film, streamed, whole):
    from transformers import Sam3VideoProcessor

    processor = Sam3VideoProcessor.from_pretrained(guest_folder("sam3_film"))
    session = processor.init_video_session(np.stack(film))
    processor.add_text_prompt(session, WORDS.names)
    outputs = model.tracking_network.propagate_in_video_iterator(session)
    for found, output in zip(whole, outputs, strict=True):
        assert same(found, processor.postprocess_outputs(session, output))
    shown, before = ({i for one in found for i in one.ids.tolist()} for found in (whole, streamed))
    assert shown and before - shown, "objects that were soon lost are taken back"


def held(value: object, seen: set[int]) -> tuple[int, int]:
    """Bytes of the tensors, and entries of the containers, that an object holds."""
    if id(value) in seen or isinstance(value, torch.nn.Module | type):
        return 0, 0
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        storage = value.untyped_storage()
        known, _ = storage.data_ptr() in seen, seen.add(storage.data_ptr())
        return (0 if known else storage.nbytes()), 0
    parts = list(value) if isinstance(value, list | tuple | set) else []
    if isinstance(value, dict):
        parts = [*value.keys(), *value.values()]
    elif hasattr(value, "__dict__"):
        parts = list(vars(value).values())
    counts = [held(part, seen) for part in parts if not isinstance(part, int | float | str)]
    return sum(size for size, _ in counts), len(parts) + sum(count for _, count in counts)


@pytest.fixture
def closed(model, monkeypatch):
    """No more objects are found; ``closed(False)`` lets the known ones disappear, too."""
    bias = model.tracking_network.tracker_model.mask_decoder.pred_obj_score_head.proj_out.bias

    def close(seen: bool = True) -> None:
        limit = "new_det_thresh" if seen else "score_threshold_detection"
        monkeypatch.setattr(model.tracking_network, limit, 2)
        monkeypatch.setattr(bias, "data", bias.data - (0 if seen else 100))

    return close


def test_what_a_stream_keeps_does_not_grow(model, film, closed, monkeypatch):
    monkeypatch.setattr(sam3_video, "MOST_CONDITIONING", 1)
    stream = model.open_stream(REQUEST)
    stream.push(film[:10])
    outputs = stream._session.output_dict_per_obj.values()
    assert {len(one["cond_frame_outputs"]) for one in outputs} == {1}, "the first of them had more"
    closed()
    kept = []
    for _ in range(3):
        stream.push([film[9]] * 7)
        kept.append((len(stream._session.obj_ids), *held(stream._session, set()), len(stream._last_seen)))
    assert kept[0][0] > 1 and kept[0] == kept[1] == kept[2]


def test_objects_that_are_away_for_long_are_forgotten(model, film, closed, monkeypatch):
    monkeypatch.setattr(sam3_video, "LONGEST_ABSENCE", 2)
    stream = model.open_stream(REQUEST)
    seen = [result for frame in film[:10] for result in stream.push([frame])]
    closed(False)
    assert [len(result.rles) for result in stream.push(film[10:13])] == [0, 0, 0]
    session = stream._session
    tables = (session.obj_ids, session.obj_id_to_score, session.trk_keep_alive, session.obj_first_frame_idx)
    assert not any(tables) and not stream._last_seen and not session.output_dict_per_obj
    monkeypatch.undo()
    later = stream.push(film[:10])
    before, after = ({i for result in some for i in result.ids.tolist()} for some in (seen, later))
    assert before and after and not before & after, "a number is never given twice"


def test_maps_of_a_film_are_those_of_its_frames(model, film):
    request = Request(Task.SEMANTIC, WORDS)
    found = model.predict_video(film[:2], request)
    for number, (result, frame) in enumerate(zip(found, film, strict=False)):
        (alone,) = model.predict([frame], request)
        assert result.rles == alone.rles and result.frame_index == number
        assert result.ids.tolist() == (alone.labels + 1).tolist()


def test_words_of_a_film(model, film):
    assert isinstance(model, Segmenter) and isinstance(model, VideoModel)
    some = Vocabulary([WORDS[1], Category("street", is_thing=False)])
    found = model.predict_video(film[:10], Request(Task.INSTANCE, some))
    assert {name for result in found for name in result.names} == {"red kite"}
    none = model.predict_video(film[:2], Request(Task.INSTANCE, Vocabulary([some[1]])))
    assert [len(result.rles) for result in none] == [0, 0]
    with pytest.raises(ValueError, match="no words: SAM 3 knows none"):
        model.predict_video(film[:1], Request(Task.INSTANCE))


def test_bfloat16(guest_folder, film):
    model = omgseg.load(guest_folder("sam3_film"), device="cpu", dtype="bfloat16")
    found = model.predict_video(film[:6], REQUEST)
    assert all(result.size == (60, 90) for result in found) and any(len(result.rles) for result in found)


def test_frames_have_one_size(model, film):
    stream = model.open_stream(REQUEST)
    stream.push(film[:1])
    with pytest.raises(ValueError, match=r"frame 1 has the size \(30, 90\), the first one \(60, 90\)"):
        stream.push([film[1][:30]])


def test_lower_scores_are_left_out(model, film, streamed):
    limit = float(np.median(streamed[-1].scores))
    stream = model.open_stream(Request(Task.INSTANCE, WORDS, min_score=limit))
    assert stream.push(film)[-1].ids.tolist() == streamed[-1].confident(limit).ids.tolist()


def test_no_code_is_downloaded_for_operators_on_masks(model):
    assert sys.modules[type(model.tracking_network).__module__].cv_utils_kernel is MaskOperators
    ious = torch.tensor([[1, 0.6, 0.2], [0.6, 1, 0.7], [0.2, 0.7, 1]])
    assert MaskOperators.generic_nms(ious, torch.tensor([0.5, 0.9, 0.4]), 0.65, True).tolist() == [1, 0]
    mask = torch.zeros(2, 1, 4, 5, dtype=torch.uint8)
    mask[0, 0, 0, 0] = mask[0, 0, 1, 1] = mask[0, 0, 3, 3:] = 1
    labels, counts = MaskOperators.cc_2d(mask, True)
    assert labels[0, 0, 0, 0] == labels[0, 0, 1, 1] != labels[0, 0, 3, 4] and not labels[1].any()
    assert counts[0, 0].tolist() == [[2, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0] * 5, [0, 0, 0, 2, 2]]
