"""How calls run: one at a time per model, with prefetching, in batches, and with errors of single inputs collected."""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mmengine.logging import print_log
from pycocotools import mask as coco_mask

from omgseg.inference.results import SegmentationResult
from omgseg.inference.video_files import shown_address

T = TypeVar("T")
R = TypeVar("R")
WINDOW = 4
"""An item waits for others of its size while at most this many batches of later items arrive."""
SHOWN = 5
"""How many failures a message lists."""

_END = object()
_POLL = 0.1
_PATIENCE = 5.0
"""Seconds to wait for the reading thread at the end. A thread that hangs in a dead stream is a daemon, and is left."""

_locks: dict[int, threading.RLock] = {}
_locks_guard = threading.Lock()


@contextmanager
def locked(segmenter: object) -> Iterator[None]:
    """Wait until no other thread uses a model, then use it. May be nested.

    Args:
        segmenter: the loaded model. Each object has one lock, which is deleted with it.
    """
    with _locks_guard:
        lock = _locks.get(id(segmenter))
        if lock is None:
            lock = _locks[id(segmenter)] = threading.RLock()
            weakref.finalize(segmenter, _locks.pop, id(segmenter), None)
    with lock:
        yield


def read_ahead(items: Iterable[T], depth: int, drop_oldest: bool = False) -> Iterator[T]:
    """Iterate in a separate thread, at most `depth` items ahead.

    Closing the returned iterator ends the thread, and closes `items`.

    Args:
        items: iterated in the thread only.
        depth: length of the queue.
        drop_oldest: if the queue is full, drop its oldest item instead of waiting; for live sources, where the newest
            frame counts.

    Raises:
        Exception: the error of `items`, after the items before it.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def put(item: object, may_drop: bool) -> None:
        while not stop.is_set():
            try:
                return waiting.put(item, timeout=0 if may_drop else _POLL)
            except queue.Full:
                if may_drop:
                    _forget_one(waiting)

    def work() -> None:
        iterator: Iterator[T] = iter(())
        try:
            iterator = iter(items)  # inside of the try block, as it may fail
            for item in iterator:
                put((item, None), drop_oldest)
                if stop.is_set():
                    break
        except BaseException as error:  # handed over to the consumer
            put((None, error), False)
        else:
            put(_END, False)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    thread = threading.Thread(target=work, name="omgseg-read-ahead", daemon=True)
    thread.start()
    try:
        while (entry := waiting.get()) is not _END:
            item, error = entry
            if error is not None:
                raise error
            yield item
            del item, entry  # not kept alive while the next one is awaited
    finally:
        stop.set()
        thread.join(_PATIENCE)


def _forget_one(waiting: queue.Queue) -> None:
    try:
        waiting.get_nowait()
    except queue.Empty:
        pass


def run_in_batches(
    items: Iterable[T], key: Callable[[T], Hashable], run: Callable[[list[T]], list[R]], batch_size: int
) -> Iterator[R]:
    """Run items of one key together, and yield the results in the order of the items.

    At most `WINDOW` batches of items and results are in memory at a time.

    Args:
        items: read one by one.
        key: gives items that may share a batch the same key.
        run: gives one result per item of a batch.
        batch_size: largest number of items per batch.
    """
    groups: dict[Hashable, list[tuple[int, T]]] = {}
    results: dict[int, R] = {}
    due = 0

    def run_group(name: Hashable) -> None:
        positions, group = zip(*groups.pop(name), strict=True)
        results.update(zip(positions, run(list(group)), strict=True))

    def group_of(position: int) -> Hashable:
        return next(name for name, group in groups.items() if group[0][0] == position)

    for position, item in enumerate(items):
        name = key(item)
        groups.setdefault(name, []).append((position, item))
        if len(groups[name]) == batch_size:
            run_group(name)
        elif position - due >= WINDOW * batch_size:
            run_group(group_of(due))
        while due in results:
            yield results.pop(due)
            due += 1
    while groups:
        run_group(group_of(due))
        while due in results:
            yield results.pop(due)
            due += 1


class UnreadableInputs(OSError):
    """Some of several inputs could not be read or segmented; the others were.

    Attributes:
        failures: (name, error) of each failed input.
        results: results of the other inputs in their order; empty if they were yielded one by one.
    """

    def __init__(self, failures: Sequence[tuple[str, Exception]], results: Sequence[Any] = ()) -> None:
        super().__init__(_report(failures))
        self.failures = list(failures)
        self.results = list(results)


class Failures:
    """Collects the errors of single inputs of a call.

    Args:
        on_error: ``"raise"`` them together at the end, or ``"skip"`` with a warning.

    Raises:
        ValueError: `on_error` is neither.
    """

    def __init__(self, on_error: str) -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        self.on_error = on_error
        self._failures: list[tuple[str, Exception]] = []

    def add(self, name: str, error: Exception) -> None:
        """Record an input that cannot be read or segmented."""
        self._failures.append((name, error))

    @contextmanager
    def collect(self, entry: object, index: int) -> Iterator[None]:
        """Record an OSError or ValueError of one input.

        Args:
            entry: the input as the user gave it. Passwords in addresses are left out of the messages.
            index: its position among all inputs, for inputs without a name.
        """
        try:
            yield
        except (OSError, ValueError) as error:
            name = shown_address(entry) if isinstance(entry, (str, Path)) else f"input {index}"
            self.add(name, error)

    def raise_or_warn(self, results: Sequence[Any] = ()) -> None:
        """Report the failures after the last input.

        Args:
            results: of the other inputs, for the error.

        Raises:
            UnreadableInputs: there were failures, and `on_error` is ``"raise"``.
        """
        if not self._failures:
            return
        if self.on_error == "raise":
            raise UnreadableInputs(self._failures, results)
        print_log(_report(self._failures), logger="current", level=logging.WARNING)


def _report(failures: Sequence[tuple[str, Exception]]) -> str:
    count = "1 input" if len(failures) == 1 else f"{len(failures)} inputs"
    lines = [f"{count} could not be read or segmented (on_error='skip' leaves them out):"]
    lines += [
        f"  {error}" if name in str(error) else f"  {name}: {error}" for name, error in failures[:SHOWN]
    ]
    if len(failures) > SHOWN:
        lines.append(f"  ... and {len(failures) - SHOWN} more")
    return "\n".join(lines)


def without_duplicates(frames: Sequence[SegmentationResult], max_overlap: float) -> list[SegmentationResult]:
    """NMS per class: of overlapping instances keep the one with the lowest id.

    In an image this is the instance with the highest score. In a video it is the earliest one, so an object keeps its
    id although the scores of its duplicates change.

    Args:
        frames: the result of an image, or those of a clip or video, where an id has the same class in all frames.
        max_overlap: threshold for the IoU of two instances over all frames.
    """
    ids = np.unique(np.concatenate([frame.ids for frame in frames]))
    if max_overlap >= 1 or len(ids) < 2:
        return list(frames)
    intersection, area = np.zeros((len(ids), len(ids))), np.zeros(len(ids))
    labels = np.zeros(len(ids), np.int64)
    rows_of_frames = [np.searchsorted(ids, frame.ids) for frame in frames]
    for frame, rows in zip(frames, rows_of_frames, strict=True):
        if not len(frame):
            continue
        iou = np.asarray(coco_mask.iou(frame.rles, frame.rles, [0] * len(frame)))
        area_sum = frame.areas[:, None] + frame.areas
        intersection[np.ix_(rows, rows)] += iou * area_sum / (1 + iou)
        area[rows] += frame.areas
        labels[rows] = frame.labels
    union = area[:, None] + area - intersection
    is_duplicate = (intersection > max_overlap * union) & (labels[:, None] == labels)
    kept = np.zeros(len(ids), bool)
    for row in range(len(ids)):
        kept[row] = not (is_duplicate[row] & kept).any()
    return [frame.select(kept[rows]) for frame, rows in zip(frames, rows_of_frames, strict=True)]


def check_share(name: str, value: Any) -> float:
    """Check a threshold for scores or IoUs, and return it as a float.

    Args:
        name: name of the argument, for the error.
        value: the threshold.

    Raises:
        TypeError: not a number.
        ValueError: not in 0..1.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number from 0 to 1, not {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, not {value}")
    return float(value)
