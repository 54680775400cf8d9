"""Our head and mmdet's at the same sizes, weights and inputs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.models.seg_heads import MaskFormerFusionHead
from mmengine.config import ConfigDict
from torch import Tensor, nn

from omgseg.models.checkpoints.published import PREFIXES
from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.omgseg.classifier import OpenVocabularyClassifier
from omgseg.models.omgseg.pixel_decoder import PixelDecoder
from omgseg.models.omgseg.query_decoder import SharedQueryDecoder

STRIDES = (4, 8, 16, 32)
NUM_HEADS = 8
ENCODER_FEEDFORWARD = 1024
DECODER_FEEDFORWARD = 2048
EMBED_DIM = 768
"""Size of CLIP's joint space."""


@dataclass(frozen=True)
class HeadSizes:
    """Those of the published model (ConvNeXt-L, COCO panoptic) where nothing else is said.

    Attributes:
        image_size: of the forward passes, height and width.
        train_size: of the training steps.
        map_size: of the panoptic read-out.
        num_queries: learned queries.
        num_layers, encoder_layers: of the query decoder and of the pixel decoder.
        channels: width of both.
        image_channels: of the image encoder's features, strides 4 to 32.
        num_things, num_stuff: classes.
        num_objects: entities of a training image.
        num_points: points at which masks are compared.
    """

    image_size: tuple[int, int] = (800, 800)
    train_size: tuple[int, int] = (512, 512)
    map_size: tuple[int, int] = (800, 1280)
    num_queries: int = 300
    num_layers: int = 9
    encoder_layers: int = 6
    channels: int = 256
    image_channels: tuple[int, int, int, int] = (192, 384, 768, 1536)
    num_things: int = 80
    num_stuff: int = 53
    num_objects: int = 20
    num_points: int = 12544

    @property
    def num_classes(self) -> int:
        return self.num_things + self.num_stuff

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> HeadSizes:
        values = json.loads(text)
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


TINY = HeadSizes(
    image_size=(64, 64),
    train_size=(64, 64),
    map_size=(64, 96),
    num_queries=8,
    num_layers=2,
    encoder_layers=1,
    channels=32,
    image_channels=(8, 8, 8, 8),
    num_things=3,
    num_stuff=2,
    num_objects=3,
    num_points=64,
)
"""Enough to load the libraries' kernels."""


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


NUM_ENTITIES = 40
"""Regions that a scene is cut into."""


def image_features(sizes: HeadSizes, image_size: tuple[int, int]) -> list[Tensor]:
    """What an image encoder gives for one image: (1, C_i, h_i, w_i), strides 4 to 32."""
    torch.manual_seed(1)
    height, width = image_size
    return [
        torch.randn(1, channels, height // stride, width // stride)
        for channels, stride in zip(sizes.image_channels, STRIDES, strict=True)
    ]


def pixel_features(sizes: HeadSizes, image_size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
    """What a pixel decoder gives for one image: mask features, and three levels from coarse to fine."""
    torch.manual_seed(2)
    height, width = image_size
    maps = [torch.randn(1, sizes.channels, height // stride, width // stride) for stride in STRIDES]
    return maps[0], maps[:0:-1]


def objects(sizes: HeadSizes) -> tuple[Tensor, Tensor]:
    """Labels (N,) and bool masks (N, H, W) of a training image: rectangles that may overlap."""
    torch.manual_seed(3)
    height, width = sizes.train_size
    masks = torch.zeros(sizes.num_objects, height, width, dtype=torch.bool)
    for mask in masks:
        top, left = int(torch.randint(height // 2, ())), int(torch.randint(width // 2, ()))
        mask[top : top + height // 4, left : left + width // 3] = True
    return torch.randint(sizes.num_classes, (sizes.num_objects,)), masks


def scene(sizes: HeadSizes) -> tuple[Tensor, Tensor]:
    """Class logits (Q, C + 1) and stride-4 mask logits (Q, h, w) as a trained head gives them for a full image.

    The image is cut into regions with rough borders. Each has one query with a high score and several duplicates with
    lower ones and other borders; all name a class, so that none is left out for its score and masks overlap.
    """
    with torch.device("cpu"):  # the same scene on every device
        made = _scene(sizes)
    classes, masks = (logits.to(torch.get_default_device()) for logits in made)
    return classes, masks


def _scene(sizes: HeadSizes) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    height, width = (side // STRIDES[0] for side in sizes.map_size)
    count, queries = min(NUM_ENTITIES, sizes.num_queries), sizes.num_queries

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def smooth_noise(maps: int) -> Tensor:
        coarse = torch.randn(1, maps, max(height // 8, 2), max(width // 8, 2), generator=generator)
        return F.interpolate(coarse, (height, width), mode="bicubic")[0]

    y = torch.linspace(0, 1, height).view(1, -1, 1)
    x = torch.linspace(0, 1, width).view(1, 1, -1)
    distance = ((y - rand(count, 1, 1)) / (0.5 + rand(count, 1, 1))) ** 2
    distance = (
        distance + ((x - rand(count, 1, 1)) / (0.5 + rand(count, 1, 1))) ** 2 + 0.01 * smooth_noise(count)
    )
    nearest = distance.topk(min(2, count), dim=0, largest=False)
    is_nearest = torch.arange(count).view(-1, 1, 1) == nearest.indices[0]
    margin = torch.where(is_nearest, nearest.values[-1], nearest.values[0]) - distance

    entity = torch.cat([torch.arange(count), torch.randint(count, (queries - count,), generator=generator)])
    is_first = torch.arange(queries) < count
    order = torch.randperm(queries, generator=generator)
    entity, is_first = entity[order], is_first[order]
    masks = margin[entity] * (100 + 300 * rand(queries, 1, 1))
    masks = masks.clamp_(-12, 8).add_(smooth_noise(queries))

    classes = torch.randn(queries, sizes.num_classes + 1, generator=generator)
    label = torch.randint(sizes.num_classes, (count,), generator=generator)[entity]
    classes[torch.arange(queries), label] += torch.where(is_first, 10.0, 5.0) + 2 * rand(queries)
    return classes, masks
