"""Multiply-additions of Open-Vocabulary SAM and of the combinations that it is compared with, in one table.

python projects/ov_sam/costs.py                                       the published sizes
python projects/ov_sam/costs.py CONFIG [CONFIG ...] --out table.md    others

Of an image once, and of each box that is segmented and named in it. Matrix products, convolutions and attention count;
text embeddings, which are cached, do not. Nothing is computed: tensors have sizes and no content.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from omgseg.engine.config import ConfigError, one_line_errors
from omgseg.files import whole_file
from omgseg.models.omgseg.clip_weights import clip_config
from omgseg.projects.ov_sam.model import OpenVocabularySAM
from omgseg.registry import MODELS
from omgseg.tables import markdown_table

CONFIGS = Path(__file__).parent / "configs"
PUBLISHED = tuple(
    str(CONFIGS / f"{name}.py")
    for name in (
        "baseline_image_crop",
        "baseline_feature_crop",
        "ov_sam_coco",
        "baseline_image_crop_convnext_l",
        "baseline_feature_crop_convnext_l",
        "ov_sam_convnext_l_coco",
    )
)
PROMPTS = 10
"""Boxes of an image in the table's sum."""


class Cost(NamedTuple):
    """Of a model that segments and names boxes.

    Attributes:
        parameters: without the text tower.
        per_image, per_prompt: multiply-additions.
    """

    parameters: int
    per_image: int
    per_prompt: int


def cost_of(config: Config) -> Cost:
    """The cost of an OV-SAM, or of one of the baselines. No weights are read.

    Raises:
        ConfigError: it is neither.
    """
    with torch.no_grad(), torch.device("meta"):
        if config.get("segmenter", {}).get("type") in ("ImageCropNamer", "FeatureCropNamer"):
            return _cost_of_baseline(config)
        if config.get("model", {}).get("type") == "OpenVocabularySAM":
            return _cost_of_ov_sam(MODELS.build(_without_files(config.model)).requires_grad_(False))
    raise ConfigError(f"{config.filename} is neither an OpenVocabularySAM nor one of its baselines")


def _cost_of_ov_sam(model: OpenVocabularySAM) -> Cost:
    per_image, features = _count(lambda: model.encode(torch.zeros(1, 3, model.image_size, model.image_size)))
    decode, answer = _count(lambda: model.decode(features.embedding, boxes=torch.zeros(1, 4)))
    side = model.regions.size
    regions = torch.zeros(1, model.regions.projection.in_channels, side, side)
    project, _ = _count(lambda: model.regions.projection(regions))
    look, _ = _count(lambda: model.look_at(features, torch.zeros(1, 4), answer.logits[:, 0]))
    per_prompt = decode + project + look
    if not model.published:  # names decode the mask's box, for the label token
        label, _ = _count(lambda: model.mask_decoder.embed_labels(answer.tokens))
        per_prompt += decode + label
    return Cost(_parameters(model), per_image, per_prompt)


def _cost_of_baseline(config: Config) -> Cost:
    given = config.segmenter
    model, clip = (
        MODELS.build(_without_files(part)).requires_grad_(False) for part in (config.model, given.clip)
    )
    per_image, embedding = _count(
        lambda: model.image_encoder(torch.zeros(1, 3, model.image_size, model.image_size))
    )
    per_prompt, _ = _count(lambda: model.decode(embedding, boxes=torch.zeros(1, 4)))
    crop = clip_config(given.clip.model_name)["vision_cfg"]["image_size"]
    side = given.image_size if given.type == "FeatureCropNamer" else crop
    see, (*_, last) = _count(lambda: clip(torch.zeros(1, 3, side, side)))
    cells = crop // clip.strides[-1]
    look, _ = _count(
        lambda: clip.look_at(last[..., :cells, :cells], torch.zeros(1, 4), torch.ones(1, cells, cells))
    )
    if given.type == "FeatureCropNamer":
        per_image += see
    else:
        per_prompt += see
    return Cost(_parameters(model) + _parameters(clip), per_image, per_prompt + look)


def _without_files(config: Any) -> Any:
    """A part's config that reads no weights."""
    if not isinstance(config, Mapping):
        return config
    return {key: None if key == "pretrained" else _without_files(value) for key, value in config.items()}


def _count(run: Callable[[], Any]) -> tuple[int, Any]:
    """Multiply-additions of a call, and its result."""
    with FlopCounterMode(display=False) as counter:
        result = run()
    return counter.get_total_flops() // 2, result


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def table(costs: Mapping[str, Cost]) -> str:
    """Markdown: a row for each config, by name."""
    header = ("", "parameters", "an image, G", "a box, G", f"an image with {PROMPTS} boxes, G")
    rows = []
    for name, cost in costs.items():
        numbers = (cost.per_image, cost.per_prompt, cost.per_image + PROMPTS * cost.per_prompt)
        giga = (f"{number / 1e9:,.{1 if number >= 1e9 else 4}f}" for number in numbers)
        rows.append((name, f"{cost.parameters / 1e6:,.1f} M", *giga))
    return markdown_table(header, rows, right=range(1, len(header)))


def main(argv: Sequence[str] | None = None) -> dict[str, Cost]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="*", default=PUBLISHED, metavar="CONFIG")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the table as Markdown")
    args = parser.parse_args(argv)
    MMLogger.get_current_instance().setLevel("ERROR")  # no warning about random weights
    costs = {Path(file).stem: cost_of(Config.fromfile(file)) for file in args.configs}
    text = table(costs)
    print(text)
    if args.out is not None:
        with whole_file(args.out) as temporary:
            temporary.write_text(text + "\n")
    return costs


if __name__ == "__main__":
    with one_line_errors():
        main()
