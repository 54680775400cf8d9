"""Videos clip by clip: like the whole where there is one clip, and no larger with more of them."""

import gc

import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample

from omgseg.models.omgseg.streaming import VideoStream

TASKS = ("panoptic", "instance", "semantic")


def pixels(frames: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 255, (frames, 3, 40, 72), dtype=torch.uint8, generator=torch.manual_seed(seed))


def samples(frames: int) -> list[DetDataSample]:
    """Frames of 40x72, of originals of twice the size."""
    meta = dict(img_path="image.jpg", img_shape=(40, 72), ori_shape=(80, 144), tasks=TASKS)
    return [DetDataSample(metainfo=meta) for _ in range(frames)]


def tracks_of(frame: DetDataSample) -> list[tuple]:
    found = frame.pred_track_instances
    rows = zip(
        found.instances_id.tolist(), found.labels.tolist(), found.scores.tolist(), found.masks, strict=True
    )
    return list(rows)


@pytest.mark.parametrize("ensemble", [True, False])
def test_one_clip_gives_what_the_video_gives_as_a_whole(tiny_model, monkeypatch, ensemble):
    tiny_model.eval()
    monkeypatch.setattr(tiny_model, "test_config", replace_ensemble(tiny_model.test_config, ensemble))
    whole = TrackDataSample(metainfo=dict(tasks=TASKS))
    whole.video_data_samples = samples(2)
    (whole,) = tiny_model.test_step({"inputs": [pixels(2, 0)], "data_samples": [whole]})
    streamed = VideoStream(tiny_model, TASKS).push(pixels(2, 0), samples(2))
    for ours, theirs in zip(streamed, whole.video_data_samples, strict=True):
        assert torch.equal(ours.pred_panoptic_seg.sem_seg, theirs.pred_panoptic_seg.sem_seg)
        assert torch.equal(ours.pred_sem_seg.sem_seg, theirs.pred_sem_seg.sem_seg)
        assert tracks_of(ours) and tracks_of(ours) == tracks_of(theirs)


def replace_ensemble(config, ensemble):
    from dataclasses import replace

    return replace(config, ensemble=ensemble)


def test_memory_does_not_grow_with_the_video(tiny_model):
    tiny_model.eval()
    stream = VideoStream(tiny_model, TASKS)

    def held(clips: range) -> int:
        for seed in clips:
            stream.push(pixels(2, seed), samples(2))
        gc.collect()
        tensors = sum(each.numel() for each in gc.get_objects() if type(each) is torch.Tensor)
        numbers = sum(len(own) for own in stream._tracks._numbers.values())
        assert numbers <= 2 * 8 * 2  # slots x things
        return tensors

    assert held(range(3)) == held(range(3, 30))


def test_the_same_picture_keeps_its_identities(tiny_model):
    tiny_model.eval()
    stream = VideoStream(tiny_model, TASKS)
    first = stream.push(pixels(1, 0), samples(1))[0]
    for seed in (1, 2):
        stream.push(pixels(1, seed), samples(1))
    again = stream.push(pixels(1, 0), samples(1))[0]
    assert len(tracks_of(first)) > 4
    masks = {identity: mask["counts"] for identity, _, _, mask in tracks_of(first)}
    common = [(masks[i], mask["counts"]) for i, _, _, mask in tracks_of(again) if i in masks]
    assert len(common) > 4 and sum(old == new for old, new in common) > len(common) / 2


def test_classes_are_running_means(tiny_model, monkeypatch):
    """What the first clip said still counts in the second."""
    tiny_model.eval()
    alone = VideoStream(tiny_model, ("semantic",))
    asked = []
    class_probs = tiny_model.class_probs
    monkeypatch.setattr(
        tiny_model, "class_probs", lambda logits, **own: asked.append(logits) or class_probs(logits, **own)
    )
    alone.push(pixels(2, 1), samples(2))
    after = VideoStream(tiny_model, ("semantic",))
    for seed in (0, 1):
        after.push(pixels(2, seed), samples(2))
    single, _, second = asked
    assert not torch.allclose(single[:, :-1], second[:, :-1])
    background = [logits.softmax(-1)[:, -1] for logits in (single, second)]
    torch.testing.assert_close(*background)  # whether anything is there says the clip itself


def test_given_objects_are_no_task_of_a_stream(tiny_model):
    with pytest.raises(ValueError, match="'vos' cannot be streamed by VideoStream.*ObjectTracker"):
        VideoStream(tiny_model, ("vos",))
