"""Find annotated segments that are probably wrong, with a trained model, and list them for a person to look at.

    python projects/data_cleaning/find_outliers.py CONFIG --run RUN --out suspects.html
    python projects/data_cleaning/find_outliers.py CONFIG --run RUN --method mo_gaal --out suspects.html --drop 2%

CONFIG names the annotated images, RUN the model. Writes the page, and beside it the whole list as suspects.json; with
--drop also suspects_cleaned.json: the annotation file without the most suspicious segments. Nothing is written over.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config

from omgseg.cli.status import UsageError, user_errors
from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.checking import DatasetFiles, find_sources
from omgseg.datasets.files import read_json
from omgseg.datasets.transforms.loading import read_rgb
from omgseg.files import whole_file
from omgseg.inference import load
from omgseg.messages import did_you_mean
from omgseg.projects.data_cleaning.ranking import (
    COMPONENTS,
    DEFAULT_METHOD,
    METHODS,
    Suspect,
    ranked,
    suspicion,
)
from omgseg.projects.data_cleaning.survey import Survey, SurveyError, annotated_images, survey
from omgseg.structures import Task
from omgseg.structures.run_lengths import decode_masks
from omgseg.visualization import render, side_by_side
from omgseg.visualization.samples import enlarge, enlarge_segments, truth_of, zoom_for

SHOWN = 100
MARGIN = 0.25
"""Around a segment, as a share of its box."""
LEAST_MARGIN = 16
JPEG_QUALITY = 85
STYLE = (
    "body{font:15px sans-serif;margin:2em;background:#f6f6f4}figure{display:inline-block;margin:0 1em 1.5em 0;"
    "padding:.7em;background:#fff;border:1px solid #ddd;vertical-align:top}figcaption{max-width:60em;margin-top:.5em}"
    "img{max-width:100%}small{color:#666}"
)


def share(text: str) -> float:
    """``2%`` or ``0.02``."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a share of the segments; give one above 0 and below 1, e.g. 2%"
        )
    return value


def choose_source(config: Config, split: str, name: str | None) -> DatasetFiles:
    """The dataset of a config, by its name; None: the first one whose segments have classes and masks.

    Raises:
        UsageError: there is none.
    """
    sources = find_sources(config, split)
    if name is not None:
        chosen = [source for source in sources if source.name == name]
        if not chosen:
            names = [source.name for source in sources]
            raise UsageError(
                f"--source {name}: the {split} data of the config are {', '.join(names)}{did_you_mean(name, names)}"
            )
        return chosen[0]
    chosen = [source for source in sources if not source.is_class_agnostic]
    if not chosen:
        raise UsageError(f"the {split} data of the config have no classes; give another --split or config")
    return chosen[0]


def write_list(file: Path, found: Survey, suspects: Sequence[Suspect], settings: dict[str, Any]) -> None:
    """Write the ranked list as JSON; an infinite score is null."""
    entries = [
        {
            "rank": rank,
            "score": suspect.score if math.isfinite(suspect.score) else None,
            "hint": suspect.hint,
            "image": str(found.images[suspect.index]),
            "image_id": found.image_ids[suspect.index],
            "segment_id": found.segment_ids[suspect.index],
            "annotated": found.vocabulary[int(found.labels[suspect.index])].name,
            "likely": None if suspect.likely is None else found.vocabulary[suspect.likely].name,
            "probability": round(suspect.probability, 4),
            "iou": round(float(found.seen.ious[suspect.index]), 4),
        }
        for rank, suspect in enumerate(suspects, 1)
    ]
    with whole_file(file) as temporary:
        temporary.write_text(json.dumps({**settings, "suspects": entries}, indent=1) + "\n")


def write_page(file: Path, found: Survey, suspects: Sequence[Suspect], anchor: str, title: str) -> None:
    """Write a page of pictures that needs no other file.

    Args:
        suspects: those that are shown.
        anchor: of data/README.md, for errors about images.
        title: of the page.
    """
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(title)}</title>",
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>",
        "<p>The most suspicious first: the image, the annotation, and what the model sees.</p>",
    ]
    for rank, suspect in enumerate(suspects, 1):
        index = suspect.index
        encoded = base64.b64encode(_jpeg(picture(found, suspect, anchor))).decode()
        likely = "nothing"
        if suspect.likely is not None:
            likely = f"{found.vocabulary[suspect.likely].name} ({suspect.probability:.2f})"
        annotated = found.vocabulary[int(found.labels[index])].name
        caption = (
            f"<b>{rank}. {html.escape(suspect.hint)}</b><br>annotated: {html.escape(annotated)}, likely: "
            f"{html.escape(likely)}, IoU {found.seen.ious[index]:.2f}<br><small>"
            f"{html.escape(str(found.images[index]))}, segment {found.segment_ids[index]}</small>"
        )
        parts.append(
            f"<figure><img alt='' src='data:image/jpeg;base64,{encoded}'><figcaption>{caption}</figcaption></figure>"
        )
    with whole_file(file) as temporary:
        temporary.write_text("\n".join(parts) + "\n")


def picture(found: Survey, suspect: Suspect, anchor: str) -> np.ndarray:
    """A suspect's part of the image, its annotation and what the model sees, side by side; uint8 RGB."""
    index = suspect.index
    image = read_rgb(found.images[index], anchor)
    masks = decode_masks([found.rles[index], found.seen.rles[index]], image.shape[:2])
    rows, columns = _window(masks.any(0))
    crop, masks = image[rows, columns], masks[:, rows, columns]
    zoom = zoom_for(*crop.shape[:2])
    large = enlarge(np.ascontiguousarray(crop), zoom)
    panels = {"image": large}
    for title, mask, label in (
        ("annotated", masks[0], int(found.labels[index])),
        ("likely", masks[1], -1 if suspect.likely is None else suspect.likely),
    ):
        segment = truth_of(Task.PANOPTIC, mask[None], np.array([label]), found.vocabulary, None)
        panels[title] = render(large, enlarge_segments(segment, zoom), zoom=zoom)
    return side_by_side(panels.values(), panels)


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns around a mask (H, W); the whole image around an empty one."""
    if not mask.any():
        return slice(None), slice(None)
    window = []
    for side in (mask.any(1), mask.any(0)):
        inside = np.flatnonzero(side)
        margin = max(LEAST_MARGIN, round(MARGIN * (inside[-1] - inside[0])))
        window.append(slice(max(int(inside[0]) - margin, 0), int(inside[-1]) + 1 + margin))
    return window[0], window[1]


def _jpeg(image: np.ndarray) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def cleaned(dataset: SegmentationDataset, found: Survey, dropped: Sequence[Suspect]) -> dict[str, Any]:
    """The content of the annotation file without some segments.

    Annotations of a COCO instance file are removed. Segments of a COCO panoptic file become crowd regions, which
    training and evaluation leave out: their pixels are in the PNGs, which stay as they are.
    """
    keys = {(found.image_ids[one.index], found.segment_ids[one.index]) for one in dropped}
    content = read_json(dataset.ann_file, ("annotations",), dataset.README_ANCHOR)
    if dataset.SEG_FORMAT == "rle":
        content["annotations"] = [
            entry for entry in content["annotations"] if (entry["image_id"], entry["id"]) not in keys
        ]
        return content
    for entry in content["annotations"]:
        for segment in entry["segments_info"]:
            if (entry["image_id"], segment["id"]) in keys:
                segment["iscrowd"] = 1
    return content


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", metavar="CONFIG", help="config file with the annotated images")
    parser.add_argument(
        "--run", required=True, help="work folder of a training, or another model with classes"
    )
    parser.add_argument("--weights", help="default: the newest of the run")
    parser.add_argument("--device", default="auto", help="default: the accelerator if there is one")
    parser.add_argument("--split", choices=("train", "val", "test"), default="train")
    parser.add_argument(
        "--source", metavar="NAME", help="dataset of the config; default: the first with classes"
    )
    parser.add_argument("--method", choices=METHODS, default=DEFAULT_METHOD, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of methods with chance")
    parser.add_argument(
        "--components",
        type=int,
        default=COMPONENTS,
        metavar="N",
        help="principal components of the embeddings; 0: all numbers (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="HTML", help="the page")
    parser.add_argument(
        "--show", type=int, default=SHOWN, metavar="N", help="segments on the page (default: %(default)s)"
    )
    parser.add_argument(
        "--drop", type=share, metavar="SHARE", help="also write the annotation file without them, e.g. 2%%"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Raises UsageError for whatever the user can mend."""
    if args.out.suffix != ".html":
        raise UsageError(f"--out {args.out}: give a file .html")
    if args.show < 0 or args.components < 0:
        raise UsageError("--show and --components must be at least 0")
    list_file, clean_file = args.out.with_suffix(".json"), args.out.with_name(f"{args.out.stem}_cleaned.json")
    for file in (args.out, list_file, *((clean_file,) if args.drop else ())):
        if file.exists():
            raise UsageError(f"{file} exists; give another --out")
    if not Path(args.config).is_file():
        raise UsageError(f"config {args.config} not found")
    with user_errors():
        source = choose_source(Config.fromfile(args.config), args.split, args.source)
        dataset = annotated_images(source)
        if args.drop and dataset.SEG_FORMAT not in ("rle", "coco_panoptic"):
            raise SurveyError(
                f"--drop: {source.name} is no COCO instance or panoptic file; correct its files by the list"
            )
        found = survey(dataset, load(args.run, args.weights, args.device), print)
        scores = suspicion(args.method, found.labels, found.seen, found.empty, args.seed, args.components)
        suspects = ranked(found, scores)
    settings = {"annotations": dataset.ann_file, "run": args.run, "method": args.method, "seed": args.seed}
    write_list(list_file, found, suspects, settings)
    title = f"{source.name}: {min(args.show, len(suspects))} of {len(suspects)} segments by {args.method}"
    write_page(args.out, found, suspects[: args.show], dataset.README_ANCHOR, title)
    print(f"{args.out}, {list_file}")
    if args.drop:
        judged = [one for one in suspects if one.score > -math.inf]
        dropped = judged[: round(args.drop * len(suspects))]
        with whole_file(clean_file) as temporary:
            temporary.write_text(json.dumps(cleaned(dataset, found, dropped)) + "\n")
        print(f"{clean_file}: without {len(dropped)} of {len(suspects)} segments")


def main(argv: Sequence[str] | None = None) -> None:
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        run(args)
    except UsageError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
