"""Videos without an end: a clip is read, read out and forgotten; only the queries of its entities are remembered."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.mask_queries.readout import ReadoutConfig, geometry_of
from omgseg.models.mask_queries.video import (
    GivenObjects,
    Numbering,
    clip_masks,
    match_masks,
    presence_of,
    set_tube_predictions,
)
from omgseg.models.objects import check_given
from omgseg.models.omgseg.model import OMGSeg
from omgseg.structures import Task


class Identities:
    """Numbers entities, or an entity's classes, from 1 in the order in which they are first shown.

    A number is never given twice. Entities that the stream has forgotten are forgotten here too.
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
        self._numbers = {entity: by_label for entity, by_label in self._numbers.items() if entity in known}

    def _number(self, entity: int, label: int) -> int:
        by_label = self._numbers.setdefault(entity, {})
        if label not in by_label:
            self._last += 1
            by_label[label] = self._last
        return by_label[label]


CAPACITY = 2
"""Slots per query of the model: half of them remember entities that have left."""
FADING = 0.5
"""How much of its past a slot forgets in a clip that shows its entity clearly."""
PATIENCE = 0.1
"""By how much better an entity that was away must match than one that was just here."""
SEEN = 0.5
"""From this presence on an entity counts as seen."""
NEVER = -1


class SlotMemory:
    """The query memory of a stream: one slot per entity, found again by the similarity of queries.

    A slot holds means over the clips in which its entity was seen, weighted by how clearly. A clip without it
    changes nothing, so that an entity that returns finds its slot as it has left it. The queries of a clip compete
    for the slots (as in MinVIS, arXiv:2208.02245); an entity that resembles none of them takes the slot of the entity
    that has been away for the longest time.

    Args:
        recognition: see :class:`ReadoutConfig`.

    Attributes:
        means: by name (M, ...), means of what was given to :meth:`update`.
        identities: int64 (M,), numbers of the entities, from 1, never used twice; 0 is an empty slot.
    """

    def __init__(self, recognition: float = ReadoutConfig.recognition) -> None:
        self._recognition = recognition
        self.means: dict[str, Tensor] = {}
        self.identities = torch.empty(0, dtype=torch.int64)
        self._weights = torch.empty(0)
        self._last_seen = torch.empty(0, dtype=torch.int64)
        self._kept = torch.empty(0, dtype=torch.int64)
        self._clip = 0
        self._born = 0

    def update(self, queries: Tensor, presence: Tensor, **values: Tensor) -> Tensor:
        """Assign the queries of a clip to slots, and add their values to the means.

        Args:
            queries: (Q, D), features before the decoder's norm.
            presence: (Q,), the probability that the query shows an entity.
            values: (Q, ...) by name; their means are kept.

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
        """Never give these slots (K,) to other entities, however long their own are away. Replaces an earlier call."""
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
        """Give slots to new entities."""
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
        unlike = similarity.gather(1, columns.unsqueeze(1)).squeeze(1) < self._recognition
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
    model gives for it as a whole); whether the entity is there at all, the current clip says. Entities keep their
    identity, also when they leave and return, as long as no other entity has got their slot.

    Args:
        model: in eval mode, with a vocabulary that stays the same.
        tasks: what to predict, any of ``panoptic``, ``instance`` and ``semantic``.

    Raises:
        ValueError: another task.
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
        self._memory = SlotMemory(model.test_config.recognition)
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
        self._memory = SlotMemory(model.test_config.recognition)
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
            shown_here = [given for given in self._given if given.frame == number]
            for given in shown_here:
                self._assign(given, output, number, slots, geometry)
            objects = self._read_out(output, number, slots, geometry)
            for given in shown_here:
                for mask, identity in zip(given.masks, given.ids, strict=True):
                    objects[objects == identity] = 0
                    objects[mask.to(objects.device)] = identity.int().to(objects.device)
            frame.pred_vos_seg = PixelData(sem_seg=objects.unsqueeze(0))
        self._given = []
        return frames

    def _check_given(self, num_frames: int, geometry: MaskGeometry) -> None:
        for given in self._given:
            check_given(given.frame, tuple(given.masks.shape[1:]), num_frames, geometry.original)

    def _assign(
        self, given: GivenObjects, output: DecoderOutput, frame: int, slots: Tensor, geometry: MaskGeometry
    ) -> None:
        """Let each object continue as the query that shows it best, unless another object has that query."""
        corrected = set(given.ids.tolist())
        others = torch.tensor(
            [slot for identity, slot in self._slots.items() if identity not in corrected],
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
        followed = torch.tensor(list(self._slots.values()), dtype=slots.dtype, device=slots.device)
        match = followed.unsqueeze(1) == slots
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
