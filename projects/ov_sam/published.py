"""The published weights: three files with parts of the model, merged into one.

``python projects/ov_sam/published.py --help``
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from omgseg.datasets import load_vocabulary
from omgseg.datasets.files import read_json
from omgseg.files import whole_file
from omgseg.models.checkpoints.loading import VOCABULARY_KEY, CheckpointError, read_checkpoint
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

ADAPTER, FPN, DECODER, PROMPTS = "adapter", "FPN", "mask decoder", "prompt encoder"
PARTS: dict[str, tuple[tuple[str, str], ...]] = {
    ADAPTER: (
        (r"^neck(_student)?\.patch_embeds\.(\d+)\.projection\.", r"image_encoder.adapter.projections.\2."),
        (r"^neck(_student)?\.", "image_encoder.adapter."),
    ),
    FPN: ((r"^fpn_neck\.", "regions.fpn."),),
    DECODER: (
        (r"^mask_decoder\.mask_decoder\.", "mask_decoder."),
        (r"^mask_decoder\.(label_token|label_mlp)\.", r"mask_decoder.\1."),
        (r"^mask_decoder\.roi_conv\.0\.conv\.", "regions.projection."),
    ),
    PROMPTS: ((r"^(pe|prompt_encoder)\.", "prompt_encoder."),),
}
"""Of each part, patterns of the published names, and ours. A name is replaced by its first pattern that fits."""
_OWN = re.compile(r"^(neck_student|neck|fpn_neck|mask_decoder\.(mask_decoder|roi_conv)|pe)\.")
"""Names that only the published files have."""


def rename(published: str, part: str) -> str | None:
    """Our name of a tensor of one of :data:`PARTS`; None if it is not one of this part."""
    for pattern, replacement in PARTS[part]:
        ours, found = re.subn(pattern, replacement, published)
        if found:
            return ours
    return None


def parts_in(names: Iterable[str]) -> list[str]:
    """The parts that a file with these published names holds."""
    names = list(names)
    return [part for part in PARTS if any(rename(name, part) for name in names)]


def merge_parts(
    sources: Mapping[str, tuple[str, Mapping[str, Tensor]]], model: nn.Module
) -> dict[str, Tensor]:
    """The weights of a whole model, but for CLIP's, from its published parts.

    Args:
        sources: for each of :data:`PARTS` the file, for messages, and its tensors. A file of the prompt encoder is one
            of a whole SAM.
        model: says which tensors there are; it may be on the device ``meta``.

    Raises:
        CheckpointError: a file lacks tensors of its parts, has too many, or some of other shapes.
    """
    wanted = {
        name: tensor.shape
        for name, tensor in model.state_dict().items()
        if not name.startswith("image_encoder.trunk.")
    }
    merged: dict[str, Tensor] = {}
    unknown = {name for part, (_, tensors) in sources.items() if part != PROMPTS for name in tensors}
    for part, (file, tensors) in sources.items():
        of_part = {name: ours for name in tensors if (ours := rename(name, part))}
        if not of_part:
            held = " and ".join(parts_in(tensors)) or "no part of it"
            raise CheckpointError(f"{file} does not hold OV-SAM's {part}: it holds {held}")
        merged |= {ours: tensors[name] for name, ours in of_part.items()}
        unknown -= of_part.keys()
    wrong = misfits(merged, wanted) + [f"{name} is unexpected" for name in sorted(unknown)]
    if wrong:
        files = ", ".join(dict.fromkeys(file for file, _ in sources.values()))
        raise CheckpointError(f"{files} do not fit the model:\n" + "\n".join(wrong))
    return merged


def misfits(found: Mapping[str, Tensor], wanted: Mapping[str, torch.Size]) -> list[str]:
    """What is wrong with weights for a model: a line for each tensor that is missing, unexpected or of another shape.

    Args:
        found: name to tensor.
        wanted: name to shape.
    """
    return [
        *(f"{name} is missing" for name in wanted if name not in found),
        *(f"{name} is unexpected" for name in sorted({*found} - {*wanted})),
        *(
            f"{name} has the shape {tuple(tensor.shape)}, not {tuple(wanted[name])}"
            for name, tensor in found.items()
            if name in wanted and tensor.shape != wanted[name]
        ),
    ]


def reject_published(module: nn.Module, state_dict: dict[str, Any], prefix: str = "", *_: Any) -> None:
    """A pre-hook of loading: says how a published file, which is a part of the model, becomes a whole one."""
    if any(name.startswith(prefix) and _OWN.match(name.removeprefix(prefix)) for name in state_dict):
        held = parts_in(name.removeprefix(prefix) for name in state_dict)
        raise RuntimeError(
            f"it holds a published part of OV-SAM ({', '.join(held)}); "
            "projects/ov_sam/published.py merges the parts into one file"
        )


def lvis_base_words(path: str) -> Vocabulary:
    """The frequent and common classes of LVIS, in the words of this package.

    Args:
        path: an annotation file of LVIS v1, whose categories have a ``frequency``.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is another one.
    """
    categories = read_json(path, ("categories",), "lvis")["categories"]
    chosen = {entry.get("id") for entry in categories if entry.get("frequency") in ("f", "c")}
    words = Vocabulary(word for word in load_vocabulary("lvis_v1") if word.id in chosen)
    if not chosen or len(words) < len(chosen):
        raise ValueError(
            f"{path} is no annotation file of LVIS v1: its categories have no 'frequency', or other ids"
        )
    return words


def main(arguments: Sequence[str] | None = None) -> None:
    """Merge files."""
    parser = argparse.ArgumentParser(
        description="Merge the published files of OV-SAM into one checkpoint. They are under the S-Lab License 1.0: "
        "non-commercial use only, which holds for the merged file, too."
    )
    parser.add_argument("--sam2clip", required=True, help="sam2clip_vith_rn50x16.pth")
    parser.add_argument(
        "--clip2sam", required=True, help="clip2sam_coco_rn50x16.pth or clip2sam_lvis_rn50x16.pth"
    )
    parser.add_argument("--sam", required=True, help="sam_vit_h_4b8939.pth, for its prompt encoder")
    parser.add_argument(
        "--base-words", help="lvis_v1_val.json: its frequent and common classes count as seen"
    )
    parser.add_argument("--config", default="projects/ov_sam/configs/ov_sam_coco.py")
    parser.add_argument("--out", required=True, help="the checkpoint to write")
    given = parser.parse_args(arguments)
    config = Config.fromfile(given.config).model
    config.image_encoder.trunk.pretrained = config.text_encoder.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config)
    read = {file: read_checkpoint(file)["state_dict"] for file in (given.sam2clip, given.clip2sam, given.sam)}
    files = {ADAPTER: given.sam2clip, FPN: given.clip2sam, DECODER: given.clip2sam, PROMPTS: given.sam}
    merged = merge_parts({part: (file, read[file]) for part, file in files.items()}, model)
    meta = {}
    if given.base_words:
        meta[VOCABULARY_KEY] = json.dumps(lvis_base_words(given.base_words).to_dict())
    with whole_file(given.out) as file:
        torch.save({"state_dict": merged, "meta": meta}, file)


if __name__ == "__main__":
    main()
