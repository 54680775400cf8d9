"""Attention as two dynamic convolutions (arXiv:2309.10713), with other activations than softmax."""

from omgseg.projects.dynamic_conv_vit.encoders import (
    DynamicDepthwiseTokens,
    DynamicGridAttention,
    DynamicTokenAttention,
)

__all__ = ["DynamicDepthwiseTokens", "DynamicGridAttention", "DynamicTokenAttention"]
