"""The sizes at which two heads are compared."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

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
