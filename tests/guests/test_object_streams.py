"""Guests that follow objects: as transformers does, in any order of frames, in constant memory."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import omgseg
from omgseg import InteractiveVideo, OMGSegInferencer
from omgseg.cli.main import main
from omgseg.structures import Segments, Task
from tests.guests.tiny import transformers
from tests.guests.tiny_sam import SIDE, VIDEOS

SIZE = (48, 70)


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    """RGB uint8 (12, 48, 70, 3): bright squares that move over a dark ground."""
    frames = np.random.default_rng(2).integers(0, 60, (12, *SIZE, 3), dtype=np.uint8)
    for number, frame in enumerate(frames):
        frame[5:20, 5 + 2 * number : 25 + 2 * number] = (250, 200, 90)
        frame[25:45, 40 - 2 * number : 60 - 2 * number] = (60, 90, 250)
    return frames


def box(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros((1, *SIZE), bool)
    mask[0, y1:y2, x1:x2] = True
    return mask


YELLOW, BLUE = box(5, 5, 25, 20), box(40, 25, 60, 45)
IDS = np.array([7, 3])


def maps_of(found: list[Segments]) -> np.ndarray:
    """Ids (T, H, W)."""
    maps = np.zeros((len(found), *SIZE), int)
    for number, segments in enumerate(found):
        for mask, identity in zip(segments.masks, segments.ids, strict=True):
            maps[number][mask] = identity
    return maps


def followed(model, frames: np.ndarray, clip: int = 1) -> np.ndarray:
    tracker = model.open_tracker()
    tracker.add(np.concatenate([YELLOW, BLUE]), IDS)
    return maps_of(
        [one for start in range(0, len(frames), clip) for one in tracker.push(frames[start : start + clip])]
    )


def network_of(model) -> torch.nn.Module:
    """The one that follows objects."""
    return getattr(model, "tracker", model).network


@pytest.mark.parametrize("name", VIDEOS)
def test_objects_are_where_transformers_follows_them(loaded, guest_folder, film, name):
    model = loaded(name)
    tracker = model.open_tracker()
    tracker.add(np.concatenate([YELLOW, BLUE]), IDS)
    film = film[:8]
    found = tracker.push(film)
    assert [one.frame_index for one in found] == list(range(len(film)))
    assert all(one.task is Task.VOS and one.size == SIZE for one in found)
    assert np.array_equal(
        maps_of(found), maps_of(model.track_video(list(film), np.concatenate([YELLOW, BLUE]), IDS))
    )
    assert np.array_equal(maps_of(found), followed(model, film, clip=5))
    network = type(network_of(model)).from_pretrained(guest_folder(name)).eval()
    processor = transformers.Sam2VideoProcessor(
        transformers.AutoImageProcessor.from_pretrained(guest_folder(name)),
        transformers.Sam2VideoVideoProcessor(),
        target_size=SIDE,
    )
    session = processor.init_video_session()
    seen = 0
    for number, (frame, ours) in enumerate(zip(film, found, strict=True)):
        pixels = processor(Image.fromarray(frame), return_tensors="pt").pixel_values
        if number == 0:
            given = [*YELLOW, *BLUE]
            processor.add_inputs_to_inference_session(
                session, 0, IDS.tolist(), input_masks=given, original_size=SIZE
            )
        output = network(session, frame=pixels[0])
        (logits,) = processor.post_process_masks([output.pred_masks], [SIZE], binarize=False)
        expected = np.where(logits[:, 0].amax(0) > 0, IDS[logits[:, 0].argmax(0)], 0)
        ours_map = maps_of([ours])[0]
        if number == 0:
            assert np.array_equal(ours_map, 7 * YELLOW[0] + 3 * BLUE[0]), "unchanged where they were given"
        else:
            assert np.mean(ours_map == expected) > 0.999  # memories are rounded to bfloat16
            scores = dict(zip(output.object_ids, output.object_score_logits.sigmoid().flatten().tolist()))
            assert ours.scores.tolist() == pytest.approx([scores[one] for one in ours.ids.tolist()], abs=1e-3)
            seen += len(ours.ids)
    assert seen


@pytest.mark.parametrize("name", VIDEOS)
def test_what_is_kept_does_not_grow(loaded, film, name):
    model = loaded(name)
    tracker = model.open_tracker()
    tracker.add(np.concatenate([YELLOW, BLUE]), IDS)
    held = []
    for number in range(30):
        tracker.push(film[number % 12][None])
        held.append(held_by(tracker))
    assert held[-1] == held[15] and len(set(held[15:])) == 1
    features = network_of(model).get_image_features(torch.zeros(1, 3, SIDE, SIDE), return_dict=True)
    of_frame = [*features.fpn_hidden_states, *features.fpn_position_encoding]
    assert held[-1] < sum(tensor.nbytes for tensor in of_frame), "no frame's features"
    first = held[0]
    tracker.add(YELLOW, IDS[:1])
    tracker.push(film[:1])
    assert held_by(tracker) <= held[-1] + first, "a correction is remembered"


def held_by(tracker) -> int:
    """Bytes of all tensors that a stream keeps, and entries of its tables."""
    storages, entries, todo = {}, 0, [tracker._sessions]
    while todo:
        thing = todo.pop()
        if isinstance(thing, torch.Tensor):
            storages[thing.untyped_storage().data_ptr()] = thing.untyped_storage().nbytes()
        elif isinstance(thing, dict):
            entries += len(thing)
            todo += thing.values()
        elif isinstance(thing, list | tuple):
            todo += thing
        elif hasattr(thing, "__dict__"):
            todo.append(vars(thing))
    return sum(storages.values()) + entries


@pytest.mark.parametrize("name", VIDEOS)
def test_objects_are_added_and_corrected_at_any_time(loaded, film, name):
    model = loaded(name)
    tracker = model.open_tracker()
    assert not tracker.push(film[:1])[0].ids.size, "nothing is followed yet"
    tracker.add(YELLOW, IDS[:1], frame=1)
    before, shown, _ = tracker.push(film[1:4])
    assert not before.ids.size and shown.ids.tolist() == [7] and np.array_equal(shown.masks, YELLOW)
    tracker.add(BLUE, IDS[1:], frame=1)
    with_blue = tracker.push(film[4:8])
    assert np.array_equal(maps_of(with_blue[1:2]) == 3, BLUE)
    other = box(0, 0, 70, 10)
    tracker.add(np.concatenate([other, YELLOW & False]), IDS)
    corrected, later = tracker.push(film[8:10])
    assert np.array_equal(maps_of([corrected])[0], 7 * other[0]), "blue is gone"
    assert np.array_equal(corrected.masks, other)
    untouched = model.open_tracker()
    untouched.add(YELLOW, IDS[:1], frame=0)
    untouched.push(film[2:9])
    assert not np.array_equal(maps_of([later]), maps_of(untouched.push(film[9:10])))


def test_given_masks_are_shown_unchanged_and_take_the_pixels_of_others(loaded, film):
    tracker = loaded("sam2_video").open_tracker()
    both = np.concatenate([YELLOW, box(10, 0, 70, 48)])
    tracker.add(both, IDS)
    first, second = tracker.push(film[:2])
    assert np.array_equal(first.masks, both) and second.ids.size
    fine = np.indices(SIZE).sum(0)[None] % 5 < 2  # finer than the network's masks
    tracker.add(fine, np.array([9]))
    (third,) = tracker.push(film[2:3])
    assert third.ids[-1] == 9 and np.array_equal(third.masks[-1:], fine)
    assert len(third.ids) > 1 and not (third.masks[:-1] & fine).any()


def test_a_video_can_run_backwards(loaded, film):
    model = loaded("sam2_video")
    assert np.array_equal(followed(model, film[::-1]), followed(model, film[::-1], clip=4))


@pytest.mark.parametrize(
    ("masks", "ids", "frame", "message"),
    [
        (YELLOW, np.array([0]), 0, "ids are numbers from 1"),
        (YELLOW, IDS, 0, r"masks are \(N, H, W\) and ids \(N,\)"),
        (np.concatenate([YELLOW, BLUE]), np.array([2, 2]), 0, "not all different"),
        (YELLOW, IDS[:1], 2, "in frame 2 of a clip of 2 frames"),
        (YELLOW[:, :9], IDS[:1], 0, r"masks of the objects are \(9, 70\), the frames \(48, 70\)"),
    ],
)
def test_wrong_objects_are_named(loaded, film, masks, ids, frame, message):
    tracker = loaded("sam2_video").open_tracker()
    with pytest.raises(ValueError, match=message):
        tracker.add(masks, ids, frame)
        tracker.push(film[:2])


def test_frames_of_another_size_are_named(loaded, film):
    tracker = loaded("sam2_video").open_tracker()
    tracker.push(film[:1])
    with pytest.raises(ValueError, match=r"frame 1 has the size \(48, 60\), the first one \(48, 70\)"):
        tracker.push([film[1], film[2][:, :60]])


@pytest.mark.parametrize("name", VIDEOS)
def test_clicks_in_any_frame(loaded, film, name):
    video = InteractiveVideo(OMGSegInferencer(loaded(name)).interactive, film)
    clicked = video.click(6, points=[(27, 12)])
    boxed = video.click(4, boxes=(32, 25, 52, 45), object_id=5)
    result = video.propagate()
    assert len(result) == len(film)
    assert np.array_equal(result[6].masks[result[6].ids.tolist().index(1)], clicked.masks[0])
    assert np.array_equal(result[4].masks[result[4].ids.tolist().index(5)], boxed.masks[0])
    assert any(len(result[number]) for number in (0, 1, 2)) or any(
        len(result[number]) for number in (9, 10, 11)
    )
    corrected = video.click(6, points=[(60, 40)], labels=[0])
    again = video.propagate()
    if corrected.masks.any():
        assert np.array_equal(again[6].masks[again[6].ids.tolist().index(1)], corrected.masks[0])


def test_bfloat16_follows_too(guest_folder, film):
    for name in VIDEOS:
        model = omgseg.load(guest_folder(name), device="cpu", dtype="bfloat16")
        assert followed(model, film[:4]).shape == (4, *SIZE)


def test_on_the_command_line(guest_folder, film, tmp_path, capsys):
    (tmp_path / "film").mkdir()
    for number, frame in enumerate(film[:3]):
        Image.fromarray(frame).save(tmp_path / "film" / f"{number:03}.png")
    cv2.imwrite(str(tmp_path / "objects.png"), (2 * YELLOW[0] + 5 * BLUE[0]).astype(np.uint8))
    model = ["--model", str(guest_folder("sam2_video")), "--device", "cpu", "--format", "json"]
    objects = ["--task", "vos", "--first-mask", str(tmp_path / "objects.png")]
    assert main(["predict", str(tmp_path / "film"), *model, *objects, "--out", str(tmp_path / "out")]) == 0
    assert "film" in capsys.readouterr().out
