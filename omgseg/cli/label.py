"""Annotate many images or videos: write one file of what a model finds.

The command can be killed at any time; the same command continues where it ended. After images were added, it labels
only those. Images that cannot be read are skipped, counted and listed; the next run tries them again.

examples:
  omgseg label photos/ --out coco.json --run RUN                       a folder with all its sub-folders
  omgseg label photos/ --out coco.json --run RUN --vocabulary "dog, red kite" --min-score 0.3
  omgseg label photos/ --out coco.json --model NAME --task everything  all masks, without words
  omgseg label photos/ --out maps.json --run RUN --format panoptic     also the PNGs maps/*.png, things and stuff
  omgseg label videos/ --out tracks.json --run RUN --format youtube-vis   video files and folders of frames
  omgseg label photos/ --out coco.json --model FOLDER --example image.png mask.png   what an example shows
  omgseg label photos/ --out coco.json --run RUN --shard 2/8           one of eight shards; when all are finished:
  omgseg label --merge --out coco.json                                 merges all shards in coco.json.parts/
  omgseg label --merge a/1-of-2.jsonl b/2-of-2.jsonl --out coco.json   merges shards of several folders
  omgseg label photos/ --out coco.json --run RUN --engine ray --workers 8   a Ray cluster ($RAY_ADDRESS) or this machine

The file lists the images in the order of their names. In COCO's format each object has category_id, segmentation
(compressed run lengths), bbox, area and score. Progress is kept in <out>.parts/, one journal per shard; delete this
folder when no more images will be added.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omgseg.cli.arguments import (
    add_model_arguments,
    add_word_arguments,
    background_of,
    check_example,
    check_limits,
    model_files,
    vocabulary_of,
)
from omgseg.cli.status import OK, SOME_FAILED, UsageError, user_errors
from omgseg.files import file_sha256

if TYPE_CHECKING:
    from omgseg.labelling import Journal, Labeller, Shard
    from omgseg.labelling.labeller import Record
    from omgseg.structures import Vocabulary

TASKS = {
    "coco": ("instance", "panoptic", "semantic", "everything"),
    "panoptic": ("panoptic",),
    "youtube-vis": ("instance", "panoptic"),
}
"""The tasks that each format can hold, the default first."""
NOUNS = {
    "coco": ("objects", "images"),
    "panoptic": ("segments", "images"),
    "youtube-vis": ("tracks", "videos"),
}
"""What each format holds, and of what."""
LISTED = 10
"""How many unreadable inputs the report at the end names; the file's ``info`` lists all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="folder of images, image or glob (videos with --format youtube-vis); with --merge: journals",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file, .json")
    add_model_arguments(parser)
    add_word_arguments(parser)
    group = parser.add_argument_group("labels")
    group.add_argument(
        "--format",
        default="coco",
        choices=TASKS,
        help="coco: objects of images; panoptic: maps of images, as PNGs in a folder beside the file; youtube-vis: "
        "tracks of videos. Default: %(default)s",
    )
    group.add_argument(
        "--task",
        choices=TASKS["coco"],
        help="instance; panoptic: segments that do not overlap; semantic: one mask per class; everything: all masks, "
        "with names if --vocabulary is given. Default: panoptic for its format, else instance",
    )
    group.add_argument(
        "--example",
        nargs=2,
        metavar=("IMAGE", "PNG"),
        help="what to segment, for models that need an example: see omgseg predict --help",
    )
    group.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        metavar="S",
        help="leave out objects with a lower score, 0 to 1; default: %(default)s",
    )
    group = parser.add_argument_group("running")
    group.add_argument(
        "--shard", default="1/1", metavar="I/N", help="label only shard I of N; merge them afterwards"
    )
    group.add_argument("--batch-size", type=int, default=1, metavar="N", help="images per batch; default: 1")
    group.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads per model; scores are reproducible to the last digit only with the same number. "
        "Default: one per core, shared by the workers",
    )
    group.add_argument("--merge", action="store_true", help="merge finished shards into one file")
    group.add_argument("--engine", default="local", choices=("local", "ray"), help="default: %(default)s")
    group.add_argument(
        "--workers", type=int, default=1, metavar="N", help="number of models, with --engine ray; default: 1"
    )
    group.add_argument(
        "--overwrite", action="store_true", help="start again, and replace <out> and its journal"
    )


def run(args: argparse.Namespace) -> int:
    if args.merge:
        return _merge(args)
    _check(args)
    config, weights = model_files(args)
    vocabulary = vocabulary_of(args)
    with user_errors():
        from omgseg.labelling import Journal, Shard, collect_images, collect_videos

        shard = Shard.parse(args.shard)
        found = (collect_videos if args.format == "youtube-vis" else collect_images)(args.sources)
        images = {name: path for name, path in found.items() if shard.has(name)}
        path = _parts(args.out) / f"{shard.number}-of-{shard.count}.jsonl"
        if shard.count == 1 and args.out.exists() and not path.exists() and not args.overwrite:
            raise UsageError(f"{args.out} exists without a journal; give another --out, or --overwrite")
        if args.format == "panoptic":
            _check_maps(args.out, found.values(), overwrite=args.overwrite or path.exists())
        labeller = _labeller(args, config, weights, vocabulary)
        journal = Journal(path, _header(labeller, shard), restart=args.overwrite)
    with journal:
        _label(args, labeller, images, journal)
        journal.finish()
    if shard.count == 1:
        return _write(args.out, [path], images)
    failed = [name for name in images if name in journal.failed]
    things = NOUNS[args.format][1]
    print(f"shard {shard}: {len(images) - len(failed)} {things} in {path}")
    print(f"when all shards are finished: omgseg label --merge --out {args.out}")
    return _report(failed, things)


def _check(args: argparse.Namespace) -> None:
    if not args.sources:
        raise UsageError(
            f"no {NOUNS[args.format][1]}: give a folder, files or a glob (or --merge, to merge shards)"
        )
    check_limits(args)
    tasks = TASKS[args.format]
    args.task = args.task or tasks[0]
    if args.task not in tasks:
        raise UsageError(
            f"--format {args.format} holds the results of --task {' or '.join(tasks)}, not {args.task}"
        )
    check_example(args)
    if args.workers < 1 or (args.workers > 1 and args.engine == "local"):
        raise UsageError(f"--workers {args.workers}: --engine local has one worker, --engine ray one or more")
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads {args.threads} must be at least 1")


def _check_maps(out: Path, images: Iterable[Path], overwrite: bool) -> None:
    """Check that the maps have a folder, which is not one of the images, and is new unless it may be overwritten."""
    folder = out.with_suffix("")
    if folder == out:
        raise UsageError(
            f"--out {out}: give a name that ends in .json; the maps get a folder of the same name"
        )
    if any(folder.resolve() in path.resolve().parents for path in images):
        raise UsageError(
            f"the maps of {out} would be written among the images, in {folder}/; give another --out"
        )
    if folder.exists() and not overwrite:
        raise UsageError(f"{folder}, for the maps of {out}, exists; give another --out, or --overwrite")


def _labeller(
    args: argparse.Namespace, config: str, weights: str | None, vocabulary: Vocabulary | None
) -> Labeller:
    """Load the model; checks that it offers the task and has words."""
    from omgseg.labelling import Labeller
    from omgseg.labelling.labeller import Settings

    background = background_of(args)
    settings = Settings(
        config,
        weights,
        args.device,
        args.dtype,
        args.format,
        args.task,
        vocabulary,
        None if background is None else tuple(background),
        None if args.example is None else tuple(args.example),
        args.min_score,
        args.batch_size,
        args.threads,
    )
    # Ray's workers load their own models; this one is only for the checks, and needs no GPU
    return Labeller(replace(settings, device="cpu") if args.engine == "ray" else settings)


def _header(labeller: Labeller, shard: Shard) -> dict[str, Any]:
    """The settings that all records of a journal depend on. Config and weights are identified by their content, so
    their paths may differ between machines."""
    from omgseg.inference.results.coco import CategoryTable
    from omgseg.structures import NO_CLASS

    settings = labeller.settings
    categories = CategoryTable(labeller.vocabulary)
    if settings.task == "everything":
        categories.id_of(NO_CLASS)  # masks without a name need a category
    return {
        "settings": {
            "format": settings.format,
            "task": settings.task,
            "min_score": settings.min_score,
            "background": settings.background,
            "example": settings.example
            and [f"sha256:{file_sha256(Path(file))}" for file in settings.example],
            "config": f"sha256:{_config_digest(settings.config)}",
            "weights": _weights_digest(settings.weights),
        },
        "shard": str(shard),
        "categories": categories.entries(),
    }


def _config_digest(config: str) -> str:
    """Digest of the parts of a config that labels depend on, including inherited ones."""
    from omgseg.inference.loading import read_config

    content = read_config(config)
    parts = {key: content.get(key) for key in ("model", "segmenter", "test_dataloader", "custom_imports")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_name_of).encode()).hexdigest()


def _name_of(value: object) -> str:
    """The name of a class or function, without its address in memory."""
    return getattr(value, "__qualname__", None) or repr(value)


def _weights_digest(weights: str | None) -> str:
    if weights is None:
        return "random"
    path = Path(weights).expanduser()
    if path.is_dir():  # of a guest, with its configs
        files = [file for file in sorted(path.iterdir()) if file.suffix in (".json", ".safetensors")]
        listed = "\n".join(f"{file.name} {file_sha256(file)}" for file in files)
        return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"
    return f"sha256:{file_sha256(path)}" if path.is_file() else weights


def _parts(out: Path) -> Path:
    return out.with_name(out.name + ".parts")


def _label(
    args: argparse.Namespace, labeller: Labeller, images: Mapping[str, Path], journal: Journal
) -> None:
    """Label the images that the journal does not have yet."""
    from tqdm import tqdm

    todo = [(name, path) for name, path in images.items() if name not in journal.done]
    before = len(images) - len(todo)
    things = NOUNS[args.format][1]
    print(
        f"{len(images)} {things}, {before} of them already labelled; journal {journal.path}", file=sys.stderr
    )
    if not todo:
        return
    with tqdm(total=len(images), initial=before, unit=things[:-1], desc="label") as progress:
        try:
            for record in _records(args, labeller, todo):
                journal.add(record)
                if "error" in record:
                    progress.write(f"skipped: {record['error']}", file=sys.stderr)
                progress.update()
        except KeyboardInterrupt:
            progress.write("stopped; the same command continues from here", file=sys.stderr)
            raise


def _records(
    args: argparse.Namespace, labeller: Labeller, images: list[tuple[str, Path]]
) -> Iterator[Record]:
    if args.engine == "local":
        return labeller(images)
    with user_errors():
        from omgseg.labelling.ray_engine import label_with_ray

        settings = replace(labeller.settings, device=args.device)
        return label_with_ray(settings, [(name, path.resolve()) for name, path in images], args.workers)


def _merge(args: argparse.Namespace) -> int:
    paths = [Path(source) for source in args.sources] or sorted(_parts(args.out).glob("*.jsonl"))
    if not paths:
        raise UsageError(
            f"{_parts(args.out)} has no journals of shards; give their files, or label with --shard first"
        )
    if args.out.exists() and not args.overwrite:
        raise UsageError(f"{args.out} exists; give another --out, or --overwrite")
    with user_errors():
        from omgseg.labelling import format_of

        if format_of(paths[0]) == "panoptic":
            _check_maps(args.out, (), args.overwrite)
    return _write(args.out, paths, None)


def _write(out: Path, journals: list[Path], names: Mapping[str, Path] | None) -> int:
    with user_errors():
        from omgseg.labelling import merge_journals

        summary = merge_journals(journals, out, names)
    parts, things = NOUNS[summary.format]
    print(f"{summary.annotations} {parts} in {summary.images} {things}: {out}")
    return _report(summary.unreadable, things)


def _report(unreadable: list[str], things: str) -> int:
    if not unreadable:
        return OK
    shown = ", ".join(unreadable[:LISTED]) + (", ..." if len(unreadable) > LISTED else "")
    print(f"{len(unreadable)} {things} could not be read and were skipped: {shown}", file=sys.stderr)
    return SOME_FAILED
