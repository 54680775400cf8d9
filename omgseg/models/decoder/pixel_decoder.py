"""The pixel decoder of Mask2Former (arXiv:2112.01527, section 3.2)."""

from mmdet.models.layers import MSDeformAttnPixelDecoder
from torch import Tensor, nn

from omgseg.models.decoder.deformable_attention import DeformableAttention
from omgseg.registry import MODELS


@MODELS.register_module()
class PixelDecoder(MSDeformAttnPixelDecoder):
    """mmdet's pixel decoder with our deformable attention; same arguments and the same state keys.

    ``forward(features)`` takes the encoder's four maps (N, C_i, h_i, w_i) and returns the mask features (N, D, h, w)
    of the finest stride, and three maps (N, D, h_i, w_i) from coarse to fine.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.postional_encoding = _OnceABatch(self.postional_encoding)
        attention = dict(kwargs["encoder"]["layer_cfg"]["self_attn_cfg"], batch_first=True)
        for layer in self.encoder.layers:
            layer.self_attn = DeformableAttention(**attention)


class _OnceABatch(nn.Module):
    """Computes a position encoding for the first image only: none is padded here, so all have the same."""

    def __init__(self, encoding: nn.Module) -> None:
        super().__init__()
        self.encoding = encoding

    def forward(self, padding: Tensor) -> Tensor:
        """(B, h, w) -> (1, C, h, w)."""
        return self.encoding(padding[:1])
