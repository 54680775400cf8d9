"""Results as pictures and films; what they show is tested with the renderer."""

import av
import numpy as np
import pytest
from PIL import Image

from omgseg.inference.results import VideoResult


@pytest.fixture
def photo() -> np.ndarray:
    return np.full((48, 64, 3), 90, np.uint8)


def test_a_picture_shows_the_segments(panoptic, photo, tmp_path):
    result = panoptic(image=photo)
    drawn = result.draw(labels=False, contours=False)
    assert drawn.shape == photo.shape and drawn.dtype == np.uint8
    changed = (drawn != 90).any(-1)
    assert np.array_equal(changed, result.label_map >= 0)
    file = result.save(tmp_path / "new" / "street.png", labels=False, contours=False)
    assert np.array_equal(np.asarray(Image.open(file)), drawn)
    with Image.open(result.save(tmp_path / "street.jpg")) as image:
        assert (image.format, image.size) == ("JPEG", (64, 48))
    assert panoptic().draw(labels=False).any()  # without an image: on black


def test_a_folder_of_frames(film, tmp_path):
    folder = film.save(tmp_path / "frames")
    assert sorted(file.name for file in folder.iterdir()) == [f"{t:05d}.png" for t in range(5)]
    unnamed = VideoResult([frame.replace(name="x") for frame in film])
    assert (unnamed.save(tmp_path / "other") / "000004.png").is_file()


def test_films(film, photo, tmp_path):
    video = VideoResult([frame.replace(image=photo) for frame in film], fps=5)
    with av.open(str(video.save(tmp_path / "film.mp4"))) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 5
        assert len(list(container.decode(stream))) == 5
    with Image.open(video.save(tmp_path / "film.gif")) as animation:
        assert animation.n_frames == 5


def test_the_frames_of_a_film_are_decoded_again(panoptic, tmp_path):
    file = tmp_path / "film.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for t in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * t, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    results = [panoptic(path=file, frame_index=t) for t in range(6)]
    for video in (VideoResult(results, path=file), VideoResult(results)):
        means = [image.mean() for image in video[1:6:2].images()]
        assert means == pytest.approx([40, 120, 200], abs=4)
    with pytest.raises(ValueError, match=r"film\.mp4 has no frame 9"):
        list(VideoResult([panoptic(path=file, frame_index=9)]).images())
    with pytest.raises(ValueError, match=r"film\.mp4 has frames of \(48, 64\) pixels"):
        cut = panoptic(path=file, size=(4, 4), rles=[], labels=[], scores=[], ids=[])
        list(VideoResult([cut]).images())
