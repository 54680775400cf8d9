"""Images and videos as people have them: the right result, or one sentence."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from PIL import Image

import omgseg
from omgseg.inference import OMGSegInferencer
from omgseg.inference.sources import open_source
from tests.chaos.campaign import CLEAR, FAILURE, RIGHT, Case, Outcome, outcome_of
from tests.fakes import moving_square, picture

COUNT = 80
SCENE = ("red", 10, 10, 40, 30), ("blue", 20, 50, 50, 70)
"""Two objects, higher than wide, so that a turned picture shows."""
_SIZE = (60, 80)


def scene() -> np.ndarray:
    return picture(*_SIZE, *SCENE)


def _seg() -> OMGSegInferencer:
    return OMGSegInferencer(omgseg.load(dict(segmenter=dict(type="tests.fakes.FakeSegmenter")), device="cpu"))


def _names(result: Any) -> list[str]:
    return sorted(result.names)


def _finds(expected: list[str], source: Any, size: tuple[int, int] = _SIZE) -> Outcome:
    """Segment; the objects and the size must be right."""
    outcome, result = outcome_of(lambda: _seg()(source, task="instance", min_score=0), *_places(source))
    if outcome.kind == RIGHT and (_names(result), result.size) != (expected, size):
        return Outcome(FAILURE, f"found {_names(result)} of {result.size}, not {expected} of {size}")
    return outcome


def _places(source: Any) -> tuple[str, ...]:
    """What a clear error may name: the file; of an array or a picture what is expected instead."""
    return (Path(source).name,) if isinstance(source, str | Path) else ("RGB", "the picture", "list")


def _refuses(source: Any) -> Outcome:
    outcome, result = outcome_of(lambda: _seg()(source), *_places(source))
    return outcome if outcome.kind != RIGHT else Outcome(FAILURE, f"accepted: {result}")


def _saved(image: Image.Image, name: str, folder: Path, **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


RGB_MODES = ("RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "P")
GREY_MODES = ("L", "LA", "1", "La", "I;16", "PA", "HSV")
FORMATS = {
    "png": {},
    "jpg": {"quality": 95},
    "bmp": {},
    "tif": {},
    "webp": {"lossless": True},
    "JPG": {"quality": 95},
}


def _of_mode(mode: str, folder: Path) -> Outcome:
    """A PIL image of a mode with colours: the objects keep theirs."""
    image = Image.fromarray(scene())
    return _finds(["blue", "red"], image.quantize(16) if mode == "P" else image.convert(mode))


def _of_grey_mode(mode: str, folder: Path) -> Outcome:
    """White on black in a mode of which the rest is hard to know."""
    white = Image.fromarray(picture(*_SIZE, ("white", 10, 10, 40, 30)))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(white.convert("L")).astype(np.uint16) * 257)
    elif mode == "PA":
        image = white.quantize(4).convert("PA")
    elif mode == "La":
        image = white.convert("LA").convert("La")
    else:
        image = white.convert(mode)
    outcome, result = outcome_of(lambda: _seg()(image, task="semantic", min_score=0), "the picture")
    if outcome.kind == RIGHT and _names(result) != ["white"]:
        return Outcome(FAILURE, f"found {_names(result)}")
    return outcome


def _of_format(ending: str, folder: Path) -> Outcome:
    return _finds(["blue", "red"], _saved(Image.fromarray(scene()), f"a.{ending}", folder, **FORMATS[ending]))


def _turned(orientation: int, folder: Path) -> Outcome:
    """A camera stores pixels as they come and notes how it was held."""
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Image.Transpose
    image = Image.fromarray(scene())
    exif = Image.Exif()
    exif[274] = orientation
    stored = image if back is None else image.transpose(Image.Transpose(back))
    file = _saved(stored, "a.jpg", folder, exif=exif, quality=95)
    outcome = _finds(["blue", "red"], file)
    if outcome.kind == RIGHT:
        near = np.abs(open_source(file).__iter__().__next__().image.astype(int) - scene()).mean()
        if near > 8:
            return Outcome(FAILURE, f"the picture differs from the upright one by {near:.0f}")
    return outcome


def _image_files(folder: Path) -> dict[str, Callable[[], Outcome]]:
    """Rare image files."""
    image = Image.fromarray(scene())
    deep = (scene().astype(np.uint16) * 257)[..., ::-1]

    def cv(name: str, pixels: np.ndarray) -> Path:
        cv2.imwrite(str(folder / name), pixels)
        return folder / name

    found, refused = partial(_finds, ["blue", "red"]), _refuses
    return {
        "PNG of 16 bits a colour": lambda: found(cv("a.png", deep)),
        "TIFF of 16 bits a colour": lambda: found(cv("a.tif", deep)),
        "PNG with a palette": lambda: found(_saved(image.quantize(16), "a.png", folder)),
        "PNG with a transparent colour": lambda: found(
            _saved(image.quantize(16), "a.png", folder, transparency=0)
        ),
        "CMYK JPEG": lambda: found(_saved(image.convert("CMYK"), "a.jpg", folder, quality=95)),
        "progressive JPEG": lambda: found(_saved(image, "a.jpg", folder, progressive=True, quality=95)),
        "animated PNG": lambda: found(_saved(image, "a.png", folder, save_all=True, append_images=[image])),
        "animated WebP": lambda: found(
            _saved(image, "a.webp", folder, save_all=True, append_images=[image], lossless=True)
        ),
        "TIFF of pages": lambda: found(_saved(image, "a.tif", folder, save_all=True, append_images=[image])),
        "JPEG called .png": lambda: found(_saved(image, "a.png", folder, format="JPEG", quality=95)),
        "TIFF of floats": lambda: refused(cv("a.tif", scene().astype(np.float32))),
        "GIF called .png": lambda: found(_saved(image, "a.png", folder, format="GIF")),
        "an empty file": lambda: refused(_touched(folder / "a.png")),
        "a text called .jpg": lambda: refused(_touched(folder / "a.jpg", "hello")),
        "a folder called .jpg": lambda: refused(_made(folder / "a.jpg")),
        "a name with blanks and umlauts": lambda: found(_saved(image, "schöne Straße 1.png", folder)),
        "1 x 1 pixels": lambda: _finds([], _saved(Image.new("RGB", (1, 1)), "a.png", folder), (1, 1)),
        "1 x 5000 pixels": lambda: _finds(
            [], _saved(Image.new("RGB", (1, 5000)), "a.png", folder), (5000, 1)
        ),
        "100 megapixels": lambda: _read_only(_saved(Image.new("RGB", (10_000, 10_000)), "a.png", folder)),
        "121 megapixels": lambda: refused(_saved(Image.new("1", (11_000, 11_000)), "a.png", folder)),
    }


def _touched(file: Path, text: str = "") -> Path:
    file.write_text(text)
    return file


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _read_only(file: Path) -> Outcome:
    outcome, shape = outcome_of(lambda: next(iter(open_source(file))).image.shape, file.name)
    return outcome if shape in (None, (10_000, 10_000, 3)) else Outcome(FAILURE, f"read as {shape}")


def _arrays() -> dict[str, Callable[[], Outcome]]:
    """What Python users hand over: read, or refused with the conversion."""
    image = scene()
    return {
        "an array": lambda: _finds(["blue", "red"], image),
        "an array that is not contiguous": lambda: _finds(["blue", "red"], image[:, ::-1]),
        "a read-only array": lambda: _finds(["blue", "red"], _frozen(image)),
        "floats from 0 to 1": lambda: _finds(["blue", "red"], image / 255),
        "floats from 0 to 255": lambda: _refuses(image.astype(np.float32)),
        "floats with NaN": lambda: _refuses(np.full(image.shape, np.nan)),
        "numbers of 16 bits": lambda: _refuses(image.astype(np.uint16) * 257),
        "a grey array": lambda: _finds([], image[..., 0]),
        "an array with transparency": lambda: _finds(["blue", "red"], np.dstack([image, image[..., 0]])),
        "channels first": lambda: _refuses(image.transpose(2, 0, 1)),
        "an empty array": lambda: _refuses(image[:0]),
        "an empty list": lambda: _refuses([]),
    }


def _frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def write_film(
    file: Path, frames: list[np.ndarray], codec: str = "libx264", pixels: str = "yuv420p", times: Any = None
) -> Path:
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], pixels
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame)
            picture.pts = number if times is None else times[number]
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file


def _sound(file: Path) -> Path:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def _films(folder: Path) -> dict[str, Callable[[], Outcome]]:
    """Videos: the number of frames that must come, or None for a sentence."""
    frames = moving_square(6, 64, 96)

    def film(name: str, count: int | None, *args: Any, **options: Any) -> Callable[[], Outcome]:
        return lambda: _plays(write_film(folder / name, *args, **options), count)

    return {
        "H.264 in mp4": film("a.mp4", 6, frames),
        "H.264 in mov": film("a.mov", 6, frames),
        "H.264 in ts": film("a.ts", 6, frames),
        "H.264 in mkv": film("a.mkv", 6, frames),
        "MPEG-4 in avi": film("a.avi", 6, frames, "mpeg4"),
        "FLV": film("a.flv", 6, frames, "flv"),
        "10 bits": film("a.mkv", 6, frames, "libx264", "yuv420p10le"),
        "4:4:4": film("a.mp4", 6, frames, "libx264", "yuv444p"),
        "a variable rate": film("a.mkv", 6, frames, times=[0, 1, 5, 6, 20, 21]),
        "one frame": film("a.mp4", 1, frames[:1]),
        "an ending in capitals": film("a.MP4", 6, frames),
        "no frame": lambda: _plays(_empty_film(folder / "a.avi"), None),
        "sound alone": lambda: _plays(_sound(folder / "a.mp4"), None),
        "text": lambda: _plays(_touched(folder / "a.mp4", "no film"), None),
        "a changing size": lambda: _plays(_changing(folder), 6),
    }


def _changing(folder: Path) -> Path:
    """Two streams of pictures behind each other, as a receiver records them."""
    frames = moving_square(3, 64, 96)
    large = write_film(folder / "large.mjpeg", frames, "mjpeg", "yuvj420p")
    half = [np.ascontiguousarray(frame[::2, ::2]) for frame in frames]
    small = write_film(folder / "small.mjpeg", half, "mjpeg", "yuvj420p")
    (folder / "both.mjpeg").write_bytes(large.read_bytes() + small.read_bytes())
    return (folder / "both.mjpeg").rename(folder / "a.avi")


def _empty_film(file: Path) -> Path:
    cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 12, (96, 64)).release()
    return file


def _plays(file: Path, count: int | None) -> Outcome:
    outcome, results = outcome_of(lambda: _seg()(file, task="instance", min_score=0), file.name)
    if outcome.kind == RIGHT and len(results) != count:
        return Outcome(FAILURE, f"{len(results)} frames came, not {count}")
    if outcome.kind == RIGHT and any(_names(result) != ["blue", "red"] for result in results):
        return Outcome(FAILURE, f"found {[_names(result) for result in results]}")
    if outcome.kind == CLEAR and count is not None:
        return Outcome(FAILURE, f"refused: {outcome.text}")
    return outcome


def _folders(folder: Path) -> dict[str, Callable[[], Outcome]]:
    image = Image.fromarray(scene())

    def with_macos_files() -> Outcome:
        _saved(image, "a.png", folder)
        _touched(folder / "._a.png", "not an image")
        _touched(folder / ".DS_Store")
        results = _seg()(folder)
        return Outcome(RIGHT) if len(results) == 1 else Outcome(FAILURE, f"{len(results)} images")

    def with_a_loop() -> Outcome:
        _saved(image, "a.png", folder)
        (folder / "loop").symlink_to(folder)
        results = _seg()(folder)
        return Outcome(RIGHT) if len(results) == 1 else Outcome(FAILURE, f"{len(results)} images")

    return {
        "a folder from a Mac": with_macos_files,
        "a folder with a link to itself": with_a_loop,
        "a tensor": lambda: _finds(["blue", "red"], torch.from_numpy(scene()).permute(2, 0, 1)),
        "a batch of tensors": lambda: _refuses(torch.zeros(2, 3, 60, 80)),
        "a generator": lambda: _finds_all(iter([scene()] * 3)),
        "a set": lambda: _judge_type({"a.png"}),
    }


def _finds_all(source: Any) -> Outcome:
    found = [_names(result) for result in _seg()(source, task="instance", min_score=0)]
    return Outcome(RIGHT) if found == [["blue", "red"]] * 3 else Outcome(FAILURE, f"found {found}")


def _judge_type(source: Any) -> Outcome:
    """Of a wrong type Python raises a TypeError: it must say what to give instead."""
    try:
        return Outcome(FAILURE, f"accepted: {_seg()(source)}")
    except TypeError as error:
        return Outcome(CLEAR if "give" in str(error) else FAILURE, str(error))


def _one_of(group: Callable[[Path], dict[str, Callable[[], Outcome]]], name: str, folder: Path) -> Outcome:
    return group(folder)[name]()


def _all(folder: Path) -> Iterator[Case]:
    yield from (Case(f"a picture of mode {mode}", partial(_of_mode, mode)) for mode in RGB_MODES)
    yield from (Case(f"a picture of mode {mode}", partial(_of_grey_mode, mode)) for mode in GREY_MODES)
    yield from (Case(f"a .{ending} file", partial(_of_format, ending)) for ending in FORMATS)
    yield from (Case(f"EXIF turn {turn}", partial(_turned, turn)) for turn in range(1, 9))
    for group in (_image_files, lambda folder: _arrays(), _films, _folders):
        for name in group(folder):
            yield Case(name, partial(_one_of, group, name))


def cases(seed: int, count: int, world: Path) -> list[Case]:
    """All of them, or `count` that the seed chooses."""
    found = list(_all(world))
    return found if count >= len(found) else random.Random(f"common inputs {seed}").sample(found, count)
