"""SAM and its relatives: what they cost, and SAM against transformers' ``SamModel`` of equal size and weights.

FastSAM has no mask decoder: its parts are the network and everything mode.

``python -m benchmarks.sam CONFIG SIDE PART POINTS THREADS`` prints the bytes by which a process grows that runs a part.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.processes import NO_HEAP, Run, alternate, environment, growth_of, run_fresh
from benchmarks.sam_sides import (
    TINY,
    PromptedSide,
    Side,
    Transformers,
    build,
    picture_for,
    read_model,
    side_of,
)
from omgseg.engine.model_cost import model_cost
from omgseg.inference.loading import read_config
from omgseg.models.sam.model import SAM
from omgseg.projects.fast_sam import FastSam
from omgseg.registry import MODELS
from omgseg.tables import markdown_table

REPOSITORY = Path(__file__).parents[1]
SAM_B = REPOSITORY / "configs" / "sam" / "sam_vit_b.py"
CONFIGS = (
    SAM_B,
    REPOSITORY / "configs" / "sam" / "sam_vit_l.py",
    REPOSITORY / "projects" / "mobile_sam" / "configs" / "mobile_sam.py",
    REPOSITORY / "projects" / "edge_sam" / "configs" / "edge_sam.py",
    REPOSITORY / "projects" / "efficient_sam" / "configs" / "efficient_sam_ti.py",
    REPOSITORY / "projects" / "efficient_sam" / "configs" / "efficient_sam_s.py",
    REPOSITORY / "projects" / "fast_sam" / "configs" / "fast_sam.py",
    REPOSITORY / "projects" / "ba_sam" / "configs" / "mobile_sam_2048.py",
    REPOSITORY / "projects" / "ba_sam" / "configs" / "sam_vit_b_2048.py",
)
SIDES = {"ours": side_of, "transformers": Transformers}
PARTS = {
    "encoder": "picture -> embedding",
    "decoder_1": "one point -> three masks of a quarter of the size",
    "decoder_64": "64 points of one image -> three masks each",
    "everything": "picture -> run lengths of all masks",
}
TARGETS = {"encoder": (1.3, 0.4), "decoder_64": (1.5, None), "everything": (2.0, None)}
"""How many times faster than transformers, and at what share of its memory; None: no target."""
CHECK_POINTS = 8
"""Points per side of the grid with which both sides are compared: equality shows in few masks as in many."""
TOLERANCE = 1e-4
"""Largest deviation of embeddings and logits, relative to the largest value."""


def has_part(model: SAM | FastSam, part: str) -> bool:
    """Whether a model has a part of :data:`PARTS`."""
    return isinstance(model, SAM) or not part.startswith("decoder")


def prepare(side: Side, model: SAM | FastSam, part: str, points_per_side: int) -> Run:
    """What is measured of a part; its inputs exist already."""
    picture = picture_for(model)
    if part == "encoder":
        return lambda: side.encode(picture)
    if part == "everything":
        return lambda: side.everything(picture, points_per_side)
    embedding, points = decoder_inputs(model, int(part.removeprefix("decoder_")))
    return lambda: side.decode(embedding, points)


def decoder_inputs(model: SAM, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An embedding (1, E, h, w), and points (N, 2) on its image."""
    torch.manual_seed(0)
    cells = model.image_size // model.image_encoder.stride
    return torch.randn(1, model.image_encoder.embed_dim, cells, cells), torch.rand(
        count, 2
    ) * model.image_size


def check(ours: PromptedSide, theirs: PromptedSide, model: SAM) -> dict[str, dict[str, Any]]:
    """Both sides on one input: deviations relative to the largest value, and the share of masks that differ."""
    picture = picture_for(model)
    embeddings = ours.encode(picture), theirs.encode(picture)
    embedding, points = decoder_inputs(model, 8)
    logits, iou = zip(ours.decode(embedding, points), theirs.decode(embedding, points), strict=True)
    found, expected = (
        {rle["counts"] for rle in side.everything(picture, CHECK_POINTS)} for side in (ours, theirs)
    )
    deviations = {
        "embedding": _deviation(*embeddings),
        "logits": _deviation(*logits),
        "expected_iou": _deviation(*iou),
    }
    results = {name: dict(deviation=value, passed=value <= TOLERANCE) for name, value in deviations.items()}
    differ = len(found ^ expected) / max(len(found | expected), 1)
    return results | {"everything": dict(masks=len(expected), deviation=differ, passed=found == expected)}


def _deviation(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def costs(config: Path) -> dict[str, float | None]:
    """Parameters, and multiply-additions of the image encoder and of the decoder with one point; None: no decoder."""
    model = read_config(str(config)).model
    if not issubclass(MODELS.get(model.type), SAM):
        return _fast_sam_costs(model)
    parts = {part.name: part for part in model_cost(model, (1, 1), num_classes=1)}
    return {
        "parameters": sum(part.parameters for part in parts.values()),
        "encoder_macs": parts["image_encoder"].flops / 2,
        "decoder_macs": (parts["prompt_encoder"].flops + parts["mask_decoder"].flops) / 2,
    }


@torch.no_grad()
def _fast_sam_costs(config: dict[str, Any]) -> dict[str, float | None]:
    with torch.device("meta"):
        model: FastSam = MODELS.build(config).eval()
        image = torch.zeros(1, 3, model.image_size, model.image_size)
        with FlopCounterMode(display=False) as flops:
            model.network(image)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters, "encoder_macs": flops.get_total_flops() / 2, "decoder_macs": None}


def peak_growth(config: Path, side: str, part: str, points_per_side: int, threads: int) -> int:
    """Bytes by which a fresh process grows at its peak while it runs a part once; weights and inputs exist before.

    Raises:
        RuntimeError: the process failed; the message ends with its own.
    """
    arguments = [str(config), side, part, str(points_per_side), str(threads)]
    return int(run_fresh(__spec__.name, arguments, f"the memory of {config.stem}, {part},", **NO_HEAP))


def main(config: str, side: str, part: str, points_per_side: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    read_config(config)  # registers what it imports
    tiny = build(TINY)
    prepare(SIDES[side](tiny), tiny, part, points_per_side=4)()  # loads libraries
    model = read_model(config)
    print(growth_of(prepare(SIDES[side](model), model, part, int(points_per_side))))


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Costs, times and memory of each model, transformers' last, and whether both sides agree."""
    configs = {config.stem: config for config in args.configs}
    models = {name: read_model(str(config)) for name, config in configs.items()}
    sides: dict[str, Side] = {name: side_of(model) for name, model in models.items()}
    where = {name: (config, "ours") for name, config in configs.items()}
    result: dict[str, Any] = {"costs": {config.stem: costs(config) for config in args.configs}}
    against = args.against.stem if args.against else None
    if against:
        sides["transformers"] = Transformers(models[against])
        models["transformers"] = models[against]
        where["transformers"] = (args.against, "transformers")
        print(f"checking {against} against transformers ...", flush=True)
        result["checks"] = check(sides[against], sides["transformers"], models[against])
    result["parts"] = {}
    for part in args.parts:
        print(f"measuring {part} ...", flush=True)
        taking = [name for name in sides if has_part(models[name], part)]
        memory = {
            name: peak_growth(*where[name], part, args.points_per_side, torch.get_num_threads())
            for name in taking
        }
        timings = alternate(
            {name: prepare(sides[name], models[name], part, args.points_per_side) for name in taking},
            args.repeats,
        )
        measured = {name: {**asdict(timings[name]), "extra_bytes": memory[name]} for name in taking}
        result["parts"][part] = measured
        if against:
            ours, theirs = measured[against], measured["transformers"]
            result.setdefault("gains", {})[part] = gain(part, ours, theirs)
    return result


def gain(part: str, ours: dict[str, float], theirs: dict[str, float]) -> dict[str, Any]:
    """Our gain over the other side, and whether it reaches the target."""
    speedup, share = TARGETS.get(part, (None, None))
    result = {
        "speedup": theirs["seconds"] / ours["seconds"],
        "cpu_speedup": theirs["cpu_seconds"] / ours["cpu_seconds"],
        "memory_share": ours["extra_bytes"] / theirs["extra_bytes"],
        "target": {"speedup": speedup, "memory_share": share},
    }
    is_fast = speedup is None or result["speedup"] >= speedup
    return result | {"reached": is_fast and (share is None or result["memory_share"] <= share)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configs",
        type=Path,
        nargs="+",
        default=list(CONFIGS),
        help="models to measure (default: SAM ViT-B and ViT-L, MobileSAM, EdgeSAM, EfficientSAM-Ti and -S, FastSAM, and"
        " BA-SAM's MobileSAM and SAM ViT-B on images of 2048 pixels)",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CONFIG",
        help="the one of --configs with SAM's own image encoder that transformers is measured with (default: ViT-B if"
        " it is measured)",
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument(
        "--points-per-side", type=int, default=32, help="of everything mode's grid (default 32)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="measured runs per model and part (default 3)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: PyTorch's own choice)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")


def run(args: argparse.Namespace) -> int:
    """Returns 0, or 1 when the two sides do not compute the same."""
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.against is None and SAM_B in [config.resolve() for config in args.configs]:
        args.against = SAM_B
    result = {"environment": environment(), "repeats": args.repeats, **measure(args)}
    print("\n" + "\n".join(sam_tables(result)))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(not all(found["passed"] for found in result.get("checks", {}).values()))


def sam_tables(result: dict[str, Any]) -> Iterator[str]:
    """Lines to print."""
    parts = result["parts"]
    header = ["model", "parameters", "G mult-adds: encoder, decoder"]
    header += [f"{part}: time, extra MB" for part in parts]
    rows = []
    for name in dict.fromkeys([*result["costs"], *(name for part in parts.values() for name in part)]):
        cost = result["costs"].get(name)
        row = [name, "", ""]
        if cost:
            decoder = "none" if cost["decoder_macs"] is None else f"{cost['decoder_macs'] / 1e9:.2f}"
            macs = f"{cost['encoder_macs'] / 1e9:.1f}, {decoder}"
            row = [name, f"{cost['parameters'] / 1e6:.2f} M", macs]
        for part in parts.values():
            found = part.get(name)
            row.append(f"{_time(found['seconds'])}, {found['extra_bytes'] / 2**20:.0f}" if found else "")
        rows.append(row)
    yield markdown_table(header, rows)
    if "gains" in result:
        yield ""
        yield markdown_table(
            ("against transformers", "faster (target)", "processor time", "memory (target)", "reached"),
            [_gain_row(part, found) for part, found in result["gains"].items()],
        )
        for name, found in result["checks"].items():
            verdict = "equal" if found["passed"] else "DIFFERENT"
            yield f"{name}: {verdict} (deviation {found['deviation']:.1e})"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.0f} ms"


def _gain_row(part: str, found: dict[str, Any]) -> list[str]:
    speedup, share = found["target"]["speedup"], found["target"]["memory_share"]
    return [
        part,
        f"{found['speedup']:.2f}x" + (f" ({speedup}x)" if speedup else ""),
        f"{found['cpu_speedup']:.2f}x",
        f"{found['memory_share']:.0%}" + (f" ({share:.0%})" if share else ""),
        "yes" if found["reached"] else "NO",
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
