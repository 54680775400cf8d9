"""Video consistency against a literal reading of its definition."""

import numpy as np
import pytest

from omgseg.evaluation.functional.semantic import VideoConsistency, summarize_consistency


def collect(truth, predicted, lengths):
    video = VideoConsistency(lengths)
    for frame in zip(truth, predicted, strict=True):
        video.add_frame(*frame)
    return video.clips


def literal(truth, predicted, n):
    values = []
    for start in range(len(truth) - n):
        still, same = ((m[start : start + n] == m[start]).all(axis=0) for m in (truth, predicted))
        values.append((still & same).sum() / still.sum() if still.any() else np.nan)
    return values


@pytest.mark.parametrize("frames", [1, 3, 4, 11])
def test_equals_the_definition(frames):
    rng = np.random.default_rng(frames)
    truth, predicted = (
        (rng.random((frames, 6, 7)) < 0.15).cumsum(axis=0) % 3 for _ in range(2)
    )  # labels that now and then move on
    lengths = (1, 2, 3, 5)
    clips = collect(truth, predicted, lengths)
    for n in lengths:
        np.testing.assert_array_equal(clips[n], literal(truth, predicted, n))


def test_frames_may_be_written_over():
    video, buffer, still = VideoConsistency((2,)), np.zeros((1, 2), int), np.zeros((1, 2), int)
    for t in range(4):
        buffer[:] = 0, t
        video.add_frame(still, buffer)
    assert video.clips == {2: [0.5, 0.5]}


def test_clips_without_a_still_pixel_do_not_count():
    moving, still = np.arange(4)[:, None, None] * np.ones((1, 2, 2), int), np.zeros((4, 2, 2), int)
    clips = [collect(moving, still, (2,)), collect(still, still, (2,))]
    assert summarize_consistency(clips) == {"VC2": 1.0}
    assert np.isnan(summarize_consistency(clips[:1])["VC2"])
    assert np.isnan(summarize_consistency([collect(still[:2], still[:2], (2,))])["VC2"]), "no clip at all"


def test_wrong_input():
    with pytest.raises(ValueError, match=r"at least 1 frame, got \(8, 0\)"):
        VideoConsistency((8, 0))
    video = VideoConsistency((2,))
    video.add_frame(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"b\.png: the prediction has size \(4, 3\)"):
        video.add_frame(np.zeros((2, 3)), np.zeros((4, 3)), where="b.png")
    with pytest.raises(ValueError, match=r"b\.png: the frame has size \(4, 3\), those before it \(2, 3\)"):
        video.add_frame(np.zeros((4, 3)), np.zeros((4, 3)), where="b.png")
