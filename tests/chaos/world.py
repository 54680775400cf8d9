"""The undamaged files of the campaign: the toy world in all layouts of datasets, and what the package itself writes."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from PIL import Image

import omgseg
from omgseg.datasets.embedding_cache import EmbeddingWriter, Teacher
from omgseg.evaluation.dump import Manifest, write_sample
from omgseg.inference import OMGSegInferencer
from omgseg.models.checkpoints.reading import write_state_dict
from omgseg.toy.generate import TINY, generate
from tests.fakes import WORDS, moving_square, picture, write_config

MADE = "made"
"""The folder of what the package writes."""
KEYS = ("0123456789abcdef" * 4, "f" * 64)
"""Of the cached embeddings."""
SAMPLE = 7
"""Id of the dumped sample."""
CLASSES = "classes"
"""The folder of classified images, and the file with their words."""
PSEUDO_LABELS = "annotations/pseudo_val2017.json"
"""In the folder of COCO: its instances, with scores."""


def write_world(root: Path) -> Path:
    """Write all files into an empty folder, and return it."""
    generate(root / "data", sizes=TINY)
    made = root / MADE
    made.mkdir()
    _write_images(made)
    _write_classified(made)
    _write_pseudo_labels(root / "data/coco")
    _write_videos(made)
    _write_results(made)
    _write_weights(made)
    WORDS.save(made / "words.json")
    write_config(made / "fake.py")
    return root


def a_picture() -> np.ndarray:
    """RGB uint8 (60, 80, 3) with two objects and noise, which keeps files large enough to damage."""
    noise = np.random.default_rng(0).integers(0, 30, (60, 80, 3), np.uint8)
    return picture(60, 80, ("red", 10, 10, 30, 40), ("blue", 20, 50, 50, 70)) // 2 + noise


def _write_images(made: Path) -> None:
    image = Image.fromarray(a_picture())
    for ending in ("png", "jpg", "bmp", "tif", "webp"):
        image.save(made / f"photo.{ending}")


def _write_classified(made: Path) -> None:
    for name in ("n01", "n02"):
        (made / CLASSES / name).mkdir(parents=True)
        Image.fromarray(a_picture()).save(made / CLASSES / name / "photo.png")
    (made / f"{CLASSES}.txt").write_text("n01 goldfish, Carassius auratus\nn02 tench, Tinca tinca\n")


def _write_pseudo_labels(coco: Path) -> None:
    content = json.loads((coco / "annotations/instances_val2017.json").read_text())
    for number, annotation in enumerate(content["annotations"]):
        annotation["score"] = 0.3 + number % 7 / 10
    (coco / PSEUDO_LABELS).write_text(json.dumps(content))


def _write_videos(made: Path) -> None:
    frames = moving_square(12, height=64, width=96)
    for name, codec, pixels in (("film.mp4", "libx264", "yuv420p"), ("film.mkv", "mpeg4", "yuv420p")):
        with av.open(str(made / name), "w") as container:
            stream = container.add_stream(codec, rate=12, options={"g": "4"})
            stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            container.mux(stream.encode())
    writer = cv2.VideoWriter(str(made / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 12, (96, 64))
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()


def _write_results(made: Path) -> None:
    seg = OMGSegInferencer(omgseg.load(dict(segmenter=dict(type="tests.fakes.FakeSegmenter")), device="cpu"))
    image = picture(60, 80, ("red", 10, 10, 30, 40), ("blue", 20, 50, 50, 70))
    seg(image, task="instance").save(made / "result.json")
    seg(np.stack(moving_square(3)), task="instance").save(made / "results.json")
    generator = np.random.default_rng(0)
    sample = {
        "img_id": SAMPLE,
        "ori_shape": (30, 40),
        "pred_panoptic_seg": {"sem_seg": torch.from_numpy(generator.integers(0, 5, (1, 30, 40)))},
    }
    write_sample(made / "dump", sample)
    Manifest("joint.py", "iter_3.pth", WORDS.to_dict(), [SAMPLE]).write(made / "dump")


def _write_weights(made: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {f"layer{n}.weight": torch.randn(16, 16, generator=generator) for n in range(3)}
    torch.save({"state_dict": weights, "meta": {"iter": 3}}, made / "weights.pth")
    write_state_dict(made / "weights.safetensors", weights)
    with EmbeddingWriter(made / "cache", Teacher("sam.pth", "0" * 64, 64)) as writer:
        for number, key in enumerate(KEYS):
            if writer.claim(key):
                writer.add(key, torch.full((3, 4, 4), float(number)))


def prepare_forks() -> None:
    """Before processes are forked: threads of these libraries would not be there in a fork, and collecting garbage in
    each would look at all that was imported."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    gc.freeze()
