"""Files made to do harm: nothing runs, nothing is written outside of the folder given, memory and time are bounded."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from omgseg.cli.main import main
from omgseg.datasets import CocoInstanceDataset
from omgseg.engine import read_checkpoint
from omgseg.evaluation.dump import read_sample, write_sample
from omgseg.evaluation.functional.inputs import load_annotations
from omgseg.inference.video_files import read_video
from omgseg.structures import Vocabulary
from omgseg.structures.images import read_image
from omgseg.structures.run_lengths import encode_segmentation
from tests.chaos.campaign import FAILURE, RIGHT, Case, Outcome, outcome_of
from tests.chaos.world import MADE, SAMPLE

COUNT = 60
BOMB_MEGABYTES = 700
"""Memory that refusing a bomb may take: an image of 120 million grey pixels is read, one more is not."""
TRACE = "trace"
"""The file that a payload writes if it runs."""


class _Runs:
    """A pickle that calls something."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call[0], self.call[1:]


PAYLOADS: dict[str, Callable[[], Any]] = {
    "os.system": lambda: _Runs(os.system, f"touch {TRACE}"),
    "exec": lambda: _Runs(exec, f"open({TRACE!r}, 'w')"),
    "open": lambda: _Runs(open, TRACE, "w"),
}


def _bare(content: Any, file: Path) -> None:
    file.write_bytes(pickle.dumps(content, protocol=2))


def _in_archive(content: Any, file: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "meta": content}, file)


def _in_tensors(content: Any, file: Path) -> None:
    torch.save({"state_dict": {"w": content}}, file)


def _in_array(content: Any, file: Path) -> None:
    file.parent.mkdir(parents=True)
    np.savez(file, structure=np.array([content], dtype=object))


PICKLES: dict[str, tuple[str, Callable[[Any, Path], None], Callable[[Path], Any]]] = {
    "pth": ("a.pth", _bare, read_checkpoint),
    "pth archive": ("a.pth", _in_archive, read_checkpoint),
    "pth tensors": ("a.pth", _in_tensors, read_checkpoint),
    "safetensors": ("a.safetensors", _bare, read_checkpoint),
    "dump": (f"samples/{SAMPLE}.npz", _in_array, lambda file: read_sample(file.parents[1], SAMPLE)),
    "dump, bare": ("7.npz", _bare, lambda file: _moved_sample(file)),
    "image": ("a.png", _bare, read_image),
    "vocabulary": ("a.json", _bare, Vocabulary.load),
}


def _moved_sample(file: Path) -> Any:
    (file.parent / "samples").mkdir()
    file.rename(file.parent / "samples" / file.name)
    return read_sample(file.parent, SAMPLE)


def _run_pickle(kind: str, payload: str, folder: Path) -> Outcome:
    name, write, read = PICKLES[kind]
    write(PAYLOADS[payload](), folder / name)
    outcome, _ = outcome_of(lambda: read(folder / name), Path(name).name)
    if (folder / TRACE).exists():
        return Outcome(FAILURE, "the pickle ran")
    return outcome if outcome.kind != RIGHT else Outcome(FAILURE, "the pickle was read")


def _png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of any size, of which the pixels are left to `chunks`."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IEND", b"")]
    packed = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + packed


def _deflated(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(megabytes)]) + packer.flush()


def _tiff(folder: Path) -> Path:
    Image.new("L", (8, 8)).save(folder / "a.tif")
    data = bytearray((folder / "a.tif").read_bytes())
    for tag in (256, 257):  # width and height
        place = data.index(struct.pack("<HHI", tag, 4 if struct.pack("<HH", tag, 4) in data else 3, 1))
        data[place + 2 : place + 12] = struct.pack("<HII", 4, 1, 60_000)
    (folder / "a.tif").write_bytes(data)
    return folder / "a.tif"


def _written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def _zip_bomb(folder: Path) -> Path:
    """A checkpoint of a gigabyte in a megabyte."""
    torch.save({"w": torch.zeros(4)}, folder / "small.pth")
    with zipfile.ZipFile(folder / "small.pth") as small, zipfile.ZipFile(folder / "a.pth", "w", 8) as bomb:
        for name in small.namelist():
            with bomb.open(name, "w") as file:
                data = small.read(name)
                for _ in range(1024 if name.endswith("data/0") else 1):
                    file.write(bytes(1 << 20) if name.endswith("data/0") else data)
    return folder / "a.pth"


def _array_bomb(folder: Path) -> Path:
    """A dumped sample whose array says that it has a terabyte."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1 << 37,)})
    (folder / "samples").mkdir()
    with zipfile.ZipFile(folder / f"samples/{SAMPLE}.npz", "w") as file:
        file.writestr("structure.npy", head.getvalue())
    return folder / f"samples/{SAMPLE}.npz"


def _huge_image(folder: Path) -> Path:
    """An annotation file with an image of 10**9 pixels on a side, and run lengths that cover it."""
    side = 10**9
    entry = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": {"size": [side, side], "counts": [0, side**2]},
    }
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": side, "width": side}],
        "annotations": [entry],
        "categories": [{"id": 1, "name": "cat"}],
    }
    return _written(folder, "a.json", json.dumps(content).encode())


def _long_polygon(folder: Path) -> Path:
    zigzag = [[0, 0, *(value for _ in range(40_000) for value in (9000, 0, -9000, 1))]]
    return _written(folder, "a.json", json.dumps(zigzag).encode())


def _instances(file: Path) -> Any:
    load = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
    return CocoInstanceDataset(
        data_root=str(file.parent), ann_file=file.name, data_prefix=dict(img=""), pipeline=load
    )[0]


def _polygons(file: Path) -> Any:
    return encode_segmentation(json.loads(file.read_text()), 40, 60, str(file))


BOMBS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    "a PNG of 50,000 x 50,000": (lambda folder: _written(folder, "a.png", _png(50_000, 50_000)), read_image),
    "a PNG that unpacks to a gigabyte": (
        lambda folder: _written(folder, "a.png", _png(40, 40, (b"IDAT", _deflated(1024)))),
        read_image,
    ),
    "a PNG of 2**31 - 1 pixels a side": (
        lambda folder: _written(folder, "a.png", _png(2**31 - 1, 2**31 - 1)),
        read_image,
    ),
    "a PNG whose text unpacks to a gigabyte": (
        lambda folder: _written(folder, "a.png", _png(4, 4, (b"zTXt", b"a\0\0" + _deflated(1024)))),
        read_image,
    ),
    "a TIFF of 60,000 x 60,000": (_tiff, read_image),
    "a checkpoint that unpacks to a gigabyte": (_zip_bomb, read_checkpoint),
    "a dump with an array of a terabyte": (_array_bomb, lambda file: read_sample(file.parents[1], SAMPLE)),
    "JSON of 200,000 levels": (
        lambda folder: _written(folder, "a.json", b"[" * 200_000),
        lambda file: load_annotations(file, ["images"]),
    ),
    "a number of a million digits": (
        lambda folder: _written(folder, "a.json", b'{"categories": ' + b"9" * 10**6 + b"}"),
        Vocabulary.load,
    ),
    "an annotated image of 10**9 pixels a side": (_huge_image, _instances),
    "a polygon that is 700 million pixels long": (_long_polygon, _polygons),
    "safetensors with a head of 2**60 bytes": (
        lambda folder: _written(folder, "a.safetensors", struct.pack("<Q", 2**60) + b"{}"),
        read_checkpoint,
    ),
}


def _run_bomb(name: str, folder: Path) -> Outcome:
    write, read = BOMBS[name]
    file = write(folder)
    return outcome_of(lambda: read(file), file.name)[0]


PLAYLISTS: dict[str, str] = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret}\n#EXT-X-ENDLIST\n",
    "m3u8 by address": "#EXTM3U\n#EXTINF:10,\nfile://{secret}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{secret}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


def _run_playlist(kind: str, ending: str, world: Path, folder: Path) -> Outcome:
    """A film elsewhere on the disk must not be shown through a list that names it."""
    secret = folder / "elsewhere" / "secret.mp4"
    secret.parent.mkdir()
    shutil.copy(world / MADE / "film.mp4", secret)
    file = _written(folder, f"film{ending}", PLAYLISTS[kind].format(secret=secret).encode())
    outcome, frames = outcome_of(lambda: list(read_video(file)), file.name)
    return (
        outcome
        if outcome.kind != RIGHT
        else Outcome(FAILURE, f"{len(frames)} frames of another file were read")
    )


NAMES = (
    "-rf.png",
    "a\nb.png",
    "*.png",
    "[0-9].png",
    "a..png",
    "a" * 246 + ".png",
    "con.png",
    "a\\..\\b.png",
    "$(touch trace).png",
    "\u202egnp.png",
    "ü" * 120 + ".png",
    os.fsdecode(b"\xff\xfe.png"),
)


def _run_name(name: str, world: Path, folder: Path) -> Outcome:
    """Images of odd names are segmented, labelled and written below the folder that was given."""
    photos, out = folder / "photos", folder / "out"
    photos.mkdir()
    shutil.copy(world / MADE / "photo.png", photos / name)
    model = ["--model", str(world / MADE / "fake.py"), "--weights", "none", "--device", "cpu"]
    before = _listing(folder)
    formats = ["--format", "png", "json", "coco", "panoptic", "masks"]
    if status := main(["predict", str(photos), *model, *formats, "--out", str(out)]):
        return Outcome(FAILURE, f"omgseg predict ends with {status}")
    if status := main(["label", str(photos), *model, "--out", str(out / "labels.json")]):
        return Outcome(FAILURE, f"omgseg label ends with {status}")
    return _untouched(folder, before, out)


def _listing(folder: Path) -> set[str]:
    return {os.path.join(place, name) for place, _, names in os.walk(folder) for name in names}


def _untouched(folder: Path, before: set[str], out: Path) -> Outcome:
    strays = {path for path in _listing(folder) - before if not path.startswith(f"{out}/")}
    if strays or not before <= _listing(folder):
        return Outcome(FAILURE, f"files were written or lost outside of --out: {sorted(map(repr, strays))}")
    return Outcome(RIGHT)


def _run_id(identity: str, folder: Path) -> Outcome:
    """Ids of samples become names of files."""
    out = folder / "out"
    (folder / "victim.npz").write_text("precious")
    before = _listing(folder)
    write_sample(out, {"img_id": identity, "ori_shape": (2, 2)})
    if read_sample(out, identity)["img_id"] != identity or (folder / "victim.npz").read_text() != "precious":
        return Outcome(FAILURE, "the sample does not come back")
    return _untouched(folder, before, out)


def _run_link(kind: str, world: Path, folder: Path) -> Outcome:
    """Results take the place of links and do not follow them."""
    photos, out, victim = folder / "photos", folder / "out", folder / "victim"
    photos.mkdir()
    out.mkdir()
    victim.write_text("precious")
    shutil.copy(world / MADE / "photo.png", photos / "a.png")
    (out / {"png": "a.png", "json": "a.json", "coco": "coco.json"}[kind]).symlink_to(victim)
    model = ["--model", str(world / MADE / "fake.py"), "--weights", "none", "--device", "cpu"]
    status = main(["predict", str(photos), *model, "--format", kind, "--out", str(out), "--overwrite"])
    if status or victim.read_text() != "precious":
        return Outcome(
            FAILURE, f"status {status}, the file behind the link holds {victim.read_text()[:20]!r}"
        )
    return Outcome(RIGHT)


def cases(seed: int, count: int, world: Path) -> list[Case]:
    """All of them, or `count` that the seed chooses."""
    found = [
        Case(f"pickle in {kind}: {payload}", partial(_run_pickle, kind, payload))
        for kind in PICKLES
        for payload in PAYLOADS
    ]
    found += [Case(name, partial(_run_bomb, name), megabytes=BOMB_MEGABYTES) for name in BOMBS]
    found += [
        Case(f"{kind} called {ending}", partial(_run_playlist, kind, ending, world))
        for kind in PLAYLISTS
        for ending in (".mp4", ".mkv")
    ]
    found += [Case(f"name {name[:20]!r}", partial(_run_name, name, world)) for name in NAMES]
    found += [
        Case(f"a link in place of {kind}", partial(_run_link, kind, world))
        for kind in ("png", "json", "coco")
    ]
    found += [Case(f"id {identity!r}", partial(_run_id, identity)) for identity in ("../../victim",)]
    return found if count >= len(found) else random.Random(f"hostile files {seed}").sample(found, count)
