"""A video's frames together: a sequence that holds no pixels which files hold."""

import numpy as np
import pytest
from PIL import Image

from omgseg.inference.results import VideoResult
from omgseg.structures.run_lengths import encode_masks


def test_it_is_a_sequence(film):
    assert len(film) == 5 and film[-1].frame_index == 4
    part = film[1:3]
    assert isinstance(part, VideoResult) and [frame.frame_index for frame in part] == [1, 2]
    assert (part.fps, part.name) == (film.fps, film.name)
    assert film.ids.tolist() == [3, 7, 1_000_002, 1_000_003] and VideoResult([]).ids.tolist() == []
    assert [len(frame) for frame in film.confident(0.5)] == [2, 2, 2, 2, 2]
    assert repr(film) == "VideoResult('film', 5 frames, 4 identities)"


def test_frames_without_a_number_get_that_of_their_place(panoptic):
    video = VideoResult([panoptic(), panoptic(frame_index=7), panoptic()])
    assert [frame.frame_index for frame in video] == [0, 7, 2]


@pytest.mark.parametrize("field", ["task", "size", "vocabulary"])
def test_frames_of_different_videos_are_refused(panoptic, instances, field):
    other = {
        "task": lambda: panoptic().replace(task="semantic"),
        "size": lambda: panoptic().replace(size=(4, 4), rles=encode_masks([np.eye(4)] * 4)),
        "vocabulary": lambda: panoptic().replace(vocabulary=None, labels=[-1] * 4),
    }[field]()
    with pytest.raises(ValueError, match=f"the {field} of frame 1"):
        VideoResult([panoptic(), other])


def test_pixels_are_kept_by_reference_or_not_at_all(panoptic, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    files = [tmp_path / f"{t}.png" for t in range(2)]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    frames = [panoptic(frame_index=t, path=files[t], image=pixels[t]) for t in range(2)]
    from_files = VideoResult(frames, path=tmp_path)
    assert all(frame.replace(path=None).image is None for frame in from_files)
    assert np.array_equal(np.stack(list(from_files.images())), pixels)
    from_arrays = VideoResult([panoptic(frame_index=t, image=pixels[t]) for t in range(2)])
    assert all(np.shares_memory(image, pixels) for image in from_arrays.images())
    assert list(VideoResult([panoptic()]).images()) == [None]
