"""ADE20K: from the distributed ADEChallengeData2016 to the COCO panoptic and COCO instance formats.

The rules, ids and names of files are those of ``prepare_ade20k_pan_seg.py`` and ``prepare_ade20k_ins_seg.py`` of
github.com/facebookresearch/Mask2Former, on whose files the published numbers are measured: either set of files does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from omgseg.datasets.converters import outputs
from omgseg.datasets.converters.ade20k_masks import (
    INSTANCE_STEP,
    Masks,
    Segment,
    Values,
    join_masks,
    read_masks,
)
from omgseg.datasets.files import require_folder
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import write_panoptic_png
from omgseg.structures.run_lengths import encode_masks

SPLITS = {"train": "training", "val": "validation"}
"""Name of a split in the converted files, and in the distributed folders."""
PARTS = ("images", "annotations", "annotations_instance")
README_ANCHOR = "ade20k"


def convert_ade20k(
    root: str | Path,
    split: str,
    vocabulary: Vocabulary | None = None,
    workers: int = 1,
    show_progress: bool = False,
) -> list[Path]:
    """Write ``ade20k_panoptic_{split}.json`` with its folder of PNGs, and ``ade20k_instance_{split}.json``.

    What is there already is left alone.

    Args:
        root: the folder ADEChallengeData2016, with ``images``, ``annotations`` and ``annotations_instance``.
        split: a key of ``SPLITS``.
        vocabulary: the categories; default: the shipped ``ade20k``.
        workers: processes.
        show_progress: draw a progress bar.

    Returns:
        The JSON files that were written.

    Raises:
        FileNotFoundError, OSError: an input is missing or truncated.
        FileExistsError: the panoptic JSON is there without its folder, or the other way round.
        ValueError: naming the mask that holds what it should not.
    """
    root, vocabulary = Path(root), vocabulary or load_vocabulary("ade20k")
    panoptic, instance = f"ade20k_panoptic_{split}", f"ade20k_instance_{split}"
    existing = {
        panoptic: outputs.exists(root / f"{panoptic}.json", root / panoptic),
        instance: (root / f"{instance}.json").is_file(),
    }
    wanted = [name for name, exists in existing.items() if not exists]
    if not wanted:
        return []
    names = _image_names(root, split)
    with outputs.staging(root, f"ade20k_{split}") as new:
        folder = new / panoptic if panoptic in wanted else None
        results = tqdm(
            _map(partial(_convert, root, SPLITS[split], Values.of(vocabulary), folder), names, workers),
            f"ADE20K {split}",
            total=len(names),
            disable=not show_progress,
        )
        images, segments, objects = zip(*results, strict=True)
        if panoptic in wanted:
            annotations = [
                {"image_id": image["id"], "file_name": f"{image['id']}.png", "segments_info": info}
                for image, info in zip(images, segments, strict=True)
            ]
            _write(new / f"{panoptic}.json", images, annotations, vocabulary)
        if instance in wanted:
            instances = enumerate((entry for of_image in objects for entry in of_image), 1)
            annotations = [{"id": number, **entry} for number, entry in instances]
            _write(new / f"{instance}.json", images, annotations, vocabulary.things())
    return [root / f"{name}.json" for name in wanted]


def _image_names(root: Path, split: str) -> list[str]:
    folders = [require_folder(root / part / SPLITS[split], README_ANCHOR) for part in PARTS]
    names = sorted(path.stem for path in folders[0].glob("*.jpg"))
    if not names:
        raise FileNotFoundError(f"folder {folders[0]} has no images; see data/README.md#{README_ANCHOR}")
    return names


def _map(convert: Callable[[str], Any], names: Sequence[str], workers: int) -> Iterator[Any]:
    if workers <= 1:
        yield from map(convert, names)
        return
    # Spawned, as forked copies of a process with threads (torch has some) can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(convert, names, chunksize=16)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _convert(
    root: Path, split: str, values: Values, folder: Path | None, name: str
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """An image's entries: of ``images``, of ``segments_info``, and of the instance file's ``annotations``."""
    image, semantic, instance = (root / part / split / name for part in PARTS)
    masks = read_masks(image.with_suffix(".jpg"), semantic.with_suffix(".png"), instance.with_suffix(".png"))
    try:
        ids, stuff, things = join_masks(masks, values)
    except ValueError as error:
        raise ValueError(f"image {name} in {root}, {split}: {error}; download the masks again") from error
    if folder is not None:
        write_panoptic_png(folder / f"{name}.png", ids)
    height, width = ids.shape
    entry = {"id": name, "file_name": f"{name}.jpg", "width": width, "height": height}
    return entry, [segment.to_dict() for segment in (*stuff, *things)], _objects(name, masks, things)


def _objects(name: str, masks: Masks, things: Sequence[Segment]) -> list[dict[str, Any]]:
    objects = []
    for thing in things:
        (rle,) = encode_masks([masks.instances == thing.id // INSTANCE_STEP])
        entry = thing.to_dict()
        del entry["id"]
        objects.append({**entry, "image_id": name, "segmentation": rle})
    return objects


def _write(
    path: Path, images: Sequence[dict[str, Any]], annotations: list[dict[str, Any]], vocabulary: Vocabulary
) -> None:
    categories = sorted(vocabulary.to_dict()["categories"], key=lambda category: category["id"])
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
