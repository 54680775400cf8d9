"""SAM 2, EdgeTAM and the tracker of SAM 3 in videos: objects that are given in some frames are followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omgseg.guests.guest import Loaded
from omgseg.guests.promptable import Sam2Guest
from omgseg.guests.readout import highest
from omgseg.models.geometry import CHUNK, interpolate
from omgseg.models.objects import check_given, check_objects
from omgseg.models.precision import predicting
from omgseg.models.sam.prompting import prompt_abilities
from omgseg.structures import NO_CLASS, Segments, Task
from omgseg.structures.images import check_frame_size
from omgseg.structures.run_lengths import encode_masks


class TrackingGuest(Sam2Guest):
    """A network for videos: prompts on images as the one for images, and a memory that follows objects."""

    clip_size = 1

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self.abilities = prompt_abilities(self.image_size, Task.VOS)

    def track_video(self, frames: Sequence[np.ndarray], masks: np.ndarray, ids: np.ndarray) -> list[Segments]:
        """See :meth:`TrackingModel.track_video`; it is the stream's result."""
        tracker = self.open_tracker()
        tracker.add(masks, ids)
        return tracker.push(frames)

    def open_tracker(self) -> MemoryStream:
        return MemoryStream(self)


def sam3_tracker(loaded: Loaded) -> TrackingGuest:
    """The tracker in a ``Sam3VideoModel``, which published files of SAM 3 hold as a whole."""
    tracker = loaded.network.tracker_model
    tracker.vision_encoder = _SharedEncoder(
        loaded.network.detector_model.vision_encoder, loaded.network.tracker_neck
    )
    return TrackingGuest(replace(loaded, network=tracker))


class _SharedEncoder(nn.Module):
    """The image encoder of SAM 3's detector, with the neck of its tracker."""

    def __init__(self, encoder: nn.Module, neck: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck = encoder.backbone, neck
        self.patch = encoder.config.backbone_config.patch_size

    def forward(self, pixels: Tensor, **_: Any) -> SimpleNamespace:
        """The output of ``Sam3VisionModel``, as far as the tracker reads it."""
        cells = [side // self.patch for side in pixels.shape[-2:]]
        hidden = self.backbone(pixels).last_hidden_state
        levels, positions = self.neck(hidden.transpose(1, 2).unflatten(2, cells))
        return SimpleNamespace(fpn_hidden_states=levels, fpn_position_encoding=positions)


class MemoryStream:
    """One video in which given objects are followed; see :class:`~omgseg.protocols.ObjectStream`.

    Frames are numbered in the order in which they are pushed, so the network sees a video that is pushed backwards as
    one that runs backwards. Of the past stays what the network looks back at: the memory of a few frames, pointers of a
    few more, and both of the frames in which objects were given.

    Each object has a session of its own. In a common one, an object that is given changes the memory of all others, and
    EdgeTAM cannot follow others in the same frame.

    Args:
        guest: the model.
    """

    def __init__(self, guest: TrackingGuest) -> None:
        self._guest = guest
        self._sessions: dict[int, Any] = {}
        self._given: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._next = 0
        self._size: tuple[int, int] | None = None

    def add(self, masks: np.ndarray, ids: np.ndarray, frame: int = 0) -> None:
        check_objects(masks, ids)
        self._given.append((frame, masks, ids))

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        self._check(frames)
        results = []
        for number, frame in enumerate(frames):
            shown = {
                int(identity): mask
                for of_frame, masks, ids in self._given
                if of_frame == number
                for mask, identity in zip(masks, ids, strict=True)
            }
            results.append(self._follow(frame, shown))
            self._next += 1
        self._given = []
        return results

    def _check(self, frames: Sequence[np.ndarray]) -> None:
        size = self._size = self._size or frames[0].shape[:2]
        for number, frame in enumerate(frames):
            check_frame_size(number, frame, size)
        for number, masks, _ in self._given:
            check_given(number, masks.shape[1:], len(frames), size)

    def _follow(self, frame: np.ndarray, shown: dict[int, np.ndarray]) -> Segments:
        """The objects of the next frame; `shown` are the masks that are given in it, by id."""
        size = frame.shape[:2]
        for identity, mask in shown.items():
            self._give(identity, mask)
        if not self._sessions:
            return Segments(Task.VOS, size, [], [], [], [], frame_index=self._next)
        pixels = self._guest.preprocess([frame])["pixel_values"]
        with predicting(self._guest.device, self._guest.dtype):
            outputs = [
                self._guest.network(session, frame_idx=self._next, frame=pixels)
                for session in self._sessions.values()
            ]
        self._forget()
        logits = torch.cat([output.pred_masks[:, 0] for output in outputs]).float()
        best, owners = highest(interpolate(some, size) for some in logits.split(CHUNK))
        owners = owners.where(best > 0, owners.new_tensor(-1)).cpu().numpy()
        for mask in shown.values():
            owners[mask] = -1
        visible = set(np.unique(owners).tolist())
        seen = [
            (row, identity)
            for row, identity in enumerate(self._sessions)
            if (shown[identity].any() if identity in shown else row in visible)
        ]
        scores = torch.cat([output.object_score_logits.flatten() for output in outputs])
        return Segments(
            Task.VOS,
            size,
            encode_masks(shown.get(identity, owners == row) for row, identity in seen),
            [NO_CLASS] * len(seen),
            scores.float().sigmoid().cpu().numpy()[[row for row, _ in seen]],
            [identity for _, identity in seen],
            frame_index=self._next,
        )

    def _give(self, identity: int, mask: np.ndarray) -> None:
        """Tell the session of an object its mask in the next frame."""
        from transformers import Sam2VideoInferenceSession  # those of the other networks are the same

        if identity not in self._sessions:
            places = ("inference_device", "inference_state_device", "video_storage_device")
            session = Sam2VideoInferenceSession(
                dtype=torch.float32, **dict.fromkeys(places, self._guest.device)
            )
            for first in self._sessions.values():
                session.cache = first.cache  # a frame is encoded once
            self._sessions[identity] = session
        session = self._sessions[identity]
        session.add_mask_inputs(session.obj_id_to_idx(identity), self._next, self._prompt(mask))
        session.obj_with_new_inputs = [identity]

    def _prompt(self, mask: np.ndarray) -> Tensor:
        """A mask (H, W) in the network's square, float (1, 1, S, S), as the processor makes it."""
        side = self._guest.image_size
        mask = torch.from_numpy(np.ascontiguousarray(mask, np.float32)).to(self._guest.device)[None, None]
        resized = torch.nn.functional.interpolate(mask, (side, side), mode="bilinear", antialias=True)
        return (resized >= 0.5).float()

    def _forget(self) -> None:
        """Drop what the network does not look back at from the next frame on."""
        config = self._guest.network.config
        reach = max(config.max_object_pointers_in_encoder, config.num_maskmem)
        for session in self._sessions.values():
            session.processed_frames.clear()
            session.cache.clear_all()
            session.mask_inputs_per_obj[0].clear()
            session.frames_tracked_per_obj[0].clear()
            outputs = session.output_dict_per_obj[0]
            for frames in outputs.values():
                for key in ("pred_masks", "high_res_masks"):
                    frames.get(self._next, {}).pop(key, None)
            followed = outputs["non_cond_frame_outputs"]
            followed.pop(self._next + 1 - reach, None)
            for key in ("maskmem_features", "maskmem_pos_enc"):
                followed.get(self._next + 1 - config.num_maskmem, {}).pop(key, None)
