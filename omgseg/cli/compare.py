"""Draw what several models find in the same images side by side, with their time and memory.

A model is what `omgseg predict --model` takes: a name, the work folder of a training, hf:owner/name or the folder of a
guest; with other weights MODEL,WEIGHTS ("none": random ones). Each runs in a process of its own, one after another.

examples:
  omgseg compare RUN1 RUN2 --images photos/ --out compared
  omgseg compare RUN1 sam-vit-b,sam_vit_b_01ec64.pth --images photos/ --out compared --task everything
  omgseg compare CONFIG,a.pth CONFIG,b.pth --images "photos/*.jpg" --out compared --vocabulary "dog, red kite"
  omgseg compare RUN1 hf:facebook/mask2former-swin-large-coco-panoptic --images photos/ --out compared

Writes <image>.png for every image, with a column for each model, and the table as compare.md and compare.json:
seconds per image (from pixels to masks, without reading files; the first image is predicted once before), the highest
memory while predicting (of the GPU, or without one the RAM of the model's process), and segments per image."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omgseg.cli.arguments import (
    add_computing_arguments,
    add_word_arguments,
    background_of,
    check_share,
    locate,
    vocabulary_of,
)
from omgseg.cli.status import OK, SOME_FAILED, UsageError, complain, user_errors

if TYPE_CHECKING:
    from omgseg.inference.comparing import Answer, Competitor, Question

TASKS = ("panoptic", "instance", "semantic", "everything")
TABLES = ("compare.md", "compare.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="MODEL", help="MODEL or MODEL,WEIGHTS")
    parser.add_argument(
        "--images", nargs="+", required=True, metavar="SOURCE", help="images, folders of images, globs"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the pictures and the table"
    )
    parser.add_argument(
        "--task", choices=TASKS, help=f"default: the first of {', '.join(TASKS)} that all models offer"
    )
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="S",
        help="leave out segments with a lower score, 0 to 1; default: 0.3 for instance, 0.8 for everything, else 0",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of earlier runs")
    add_computing_arguments(parser.add_argument_group("computing"))
    add_word_arguments(parser)


def run(args: argparse.Namespace) -> int:
    check_share("--min-score", args.min_score)
    competitors = [_competitor(text) for text in args.models]
    if len({one.name for one in competitors}) < len(competitors):
        raise UsageError("a model is named twice; name each one once")
    pictures, failed = _pictures(args.images, args.out)
    targets = [*(args.out / name for name in TABLES), *pictures.values()]
    existing = next((path for path in targets if path.exists()), None)
    if existing is not None and not args.overwrite:
        raise UsageError(f"{existing} exists; give another --out, or --overwrite")
    question = _question(args, competitors, tuple(pictures))
    answers = [_answer(competitor, question) for competitor in competitors]
    for number, (path, picture) in enumerate(pictures.items()):
        _draw(path, picture, answers, number)
    _write_tables(args.out, answers, question)
    print(_table(answers))
    print(f"{len(pictures)} images in {args.out}/")
    for answer in answers:
        if answer.note:
            complain(f"{answer.name}: {answer.note}")
    return SOME_FAILED if failed or any(answer.note for answer in answers) else OK


def _competitor(text: str) -> Competitor:
    from omgseg.inference.comparing import Competitor

    model, _, weights = text.partition(",")
    try:
        return Competitor(text, *locate(model, weights or None))
    except UsageError as error:  # weights have no option of their own here
        raise UsageError(str(error).replace("--weights ", f"{model},")) from error


def _pictures(sources: Sequence[str], out: Path) -> tuple[dict[Path, Path], int]:
    """The picture of every image that can be read, and the number of the others, which are reported."""
    with user_errors():
        from omgseg.files import safe_name, unique_name
        from omgseg.labelling import collect_images
        from omgseg.structures.images import read_image

        found = [path for path in collect_images(sources).values() if not _is_in(path, out)]
    pictures: dict[Path, Path] = {}
    used: set[str] = set()
    for path in found:
        try:
            read_image(path)
        except (OSError, ValueError) as error:
            complain(error)
        else:
            pictures[path] = out / f"{unique_name(safe_name(path.stem), used)}.png"
    if not pictures:
        raise UsageError(f"--images {' '.join(sources)}: no image can be read")
    return pictures, len(found) - len(pictures)


def _is_in(path: Path, folder: Path) -> bool:
    """A second run must not read the pictures of the first one."""
    return path.resolve().is_relative_to(folder.resolve())


def _question(
    args: argparse.Namespace, competitors: Sequence[Competitor], images: tuple[Path, ...]
) -> Question:
    from omgseg.inference.comparing import Question, common_task

    vocabulary, background = vocabulary_of(args), background_of(args)
    with user_errors():
        task = args.task or common_task(competitors)
    return Question(
        images,
        task,
        vocabulary,
        None if background is None else tuple(background),
        args.min_score,
        args.device,
        args.dtype,
    )


def _answer(competitor: Competitor, question: Question) -> Answer:
    from omgseg.inference.comparing import answer_apart

    print(f"{competitor.name} ...", file=sys.stderr)
    return answer_apart(competitor, question)


def _draw(path: Path, picture: Path, answers: Sequence[Answer], number: int) -> None:
    from omgseg.inference.results.files import write_picture
    from omgseg.structures.images import read_image
    from omgseg.visualization import side_by_side

    image = read_image(path)
    columns = {path.name: image}
    columns |= {answer.name: answer.results[number].draw(image) for answer in answers if answer.results}
    write_picture(picture, side_by_side(columns.values(), columns))


def _table(answers: Sequence[Answer]) -> str:
    from omgseg.tables import markdown_table

    rows = []
    for answer in answers:
        if answer.results:
            memory = f"{answer.peak_bytes / 1e9:.2f}" if answer.peak_bytes else ""
            segments = f"{_segments_per_image(answer):.1f}"
            rows.append((answer.name, f"{answer.seconds_per_image:.3g}", memory, segments))
        else:
            rows.append((answer.name, "-", "-", "-"))
    return markdown_table(("model", "s / image", "peak GB", "segments / image"), rows, right=range(1, 4))


def _segments_per_image(answer: Answer) -> float:
    return sum(map(len, answer.results)) / len(answer.results)


def _write_tables(out: Path, answers: Sequence[Answer], question: Question) -> None:
    from omgseg.files import whole_file

    models = [
        {
            "model": answer.name,
            "seconds_per_image": answer.seconds_per_image,
            "peak_bytes": answer.peak_bytes,
            "segments_per_image": _segments_per_image(answer) if answer.results else None,
            "note": answer.note,
        }
        for answer in answers
    ]
    content = {"task": question.task, "images": len(question.images), "models": models}
    notes = [f"- {answer.name}: {answer.note}" for answer in answers if answer.note]
    parts = [f"Task: {question.task}, {len(question.images)} images", _table(answers), "\n".join(notes)]
    texts = "\n\n".join(part for part in parts if part) + "\n", json.dumps(content, indent=2) + "\n"
    for name, text in zip(TABLES, texts, strict=True):
        with whole_file(out / name) as temporary:
            temporary.write_text(text)
