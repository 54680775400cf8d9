"""Our head and mmdet's, built at the same sizes and filled with the same weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.models.seg_heads import MaskFormerFusionHead
from mmengine.config import ConfigDict
from torch import Tensor, nn

from omgseg.benchmark.sizes import (
    DECODER_FEEDFORWARD,
    EMBED_DIM,
    ENCODER_FEEDFORWARD,
    NUM_HEADS,
    STRIDES,
    HeadSizes,
)
from omgseg.models.convert import PREFIXES
from omgseg.models.decoder import DecoderOutput, OpenVocabularyClassifier, PixelDecoder, SharedQueryDecoder

_HEAD = "panoptic_head."
_MMDET_ONLY = ("cls_embed.",)
_OURS_ONLY = ("cls_proj.", "mask_pooling_proj.", "iou_embed.")


class OurHead(nn.Module):
    """Pixel decoder, query decoder and open-vocabulary classifier over random class embeddings."""

    def __init__(self, sizes: HeadSizes) -> None:
        super().__init__()
        self.pixel_decoder = PixelDecoder(
            in_channels=list(sizes.image_channels),
            feat_channels=sizes.channels,
            out_channels=sizes.channels,
            **_pixel_decoder(sizes),
        )
        self.query_decoder = SharedQueryDecoder(
            sizes.num_queries, sizes.num_layers, sizes.channels, NUM_HEADS, DECODER_FEEDFORWARD
        )
        self.classifier = OpenVocabularyClassifier(sizes.channels, EMBED_DIM)
        embeddings = F.normalize(torch.randn(sizes.num_classes, 1, EMBED_DIM), dim=-1)
        self.register_buffer("class_embeddings", embeddings, persistent=False)

    def decode(
        self, mask_features: Tensor, levels: list[Tensor], every_layer: bool = True
    ) -> list[DecoderOutput]:
        """What the segmentor does with the pixel decoder's features: decode, then classify."""
        outputs = self.query_decoder(mask_features, levels, every_layer=every_layer)
        for output in outputs:
            output.class_logits = self.classifier(
                output.normed_queries, output.mask_embeddings, output.mask_features, self.class_embeddings
            )
        return outputs


@dataclass
class FixedPixelDecoder:
    """Stands in for a pixel decoder whose features are there already."""

    mask_features: Tensor
    levels: list[Tensor]

    def __call__(self, features: object) -> tuple[Tensor, list[Tensor]]:
        return self.mask_features, self.levels


def build_ours(sizes: HeadSizes) -> OurHead:
    torch.manual_seed(0)
    head = OurHead(sizes)
    head.pixel_decoder.init_weights()
    return head


def build_mmdet(sizes: HeadSizes) -> Mask2FormerHead:
    """mmdet's head with the weights of :func:`build_ours`.

    Raises:
        RuntimeError: the layouts share less than expected, so the two would not be comparable.
    """
    head = Mask2FormerHead(**_mask2former(sizes))
    weights = {_mmdet_key(key): value for key, value in build_ours(sizes).state_dict().items()}
    result = head.load_state_dict(weights, strict=False)
    stray = [key for key in result.missing_keys if not key.startswith(_MMDET_ONLY)]
    stray += [key for key in result.unexpected_keys if not key.startswith(_OURS_ONLY)]
    if stray:
        raise RuntimeError(f"the installed mmdet's Mask2FormerHead has other weights than our head: {stray}")
    return head


def build_mmdet_fusion(sizes: HeadSizes) -> MaskFormerFusionHead:
    config = ConfigDict(object_mask_thr=0.0, iou_thr=0.8, filter_low_score=True)
    return MaskFormerFusionHead(sizes.num_things, sizes.num_stuff, test_cfg=config)


def _mmdet_key(key: str) -> str:
    """Our key in mmdet's head: the published layout, which is mmdet's, without its prefix."""
    by_length = sorted(PREFIXES, key=lambda pair: len(pair[1]), reverse=True)
    for published, ours in by_length:
        if key.startswith(ours):
            return published.removeprefix(_HEAD) + key.removeprefix(ours)
    return key


def _pixel_decoder(sizes: HeadSizes) -> dict:
    attention = dict(
        embed_dims=sizes.channels,
        num_heads=NUM_HEADS,
        num_levels=3,
        num_points=4,
        dropout=0.0,
        batch_first=True,
    )
    feedforward = dict(
        embed_dims=sizes.channels, feedforward_channels=ENCODER_FEEDFORWARD, num_fcs=2, ffn_drop=0.0
    )
    return dict(
        strides=list(STRIDES),
        num_outs=3,
        norm_cfg=dict(type="GN", num_groups=32),
        act_cfg=dict(type="ReLU"),
        encoder=ConfigDict(
            num_layers=sizes.encoder_layers, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feedforward)
        ),
        positional_encoding=dict(num_feats=sizes.channels // 2, normalize=True),
    )


def _mask2former(sizes: HeadSizes) -> ConfigDict:
    """mmdet's own configuration of Mask2Former (``mask2former_r50_8xb2-lsj-50e_coco-panoptic``)."""
    attention = dict(embed_dims=sizes.channels, num_heads=NUM_HEADS, dropout=0.0, batch_first=True)
    feedforward = dict(
        embed_dims=sizes.channels, feedforward_channels=DECODER_FEEDFORWARD, num_fcs=2, ffn_drop=0.0
    )
    cross_entropy = dict(type="mmdet.CrossEntropyLoss", reduction="mean")
    return ConfigDict(
        in_channels=list(sizes.image_channels),
        feat_channels=sizes.channels,
        out_channels=sizes.channels,
        num_things_classes=sizes.num_things,
        num_stuff_classes=sizes.num_stuff,
        num_queries=sizes.num_queries,
        num_transformer_feat_level=3,
        pixel_decoder=dict(type="mmdet.MSDeformAttnPixelDecoder", **_pixel_decoder(sizes)),
        positional_encoding=dict(num_feats=sizes.channels // 2, normalize=True),
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=sizes.num_layers,
            layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feedforward),
        ),
        loss_cls=dict(
            cross_entropy, use_sigmoid=False, loss_weight=2.0, class_weight=[1.0] * sizes.num_classes + [0.1]
        ),
        loss_mask=dict(cross_entropy, use_sigmoid=True, loss_weight=5.0),
        loss_dice=dict(
            type="mmdet.DiceLoss",
            use_sigmoid=True,
            activate=True,
            reduction="mean",
            naive_dice=True,
            eps=1.0,
            loss_weight=5.0,
        ),
        train_cfg=dict(
            num_points=sizes.num_points,
            oversample_ratio=3.0,
            importance_sample_ratio=0.75,
            assigner=dict(
                type="mmdet.HungarianAssigner",
                match_costs=[
                    dict(type="mmdet.ClassificationCost", weight=2.0),
                    dict(type="mmdet.CrossEntropyLossCost", weight=5.0, use_sigmoid=True),
                    dict(type="mmdet.DiceCost", weight=5.0, pred_act=True, eps=1.0),
                ],
            ),
            sampler=dict(type="mmdet.MaskPseudoSampler"),
        ),
    )
