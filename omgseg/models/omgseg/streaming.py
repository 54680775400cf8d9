"""Videos without an end: a clip is read, read out and forgotten; only a memory of the entities stays."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.mask_queries.readout import geometry_of
from omgseg.models.mask_queries.video import (
    GivenObjects,
    Numbering,
    clip_masks,
    match_masks,
    presence_of,
    set_tube_predictions,
)
from omgseg.models.omgseg.model import OMGSeg
from omgseg.structures import Task


class Identities:
    """Numbers entities, or an entity's classes, from 1 in the order in which they are first shown.

    A number is never given twice. What is no longer remembered by the stream is forgotten here, too.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, dict[int, int]] = {}
        self._last = 0

    def numbers(self, entities: Tensor, labels: Tensor | None = None) -> Tensor:
        """The number, int64 (N,), of each entity (N,), or of each pair of an entity and a label (N,)."""
        labels = torch.zeros_like(entities) if labels is None else labels
        found = [self._number(*pair) for pair in zip(entities.tolist(), labels.tolist(), strict=True)]
        return torch.tensor(found, dtype=torch.int64, device=entities.device)

    def keep(self, entities: Tensor) -> None:
        """Forget all others."""
        known = set(entities.tolist())
        self._numbers = {entity: own for entity, own in self._numbers.items() if entity in known}

    def _number(self, entity: int, label: int) -> int:
        own = self._numbers.setdefault(entity, {})
        if label not in own:
            self._last += 1
            own[label] = self._last
        return own[label]


CAPACITY = 2
"""Slots for each query of the model; the half that shows nothing now remembers entities that have left."""
FADING = 0.5
"""How much of its past a slot forgets in a clip that shows its entity clearly."""
RECOGNITION = 0.8
"""An entity whose query has a lower cosine similarity with the slot is another one."""
PATIENCE = 0.1
"""An entity that was away must match by this much more than one that was just here."""
SEEN = 0.5
"""From this presence on an entity counts as seen."""
NEVER = -1


class SlotMemory:
    """Entities of a stream, one slot each, found again by what their queries look like.

    A slot holds means over the clips in which its entity was seen, weighted by how clearly. A clip without it
    changes nothing, so that an entity that returns finds its slot as it has left it. The queries of a clip compete
    for the slots (as in MinVIS, arXiv:2208.02245); an entity that resembles none takes the slot of the one
    that has been away for the longest time.

    Attributes:
        means: by name (M, ...), what was given to :meth:`update`.
        identities: int64 (M,), numbers of the entities, from 1, never used again; 0 is an empty slot.
    """

    def __init__(self) -> None:
        self.means: dict[str, Tensor] = {}
        self.identities = torch.empty(0, dtype=torch.int64)
        self._weights = torch.empty(0)
        self._last_seen = torch.empty(0, dtype=torch.int64)
        self._kept = torch.empty(0, dtype=torch.int64)
        self._clip = 0
        self._born = 0

    def update(self, queries: Tensor, presence: Tensor, **values: Tensor) -> Tensor:
        """Assign the queries of a clip to slots, and remember what they say.

        Args:
            queries: (Q, D), features before the decoder's norm.
            presence: (Q,), how sure it is that the query shows an entity, in 0..1.
            values: (Q, ...) by name, of which means are kept.

        Returns:
            int64 (Q,): a slot for each query, all different.
        """
        directions = F.normalize(queries.float(), dim=-1)
        presence = presence.float().clamp(min=1e-4)
        slots = self._match(directions, presence) if self._clip else self._start(presence)
        past = self._weights[slots] * (1 - FADING * presence)
        self._weights[slots] = past + presence
        share = presence / (past + presence)
        for name, value in {"queries": directions, **values}.items():
            self._remember(name, slots, value.float(), share)
        self._last_seen[slots[presence >= SEEN]] = self._clip
        self._clip += 1
        return slots

    def keep(self, slots: Tensor) -> None:
        """Never give these slots (K,) to others, however long their entities are away; instead of earlier ones."""
        self._kept = slots

    def _start(self, presence: Tensor) -> Tensor:
        size, device = CAPACITY * len(presence), presence.device
        self.identities = torch.zeros(size, dtype=torch.int64, device=device)
        self._weights = torch.zeros(size, device=device)
        self._last_seen = torch.full((size,), NEVER, device=device)
        slots = torch.arange(len(presence), device=device)
        self._kept = slots[:0]
        self._vacate(slots)
        return slots

    def _vacate(self, slots: Tensor) -> None:
        """Give slots to entities that nothing is known of."""
        self.identities[slots] = torch.arange(1, len(slots) + 1, device=slots.device) + self._born
        self._weights[slots] = 0
        self._last_seen[slots] = NEVER
        self._born += len(slots)

    def _remember(self, name: str, slots: Tensor, value: Tensor, share: Tensor) -> None:
        if name not in self.means:
            self.means[name] = value.new_zeros(len(self.identities), *value.shape[1:])
        share = share.view(-1, *[1] * (value.dim() - 1))
        old = self.means[name][slots]
        self.means[name][slots] = torch.where(share < 1, old + share * (value - old), value)

    def _match(self, directions: Tensor, presence: Tensor) -> Tensor:
        used = self.identities.nonzero().squeeze(1)
        with torch.autocast(directions.device.type, enabled=False):  # else the similarities become bfloat16
            similarity = directions @ F.normalize(self.means["queries"][used], dim=-1).t()
        away = (self._last_seen[used] < self._clip - 1) & (self._last_seen[used] != NEVER)
        cost = PATIENCE * away - similarity
        _, columns = linear_sum_assignment(cost.cpu().numpy())
        columns = torch.from_numpy(columns).to(used.device)
        slots = used[columns]
        unlike = similarity.gather(1, columns.unsqueeze(1)).squeeze(1) < RECOGNITION
        strange = unlike & (presence >= SEEN) & (self._last_seen[slots] != NEVER)
        if strange.any():
            slots[strange] = self._longest_away(int(strange.sum()), taken=slots[~strange])
            self._vacate(slots[strange])
        return slots

    def _longest_away(self, count: int, taken: Tensor) -> Tensor:
        """Slots that are empty, or whose entity was seen the longest time ago."""
        last_seen = self._last_seen.clone()
        last_seen[torch.cat([taken, self._kept])] = self._clip + 1
        return last_seen.argsort(stable=True)[:count]


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
        frames, features, output = self.model.decode_clip(inputs, samples)
        evidence = self.model.zero_shot_evidence(features, output)
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
        set_tube_predictions(frames, masks, self.tasks, class_probs, *given)
        for numbers in (self._segments, self._tracks):
            numbers.keep(self._memory.identities)
        return frames


def _with_background_of(current: Tensor, mean: Tensor) -> Tensor:
    """Class logits (Q, C + 1) that share the foreground among the classes as `mean` does, and give the background
    the probability that it has in `current`; the background's own logit is the same in both."""
    shift = current[:, :-1].logsumexp(-1) - mean[:, :-1].logsumexp(-1)
    return torch.cat([mean[:, :-1] + shift.unsqueeze(-1), current[:, -1:]], dim=-1)


class ObjectTracker:
    """Follows objects that are given by their masks; what is kept does not grow with the length of the video.

    Frames come in the order in which objects are followed: that of the video, or the reverse.

    Args:
        model: in eval mode; needs no vocabulary.
    """

    def __init__(self, model: OMGSeg) -> None:
        self.model = model
        self._memory = SlotMemory()
        self._slots: dict[int, int] = {}
        self._given: list[GivenObjects] = []

    def add(self, masks: Tensor, ids: Tensor, frame: int = 0) -> None:
        """Give objects, or correct those that are followed already.

        Args:
            masks: bool (N, H, W), at the original size.
            ids: int64 (N,), above 0.
            frame: the frame that shows them, in the clip that is pushed next.

        Raises:
            ValueError: masks and ids do not fit each other, or an id is not above 0.
        """
        masks, ids = torch.as_tensor(masks).bool(), torch.as_tensor(ids).long()
        if masks.dim() != 3 or ids.shape != masks.shape[:1]:
            raise ValueError(
                f"masks are (N, H, W) and ids (N,), got {tuple(masks.shape)} and {tuple(ids.shape)}"
            )
        if (ids < 1).any():
            raise ValueError(f"ids are numbers above 0, which is the background; got {ids.tolist()}")
        self._given.append(GivenObjects(frame, masks, ids))

    @torch.no_grad()
    def push(self, inputs: Tensor, samples: list[DetDataSample]) -> list[DetDataSample]:
        """Follow the objects through the next clip.

        Args:
            inputs: uint8 (T, 3, h, w).
            samples: T frames, with the metainfo of ``PackClip``.

        Returns:
            T frames on the model's device, with ``pred_vos_seg``: int32 (1, H, W), ids, 0 is background. Each pixel
            goes to the object of the highest mask probability above one half. A frame in which an object was given
            shows it as it was given.

        Raises:
            ValueError: an object was given in a frame that this clip does not have, or has another size than it.
        """
        frames, _, output = self.model.decode_clip(inputs, samples, with_classes=False)
        geometry = geometry_of(frames[0])
        self._check_given(len(frames), geometry)
        objectness = output.objectness_logits[0].float()
        slots = self._memory.update(output.queries[0], objectness.sigmoid())
        for number, frame in enumerate(frames):
            given = [each for each in self._given if each.frame == number]
            for each in given:
                self._assign(each, output, number, slots, geometry)
            objects = self._read_out(output, number, slots, geometry)
            for each in given:
                for mask, identity in zip(each.masks, each.ids, strict=True):
                    objects[objects == identity] = 0
                    objects[mask.to(objects.device)] = identity.int().to(objects.device)
            frame.pred_vos_seg = PixelData(sem_seg=objects.unsqueeze(0))
        self._given = []
        return frames

    def _check_given(self, num_frames: int, geometry: MaskGeometry) -> None:
        for each in self._given:
            if not 0 <= each.frame < num_frames:
                raise ValueError(
                    f"objects were given in frame {each.frame} of a clip of {num_frames} frames; add them before "
                    "the clip that has this frame, which is counted from the clip's first one, 0"
                )
            if tuple(each.masks.shape[1:]) != geometry.original:
                raise ValueError(
                    f"the masks of the objects are {tuple(each.masks.shape[1:])}, the frames {geometry.original} "
                    "(height, width)"
                )

    def _assign(
        self, given: GivenObjects, output: DecoderOutput, frame: int, slots: Tensor, geometry: MaskGeometry
    ) -> None:
        """Let each object continue as the query that shows it best, if it is not another object's."""
        own = set(given.ids.tolist())
        others = torch.tensor(
            [slot for identity, slot in self._slots.items() if identity not in own],
            dtype=slots.dtype,
            device=slots.device,
        )
        objectness = output.objectness_logits[0].float().masked_fill(torch.isin(slots, others), -torch.inf)
        count = min(self.model.test_config.num_proposals, int(objectness.isfinite().sum()))
        proposals = objectness.topk(count).indices
        shown = geometry.resize(_mask_logits(output, proposals, frame)) > 0
        matched = match_masks(shown, given.masks.to(shown.device))
        for identity, row in zip(given.ids.tolist(), matched.tolist(), strict=True):
            self._slots.pop(identity, None)
            if row >= 0:
                self._slots[identity] = int(slots[proposals[row]])
        self._memory.keep(torch.tensor(list(self._slots.values()), dtype=slots.dtype, device=slots.device))

    def _read_out(self, output: DecoderOutput, frame: int, slots: Tensor, geometry: MaskGeometry) -> Tensor:
        """Object map int32 (H, W) of a frame."""
        ids = torch.tensor(list(self._slots), dtype=torch.int32, device=slots.device)
        own = torch.tensor(list(self._slots.values()), dtype=slots.dtype, device=slots.device)
        match = own.unsqueeze(1) == slots
        here = match.any(1)
        if not here.any():
            return torch.zeros(geometry.original, dtype=torch.int32, device=slots.device)
        logits = _mask_logits(output, match[here].int().argmax(1), frame)
        best, row = geometry.resize(logits).max(0)
        return ids[here][row] * (best > 0)


def _mask_logits(output: DecoderOutput, queries: Tensor, frame: int) -> Tensor:
    """(K, h, w) of some queries in one frame of the clip."""
    features = output.mask_features[0, :, frame]
    return torch.einsum("kd,dhw->khw", output.mask_embeddings[0, queries], features).float()
