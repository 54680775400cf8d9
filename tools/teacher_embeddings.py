"""Compute a teacher's embeddings of a config's training images, once, before a student learns them.

    python tools/teacher_embeddings.py projects/edge_sam/configs/distill_encoder.py
    python -m torch.distributed.run --standalone --nproc_per_node=8 tools/teacher_embeddings.py CONFIG

The config says whose and where to: teacher = dict(config="sam-vit-h", weights="sam_vit_h_4b8939.pth", cache="FOLDER").
What it costs is said before the work starts. A run that was killed goes on where it was. Commands that run at the same
time, here or on other machines with the same folder, share the work.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # projects/ is imported from here

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader, Dataset

from omgseg.datasets.checking import UsageError, find_sources
from omgseg.datasets.embedding_cache import EmbeddingWriter, Teacher
from omgseg.datasets.transforms.loading import read_rgb
from omgseg.engine.config import ConfigError, leave_process_group, merge_options, one_line_errors
from omgseg.files import file_sha256
from omgseg.inference import load
from omgseg.models.sam import SAM
from omgseg.models.sam.distillation import weights_sha256

REPORT_SECONDS = 10.0
"""Between lines of progress."""


class ImageFile(NamedTuple):
    """An image, and the part of data/README.md that describes its folder."""

    path: str
    anchor: str


class Images(Dataset):
    """Reads images: (file, key, RGB uint8 (H, W, 3)); instead of the pixels, the error of one that cannot be read."""

    def __init__(self, files: list[ImageFile]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[ImageFile, str, np.ndarray | OSError]:
        file = self.files[index]
        try:
            return file, file_sha256(file.path), read_rgb(file.path, file.anchor)
        except OSError as error:
            return file, "", error


class Run:
    """One process's part of the work.

    Args:
        model: the teacher.
        writer: of the cache.
        workers: processes that read images.
    """

    def __init__(self, model: SAM, writer: EmbeddingWriter, workers: int) -> None:
        self.model = model
        self.writer = writer
        self.workers = workers
        self.unreadable: list[str] = []
        self.computed = 0

    def missing(self, files: list[ImageFile]) -> list[ImageFile]:
        """The files whose embeddings the cache lacks. Files are read only where it has some."""
        if not len(self.writer.cache):
            return files
        say(f"comparing images with the {len(self.writer.cache)} embeddings of {self.writer.cache.folder}")
        with ThreadPoolExecutor(max(self.workers, 1)) as pool:
            keys = pool.map(_key_or_none, files)
            return [
                file
                for file, key in zip(files, keys, strict=True)
                if key is None or key not in self.writer.cache
            ]

    def measure(self, files: list[ImageFile]) -> tuple[int, float]:
        """Bytes of an embedding and seconds an image, of the first that can be read; zeros where there is none."""
        images = Images(files)
        for index in range(len(images)):
            _, _, pixels = images[index]
            if isinstance(pixels, OSError):
                continue
            embedding = self._embed(pixels)  # the first one takes longer
            start = time.perf_counter()
            images[index]
            self._embed(pixels)
            return embedding.nbytes, time.perf_counter() - start
        return 0, 0.0

    def compute(self, files: list[ImageFile]) -> int:
        """Fill the cache.

        Returns:
            How many are left to other processes, which compute them now.
        """
        elsewhere = self._go_through(files)
        self.writer.flush()
        self.writer.cache.refresh()
        again = [file for file, key in elsewhere if key not in self.writer.cache]
        return len(self._go_through(again))  # of processes that were killed meanwhile

    def _go_through(self, files: list[ImageFile]) -> list[tuple[ImageFile, str]]:
        """Compute what is not there; the files that another process has claimed, and their keys."""
        elsewhere = []
        progress = Progress(len(files))
        loader = DataLoader(Images(files), batch_size=None, num_workers=self.workers, collate_fn=_as_is)
        for file, key, pixels in loader:
            if isinstance(pixels, FileNotFoundError):
                raise pixels
            if isinstance(pixels, OSError):
                self.unreadable.append(str(pixels))
            elif self.writer.claim(key):
                self.writer.add(key, self._embed(pixels))
                self.computed += 1
            else:
                elsewhere.append((file, key))
            progress.step()
        return elsewhere

    @torch.no_grad()
    def _embed(self, pixels: np.ndarray) -> torch.Tensor:
        image, _ = self.model.preprocess(pixels)
        return self.model.image_encoder(image)[0].half().cpu()


def _as_is(item: tuple[ImageFile, str, np.ndarray | OSError]) -> tuple[ImageFile, str, np.ndarray | OSError]:
    """Pixels stay an array."""
    return item


def _key_or_none(file: ImageFile) -> str | None:
    """None: the file cannot be read, which reading the image will say better."""
    try:
        return file_sha256(file.path)
    except OSError:
        return None


class Progress:
    """Says now and then how far the first process is, and how long it will take."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.start = self.said = time.perf_counter()

    def step(self) -> None:
        self.done += 1
        now = time.perf_counter()
        if now - self.said >= REPORT_SECONDS:
            self.said = now
            left = (now - self.start) / self.done * (self.total - self.done)
            say(f"{self.done} of {self.total} images of this process, about {duration(left)} left")


def say(text: str) -> None:
    """Print, in the first process only."""
    if get_rank() == 0:
        print(text, flush=True)


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def total(number: float, kind: str = "sum") -> float:
    """The sum, or the largest, of the numbers of all processes."""
    number = torch.tensor(number, dtype=torch.float64)
    all_reduce(number, kind)
    return number.item()


def image_files(config: Config) -> list[ImageFile]:
    """The images of the training datasets, each once.

    Raises:
        ConfigError: there is no training dataset.
        FileNotFoundError, ValueError: files of a dataset are missing or wrong.
    """
    try:
        sources = find_sources(config, "train")
    except UsageError as error:
        raise ConfigError(str(error)) from error
    files: dict[str, ImageFile] = {}
    for source in sources:
        dataset = source.build()
        dataset.full_init()
        for index in range(len(dataset)):
            for frame in dataset.get_data_info(index)["frames"]:
                files.setdefault(frame["img_path"], ImageFile(frame["img_path"], dataset.README_ANCHOR))
    return list(files.values())


def load_teacher(config: Config) -> tuple[SAM, Teacher]:
    """The teacher that a config names, and what its cache says of it.

    Raises:
        ConfigError: the config names none, or one that is no SAM.
        FileNotFoundError, CheckpointError: see :func:`omgseg.load`.
    """
    named = config.get("teacher") or {}
    for key in ("config", "weights", "cache"):
        if not named.get(key):
            raise ConfigError(
                f"the config has no teacher.{key}: add teacher = dict(config='sam-vit-h', weights=FILE, cache=FOLDER)"
            )
    sha256 = weights_sha256(named.weights)
    model = getattr(load(named.config, named.weights, dtype="float32"), "model", None)
    if not isinstance(model, SAM):
        raise ConfigError(f"teacher.config {named.config} is no SAM, and has no embeddings of images")
    return model, Teacher(str(named.weights), sha256, model.image_size)


def announce(run: Run, folder: str, files: int, part: list[ImageFile]) -> bool:
    """Say what it will cost; whether there is anything to do.

    Raises:
        ConfigError: it does not fit onto the disk.
    """
    missing = int(total(len(part)))
    say(f"{files} images; {files - missing} of them are in {folder}, {missing} are missing")
    if not missing:
        return False
    each, seconds = (total(number, "max") for number in run.measure(part))
    needed, free = missing * each, shutil.disk_usage(folder).free
    processes = f" in {get_world_size()} processes" if get_world_size() > 1 else ""
    say(
        f"{size(each)} an image: {size(needed)} of the {size(free)} that are free; {duration(seconds)} an image: about "
        f"{duration(seconds * total(len(part), 'max'))}{processes}"
    )
    if needed > free:
        raise ConfigError(
            f"the embeddings need {size(needed)}, and {folder} has {size(free)} free: name a folder elsewhere with "
            "teacher.cache, or fewer images"
        )
    return True


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config of the student's training")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="change settings: key=value; nested keys with dots",
    )
    args = parser.parse_args(argv)
    if not Path(args.config).is_file():
        raise FileNotFoundError(f"config {args.config} not found")
    config = Config.fromfile(args.config)
    merge_options(config, args.cfg_options or {})
    if torch.distributed.is_torchelastic_launched():
        # only numbers are exchanged, and whoever is ready early waits for the others
        torch.distributed.init_process_group("gloo", timeout=timedelta(days=30))
        if torch.accelerator.is_available():
            torch.accelerator.set_device_index(
                int(os.environ["LOCAL_RANK"]) % torch.accelerator.device_count()
            )
    model, teacher = load_teacher(config)
    files = image_files(config)
    folder = config.teacher.cache
    with EmbeddingWriter(folder, teacher) as writer:
        run = Run(model, writer, config.train_dataloader.get("num_workers", 0))
        part = run.missing(files[get_rank() :: get_world_size()])
        start = time.perf_counter()
        left = run.compute(part) if announce(run, folder, len(files), part) else 0
    report(run, folder, time.perf_counter() - start, left)


def report(run: Run, folder: str, seconds: float, left: int) -> None:
    """Say what was done, and what was not."""
    for text in run.unreadable:
        print(f"skipped: {text}", flush=True)
    computed, left, unreadable = (int(total(n)) for n in (run.computed, left, len(run.unreadable)))
    used = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    say(f"{computed} embeddings computed in {duration(seconds)}; {folder} has {size(used)}")
    if left:
        say(f"{left} images are left to other processes, which compute them now")
    if unreadable:
        say(f"{unreadable} images cannot be read; training skips them, too, up to 1 % of them")


if __name__ == "__main__":
    MMLogger.get_current_instance().setLevel("WARNING")
    with one_line_errors():
        main()
    leave_process_group()
