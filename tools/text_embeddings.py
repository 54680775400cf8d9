"""Compute text embeddings ahead of time, on a machine that has CLIP's weights, for machines without them.

Training and testing compute missing embeddings by themselves; this only fills the cache, to be copied.

Examples:
    python tools/text_embeddings.py configs/omg_coco_vipseg_ytvis.py
    python tools/text_embeddings.py configs/omg_coco_vipseg_ytvis.py --vocabulary my_words.json
    python tools/text_embeddings.py --vocabulary my_words.json --model convnext_large_d_320 \\
        --pretrained laion2b_s29b_b131k_ft_soup
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from omgseg.models.omgseg.text_encoder import TEMPLATES, TextEncoder
from omgseg.registry import DATASETS, MODELS
from omgseg.structures import Vocabulary


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "config", nargs="?", type=Path, help="config whose text encoder and datasets are taken"
    )
    parser.add_argument(
        "--vocabulary",
        nargs="+",
        type=Path,
        default=[],
        help="vocabulary files (.json, .txt), instead of datasets",
    )
    parser.add_argument("--model", default="convnext_large_d_320", help="open_clip model, without a config")
    parser.add_argument("--pretrained", help="weights' tag or file, without a config")
    parser.add_argument("--templates", default="vild", choices=sorted(TEMPLATES), help="without a config")
    parser.add_argument("--cache-dir", help="folder of the cache, without a config")
    args = parser.parse_args(argv)
    if args.config is None and not (args.vocabulary and args.pretrained):
        parser.error("give a config, or both --vocabulary and --pretrained")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    config = _read_config(args.config) if args.config else None
    if config is not None:
        encoder = MODELS.build(config.model.text_encoder)
    else:
        encoder = TextEncoder(args.model, args.pretrained, args.templates, args.cache_dir)
    if encoder.cache_path is None:
        print("the text encoder has random weights (pretrained=None); those embeddings are not cached")
        return 1
    vocabularies = {str(path): Vocabulary.load(path) for path in args.vocabulary} or _dataset_vocabularies(
        config
    )
    for source, vocabulary in vocabularies.items():
        texts = encoder.class_texts(vocabulary)
        print(f"{source}: {len(vocabulary)} categories, embeddings {tuple(texts.words.shape)}")
    print(f"cached in {encoder.cache_path}")
    return 0


def _read_config(path: Path) -> Config:
    config = Config.fromfile(path)
    init_default_scope(config.get("default_scope", "omgseg"))
    return config


def _dataset_vocabularies(config: Config) -> dict[str, Vocabulary]:
    """The vocabularies of the config's datasets, by data loader."""
    vocabularies = {}
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if config.get(loader):
            vocabularies[loader] = DATASETS.build(config[loader].dataset).vocabulary
    return vocabularies


if __name__ == "__main__":
    sys.exit(main())
