"""Cityscapes: the official panoptic ground truth, made by the dataset's own package from the masks in gtFine."""

from __future__ import annotations

from pathlib import Path

from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic

from omgseg.datasets.converters import outputs
from omgseg.datasets.files import require_folder

README_ANCHOR = "cityscapes"


def convert_cityscapes(root: str | Path, split: str) -> list[Path]:
    """Write ``gtFine/cityscapes_panoptic_{split}.json`` with its folder of PNGs, unless they are there already.

    The package reports its progress on the standard output. Category ids are the official label ids (7 road ... 33
    bicycle), image ids the names of the images without ``_leftImg8bit.png``.

    Args:
        root: the folder with ``gtFine``.
        split: ``train`` or ``val``.

    Returns:
        The JSON files that were written.

    Raises:
        FileNotFoundError: there are no masks.
        FileExistsError: the JSON file is there without the folder, or the other way round.
        OSError, ValueError: a mask is truncated, or holds a value that is not a label; the file is named.
    """
    ground_truth = require_folder(Path(root) / "gtFine", README_ANCHOR)
    name = f"cityscapes_panoptic_{split}"
    folder, ann_file = ground_truth / name, ground_truth / f"{name}.json"
    if outputs.exists(ann_file, folder):
        return []
    masks = sorted(require_folder(ground_truth / split, README_ANCHOR).glob("*/*_instanceIds.png"), key=str)
    if not masks:
        raise FileNotFoundError(
            f"{ground_truth / split}/<city>/ has no *_gtFine_instanceIds.png; see data/README.md#{README_ANCHOR}"
        )
    with outputs.staging(ground_truth, name) as new:
        try:
            convert2panoptic(str(ground_truth), str(new), useTrainId=False, setNames=[split])
        except (OSError, SyntaxError, KeyError) as error:
            if getattr(error, "errno", None) is not None:  # not about a mask's content: a full disk
                raise
            # The package names no file. It takes them in this order and writes one PNG for each.
            path = masks[len(list((new / name).iterdir()))]
            if isinstance(error, KeyError):
                raise ValueError(
                    f"{path} holds label {int(error.args[0])}, which Cityscapes does not have"
                ) from error
            raise OSError(
                f"{path} is truncated or not an image ({error}); copy or download it again"
            ) from error
    return [ann_file]
