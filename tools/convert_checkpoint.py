"""Convert a published checkpoint to our key names, as safetensors, with a JSON beside it that says what it is.

It is one of OMG-Seg, or of the model of --config.

Examples:
    python tools/convert_checkpoint.py hf://LXT/OMG_Seg/omg_seg_convl.pth omg_seg_convl.safetensors
    python tools/convert_checkpoint.py epoch_12.pth omg_seg.safetensors --config configs/omg_coco_vipseg_ytvis.py
    python tools/convert_checkpoint.py rapsam_r50_12e.pth rap_sam.safetensors \\
        --config projects/rap_sam/configs/rap_sam_r50.py

A training checkpoint may hold Python objects besides tensors and mmengine's log. It is refused, with their names; with
--trust-pickle its tensors are taken out in an isolated process.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from omgseg import __version__
from omgseg.files import whole_file
from omgseg.models.checkpoints.hub import local_file
from omgseg.models.checkpoints.isolated_reader import training_facts
from omgseg.models.checkpoints.loading import load_state
from omgseg.models.checkpoints.published import (
    holds_image_encoder,
    is_published_layout,
    layout_of,
    to_names_of,
)
from omgseg.models.checkpoints.reading import ForeignObjectsError, read_file, tensors_of, write_state_dict
from omgseg.models.checkpoints.record import SourceFile, conversion_record
from omgseg.models.checkpoints.trusted_pickle import read_trusted_pickle
from omgseg.registry import MODELS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source",
        help="published weights: .pth, .pt or .safetensors, or hf://owner/repository/file[@revision]",
    )
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    parser.add_argument(
        "--config",
        type=Path,
        help="the weights are those of this config's model (default: OMG-Seg); also load them into it, and report",
    )
    parser.add_argument(
        "--trust-pickle",
        action="store_true",
        help="you trust where the file comes from: if it holds foreign objects, read its tensors all the same",
    )
    args = parser.parse_args(argv)
    if args.target.suffix != ".safetensors":
        parser.error(f"the target {args.target} must end in .safetensors")
    return args


def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 1 when keys are not of the published layout or do not fit the config's model."""
    args = parse_args(argv)
    try:
        source = _read(args)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    published = is_published_layout(source.tensors)
    if not published and source.file.suffix == ".safetensors":
        print(f"{args.source}: no key starts with 'backbone.' or 'panoptic_head.'; nothing to convert")
        return 1
    config = None if args.config is None else Config.fromfile(args.config)
    model = None if config is None else MODELS.get(config.model.type)
    converted = to_names_of(model, source.tensors) if published else source.tensors
    write_state_dict(args.target, converted, {"format": "pt", "converted_from": source.file.name})
    record = conversion_record(source, args.target, converted, __version__, config, layout_of(model))
    with whole_file(args.target.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")
    print(f"{args.target}: {record['tensors']} tensors, {record['parameters'] / 1e6:.1f} M values")
    if not published:
        print("  no key starts with 'backbone.' or 'panoptic_head.': all names are kept as they are")
    elif not holds_image_encoder(converted):
        print("  the image encoder is not among them: its weights are those of the config's 'pretrained'")
    unknown = record["keys"]["unknown"]
    for key in unknown:
        print(f"  not in the published layout, kept as it is: {key}")
    if unknown and config is None:
        print(
            "  this is the layout of OMG-Seg; --config names another model, by whose layout keys are renamed"
        )
    return int(bool(unknown)) if config is None else _check(config, converted)


def _read(args: argparse.Namespace) -> SourceFile:
    file = local_file(args.source)
    try:
        content = read_file(file)
    except ForeignObjectsError:
        if not args.trust_pickle:
            raise
    else:
        return SourceFile(args.source, file, tensors_of(content, args.source), training_facts(content))
    print(
        f"WARNING: {file} holds Python objects besides weights. Because of --trust-pickle its tensors are taken out in "
        "an isolated process; nothing else is kept"
    )
    tensors, training, left_out = read_trusted_pickle(file, args.target.parent)
    print(f"  left out: {', '.join(left_out)}")
    return SourceFile(args.source, file, tensors_of(tensors, args.source), training, left_out)


def _check(config: Config, converted: Mapping[str, Tensor]) -> int:
    """Load the weights into the config's model and report."""
    init_default_scope(config.get("default_scope", "omgseg"))
    has_own_encoder = config.model.image_encoder.get("pretrained") is not None
    config.model.image_encoder.pretrained = None  # names and shapes are compared: no download
    report = load_state(MODELS.build(config.model), converted, strict=False)
    if has_own_encoder and not holds_image_encoder(converted):
        report.missing = [key for key in report.missing if not key.startswith("image_encoder.")]
    print(report)
    return int(not report.is_clean)


if __name__ == "__main__":
    sys.exit(main())
