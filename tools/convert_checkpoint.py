"""Convert a published OMG-Seg checkpoint to our key names, as safetensors.

Example:
    python tools/convert_checkpoint.py omg_seg_convl.pth omg_seg_convl.safetensors \\
        --config configs/omg_coco_vipseg_ytvis.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from omgseg.models.checkpoint_io import read_state_dict, write_state_dict
from omgseg.models.convert import PREFIXES, convert_state_dict, is_published_layout, load_state
from omgseg.registry import MODELS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="published weights: .pth, .pt or .safetensors")
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    parser.add_argument(
        "--config", type=Path, help="also load the result into this config's model, and report"
    )
    args = parser.parse_args(argv)
    if args.target.suffix != ".safetensors":
        parser.error(f"the target {args.target} must end in .safetensors")
    return args


def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 1 when keys are not of the published layout or do not fit the config's model."""
    args = parse_args(argv)
    published = read_state_dict(args.source)
    if not is_published_layout(published):
        print(f"{args.source}: no key starts with 'backbone.' or 'panoptic_head.'; nothing to convert")
        return 1
    converted = convert_state_dict(published)
    known = tuple(prefix for prefix, _ in PREFIXES)
    unknown = [key for key in published if not key.startswith(known)]
    write_state_dict(args.target, converted, metadata={"format": "pt", "converted_from": args.source.name})
    values = sum(tensor.numel() for tensor in converted.values()) / 1e6
    print(f"{args.target}: {len(converted)} tensors, {values:.1f} M values")
    for key in unknown:
        print(f"  not in the published layout, kept as it is: {key}")
    if args.config is None:
        return int(bool(unknown))
    report = load_state(_build_model(args.config), converted, strict=False)
    print(report)
    return int(not report.is_clean)


def _build_model(config_file: Path) -> nn.Module:
    config = Config.fromfile(config_file)
    init_default_scope(config.get("default_scope", "omgseg"))
    config.model.image_encoder.pretrained = None  # the checkpoint brings all weights
    return MODELS.build(config.model)


if __name__ == "__main__":
    sys.exit(main())
