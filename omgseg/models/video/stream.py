"""Videos without an end: a clip is read, read out and forgotten; only a memory of the entities stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from mmdet.structures import DetDataSample, TrackDataSample
from torch import Tensor

from omgseg.models.decoder import DecoderOutput
from omgseg.models.video.identities import Identities
from omgseg.models.video.readout import Numbering, read_tubes
from omgseg.models.video.slot_memory import SlotMemory
from omgseg.models.video.tube_memory import clip_masks, presence_of
from omgseg.structures import Task

if TYPE_CHECKING:
    from omgseg.models.segmentor import Features, OMGSeg


class VideoStream:
    """Segments one video clip by clip, as it comes; what is kept does not grow with its length.

    Class scores are running means over the clips in which an entity was seen (a video of one clip gives what the
    model gives for it as a whole); whether it is there at all, the clip itself says. Entities keep their identity,
    also when they leave and return, as long as the memory has not given their place to others.

    Args:
        model: in eval mode, with a vocabulary that stays the same.
        tasks: what to predict, any of ``panoptic``, ``instance`` and ``semantic``.

    Raises:
        ValueError: a task that is none of them.
    """

    def __init__(self, model: OMGSeg, tasks: tuple[str, ...]) -> None:
        self.model = model
        self.tasks = tuple(Task(task) for task in tasks)
        for task in self.tasks:
            if task not in (Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC):
                raise ValueError(
                    f"task {task.value!r} cannot be streamed by VideoStream; it takes panoptic, instance and "
                    "semantic. Given objects are followed by ObjectTracker"
                )
        self._memory = SlotMemory()
        self._segments, self._tracks = Identities(), Identities()

    @torch.no_grad()
    def push(self, inputs: Tensor, samples: list[DetDataSample]) -> list[DetDataSample]:
        """Segment the next clip.

        Args:
            inputs: uint8 (T, 3, h, w), T at least 1 and best the model's clip size.
            samples: T frames, with the metainfo of ``PackClip``.

        Returns:
            T frames on the model's device, with ``pred_panoptic_seg``, ``pred_track_instances`` (whose rows may
            differ from clip to clip, but not what an ``instances_id`` means) and ``pred_sem_seg``, as the tasks ask.
        """
        frames, features, output = decode_clip(self.model, inputs, samples)
        evidence = self.model.clip_evidence(features, output)
        slots = self._memory.update(
            output.queries[0],
            presence_of(output),
            class_logits=output.class_logits[0],
            **{name: value[0] for name, value in evidence.items()},
        )
        means = {name: self._memory.means[name][slots] for name in evidence}
        logits = _with_background_of(output.class_logits[0], self._memory.means["class_logits"][slots])
        class_probs = self.model.class_probs(logits, **means)
        every = torch.arange(len(slots), device=slots.device)
        masks = clip_masks(output, every, self.model.test_config.num_candidates)
        entities = self._memory.identities[slots]
        numbering = Numbering(
            lambda tubes: self._segments.numbers(entities[tubes]),
            lambda tubes, labels: self._tracks.numbers(entities[tubes], labels),
        )
        given = (self.model.vocabulary, self.model.test_config, numbering)
        read_tubes(frames, masks, self.tasks, class_probs, *given)
        for numbers in (self._segments, self._tracks):
            numbers.keep(self._memory.identities)
        return frames


def decode_clip(
    model: OMGSeg, inputs: Tensor, samples: list[DetDataSample], with_classes: bool = True
) -> tuple[list[DetDataSample], Features, DecoderOutput]:
    """Run the model on a clip, without reading it out.

    Args:
        inputs, samples: see :meth:`VideoStream.push`.
        with_classes: see :meth:`OMGSeg.decode`.

    Returns:
        The frames with the metainfo that read-outs need, the features, and the decoder's output.
    """
    clip = TrackDataSample()
    clip.video_data_samples = samples
    batch = model.data_preprocessor({"inputs": [inputs], "data_samples": [clip]})
    features = model.encode(batch["inputs"], batch["data_samples"])
    (output,) = model.decode(features, batch["data_samples"], every_layer=False, with_classes=with_classes)
    return list(batch["data_samples"][0].video_data_samples), features, output


def _with_background_of(current: Tensor, mean: Tensor) -> Tensor:
    """Class logits (Q, C + 1) that share the foreground among the classes as `mean` does, and give the background
    the probability that it has in `current`; the background's own logit is the same in both."""
    shift = current[:, :-1].logsumexp(-1) - mean[:, :-1].logsumexp(-1)
    return torch.cat([mean[:, :-1] + shift.unsqueeze(-1), current[:, -1:]], dim=-1)
