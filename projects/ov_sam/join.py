"""One file of the weights of OMG-Seg and of OV-SAM, which share a backbone.

``python projects/ov_sam/join.py --help``
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from omgseg.files import whole_file
from omgseg.models.checkpoints.loading import VOCABULARY_KEY, CheckpointError, read_checkpoint
from omgseg.models.checkpoints.published import to_names_of
from omgseg.projects.ov_sam.one_backbone import ENCODER, OMG_SEG, OV_SAM, TRUNK
from omgseg.projects.ov_sam.published import misfits
from omgseg.registry import MODELS

HEADS = {OMG_SEG: "OMG-Seg", OV_SAM: "OV-SAM"}


def join_heads(
    sources: Mapping[str, tuple[str, Mapping[str, Tensor]]], model: nn.Module
) -> dict[str, Tensor]:
    """The weights of both heads, and those of the backbone, if a file has them.

    Args:
        sources: for each of :data:`HEADS` the file, for messages, and its tensors, those of OMG-Seg under any names.
        model: says which tensors there are; it may be on the device ``meta``, with all its weights in its state.

    Raises:
        CheckpointError: a file is not one of its head; lacks tensors, has too many, or some of other shapes; or the two
            have different backbones.
    """
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    joined: dict[str, Tensor] = {}
    for head, (file, tensors) in sources.items():
        of_head = {
            head + name: tensor
            for name, tensor in to_names_of(model.get_submodule(head[:-1]), tensors).items()
        }
        own = {name for name in of_head if not name.startswith((ENCODER, TRUNK))}
        if not own & {*wanted}:
            raise CheckpointError(f"{file} does not hold {HEADS[head]}: no tensor has one of its names")
        joined |= of_head
    files = ", ".join(file for file, _ in sources.values())
    for name in [name for name in joined if name.startswith(TRUNK)]:
        tensor, shared = joined.pop(name), ENCODER + name.removeprefix(TRUNK)
        if not torch.equal(joined.setdefault(shared, tensor), tensor):
            raise CheckpointError(
                f"{files} hold different backbones: {shared} differs. Both heads need the same CLIP"
            )
    if not any(name.startswith(ENCODER) for name in joined):  # the config's `pretrained` supplies it
        wanted = {name: shape for name, shape in wanted.items() if not name.startswith(ENCODER)}
    if wrong := misfits(joined, wanted):
        raise CheckpointError(f"{files} do not fit the model:\n" + "\n".join(wrong))
    return joined


def main(arguments: Sequence[str] | None = None) -> None:
    """Join two files."""
    parser = argparse.ArgumentParser(
        description="Join the weights of OMG-Seg and of OV-SAM on the same CLIP into one checkpoint. The licences of "
        "both hold for it."
    )
    parser.add_argument("--omg-seg", required=True, help="a checkpoint of OMG-Seg, ours or a published one")
    parser.add_argument("--ov-sam", required=True, help="a checkpoint of OV-SAM, trained on the same CLIP")
    parser.add_argument("--config", default="projects/ov_sam/configs/omg_ov_sam.py")
    parser.add_argument("--out", required=True, help="the checkpoint to write")
    given = parser.parse_args(arguments)
    config = Config.fromfile(given.config).model
    for model in (config.omg_seg, config.ov_sam):
        model.text_encoder.pretrained = None
    config.omg_seg.image_encoder.pretrained = config.ov_sam.image_encoder.trunk.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config)
    read = {OMG_SEG: read_checkpoint(given.omg_seg), OV_SAM: read_checkpoint(given.ov_sam)}
    files = {OMG_SEG: given.omg_seg, OV_SAM: given.ov_sam}
    joined = join_heads({head: (files[head], read[head]["state_dict"]) for head in HEADS}, model)
    with whole_file(given.out) as file:
        torch.save({"state_dict": joined, "meta": _words_of_training(read[OMG_SEG])}, file)


def _words_of_training(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of OMG-Seg's metadata: without its words, every word counts as seen."""
    meta = checkpoint.get("meta") or {}
    return {key: meta[key] for key in (VOCABULARY_KEY,) if key in meta}


if __name__ == "__main__":
    main()
