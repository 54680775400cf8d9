"""Segment images and videos, and write pictures, videos and files for other tools.

A source is an image, a video file, a folder of images (with its sub-folders), a glob, the number of a camera (0), or
the address of a stream. With --video the images of a folder, without sub-folders, are the frames of one video. Videos
of any length are read while the model runs. Ctrl-C ends a camera, a stream or a video; the results until then are kept.

examples:
  omgseg predict photo.jpg --run work_dirs/demo/train                       results/photo.png
  omgseg predict photos/ film.mp4 --run RUN --out found                     a picture per image, and found/film.mp4
  omgseg predict street.jpg --run RUN --task instance --vocabulary "yellow taxi, dog"
  omgseg predict street.jpg --run RUN --vocabulary "car, person" --stuff "road, sky" --format png json
  omgseg predict photos/ --run RUN --vocabulary coco --format coco panoptic  one COCO file for all
  omgseg predict frames/ --run RUN --video --task instance --format mp4 youtube-vis
  omgseg predict photo.jpg --run RUN --points 320,200 60,75                 one object per point
  omgseg predict photo.jpg --run RUN --points 320,200 60,75 --labels 1 0    one object
  omgseg predict photo.jpg --model NAME --exemplars 10,20,80,90             all objects like the one in the box
  omgseg predict photo.jpg --model NAME --exemplars 10,20,80,90 100,20,140,80 --labels 1 0 --vocabulary "yellow taxi"
                                                                            ... not like the second, of this word
  omgseg predict frames/ --run RUN --task vos --first-mask objects.png      follow objects through a video
  omgseg predict 0 --run RUN                                                the camera, into results/camera0.mp4
  omgseg predict photo.jpg --model NAME --vocabulary coco                   a published model, see `omgseg models`
  omgseg predict photo.jpg --config CONFIG --weights omg_seg.safetensors    without a work folder
  omgseg predict photo.jpg --model NAME --task everything                   all masks, without words
  omgseg predict photos/ --model FOLDER --example image.png mask.png        what an example shows, with SegGPT

formats, in the folder --out:
  png           <name>.png; for a video a folder <name>/ with a picture per frame   (default for images)
  mp4, gif      <name>.mp4: the video with its segments                             (default for videos)
  json          <name>.json: masks, scores and names, read by SegmentationResult.load and VideoResult.load
  coco          coco.json: COCO instances of all inputs
  panoptic      panoptic.json and panoptic/*.png: COCO panoptic of all inputs
  masks         masks/*.png: the class of each pixel (see masks/vocabulary.json), or without classes its object id
  youtube-vis   youtube-vis.json: tracks of all videos

For videos, png, mp4 and gif are written while the frames are read; the other formats keep run lengths in memory.

Without --overwrite the command does not start if an output file exists."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omgseg.cli.arguments import (
    NO_WORDS,
    add_model_arguments,
    add_word_arguments,
    background_of,
    build_inferencer,
    check_example,
    check_limits,
    vocabulary_of,
)
from omgseg.cli.status import (
    DISK_ERRORS,
    INTERRUPTED,
    OK,
    SOME_FAILED,
    UsageError,
    complain,
    user_errors,
)

if TYPE_CHECKING:
    from omgseg.cli.jobs import Job
    from omgseg.cli.outputs import Outputs
    from omgseg.inference import OMGSegInferencer, SegmentationResult

TASKS = ("panoptic", "instance", "semantic", "everything", "interactive", "vos")
WITH_WORDS = TASKS[:3]
FORMATS = ("png", "mp4", "gif", "json", "coco", "panoptic", "masks", "youtube-vis")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="image, video, folder, glob, number of a camera, or URL"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder of the results; default: %(default)s",
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        help="default: interactive with --points, --boxes or --exemplars, else the first of "
        f"{', '.join(TASKS[:4])} that the model offers",
    )
    parser.add_argument(
        "--format", nargs="+", default=[], choices=FORMATS, metavar="F", help=", ".join(FORMATS)
    )
    parser.add_argument(
        "--video", action="store_true", help="take the images of a folder as the frames of one video"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of earlier runs")
    add_model_arguments(parser)
    add_word_arguments(parser)
    group = parser.add_argument_group("results")
    group.add_argument(
        "--min-score",
        type=float,
        metavar="S",
        help="leave out segments with a lower score, 0 to 1; default: 0.3 for instance and exemplars, 0.8 for "
        "everything, else 0",
    )
    group.add_argument("--batch-size", type=int, default=1, metavar="N", help="images per batch; default: 1")
    group = parser.add_argument_group("prompts")
    group.add_argument("--points", nargs="+", type=_numbers(2), metavar="X,Y", help="clicks in pixels")
    group.add_argument(
        "--labels",
        nargs="+",
        type=int,
        choices=(0, 1),
        metavar="L",
        help="one label per point, all for one object: 1 on it, 0 not on it; or one label per exemplar",
    )
    group.add_argument("--boxes", nargs="+", type=_numbers(4), metavar="X1,Y1,X2,Y2", help="boxes in pixels")
    group.add_argument(
        "--exemplars",
        nargs="+",
        type=_numbers(4),
        metavar="X1,Y1,X2,Y2",
        help="boxes around examples of what to find in the image; with --labels: 1 like it, 0 not like it; with one "
        "word in --vocabulary: of this word",
    )
    group.add_argument("--first-mask", metavar="PNG", help="object ids of the first frame, 0 is background")
    text = "an image and its mask: 0 is background, other values are classes, which --vocabulary names in this order"
    group.add_argument("--example", nargs=2, metavar=("IMAGE", "PNG"), help=text)


def _numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    def parse(text: str) -> tuple[float, ...]:
        values = tuple(float(part) for part in text.split(","))
        if len(values) != count:
            raise ValueError
        return values

    parse.__name__ = f"{count} numbers with commas"  # for the error of argparse: "invalid ... value"
    return parse


def run(args: argparse.Namespace) -> int:
    settings = _settings(args)
    with user_errors():
        from omgseg.cli.jobs import check_free, plan
        from omgseg.cli.outputs import Outputs

        jobs, failures = plan(args.sources, args.format, args.video or args.task == "vos", args.out)
    if not args.overwrite:
        check_free(jobs, args.out)
    for failure in failures:
        complain(failure)
    seg = build_inferencer(args)
    settings["task"] = args.task or seg.default_task.value
    has_words = settings["vocabulary"] or seg.vocabulary or not seg.abilities.open_vocabulary
    if seg.abilities.needs_example and not args.example:
        raise UsageError("the model segments what an example shows: give --example IMAGE MASK")
    if settings["task"] in WITH_WORDS and not has_words:
        raise UsageError(NO_WORDS)
    work = _Work(seg, settings, jobs, args.batch_size)
    interrupted = False
    with Outputs(args.out) as outputs:
        try:
            work.run(outputs)
        except KeyboardInterrupt:
            interrupted = True
    for path in outputs.collected:
        print(path)
    print(f"{work.done} of {len(jobs) + len(failures)} inputs done, results in {args.out}/", file=sys.stderr)
    if interrupted:
        return INTERRUPTED
    return OK if work.done == len(jobs) + len(failures) else SOME_FAILED


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of :meth:`OMGSegInferencer.stream`."""
    kinds = ("points", "labels", "boxes", "exemplars")
    prompts: dict[str, Any] = {name: getattr(args, name) for name in kinds}
    prompts = {name: value for name, value in prompts.items() if value is not None}
    has_prompts = bool({"points", "boxes", "exemplars"} & set(prompts))
    if has_prompts and args.task is None:
        args.task = "interactive"
    if (args.task == "interactive") != has_prompts:
        raise UsageError(
            "--task interactive needs --points, --boxes or --exemplars, and the other tasks take none"
        )
    labelled = prompts.get("points") or prompts.get("exemplars") or ()
    if "labels" in prompts and len(prompts["labels"]) != len(labelled):
        raise UsageError("--labels needs one label, 1 or 0, per point of --points or box of --exemplars")
    if (args.task == "vos") != (args.first_mask is not None):
        raise UsageError("--task vos needs --first-mask, and the other tasks take none")
    if args.first_mask is not None:
        if not Path(args.first_mask).is_file():
            raise UsageError(f"--first-mask {args.first_mask} not found")
        prompts = {"masks": args.first_mask}
    check_example(args)
    check_limits(args)
    return dict(
        task=args.task,
        vocabulary=vocabulary_of(args),
        background=background_of(args),
        prompts=prompts or None,
        example=args.example,
        min_score=args.min_score,
    )


class _Work:
    """Runs jobs, reports each of them, and counts the finished ones in `done`.

    Raises:
        UsageError: the model does not offer this; no job was started.
    """

    def __init__(
        self, seg: OMGSegInferencer, settings: dict[str, Any], jobs: Sequence[Job], batch_size: int
    ) -> None:
        self.done = 0
        self._images = {job.source.path: job for job in jobs if not job.source.is_video}
        videos = [job for job in jobs if job.source.is_video]
        with user_errors():  # checks the request; reading begins with the first result
            self._image_results = (
                seg.stream(list(self._images), batch_size=batch_size, **settings)
                if self._images
                else iter(())
            )
            self._video_results = [(job, seg.stream(job.source, **settings)) for job in videos]

    def run(self, outputs: Outputs) -> None:
        """Run all jobs, the images first.

        Raises:
            KeyboardInterrupt: after the results until then are written.
        """
        if self._images:
            self._run_images(outputs)
        for job, results in self._video_results:
            self._run_video(job, results, outputs)

    def _run_images(self, outputs: Outputs) -> None:
        from omgseg.inference import UnreadableInputs

        with self._progress(len(self._images), "image") as progress:
            try:
                for result in self._image_results:
                    job = self._images[result.path]
                    try:
                        files = outputs.add_image(job, result)
                    except ValueError as error:
                        complain(error)
                    else:
                        self.done += 1
                        _report(job, files, Counter(result.names), progress)
                        _report_names(result, progress)
                    progress.update()
            except UnreadableInputs as error:
                for name, reason in error.failures:
                    complain(reason if name in str(reason) else f"{name}: {reason}")

    def _run_video(self, job: Job, results: Iterator[SegmentationResult], outputs: Outputs) -> None:
        with self._progress(job.source.length, "frame") as progress:

            def counted() -> Iterator[SegmentationResult]:
                for result in results:
                    yield result
                    progress.update()

            try:
                written = outputs.add_video(job, counted())
            except ValueError as error:
                complain(error)
            except OSError as error:
                if error.errno in DISK_ERRORS:
                    raise
                complain(error)
            else:
                _report(job, written.files, written.counts, progress)
                if written.interrupted and not job.source.is_live:
                    raise KeyboardInterrupt
                self.done += 1

    def _progress(self, total: int | None, unit: str) -> Any:
        from tqdm import tqdm

        return tqdm(total=total, unit=unit, disable=None, leave=False)


def _report(job: Job, files: Sequence[Path], counts: Counter[str], progress: Any) -> None:
    """Print the files of a job, and how many objects of each name they show."""
    listed = ", ".join(f"{count} {name or 'object'}" for name, count in counts.most_common())
    target = " ".join(str(file) for file in files) or f"{job.label}:"
    progress.write(f"{target}  {listed or 'nothing found'}", file=sys.stdout)


def _report_names(result: SegmentationResult, progress: Any) -> None:
    """Print the most probable names of each mask that was named."""
    for number, names in enumerate(result.top_names, start=1):
        if names:
            listed = ", ".join(f"{name} {score:.2f}" for name, score in names)
            progress.write(f"  mask {number}: {listed}", file=sys.stdout)
