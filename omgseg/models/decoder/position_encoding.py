"""Sine position encoding of clips (DETR, arXiv:2005.12872; over time as well: Mask2Former for videos, 2112.10764)."""

import math

import torch
from torch import Tensor


def clip_encoding(frames: int, height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Half of the channels for y, half for x, and time added to all. Sines are taken once a row and a column.

    Returns:
        (frames, height, width, channels).
    """
    time = _axis_encoding(frames, channels, device).view(frames, 1, 1, channels)
    y = _axis_encoding(height, channels // 2, device).unsqueeze(1).expand(-1, width, -1)
    x = _axis_encoding(width, channels // 2, device).unsqueeze(0).expand(height, -1, -1)
    return torch.cat([y, x], dim=-1) + time


def _axis_encoding(length: int, channels: int, device: torch.device) -> Tensor:
    """(length, channels): sine and cosine, in turn, of positions that are spread over a full circle."""
    position = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    position = position / (length + 1e-6) * (2 * math.pi)
    exponent = 2 * (torch.arange(channels, dtype=torch.float32, device=device) // 2) / channels
    angle = position.unsqueeze(1) / 10000**exponent
    return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=-1).flatten(1)
