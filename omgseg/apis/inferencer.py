"""One call for any input and any task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import Config

from omgseg.apis.building import build_model, read_config, test_resize
from omgseg.apis.inputs import Clip, Input, read_input
from omgseg.apis.interactive import Coordinates, InteractivePredictor
from omgseg.apis.packing import pack_clip
from omgseg.apis.words import Words, to_vocabulary
from omgseg.datasets.transforms import Resize
from omgseg.structures import Task, Vocabulary
from omgseg.structures.png import read_index_png

Sample = DetDataSample | TrackDataSample
_ANY_OBJECT = Vocabulary.from_names(["object"])
"""Following given masks needs no words, but the model always has some."""


class OMGSegInferencer:
    """Segments images and videos with any words, in any task, with one model.

    ::

        seg = OMGSegInferencer("configs/omg_coco_vipseg_ytvis.py", "omg_seg.safetensors")
        sample = seg("street.jpg", vocabulary=["car", "person"], stuff=["road", "sky"])
        sample.pred_panoptic_seg.sem_seg  # int32 (1, H, W), label + 1000 * instance
        video = seg("frames/", tasks="instance")
        click = seg("street.jpg", tasks="interactive", points=[(320, 200)])

    Args:
        config: a file, or a config. Its test pipeline says to what size images are resized.
        checkpoint: weights; None is a model with random weights, with a warning.
        vocabulary, stuff: the words of all calls that give none, see
            :func:`~omgseg.apis.words.to_vocabulary`. Default: the words of the training, from the checkpoint.
        device: default: the accelerator if there is one.
        scale: (width, height) to which images are resized, instead of the config's.

    Attributes:
        model: the model, in eval mode.
        resize: the transform that gives images their test size.
        vocabulary: the words of calls that give none; None if there are none.
        interactive: an :class:`InteractivePredictor` of the same model.

    Raises:
        FileNotFoundError: config, checkpoint, or weights of the image encoder.
        ConfigError, CheckpointError, ValueError: what does not fit, by name.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | str | Path,
        checkpoint: str | Path | None = None,
        vocabulary: Words | None = None,
        stuff: Iterable[str] = (),
        device: str | None = None,
        scale: tuple[int, int] | None = None,
    ) -> None:
        config = read_config(config)
        words = to_vocabulary(vocabulary, stuff)
        self.model = build_model(config, checkpoint, device)
        self.resize = test_resize(config) if scale is None else Resize(tuple(scale))
        self.vocabulary = words or self.model.train_vocabulary
        self.interactive = InteractivePredictor(self.model, self.resize)

    def __call__(
        self,
        inputs: Input | Sequence[Input],
        tasks: str | Sequence[str] = ("panoptic",),
        vocabulary: Words | None = None,
        stuff: Iterable[str] = (),
        points: Coordinates | None = None,
        boxes: Coordinates | None = None,
        first_mask: np.ndarray | str | Path | None = None,
    ) -> Sample | list[Sample]:
        """Segment.

        Args:
            inputs: an image file; a folder, whose images are the frames of one video; an RGB image uint8
                (H, W, 3); a video uint8 (T, H, W, 3); a :class:`Clip`; or a list of these.
            tasks: what to predict: any of ``panoptic``, ``instance``, ``semantic``, and ``vos`` on videos;
                ``interactive`` alone.
            vocabulary, stuff: words of this call, see :func:`~omgseg.apis.words.to_vocabulary`.
            points, boxes: prompts of the task ``interactive``, see :meth:`InteractivePredictor.predict`.
            first_mask: for ``vos``, the objects in the first frame: integers (H, W) or a PNG of them, 0 is
                background.

        Returns:
            For an image an mmdet ``DetDataSample``, for a video a ``TrackDataSample`` with one of them a frame, for a
            list a list; on the CPU, every map and mask in the size of the input:

            - panoptic: ``pred_panoptic_seg.sem_seg`` int32 (1, H, W), ``label + 1000 * instance`` (instance 0 for
              stuff), ``len(vocabulary)`` where nothing is; instances keep their number over a video.
            - semantic: ``pred_sem_seg.sem_seg`` int64 (1, H, W).
            - instance: ``pred_instances`` (labels, scores, bboxes, masks bool (N, H, W)), in a video
              ``pred_track_instances`` (instances_id, labels, scores, masks as N COCO run lengths).
            - interactive: ``pred_instances``, in the order of the prompts.
            - vos: ``pred_vos_seg.sem_seg`` int32 (1, H, W), numbers of `first_mask`.

            The metainfo ``vocabulary`` says what the labels are (not for ``interactive``).

        Raises:
            FileNotFoundError, OSError, ValueError, TypeError: an input, a task, a word or a prompt is wrong; says
                which, and what is right.
        """
        tasks = check_tasks(
            tasks, prompted=points is not None or boxes is not None, masked=first_mask is not None
        )
        words = self._use_words(to_vocabulary(vocabulary, stuff), tasks)
        if isinstance(first_mask, (str, Path)):
            first_mask = read_index_png(first_mask)
        if isinstance(inputs, list | tuple):
            if not inputs:
                raise ValueError("the list of inputs is empty")
            clips = (read_input(each) for each in inputs)
            return [self._predict(clip, tasks, words, points, boxes, first_mask) for clip in clips]
        return self._predict(read_input(inputs), tasks, words, points, boxes, first_mask)

    def _use_words(self, given: Vocabulary | None, tasks: tuple[str, ...]) -> Vocabulary | None:
        """The words that the tasks need."""
        if tasks == (Task.INTERACTIVE,):
            return None
        words = given or self.vocabulary or (_ANY_OBJECT if tasks == (Task.VOS,) else None)
        if words is None:
            raise ValueError(
                'no words: the checkpoint holds no training vocabulary; give one, e.g. vocabulary=["dog", "car"], '
                'stuff=["sky"], or vocabulary="coco_panoptic"'
            )
        return words

    def _predict(
        self,
        clip: Clip,
        tasks: tuple[str, ...],
        words: Vocabulary | None,
        points: Coordinates | None,
        boxes: Coordinates | None,
        first_mask: np.ndarray | None,
    ) -> Sample:
        if tasks == (Task.INTERACTIVE,):
            self.interactive.set_clip(clip)
            return self.interactive.predict(points, boxes)
        if Task.VOS in tasks and not clip.is_video:
            raise ValueError(f"{clip.name} is an image; the task 'vos' follows objects through a video")
        packed = pack_clip(clip, tasks, self.resize, first_mask)
        self.model.set_vocabulary(words)
        (sample,) = self.model.test_step({key: [value] for key, value in packed.items()})
        sample.set_metainfo({"vocabulary": words})
        return sample.cpu()


def check_tasks(tasks: str | Sequence[str], prompted: bool, masked: bool) -> tuple[str, ...]:
    """The tasks as a tuple of :class:`Task` values.

    Args:
        prompted: points or boxes are given.
        masked: the first frame's mask is given.

    Raises:
        ValueError: an unknown task, none, or one that does not go with the others or with what is given.
    """
    names = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    known = [task.value for task in Task]
    for name in names:
        if name not in known:
            raise ValueError(f"unknown task {name!r}; tasks are {', '.join(known)}")
    if not names:
        raise ValueError(f"no task; tasks are {', '.join(known)}")
    interactive = Task.INTERACTIVE in names
    if interactive and len(names) > 1:
        raise ValueError("the task 'interactive' asks other queries than the others: call it alone")
    if interactive != prompted:
        raise ValueError("points or boxes and the task 'interactive' need each other")
    if (Task.VOS in names) != masked:
        raise ValueError("the first frame's mask and the task 'vos' need each other")
    return tuple(Task(name).value for name in dict.fromkeys(names))
