"""The sides of the SAM benchmark: models of the family from their configs, FastSAM, and transformers' ``SamModel``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from mmdet.structures import DetDataSample
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor

from benchmarks.use import make_picture
from omgseg.inference.loading import read_config
from omgseg.models.checkpoints.transformers_sam import published_name
from omgseg.models.sam.everything import point_grid
from omgseg.models.sam.model import SAM
from omgseg.projects.fast_sam import FastSam
from omgseg.protocols import Request
from omgseg.registry import MODELS, SEGMENTERS
from omgseg.structures import Task
from omgseg.structures.run_lengths import as_text

PUBLISHED_DECODER_EPS = 1e-5
"""Of the layer norms in SAM's transformer; the default of ``SamMaskDecoderConfig`` is 1e-6."""
TINY = dict(
    type="SAM",
    image_encoder=dict(
        type="SamImageEncoder",
        image_size=64,
        patch_size=8,
        width=32,
        depth=2,
        num_heads=2,
        window_size=3,  # does not divide the grid
        global_layers=[1],
        embed_dim=32,
    ),
    prompt_encoder=dict(type="SamPromptEncoder", embed_dim=32, image_size=64, stride=8),
    mask_decoder=dict(type="SamMaskDecoder", embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32),
)
"""A config's ``model`` that takes milliseconds."""


CALM = 0.05
"""How much the embedding of :func:`build` depends on the picture."""
SHARPNESS = 10.0
"""Standard deviation of its logits."""
MIN_IOU, MIN_STABILITY = 0.88, 0.8
"""Limits of everything mode: half of the candidates have more than this expected IoU, by the choice of a bias."""
FAST_SAM_ANCHORS = 1000
"""How many score above FastSAM's threshold, by the choice of a bias."""


class Side(Protocol):
    """What is measured of a model; the picture fits into its square without resizing."""

    def encode(self, picture: np.ndarray) -> Tensor:
        """RGB uint8 (H, W, 3) to (1, E, h, w)."""

    def everything(self, picture: np.ndarray, side: int) -> list[dict[str, Any]]:
        """Run lengths of all masks, asked for with side * side points."""


class PromptedSide(Side, Protocol):
    """Of a model with a mask decoder."""

    def decode(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, 2) in pixels to logits (N, 3, 4 h, 4 w) and expected IoU (N, 3)."""


class Ours(PromptedSide):
    """A SAM of this package."""

    def __init__(self, model: SAM) -> None:
        self.model = model

    @torch.no_grad()
    def encode(self, picture: np.ndarray) -> Tensor:
        return self.model.image_encoder(self.model.preprocess(picture)[0])

    @torch.no_grad()
    def decode(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        labels = torch.ones(len(points), 1, dtype=torch.long)
        prediction = self.model.decode(embedding, points.unsqueeze(1), labels)
        return prediction.logits[:, 1:], prediction.iou[:, 1:]

    def everything(self, picture: np.ndarray, side: int) -> list[dict[str, Any]]:
        grid = dict(points_per_side=side, min_iou=MIN_IOU, min_stability=MIN_STABILITY)
        segmenter = SEGMENTERS.get(self.model.segmenter).from_model(
            self.model, dict(segmenter=dict(everything=grid))
        )
        return segmenter.predict([picture], Request(Task.EVERYTHING))[0].rles


class EverythingFirst(Side):
    """FastSAM: prompts choose among the masks of everything mode, without a decoder, and no points ask for them."""

    def __init__(self, model: FastSam) -> None:
        self.model = model
        self.segmenter = SEGMENTERS.get(model.segmenter).from_model(model, {})

    @torch.no_grad()
    def encode(self, picture: np.ndarray) -> Tensor:
        """Its prototypes (1, h, w, K); boxes and coefficients are computed with them."""
        return network_outputs(self.model, picture).prototypes

    def everything(self, picture: np.ndarray, side: int) -> list[dict[str, Any]]:
        return self.segmenter.predict([picture], Request(Task.EVERYTHING))[0].rles


def network_outputs(model: FastSam, picture: np.ndarray) -> Any:
    """What the network gives of an RGB uint8 (H, W, 3) that fits into its square."""
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None, None]
    return model(pixels, [DetDataSample(metainfo=dict(img_shape=picture.shape[:2]))], mode="tensor")


def side_of(model: SAM | FastSam) -> Side:
    """A model of this package as a side."""
    return Ours(model) if isinstance(model, SAM) else EverythingFirst(model)


class Transformers(PromptedSide):
    """``SamModel`` with the weights of one of ours, its defaults, and its mask-generation pipeline."""

    def __init__(self, model: SAM) -> None:
        from transformers import SamImageProcessor, pipeline

        self.model = to_transformers(model)
        side = model.image_size
        square = dict(height=side, width=side)
        self.processor = SamImageProcessor(size=dict(longest_edge=side), pad_size=square)
        self.pipeline = pipeline(
            "mask-generation", model=self.model, image_processor=self.processor, device="cpu"
        )

    @torch.no_grad()
    def encode(self, picture: np.ndarray) -> Tensor:
        pixels = self.processor(images=picture, return_tensors="pt")["pixel_values"]
        return self.model.get_image_embeddings(pixels)

    @torch.no_grad()
    def decode(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        prompts = points.float()[None, :, None]
        found = self.model(image_embeddings=embedding, input_points=prompts)
        return found.pred_masks[0], found.iou_scores[0]

    def everything(self, picture: np.ndarray, side: int) -> list[dict[str, Any]]:
        found = self.pipeline(
            Image.fromarray(picture),
            points_per_crop=side,
            pred_iou_thresh=MIN_IOU,
            stability_score_thresh=MIN_STABILITY,
            output_rle_mask=True,
        )
        return [as_text(coco_mask.frPyObjects(rle, *rle["size"])) for rle in found["rle_mask"]]


def build(model_config: Mapping[str, Any]) -> SAM | FastSam:
    """A model with weights that are the same every time, whose masks are blobs of all sizes, as trained ones are.

    The masks of other random weights are noise, and everything mode would spend its time on their run lengths.
    """
    torch.manual_seed(0)
    model = MODELS.build(dict(model_config)).eval()
    with torch.no_grad():
        (_calm_sam if isinstance(model, SAM) else _calm_fast_sam)(model)
    return model


def _calm_sam(model: SAM) -> None:
    decoder = model.mask_decoder
    embedding = _calm_embedding(model)
    for name, parameter in model.named_parameters():  # zeros and ones would agree under any name
        if parameter.ndim == 1 or "rel_pos" in name:
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.image_encoder.neck[3].weight.mul_(CALM)
    for layer in (decoder.output_upscaling[0], decoder.output_upscaling[3]):  # pixels of a cell are alike
        layer.weight.copy_(layer.weight.mean((2, 3), keepdim=True))
    seen: list[Tensor] = []
    hook = decoder.transformer.register_forward_hook(lambda *call: seen.append(call[2][1]))
    side = Ours(model)
    side.decode(embedding, _calibration_points(model))
    hook.remove()
    cells = torch.cat(seen).transpose(1, 2).unflatten(2, embedding.shape[2:])
    decoder.output_upscaling[3].bias.sub_(decoder.output_upscaling[:4](cells).mean((0, 2, 3)))
    logits, iou = side.decode(embedding, _calibration_points(model))
    decoder.iou_prediction_head.layers[-1].bias.add_(MIN_IOU - iou.median())
    for mlp in decoder.output_hypernetworks_mlps:
        mlp.layers[-1].weight.mul_(SHARPNESS / logits.std())
        mlp.layers[-1].bias.mul_(SHARPNESS / logits.std())


def _calm_fast_sam(model: FastSam) -> None:
    """Masks fill their boxes, or are empty, and :data:`FAST_SAM_ANCHORS` boxes go into NMS."""
    network = model.network
    network.proto_net[-1].weight.mul_(CALM)
    network.proto_net[-1].bias.fill_(1.0)
    background, objects = network_outputs(model, picture_for(model)).classes[0].unbind(-1)
    margins = (objects - background).sort(descending=True).values
    threshold = torch.logit(torch.tensor(model.test_config.score_thr))
    of_objects = network.prediction_layers[0].conf_layer.bias.view(-1, 2)[:, 1]
    of_objects.add_(threshold - margins[min(FAST_SAM_ANCHORS, len(margins) - 1)])


def _calm_embedding(model: SAM) -> Tensor:
    """As the image encoder would give it."""
    cells = model.image_size // model.image_encoder.stride
    return CALM * torch.randn(1, model.image_encoder.embed_dim, cells, cells)


def _calibration_points(model: SAM) -> Tensor:
    return torch.from_numpy(point_grid(4) * model.image_size)


def to_transformers(model: SAM) -> Any:
    """``transformers.SamModel`` of the same sizes and weights, with its default way to compute attention."""
    from transformers import SamConfig, SamModel

    encoder, decoder = model.image_encoder, model.mask_decoder
    width, hidden = encoder.pos_embed.shape[-1], encoder.embed_dim
    layer, window = decoder.transformer.layers[0], max(block.window_size for block in encoder.blocks)
    size = dict(image_size=encoder.image_size, patch_size=encoder.stride)
    config = SamConfig(
        vision_config=dict(
            **size,
            hidden_size=width,
            output_channels=hidden,
            num_hidden_layers=len(encoder.blocks),
            num_attention_heads=encoder.blocks[0].attn.num_heads,
            mlp_dim=encoder.blocks[0].mlp.lin1.out_features,
            window_size=window,
            global_attn_indexes=[n for n, block in enumerate(encoder.blocks) if not block.window_size],
            num_pos_feats=hidden // 2,
        ),
        prompt_encoder_config=dict(**size, hidden_size=hidden),
        mask_decoder_config=dict(
            hidden_size=hidden,
            mlp_dim=layer.mlp.lin1.out_features,
            num_attention_heads=layer.self_attn.num_heads,
            num_hidden_layers=len(decoder.transformer.layers),
            iou_head_hidden_dim=decoder.iou_prediction_head.layers[0].out_features,
            layer_norm_eps=PUBLISHED_DECODER_EPS,
        ),
    )
    theirs = SamModel(config).eval()
    ours = model.state_dict()
    theirs.load_state_dict({name: ours[published_name(name)] for name in theirs.state_dict()})
    return theirs


def read_model(config: str) -> SAM | FastSam:
    """The model of a config file, with weights of :func:`build`."""
    return build(read_config(config).model)


def picture_for(model: SAM | FastSam) -> np.ndarray:
    """RGB uint8, 4 : 3, as wide as the model's square: no side has to resize it."""
    return make_picture((model.image_size, model.image_size * 3 // 4))
