"""What all metrics share: one small result per sample, whatever the number of processes and of threads."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from torch import Tensor

from omgseg.structures import Vocabulary


class OrderedWorkers:
    """Threads that work through calls while the caller prepares the next ones.

    Threads, not processes: decoding PNGs and the loops of NumPy and OpenCV release the interpreter's lock. On two
    cores two threads scored PQ, VPQ and J&F 1.7 times as fast as the main thread alone; two processes, which must be
    sent every map, did PQ 0.9, J&F 1.1 and stacks of masks 0.5 times as fast. Threads also need no copy of the
    annotations, and no fork of a program that has threads of its own. Run-length encoding keeps the lock.

    Args:
        num_workers: threads; 0 makes each call at once, in the caller's thread.

    Raises:
        ValueError: `num_workers` is negative.
    """

    def __init__(self, num_workers: int) -> None:
        if num_workers < 0:
            raise ValueError(f"num_workers must be 0 or more, got {num_workers}")
        self.num_workers = num_workers
        self._executor: ThreadPoolExecutor | None = None
        # one call waits, so that a worker that becomes free has something to do at once
        self._slots = threading.BoundedSemaphore(num_workers + 1)
        self._calls: deque[Future] = deque()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a call. Blocks while one call for each worker and another one are unfinished, so that the arguments of
        no more than these exist however slow the workers are.

        Raises:
            Exception: without workers, what the call raises.
        """
        if not self.num_workers:
            done: Future = Future()
            done.set_result(function(*arguments))
            self._calls.append(done)
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.num_workers, type(self).__name__)
        self._slots.acquire()
        call = self._executor.submit(function, *arguments)
        call.add_done_callback(lambda _: self._slots.release())
        self._calls.append(call)

    def ready(self) -> Iterator[Any]:
        """Take the results that exist and follow each other without a gap.

        Raises:
            Exception: what the first of these calls that failed has raised; later calls are given up.
        """
        while self._calls and self._calls[0].done():
            yield self._take()

    def close(self) -> list[Any]:
        """Wait for all calls, end the threads and take the remaining results; a later call starts new threads.

        Raises:
            Exception: as :meth:`ready`.
        """
        results = []
        while self._calls:
            results.append(self._take())
        self._end()
        return results

    def _take(self) -> Any:
        try:
            return self._calls.popleft().result()
        except BaseException:  # of the call, or an interrupt while waiting for it
            self._end()
            raise

    def _end(self) -> None:
        self._calls.clear()
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


# As in mmdet.evaluation.functional, which takes three seconds to import.
INSTANCE_OFFSET = 1000


@dataclass(frozen=True)
class Reduced:
    """A stored result: the image or video id, and what :meth:`SampleMetric.reduce` gave.

    Not a tuple: mmengine would search its value for tensors, which takes longer than some evaluations.
    """

    key: Any
    value: Any


class SampleMetric(BaseMetric):
    """A metric that reduces each sample to counts or run-length encodings as soon as it is predicted.

    Exactly one result is stored for each sample, so that mmengine drops the right ones when it padded the
    data set to the number of processes. Results are put in the order of the image or video ids before they
    are summed or ranked: the numbers of processes and of workers change nothing. Of the predictions no more
    than those of ``num_workers + 1`` samples are held besides the model's own.

    Args:
        num_workers: threads that reduce samples while the model goes on; 0 reduces them in the main thread.
            Default: the class's ``NUM_WORKERS``. An error in a worker appears with one of the next samples,
            or at the end.
        kwargs: see mmengine's BaseMetric.
    """

    NUM_WORKERS = 0

    def __init__(self, num_workers: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._workers = OrderedWorkers(self.NUM_WORKERS if num_workers is None else num_workers)

    @abstractmethod
    def reduce(self, sample: dict[str, Any]) -> Any:
        """The part of a sample (an image, or a whole video) that :meth:`summarize` needs.

        Runs in several threads at a time, and must therefore change nothing of the metric.
        """

    @abstractmethod
    def summarize(self, results: dict[Any, Any]) -> dict[str, float]:
        """Metric values from the reduced samples by image or video id, ascending; never empty."""

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Reduce a batch of predicted samples, given as dicts (mmengine's evaluator converts them).

        Their tensors are moved to the CPU in place: once for all metrics, and not from a worker, whose current
        device is another one.
        """
        for sample in data_samples:
            move_to_cpu(sample)
            key = self.field(sample, "video_id" if is_video(sample) else "img_id")
            self._workers.submit(self._keyed, key, sample)
            self.results.extend(self._workers.ready())

    def _keyed(self, key: Any, sample: dict[str, Any]) -> Reduced:
        return Reduced(key, self.reduce(sample))

    def evaluate(self, size: int) -> dict[str, float]:
        """Wait for the workers, then compute the values from the results of all processes.

        Args:
            size: number of samples of the whole data set.
        """
        self.results.extend(self._workers.close())
        return super().evaluate(size)

    def compute_metrics(self, results: list[Reduced]) -> dict[str, float]:
        """Values from the results of all processes.

        Raises:
            ValueError: there are none.
        """
        if not results:
            raise ValueError(
                f"{type(self).__name__} saw no sample; the evaluation data set is empty, "
                "check its ann_file and data_prefix"
            )
        first_of_each = {result.key: result.value for result in reversed(results)}
        return self.summarize({key: first_of_each[key] for key in sorted(first_of_each)})

    @property
    def vocabulary(self) -> Vocabulary:
        """The categories that predicted labels index, from the data set's metainfo."""
        vocabulary = (self.dataset_meta or {}).get("vocabulary")
        if vocabulary is None:
            raise ValueError(
                f"{type(self).__name__} needs dataset_meta['vocabulary']; "
                "data sets of omgseg have it in `metainfo`"
            )
        return vocabulary

    def field(self, sample: dict[str, Any], name: str) -> Any:
        """A field of a sample or frame, or a ValueError that says who should have set it."""
        if name not in sample:
            setter = (
                "the model sets it when the sample's `tasks` ask for it"
                if name.startswith("pred_")
                else "the data set's test pipeline must pack it"
            )
            raise ValueError(
                f"{type(self).__name__}: sample without {name!r} (it has {sorted(sample)}); {setter}"
            )
        return sample[name]

    def label_map(self, frame: dict[str, Any], name: str) -> np.ndarray:
        """A predicted map of a frame: PixelData with ``sem_seg`` (1, H, W) -> integers (H, W)."""
        return to_numpy(self.field(frame, name)["sem_seg"])[0]

    def named_maps(self, sample: dict[str, Any], name: str) -> Iterator[tuple[str, np.ndarray]]:
        """For each frame the name of its image file without suffix, and a predicted map (:meth:`label_map`)."""
        for frame in frames_of(sample):
            yield Path(self.field(frame, "img_path")).stem, self.label_map(frame, name)

    def category_ids(self, labels: np.ndarray) -> np.ndarray:
        """The file's category ids of predicted labels.

        Raises:
            ValueError: a label is outside of the vocabulary, or its category has no id.
        """
        ids = self.vocabulary.label_to_id
        labels = np.asarray(labels, dtype=np.int64)
        wrong = [x for x in np.unique(labels).tolist() if not 0 <= x < len(ids) or ids[x] is None]
        if wrong:
            raise ValueError(
                f"{type(self).__name__}: predicted label {wrong[0]} has no category id in the data set's "
                f"vocabulary of {len(ids)} categories; was the model given another vocabulary?"
            )
        return np.array([ids[x] for x in labels.tolist()], dtype=np.int64)


def is_video(sample: Mapping[str, Any]) -> bool:
    """Whether a sample is a whole video, and not an image or a frame."""
    return "video_data_samples" in sample


def frames_of(sample: dict[str, Any]) -> list[dict[str, Any]]:
    """The frames of a sample as dicts; an image is its own only frame."""
    if not is_video(sample):
        return [sample]
    # mmengine converts the video's sample, but not the samples in its list of frames.
    return [f if isinstance(f, dict) else f.to_dict() for f in sample["video_data_samples"]]


def move_to_cpu(sample: dict[str, Any]) -> None:
    """Replace the tensors of a sample by their copies on the CPU, and a video's frames by dicts."""
    if is_video(sample):
        sample["video_data_samples"] = frames_of(sample)
        for frame in sample["video_data_samples"]:
            move_to_cpu(frame)
    for key, value in sample.items():
        if isinstance(value, dict):
            move_to_cpu(value)
        elif isinstance(value, Tensor):
            sample[key] = value.detach().cpu()


def to_numpy(values: Any) -> np.ndarray:
    """Array of a tensor on any device, or of an array."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def split_panoptic(values: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Split a predicted panoptic map, ``label + 1000 * instance`` (mmdet's encoding).

    Returns:
        Labels (0..num_classes - 1, num_classes is void) and instances (0 for stuff).

    Raises:
        ValueError: a label is above num_classes.
    """
    labels, instances = values % INSTANCE_OFFSET, values // INSTANCE_OFFSET
    if values.size and (values.min() < 0 or labels.max() > num_classes):
        wrong = values.min() if values.min() < 0 else labels.max()
        raise ValueError(
            f"the panoptic prediction holds label {wrong}, but the vocabulary has {num_classes} categories "
            f"(and {num_classes} is void); was the model given another vocabulary?"
        )
    return labels, instances


def percent(values: Mapping[str, float]) -> dict[str, float]:
    """Fractions as percent; -1 (undefined, as COCO has it) stays."""
    return {name: float(value) if value == -1 else 100 * float(value) for name, value in values.items()}
