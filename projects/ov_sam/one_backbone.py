"""OMG-Seg and OV-SAM on one frozen CLIP: segmentation by the one, clicks and names by the other, from one pass."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from torch import Tensor, nn

from omgseg.models.checkpoints.loading import build_for_prediction, words_of
from omgseg.models.geometry import InputSize, MaskGeometry, normalize
from omgseg.models.omgseg.adapter import MaskQueryStream, OMGSegSegmenter, OMGSegTracker
from omgseg.projects.ov_sam.adapter import NamedImage, OVSamSegmenter, without_files
from omgseg.protocols import MaskSet, Request
from omgseg.registry import MODELS, SEGMENTERS
from omgseg.structures import Segments, Task

OMG_SEG, OV_SAM = "omg_seg.", "ov_sam."
ENCODER, TRUNK = OMG_SEG + "image_encoder.", OV_SAM + "image_encoder.trunk."
"""Names of the one backbone as a part of OMG-Seg, and as a part of OV-SAM. Checkpoints hold at most the first."""
OF_CLIP = ("model_name", "pretrained", "mean", "std")
"""Arguments of a trunk that say which features it gives."""


@MODELS.register_module()
class OMGOVSam(nn.Module):
    """:class:`OMGSeg` and :class:`OpenVocabularySAM`, whose trunk is OMG-Seg's image encoder. It is not trained: each
    head is trained by itself.

    Args:
        omg_seg: config of OMG-Seg with a frozen ConvNeXt.
        ov_sam: config of OV-SAM on the same CLIP (:class:`ClipConvNeXt`), with images normalised alike.

    Raises:
        ValueError: the two have different CLIPs.
    """

    segmenter = "OMGOVSamSegmenter"

    def __init__(self, omg_seg: dict[str, Any], ov_sam: dict[str, Any]) -> None:
        super().__init__()
        encoder, of_ov_sam = omg_seg["image_encoder"], ov_sam["image_encoder"]
        for key in OF_CLIP:
            ours, theirs = encoder.get(key), of_ov_sam["trunk"].get(key)
            if ours != theirs:
                raise ValueError(
                    f"OMG-Seg and OV-SAM cannot share a backbone: {key} is {ours!r} in model.omg_seg.image_encoder and "
                    f"{theirs!r} in model.ov_sam.image_encoder.trunk"
                )
        shared = {**encoder, "type": "OnePassConvNeXt"}
        # mmdet's pixel decoder reads its config by attributes, which plain dictionaries do not have
        self.omg_seg = MODELS.build(ConfigDict({**omg_seg, "image_encoder": shared}))
        trunk = self.omg_seg.image_encoder
        self.ov_sam = MODELS.build({**ov_sam, "image_encoder": {**of_ov_sam, "trunk": trunk}})
        self.register_state_dict_post_hook(_leave_out_trunk)
        self.register_load_state_dict_pre_hook(_share_encoder)


def _leave_out_trunk(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """A post-hook of saving: the backbone is written once."""
    for name in [name for name in state_dict if name.startswith(prefix + TRUNK)]:
        del state_dict[name]


def _share_encoder(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """A pre-hook of loading: both parts have the backbone, and a file of one head is told from one of both."""
    names = [name.removeprefix(prefix) for name in state_dict if name.startswith(prefix)]
    if not any(name.startswith((OMG_SEG, OV_SAM)) for name in names):
        raise RuntimeError(
            "it holds no model of two heads; projects/ov_sam/join.py joins the files of OMG-Seg and OV-SAM into one"
        )
    for name in names:
        if name.startswith(ENCODER):
            state_dict[prefix + TRUNK + name.removeprefix(ENCODER)] = state_dict[prefix + name]


class SquareOMGSeg(OMGSegSegmenter):
    """OMG-Seg on images that are fitted into a square and padded, as SAM wants them."""

    @classmethod
    def of_side(cls, model: nn.Module, side: int, dtype: torch.dtype) -> SquareOMGSeg:
        """A model in memory; `side` is that of the square, in pixels."""
        segmenter = cls.from_model(model, {}, dtype)
        segmenter._input_size = InputSize((side, side))
        segmenter.abilities = replace(segmenter.abilities, test_size=(side, side))
        return segmenter

    def _pack(self, frames: Sequence[np.ndarray], task: Task) -> tuple[Tensor, list[DetDataSample]]:
        pixels, samples = super()._pack(frames, task)
        side = self._input_size.scale[0]
        return F.pad(pixels, (0, side - pixels.shape[-1], 0, side - pixels.shape[-2])), samples

    def normalized(self, image: np.ndarray) -> tuple[Tensor, MaskGeometry]:
        """What the image encoder gets of an image: (1, 3, S, S), normalised; and its sizes."""
        pixels, (sample,) = self._pack([image], Task.INTERACTIVE)
        size, encoder = sample.img_shape[:2], self.model.image_encoder
        normalised = normalize(pixels.unsqueeze(0).to(self.device), [size], encoder.mean, encoder.std)
        return normalised, MaskGeometry(tuple(pixels.shape[-2:]), size, sample.ori_shape[:2])


@SEGMENTERS.register_module()
class OMGOVSamSegmenter(OVSamSegmenter):
    """A loaded :class:`OMGOVSam`; implements every protocol: prompts and names are OV-SAM's, all else is OMG-Seg's.

    Images are fitted into OV-SAM's square for both, so that an image which is segmented and clicked on, in either
    order, passes the backbone once as long as no other comes between. Videos have the test size of the config.

    Args:
        config: with ``model``; its test pipeline says to what size videos are resized.
        weights: one file of both heads. None: no file is read, not even the weights of CLIP.
        device, dtype: see :class:`SamSegmenter`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        model = config["model"]
        if weights is None:
            encoders = {
                part: {**model["omg_seg"][part], "pretrained": None}
                for part in ("image_encoder", "text_encoder")
            }
            model = {
                **model,
                "omg_seg": {**model["omg_seg"], **encoders},
                "ov_sam": without_files(model["ov_sam"]),
            }
        both, checkpoint = build_for_prediction(model, weights)
        both.omg_seg.train_vocabulary = words_of(checkpoint)
        self._set(both.to(device), config, dtype)

    @classmethod
    def from_model(
        cls, model: OMGOVSam, config: Mapping[str, Any], dtype: torch.dtype = torch.float32
    ) -> OMGOVSamSegmenter:
        segmenter = cls.__new__(cls)
        segmenter._set(model, config, dtype)
        return segmenter

    def _set(self, model: OMGOVSam, config: Mapping[str, Any], dtype: torch.dtype) -> None:
        self._start(model.ov_sam, dtype)
        self._of_images = SquareOMGSeg.of_side(model.omg_seg, model.ov_sam.image_size, dtype)
        self._of_videos = OMGSegSegmenter.from_model(model.omg_seg, config, dtype)
        self.abilities = self._of_images.abilities

    def preprocess(self, image: np.ndarray) -> tuple[Tensor, MaskGeometry]:
        """As OMG-Seg gets it: to the backbone both are the same image."""
        return self._of_images.normalized(image)

    def group_key(self, size: tuple[int, int]) -> Hashable:
        return self._of_images.group_key(size)

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        return self._of_images.predict(images, request)

    def propose(
        self, state: NamedImage, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        of_omg_seg = self._of_images.encode_image(state.image)
        return self._of_images.propose(of_omg_seg, points_per_side, min_score, max_overlap)

    @property
    def clip_size(self) -> int:
        return self._of_videos.clip_size

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        return self._of_videos.predict_video(frames, request)

    def open_stream(self, request: Request) -> MaskQueryStream:
        return self._of_videos.open_stream(request)

    def track_video(self, frames: Sequence[np.ndarray], masks: np.ndarray, ids: np.ndarray) -> list[Segments]:
        return self._of_videos.track_video(frames, masks, ids)

    def open_tracker(self) -> OMGSegTracker:
        return self._of_videos.open_tracker()
