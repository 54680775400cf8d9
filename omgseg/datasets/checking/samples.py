"""The images and masks of a sample: everything that training would read, whatever is wrong with the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.checking.segments import MAY_OVERLAP, DuplicateMasks, check_segments
from omgseg.datasets.problems import Kind, Problem, collect_problems, noted, problem
from omgseg.datasets.segments import Segments
from omgseg.datasets.transforms.load_frames import read_rgb
from omgseg.structures.png import image_size


class SampleCheck(Dataset):
    """The problems of each of the chosen samples; a torch dataset, so that a ``DataLoader`` spreads the work.

    Args:
        dataset: what to check.
        indices: which samples.
        frames: how many frames of a video are read completely, evenly spaced; of the others the header alone is read.
            None: all.
        masks_only: do not open the images.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        indices: Sequence[int],
        frames: int | None = None,
        masks_only: bool = False,
    ) -> None:
        self.dataset, self.indices, self.frames, self.masks_only = dataset, indices, frames, masks_only

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> list[Problem]:
        index = self.indices[position]
        with collect_problems(f"{self.dataset.ann_file}, sample {index}") as problems:
            check_sample(self.dataset.describe(index), self.frames, self.masks_only)
        return problems


def join(batch: list[list[Problem]]) -> list[list[Problem]]:
    """``collate_fn`` of :class:`SampleCheck`: one list a sample."""
    return batch


def paths_of(frame: dict[str, Any]) -> dict[str, str]:
    """The files of a frame by key."""
    return {key: value for key, value in frame.items() if key.endswith("_path")}


def check_sample(results: dict[str, Any], frames: int | None = None, masks_only: bool = False) -> None:
    """Read a sample's images and masks, and report by :func:`problem` what is wrong with those that exist.

    Args:
        results: see :meth:`SegmentationDataset.describe`.
        frames, masks_only: see :class:`SampleCheck`.
    """
    length = len(results["frames"])
    chosen = set(range(length))
    if frames is not None and length > frames:
        chosen = {round(k * (length - 1) / (frames - 1)) for k in range(frames)}
    size = (results["height"], results["width"])  # zeros where no file says it
    duplicates = DuplicateMasks()
    for t, frame in enumerate(results["frames"]):
        shape = size if masks_only else _check_image(frame["img_path"], size, results, completely=t in chosen)
        size = size if all(size) else shape
        if t in chosen and {"instances", "seg_map_path"} & frame.keys():
            segments = _check_masks(frame, {**results, "ori_shape": shape})
            if segments is not None and results["seg_format"] in MAY_OVERLAP:
                duplicates.add(t, segments)
    if len(chosen) == length:
        subject = (
            f"video {results['video_id']!r}" if results["is_video"] else results["frames"][0]["img_path"]
        )
        duplicates.report(f"{results['ann_file']}, {subject}")


def _check_image(
    path: str, expected: tuple[int, int], results: dict[str, Any], completely: bool
) -> tuple[int, int]:
    """(height, width) of an image; the expected one where it cannot be read."""
    shape = expected
    if not Path(path).is_file():
        return shape
    with noted(path):
        shape = read_rgb(path, results["readme_anchor"]).shape[:2] if completely else image_size(path)[::-1]
        if shape != expected and all(expected):
            text = (
                f"{path} is {shape[1]}x{shape[0]}, "
                f"{'its video' if results['is_video'] else results['ann_file']} is {expected[1]}x{expected[0]} "
                "(width x height)"
            )
            problem(Kind.SIZE, ValueError(text))
    return shape


def _check_masks(frame: dict[str, Any], results: dict[str, Any]) -> Segments | None:
    if not all(Path(path).is_file() for key, path in paths_of(frame).items() if key != "img_path"):
        return None
    with noted(frame.get("seg_map_path", frame["img_path"])):
        return check_segments(frame, results)
    return None
