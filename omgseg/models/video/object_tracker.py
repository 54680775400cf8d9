"""Video object segmentation of videos without an end: given objects are followed clip by clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from omgseg.models.decoder import DecoderOutput
from omgseg.models.readout.geometry import MaskGeometry
from omgseg.models.readout.results import geometry_of
from omgseg.models.video.slot_memory import SlotMemory
from omgseg.models.video.stream import decode_clip
from omgseg.models.video.vos import GivenObjects, match_masks

if TYPE_CHECKING:
    from omgseg.models.segmentor import OMGSeg


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
        frames, _, output = decode_clip(self.model, inputs, samples, with_classes=False)
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
