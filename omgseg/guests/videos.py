"""VidEoMT: a network that carries its queries from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.guests.guest import Found, ImageGuest, Loaded
from omgseg.guests.mask_queries import EomtGuest, MaskFormerGuest, tasks_of
from omgseg.models.geometry import MaskGeometry
from omgseg.models.precision import predicting
from omgseg.protocols import Request
from omgseg.structures import Segments, Task
from omgseg.structures.images import check_frame_size
from omgseg.structures.predictions import STUFF_ID


class VideomtGuest(EomtGuest):
    """VidEoMT (EoMT for videos), read out frame by frame as by its video processor.

    A frame's queries are the learned ones and what became of the queries in the frame before, so a query follows its
    object, and a frame depends on earlier ones alone: streams give what whole videos give. An image is a video of one
    frame.
    """

    clip_size = 5
    group_key = ImageGuest.group_key
    read_semantic = MaskFormerGuest.read_semantic

    def load_processor(self, loaded: Loaded) -> Any:
        return loaded.video_processor()

    def tasks(self, name: str) -> frozenset[Task]:
        """VSPW has the classes of VIPSeg, without objects."""
        return frozenset({Task.SEMANTIC}) if "vspw" in name.lower() else tasks_of(name, self.words)

    def forward(self, images: Sequence[np.ndarray], task: Task) -> Any:
        return self.network(pixel_values_videos=self._pixels([image[None] for image in images]))

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        return self.open_stream(request).push(frames)

    def open_stream(self, request: Request) -> VideomtStream:
        return VideomtStream(self, request)

    def decode_clip(self, frames: Sequence[np.ndarray], queries: Tensor | None) -> tuple[list[Any], Tensor]:
        """Run the network on the next frames of a video.

        Args:
            frames: RGB uint8 (H, W, 3) of one size.
            queries: (1, Q, D), what became of the queries in the frame before; None at the start.

        Returns:
            The output for each frame, see :meth:`forward`, and what became of the queries in the last one.
        """
        network, learned = self.network, self.network.query.weight.unsqueeze(0)
        split = len(network.layers) - network.config.num_blocks
        patches = network.embeddings(self._pixels([np.stack(frames)])[0])
        for layer in network.layers[:split]:
            patches = layer(patches)
        outputs = []
        for frame in patches.split(1):
            start = learned if queries is None else learned + network.query_updater(queries)
            tokens = torch.cat([start, frame], dim=1)
            for layer in network.layers[split:]:
                tokens = layer(tokens)
            queries = tokens[:, : learned.shape[1]]
            masks, classes = network.predict(network.layernorm(tokens))
            outputs.append(SimpleNamespace(masks_queries_logits=masks, class_queries_logits=classes))
        return outputs, queries

    def geometry(self, size: tuple[int, int]) -> MaskGeometry:
        cells = tuple(side * 2**self.network.config.num_upscale_blocks for side in self.network.grid_size)
        return MaskGeometry(cells, cells, size)

    def _pixels(self, videos: Sequence[np.ndarray]) -> Tensor:
        """The network's input (B, T, 3, h, w) for videos, RGB uint8 (T, H, W, 3) each."""
        given = dict(return_tensors="pt", input_data_format="channels_last", do_sample_frames=False)
        return self.processor(videos=list(videos), **given).pixel_values_videos.to(self.device)


class VideomtStream:
    """A video, clip by clip; a :class:`~omgseg.protocols.ClipStream`. Only the queries of the last frame are kept.

    Things are numbered by their queries, in the order in which these first show one.
    """

    def __init__(self, guest: VideomtGuest, request: Request) -> None:
        self._guest, self._request = guest, request
        self._places = guest.words.places(request.words)
        self._queries: Tensor | None = None
        self._numbers: dict[int, int] = {}
        self._size: tuple[int, int] | None = None
        self._count = 0

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        """See :meth:`omgseg.protocols.ClipStream.push`.

        Raises:
            ValueError: a frame has another size than the first one.
        """
        self._size = self._size or frames[0].shape[:2]
        for number, frame in enumerate(frames, self._count):
            check_frame_size(number, frame, self._size)
        size = self._guest.clip_size
        clips = [frames[start : start + size] for start in range(0, len(frames), size)]
        return [segments for clip in clips for segments in self._segment(clip)]

    def _segment(self, clip: Sequence[np.ndarray]) -> list[Segments]:
        guest, results = self._guest, []
        with predicting(guest.device, guest.dtype):
            outputs, self._queries = guest.decode_clip(clip, self._queries)
        for output in outputs:
            (found,) = guest.read(output, [self._size], self._request)
            place = dict(ids=self._ids(found), frame_index=self._count)
            results.append(guest.words.segments(found, self._request, self._size, **place))
            self._count += 1
        return results

    def _ids(self, found: Found) -> np.ndarray:
        labels, is_thing = self._places[found.classes], self._guest.words.is_thing[found.classes]
        if self._request.task is Task.SEMANTIC:
            return labels + 1
        ids = STUFF_ID + labels
        for row in np.flatnonzero(is_thing):
            ids[row] = self._numbers.setdefault(int(found.queries[row]), len(self._numbers) + 1)
        return ids
