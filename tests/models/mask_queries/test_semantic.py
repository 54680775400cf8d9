"""The semantic read-out equals the plain sum over queries, and its memory does not grow with classes x pixels."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.readout import read_semantic

SIZES = [
    MaskGeometry((384, 544), (384, 544), (384, 544)),
    MaskGeometry((384, 544), (370, 531), (283, 407)),
    MaskGeometry((96, 64), (90, 64), (301, 214)),
]


def scene(geometry: MaskGeometry, num_classes: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    size = [side // 4 for side in geometry.padded]
    masks = F.interpolate(torch.randn(1, 30, 7, 9), size, mode="bicubic")[0] * 30 - 10
    return torch.randn(30, num_classes + 1).mul(4).softmax(-1), masks


@pytest.mark.parametrize("geometry", SIZES)
def test_equals_the_sum_over_all_queries(geometry):
    probs, masks = scene(geometry)
    votes = torch.einsum("qc,qhw->chw", probs[:, :-1], geometry.resize(masks).sigmoid())
    labels = read_semantic(probs, masks, geometry)
    assert labels.shape == geometry.original and len(labels.unique()) > 4
    assert (labels != votes.argmax(0)).float().mean() < 1e-4
    torch.testing.assert_close(
        votes.gather(0, labels[None])[0], votes.amax(0), atol=1e-4, rtol=0
    )  # where it differs, two classes are equal to rounding


def test_no_query_at_all_gives_the_first_class():
    labels = read_semantic(torch.zeros(0, 4), torch.zeros(0, 24, 16), SIZES[2])
    assert labels.shape == SIZES[2].original and not labels.any()


MEASURE = """
import resource, torch
from omgseg.models.mask_queries.readout import read_semantic
from omgseg.models.mask_queries.winners import MaskGeometry
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
small = MaskGeometry((64, 64), (64, 64), (64, 64))
read_semantic(torch.rand(4, 301), torch.randn(4, 16, 16), small)
before = peak()
read_semantic(torch.rand(4, 301), torch.randn(4, 16, 16), MaskGeometry((64, 64), (64, 64), (1000, 1000)))
print(peak() - before)
"""


def test_memory_does_not_grow_with_classes_times_pixels():
    """The votes of 300 classes for a million pixels would be 1.2 GB."""
    grown = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert int(grown.stdout) < 300
