"""What can be segmented: pixels that users hand in, sources, and parts of videos."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from omgseg.inference import open_source, read_image
from omgseg.inference.pixels import to_image
from omgseg.inference.sources import FrameReader, expand, list_images
from omgseg.visualization import VideoWriter


def test_files_arrays_and_pictures_agree(photo):
    image = read_image(photo)
    assert np.array_equal(image, np.asarray(Image.open(photo)))
    for other in (str(photo), image, Image.open(photo)):
        assert np.array_equal(to_image(other), image)


def test_exif_turn_is_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # a camera that was held upright
    Image.new("RGB", (30, 20)).save(tmp_path / "upright.jpg", exif=exif)
    assert read_image(tmp_path / "upright.jpg").shape == (30, 20, 3)
    assert to_image(Image.open(tmp_path / "upright.jpg")).shape == (30, 20, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_any_colour_mode_becomes_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new(mode, (9, 7)).save(tmp_path / f"image.{suffix}")
    assert read_image(tmp_path / f"image.{suffix}").shape == (7, 9, 3)


def test_a_mode_that_pillow_cannot_convert_is_named():
    with pytest.raises(ValueError, match="the picture has the mode La, which Pillow cannot convert"):
        to_image(Image.new("LA", (9, 7)).convert("La"))


def test_folder_is_sorted_by_numbers(video):
    assert [path.stem for path in list_images(video)] == ["7", "8", "9", "10", "11"]


def test_folder_without_images(tmp_path):
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(FileNotFoundError, match="has no images"):
        list_images(tmp_path)
    (tmp_path / "film.mp4").write_text("")
    with pytest.raises(FileNotFoundError, match=r"for its 1 video files give .*/\*"):
        list_images(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.jpg not found"):
        read_image(tmp_path / "nothing.jpg")


def test_truncated_image(photo):
    photo.write_bytes(photo.read_bytes()[:300])
    with pytest.raises(OSError, match=r"photo\.png is truncated or not an image"):
        read_image(photo)


def test_text_called_an_image(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(OSError, match="not an image"):
        read_image(tmp_path / "a.jpg")


def test_unreasonably_large_image(photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(OSError, match=r"photo\.png: .*make it smaller"):
        read_image(photo)


def test_16_bits_keep_their_upper_half(tmp_path):
    """Grey values and colours alike."""
    values = np.arange(0, 65536, 3277, dtype=np.uint16).reshape(4, 5)
    for name, array in (("grey", values), ("colour", np.stack([values] * 3, axis=-1))):
        for suffix in ("png", "tif"):
            file = tmp_path / f"{name}.{suffix}"
            cv2.imwrite(str(file), array)
            assert np.array_equal(read_image(file), np.stack([values >> 8] * 3, axis=-1))
            assert np.array_equal(to_image(Image.open(file)), read_image(file))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_numbers_without_a_known_range_are_refused(tmp_path, dtype, channels):
    cv2.imwrite(str(tmp_path / "deep.tif"), np.full((4, 5, channels), 1000, dtype))
    with pytest.raises(
        (ValueError, OSError), match=r"deep\.tif (holds|is a TIFF of a kind).*convert it to 8 bits"
    ):
        read_image(tmp_path / "deep.tif")


def names(source) -> list[str]:
    return [frame.name for frame in source]


def test_image_file(photo):
    source = open_source(photo)
    (frame,) = source
    assert (source.is_video, source.is_single, source.length, source.name) == (False, True, 1, "photo")
    assert (frame.path, frame.name, frame.index, frame.time) == (photo, "photo", 0, None)
    assert np.array_equal(frame.image, read_image(photo))
    assert open_source(source) is source


def test_folder_is_images_or_a_video(video):
    images = open_source(video)
    assert not images.is_video and images.length == 5 and images.name == "clip"
    assert names(images) == ["7", "8", "9", "10", "11"]
    assert [frame.index for frame in images] == [0] * 5
    film = open_source(str(video), as_video=True)
    assert film.is_video and [frame.index for frame in film] == list(range(5))
    assert [frame.path.stem for frame in film] == names(images)


def test_globs(video, photo):
    assert names(open_source(f"{video}/1*.png")) == ["10", "11"]
    assert open_source(f"{video}/*.png", as_video=True).is_video
    assert sorted(names(open_source(f"{video.parent}/**/*.png"))) == ["10", "11", "7", "8", "9", "photo"]
    with pytest.raises(FileNotFoundError, match=r"no image or video matches .*\*\.jpg"):
        open_source(f"{video}/*.jpg")


def test_file_whose_name_looks_like_a_glob(photo):
    odd = photo.rename(photo.with_name("photo[1].png"))
    assert names(open_source(odd)) == ["photo[1]"]


def test_arrays_and_pictures(photo):
    image = read_image(photo)
    assert open_source(image).is_single and open_source(Image.open(photo)).is_single
    assert names(open_source(Image.open(photo))) == ["photo"]
    film = open_source(np.stack([image, image]))
    assert film.is_video and names(film) == ["00000", "00001"] and film.length == 2


def test_lists(photo, video):
    mixed = open_source([photo, read_image(photo), video, Image.open(photo)])
    assert not mixed.is_video and mixed.length == 8
    assert names(mixed) == ["photo", "00001", "7", "8", "9", "10", "11", "photo"]
    assert open_source([read_image(photo)] * 2, as_video=True).is_video
    with pytest.raises(ValueError, match="empty"):
        open_source([])
    with pytest.raises(ValueError, match=r"film\.mp4 is a video among several inputs"):
        open_source([photo, "film.mp4"])


def test_images_are_read_one_at_a_time(video):
    frames = iter(open_source(video))
    Image.new("RGB", (5, 4)).save(video / "7.png")
    assert next(frames).image.shape == (4, 5, 3)
    Image.new("RGB", (6, 4)).save(video / "8.png")
    assert next(frames).image.shape == (4, 6, 3)


def test_unreadable_images_among_several(video):
    (video / "8.png").write_text("no picture")
    failed = []
    frames = open_source(video).frames(lambda name, error: failed.append((name, error)))
    assert [frame.name for frame in frames] == ["7", "9", "10", "11"]
    ((name, error),) = failed
    assert name == str(video / "8.png") and "not an image" in str(error)
    with pytest.raises(OSError, match=r"8\.png"):
        list(open_source(video))
    with pytest.raises(OSError, match=r"8\.png"):  # the frames of a video belong together
        list(open_source(video, as_video=True).frames(lambda *_: None))


def test_frames_of_different_sizes(video):
    Image.new("RGB", (20, 30)).save(video / "9.png")
    assert len(list(open_source(video))) == 5
    with pytest.raises(ValueError, match=r"9\.png has 20x30 pixels, the first frame 140x90"):
        list(open_source(video, as_video=True))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nothing.jpg", FileNotFoundError, r"nothing\.jpg not found; a source is"),
        ("https://example.org/a/dog.jpg", ValueError, "download it"),
        (
            np.zeros((4, 5, 2)),
            ValueError,
            r"expected an RGB image uint8 \(H, W, 3\), got float64 \(4, 5, 2\)",
        ),
        (np.zeros((4, 5, 6, 2)), ValueError, r"expected a video uint8 \(T, H, W, 3\), got float64"),
        (None, TypeError, "not NoneType"),
        (True, TypeError, "not bool"),
        (1.5, TypeError, "not float"),
        ("", ValueError, "empty; '.' is the current folder"),
        ([""], ValueError, "empty"),
        ({"a.jpg"}, TypeError, r"set, which has no order; give a list"),
        (io.BytesIO(b"a"), TypeError, "BytesIO, an open file; give its path"),
    ],
)
def test_wrong_sources(source, error, message):
    with pytest.raises(error, match=message):
        open_source(source)


def test_a_folder_means_its_images_and_those_below_and_a_video_its_own(video, photo):
    below = video / "more"
    below.mkdir()
    photo.rename(below / "1.png")
    (video / "._8.png").write_bytes(b"resource fork of macOS")
    assert names(open_source(video)) == ["7", "8", "9", "10", "11", "1"]
    assert len(expand(video)) == 6 and expand(video)[-1] == below / "1.png"
    assert names(open_source(video, as_video=True)) == ["7", "8", "9", "10", "11"]


def test_a_glob_as_a_video_is_called_by_its_folder(video, monkeypatch):
    for pattern in ("*.png", "**/*.png", "1?.png"):
        assert open_source(f"{video}/{pattern}", as_video=True).name == "clip"
    monkeypatch.chdir(video)
    assert open_source("*.png", as_video=True).name == "clip"


def test_generators_are_read_once_and_as_far_as_asked_for(photo):
    read = []

    def images():
        for number in range(3):
            read.append(number)
            yield photo if number == 1 else np.full((4, 5, 3), number, np.uint8)

    source = open_source(images())
    assert (source.is_video, source.is_single, source.length) == (False, False, None)
    frames = iter(source)
    assert next(frames).name == "00000" and read == [0]
    assert [frame.name for frame in frames] == ["photo", "00002"]
    with pytest.raises(
        ValueError, match="a generator gives its images once, and was read already; give a list"
    ):
        next(iter(source))
    film = open_source((np.zeros((4, 5, 3), np.uint8) for _ in range(3)), as_video=True)
    assert film.is_video and [frame.index for frame in film] == [0, 1, 2]


def test_unreadable_images_of_a_generator(photo, tmp_path):
    failed = []
    frames = open_source(iter([photo, tmp_path / "no.png", 3, photo])).frames(
        lambda *names: failed.append(names[0])
    )
    assert names(frames) == ["photo", "photo"] and failed == [str(tmp_path / "no.png"), "input 2"]


def test_the_content_decides_what_is_a_video(tmp_path, photo):
    with VideoWriter(tmp_path / "film.mp4", 10) as writer:
        for _ in range(3):
            writer.add(np.zeros((16, 24, 3), np.uint8))
    film = (tmp_path / "film.mp4").read_bytes()
    for name in ("film", "film.dat", "film.jpg", "film.txt"):
        (tmp_path / name).write_bytes(film)
        assert open_source(tmp_path / name).is_video and len(list(open_source(tmp_path / name))) == 3
    for name in ("photo", "photo.mp4", "photo.txt"):
        (tmp_path / name).write_bytes(photo.read_bytes())
        assert not open_source(tmp_path / name).is_video
        assert np.array_equal(next(iter(open_source(tmp_path / name))).image, read_image(photo))


def test_an_animation_is_a_video_only_by_its_name(tmp_path):
    pictures = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    for name in ("a.gif", "a.png"):
        pictures[0].save(tmp_path / name, format="GIF", save_all=True, append_images=pictures[1:])
    assert open_source(tmp_path / "a.gif").is_video and not open_source(tmp_path / "a.png").is_video


def test_a_play_list_under_any_name_is_no_video(tmp_path):
    with VideoWriter(tmp_path / "film.mp4", 10) as writer:
        writer.add(np.zeros((16, 24, 3), np.uint8))
    (tmp_path / "list.dat").write_text("ffconcat version 1.0\nfile film.mp4\n")
    assert not open_source(tmp_path / "list.dat").is_video


@pytest.mark.parametrize("suffix", [".ts", ".wmv", ".flv", ".3gp", ".mts", ".m2ts", ".vob", ".ogv", ".mxf"])
def test_endings_of_videos(tmp_path, suffix):
    (tmp_path / f"film{suffix}").write_bytes(b"no film")
    with pytest.raises(OSError, match="cannot be opened as a video"):
        open_source(tmp_path / f"film{suffix}")


FRAMES = 6


@pytest.fixture(params=["film", "folder", "array", "list"])
def reader(request, tmp_path):
    images = [np.full((16, 24, 3), 40 * index, np.uint8) for index in range(FRAMES)]
    if request.param == "film":
        with VideoWriter(tmp_path / "film.mp4", 10) as writer:
            for image in images:
                writer.add(image)
        return FrameReader(tmp_path / "film.mp4")
    if request.param == "folder":
        for index, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"{index}.png")
        return FrameReader(tmp_path)
    return FrameReader(np.stack(images) if request.param == "array" else [*map(Image.fromarray, images)])


def numbers(frames) -> list[int]:
    return [round(frame.image.mean() / 40) for frame in frames]


def test_frames_in_any_order(reader):
    for index in (3, 4, 1, 5, 0):
        frame = reader.frame(index)
        assert frame.index == index and numbers([frame]) == [index]
    assert numbers(reader.read(2, 4)) == [2, 3] and numbers(reader.read(4)) == [4, 5]
    assert numbers(reader.read(3, 3)) == []


@pytest.mark.parametrize("wrong", [FRAMES, FRAMES + 100])
def test_a_frame_that_is_not_there_spoils_no_others(reader, wrong):
    for _ in range(2):
        with pytest.raises(IndexError, match=f"no frame {wrong}"):
            reader.frame(wrong)
        for index in (FRAMES - 1, 2, FRAMES - 1):
            assert numbers([reader.frame(index)]) == [index]
    with pytest.raises(IndexError, match="counted from 0"):
        reader.frame(-1)


@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray])
def test_pixels_that_nobody_can_read_again_are_kept(kind):
    images = [kind(np.full((16, 24, 3), 99, np.uint8)) for _ in range(3)]
    assert FrameReader(images).in_memory


def test_files_are_read_again(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    assert not FrameReader([tmp_path / "1.png"]).in_memory
