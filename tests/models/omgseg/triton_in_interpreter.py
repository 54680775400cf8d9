"""Print how far the Triton kernels are from the PyTorch form, as JSON.

A program, as Triton chooses its interpreter when it is imported:
``TRITON_INTERPRET=1 python tests/models/omgseg/triton_in_interpreter.py``.
"""

import json

import torch

from omgseg.models.omgseg.deformable_kernel import ROWS, TritonDeformableAttention
from omgseg.models.omgseg.pixel_decoder import deformable_attention_gather

SHAPES = [(3, 4), (6, 8), (5, 1)]
NAMES = ("attended", "to_value", "to_locations", "to_weights")


def inputs(dtype: torch.dtype, channels: int, queries: int) -> tuple[torch.Tensor, ...]:
    """Points inside, on the borders and far outside of their level."""
    torch.manual_seed(channels)
    heads, points, batch = 3, 2, 2
    keys = sum(height * width for height, width in SHAPES)
    value = torch.randn(batch, keys, heads, channels)
    locations = torch.rand(batch, queries, heads, len(SHAPES), points, 2) * 1.4 - 0.2
    locations[:, 0] = 1e4
    locations[:, 1] = -1e4
    weights = torch.rand(batch, queries, heads, len(SHAPES), points)
    return tuple(x.to(dtype).requires_grad_() for x in (value, locations, weights))


def deviations(dtype: torch.dtype, channels: int, queries: int) -> dict[str, float]:
    """Of the result and of each gradient, relative to the largest value; the other side computes in float64."""
    given = inputs(dtype, channels, queries)
    exact = [x.detach().double().requires_grad_() for x in given]
    shapes = torch.tensor(SHAPES)
    starts = torch.tensor([0, 12, 60])
    attended = TritonDeformableAttention.apply(given[0], shapes, starts, given[1], given[2])
    expected = deformable_attention_gather(exact[0], SHAPES, exact[1], exact[2])
    assert attended.dtype == dtype
    grad = torch.randn(attended.shape)
    found = [attended, *torch.autograd.grad(attended, given, grad.to(dtype))]
    wanted = [expected, *torch.autograd.grad(expected, exact, grad.to(dtype).double())]
    return {
        name: ((a.double() - b).abs().max() / b.abs().max()).item()
        for name, a, b in zip(NAMES, found, wanted, strict=True)
    }


if __name__ == "__main__":
    cases = [(torch.float32, 5, ROWS), (torch.float32, 8, 7), (torch.bfloat16, 8, 7), (torch.float16, 8, 7)]
    print(
        json.dumps(
            {f"{dtype} {channels} {n}": deviations(dtype, channels, n) for dtype, channels, n in cases}
        )
    )
