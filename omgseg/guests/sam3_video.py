"""SAM 3 on videos: all instances of phrases, with identities, in streams without an end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from omgseg.guests.guest import Loaded
from omgseg.guests.object_streams import MemoryStream, sam3_tracker
from omgseg.guests.sam3 import Sam3Guest, Sam3Image
from omgseg.models.precision import predicting
from omgseg.models.sam.prompting import EncodedImage
from omgseg.protocols import Exemplars, MaskSet, Prompts, Request
from omgseg.structures import Segments, Task
from omgseg.structures.images import check_frame_size
from omgseg.structures.run_lengths import encode_masks

MOST_CONDITIONING = 16
"""Conditioning frames of an object that are kept. transformers keeps all, and looks at the object pointers of all."""
LONGEST_ABSENCE = 300
"""Objects that were not seen for so many frames are forgotten."""


class MaskOperators:
    """The operators on masks that transformers would load as native code from the hub, with OpenCV instead."""

    @staticmethod
    def generic_nms(ious: Tensor, scores: Tensor, threshold: float, use_iou_matrix: bool) -> Tensor:
        """Indices of the masks that overlap none of a higher score by more than the threshold.

        Args:
            ious: (N, N).
            scores: (N,).
            threshold: IoU.
            use_iou_matrix: true; else `ious` would be boxes.
        """
        overlaps = (ious > threshold).cpu().numpy()
        kept: list[int] = []
        for row in scores.argsort(descending=True, stable=True).tolist():
            if not overlaps[row, kept].any():
                kept.append(row)
        return torch.tensor(kept, dtype=torch.int64, device=ious.device)

    @staticmethod
    def cc_2d(masks: Tensor, get_counts: bool) -> tuple[Tensor, Tensor]:
        """Connected components (with 8 neighbors): the label and the number of pixels of each pixel's component.

        Args:
            masks: uint8 (N, 1, H, W).
            get_counts: true.
        """
        labels, counts = np.zeros(masks.shape, np.int32), np.zeros(masks.shape, np.int32)
        for row, mask in enumerate(masks[:, 0].cpu().numpy()):
            _, labels[row, 0], boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            counts[row, 0] = boxes[:, cv2.CC_STAT_AREA][labels[row, 0]] * (mask > 0)
        return torch.from_numpy(labels).to(masks.device), torch.from_numpy(counts).to(masks.device)


@dataclass(frozen=True)
class TwiceEncoded:
    """An image for exemplars and for clicks."""

    exemplars: Sam3Image
    clicks: EncodedImage


class Sam3VideoGuest(Sam3Guest):
    """SAM 3 (arXiv:2511.16719) on images and videos: a detector in each frame, and a tracker with a memory, which also
    answers clicks.

    Segments are those of ``Sam3VideoProcessor.postprocess_outputs``: whole videos as in
    ``propagate_in_video_iterator``, which leaves out objects that prove to be wrong in their first frames, and streams
    as frame by frame. Both take the detector's score of an object in its first frame as its score. Semantic maps are
    those of single frames.

    Args:
        loaded: its network is a ``Sam3VideoModel``, whose detector segments images.
    """

    clip_size = 1

    def __init__(self, loaded: Loaded) -> None:
        from transformers import Sam2VideoVideoProcessor, Sam3VideoProcessor

        vision = loaded.network.detector_model.vision_encoder
        vision.backbone = _OnePass(vision.backbone)
        super().__init__(replace(loaded, network=loaded.network.detector_model))
        self.tracker = sam3_tracker(loaded)
        more = self.tracker.abilities
        self.abilities = replace(
            self.abilities,
            tasks=self.abilities.tasks | more.tasks,
            prompts=self.abilities.prompts | more.prompts,
        )
        self.tracking_network = loaded.network
        self.reader = Sam3VideoProcessor(self.processor, Sam2VideoVideoProcessor(), self.tokenizer)
        # else it would download native code where the package `kernels` is installed, and skip these steps elsewhere
        sys.modules[type(loaded.network).__module__].cv_utils_kernel = MaskOperators

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        return (self.tracker if request.task is Task.EVERYTHING else super()).predict(images, request)

    def encode_image(self, image: np.ndarray) -> TwiceEncoded:
        return TwiceEncoded(super().encode_image(image), self.tracker.encode_image(image))

    def find_alike(self, state: TwiceEncoded, exemplars: Exemplars, min_score: float) -> MaskSet:
        return super().find_alike(state.exemplars, exemplars, min_score)

    def segment_prompts(self, state: TwiceEncoded, prompts: Prompts) -> MaskSet:
        return self.tracker.segment_prompts(state.clicks, prompts)

    def propose(
        self, state: TwiceEncoded, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        return self.tracker.propose(state.clicks, points_per_side, min_score, max_overlap)

    def track_video(self, frames: Sequence[np.ndarray], masks: np.ndarray, ids: np.ndarray) -> list[Segments]:
        return self.tracker.track_video(frames, masks, ids)

    def open_tracker(self) -> MemoryStream:
        return self.tracker.open_tracker()

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        return Sam3Stream(self, request, len(frames)).push(frames)

    def open_stream(self, request: Request) -> Sam3Stream:
        return Sam3Stream(self, request)

    def new_session(self, size: tuple[int, int], request: Request, length: int) -> Any:
        """The state of a video with frames (height, width), whose prompts are the things of a request."""
        session = self.reader.init_video_session(inference_device=self.device)
        session.video_height, session.video_width = size
        session.processed_frames = _LastFrame(length)
        with predicting(self.device, self.dtype):
            for phrase in (category.words[0] for category in request.words if category.is_thing):
                number = session.add_prompt(phrase)
                session.prompt_embeddings[number], session.prompt_attention_masks[number] = self._phrases(
                    [phrase]
                )
        return session


class _OnePass(nn.Module):
    """A backbone that knows its last result: detector and tracker ask for the same image, one after the other."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self._last: tuple[Tensor, Any] | None = None

    def forward(self, pixels: Tensor, **options: Any) -> Any:
        if self._last is None or not torch.equal(self._last[0], pixels):
            self._last = pixels, self.backbone(pixels, **options)
        return self._last[1]


class _LastFrame(dict):
    """The newest frame of a video by its number. It is as long as the video, or `length` if this is longer."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length = length

    def __setitem__(self, number: int, pixels: Tensor) -> None:
        self.clear()
        super().__setitem__(number, pixels)
        self._length = max(self._length, number + 1)

    def __len__(self) -> int:
        return self._length


class Sam3Stream:
    """A video, frame by frame; a :class:`~omgseg.protocols.ClipStream`.

    What is kept does not grow with the length: the network's session holds all frames and outputs, of which
    :meth:`_forget` leaves what the tracker looks at.

    Args:
        guest: the model.
        request: the words.
        length: frames of the video, which are pushed together; 0: unknown.
    """

    def __init__(self, guest: Sam3VideoGuest, request: Request, length: int = 0) -> None:
        self._guest, self._request, self._length = guest, request, length
        words = list(enumerate(request.words or ()))
        self._label_of = {word.words[0]: label for label, word in reversed(words) if word.is_thing}
        self._session: Any = None
        self._last_seen: dict[int, int] = {}
        self._count = 0

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        """See :meth:`omgseg.protocols.ClipStream.push`.

        Raises:
            ValueError: there are no words, or a frame has another size than the first one.
        """
        if self._request.task is Task.SEMANTIC or not self._label_of:
            return [self._map(frame) for frame in frames]
        self._session = self._session or self._guest.new_session(
            frames[0].shape[:2], self._request, self._length
        )
        delay = self._guest.tracking_network.hotstart_delay if self._length else 0
        waiting: list[Any] = []
        results: list[Segments] = []
        for frame in frames:
            waiting.append(self._advance(frame))
            if len(waiting) >= delay:
                results.append(self._read(waiting.pop(0)))
        return results + [self._read(output) for output in waiting]

    def _map(self, frame: np.ndarray) -> Segments:
        (found,) = self._guest.predict([frame], self._request)
        self._count += 1
        return found.replace(ids=found.labels + 1, frame_index=self._count - 1)

    def _advance(self, frame: np.ndarray) -> Any:
        """The network's output for the next frame."""
        guest, session, number = self._guest, self._session, self._count
        size = session.video_height, session.video_width
        check_frame_size(number, frame, size)
        pixels = guest.preprocess([frame])["pixel_values"]
        with predicting(guest.device, guest.dtype):
            if self._length:
                session.add_new_frame(pixels, number)
                output = guest.tracking_network(session, frame_idx=number)
                session.hotstart_removed_obj_ids |= output.removed_obj_ids
            else:
                output = guest.tracking_network(session, frame_idx=number, frame=pixels)
        self._forget(output)
        self._count += 1
        return output

    def _read(self, output: Any) -> Segments:
        found = self._guest.reader.postprocess_outputs(self._session, output)
        labels = {
            identity: self._label_of[phrase]
            for phrase, identities in found["prompt_to_obj_ids"].items()
            for identity in identities
        }
        scores, identities = found["scores"].numpy(), found["object_ids"].tolist()
        shown = found["masks"].flatten(1).any(1).cpu().numpy() & (scores >= self._request.min_score)
        order = [row for row in np.argsort(-scores, kind="stable") if shown[row]]
        return Segments(
            self._request.task,
            (self._session.video_height, self._session.video_width),
            encode_masks(found["masks"][row].cpu().numpy() for row in order),
            [labels[identities[row]] for row in order],
            scores[order],
            [identities[row] + 1 for row in order],
            self._request.words,
            frame_index=output.frame_idx,
        )

    def _forget(self, output: Any) -> None:
        """Leave in the session what the next frames need."""
        session, network, now = self._session, self._guest.tracking_network, self._count
        tracker = network.config.tracker_config
        for identity, mask in output.obj_id_to_mask.items():
            if (mask > 0).any():
                self._last_seen[identity] = now
        for identity in list(session.obj_ids):
            if now - self._last_seen.setdefault(identity, now) >= LONGEST_ABSENCE:
                session.remove_object(identity)
        for outputs in session.output_dict_per_obj.values():
            given, tracked = outputs["cond_frame_outputs"], outputs["non_cond_frame_outputs"]
            _drop(given, sorted(given)[:-MOST_CONDITIONING])
            _drop(tracked, [old for old in tracked if old < now + 2 - tracker.max_object_pointers_in_encoder])
            recent = {
                *sorted(given)[-tracker.max_cond_frame_num :],
                *range(now + 2 - tracker.num_maskmem, now + 1),
            }
            for number, parts in [*given.items(), *tracked.items()]:
                _drop(parts, ["pred_masks", "high_res_masks"])
                if number not in recent:  # of others it looks at the object pointer alone
                    _drop(parts, ["maskmem_features", "maskmem_pos_enc"])
        for by_frame in (*session.frames_tracked_per_obj.values(), *session.mask_inputs_per_obj.values()):
            by_frame.clear()
        session.obj_id_to_tracker_score_frame_wise.clear()
        session.suppressed_obj_ids.clear()
        for frames in session.unmatched_frame_inds.values():
            del frames[: -network.hotstart_unmatch_thresh]
        for frames in session.overlap_pair_to_frame_inds.values():
            del frames[: -network.hotstart_dup_thresh]
        known = set(session.obj_ids)
        for table in (
            self._last_seen,
            session.obj_first_frame_idx,
            session.unmatched_frame_inds,
            session.trk_keep_alive,
        ):
            _drop(table, set(table) - known)
        pairs = session.overlap_pair_to_frame_inds
        _drop(pairs, [pair for pair in pairs if not known.issuperset(pair)])
        # outputs that wait to be read share this table
        session.obj_id_to_score = {
            one: score for one, score in session.obj_id_to_score.items() if one in known
        }


def _drop(table: dict, keys: Iterable) -> None:
    """Remove entries, if they are there."""
    for key in list(keys):
        table.pop(key, None)
