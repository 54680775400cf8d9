"""What is computed once for many prompts gives the results of computing it each time."""

import pytest
import torch
from torch.testing import assert_close

from omgseg.models.omgseg.query_decoder import Attention, SharedQueryDecoder


@pytest.fixture
def decoder() -> SharedQueryDecoder:
    torch.manual_seed(0)
    return SharedQueryDecoder(num_queries=5, num_layers=4, channels=16, num_heads=2, feedforward_channels=32)


def make_features(batch: int = 1, num_frames: int = 1, device: str = "cpu") -> tuple:
    """Mask features, levels (the last two of one size), and the number of frames."""
    frames = batch * num_frames
    levels = [torch.randn(frames, 16, *size, device=device) for size in ((3, 4), (6, 8), (6, 8))]
    return torch.randn(frames, 16, 12, 16, device=device), levels, num_frames


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize(("batch", "num_frames"), [(1, 1), (2, 1), (2, 3)])
def test_every_layer_is_the_same_with_cache(decoder, batch, num_frames, prompted):
    features = make_features(batch, num_frames)
    prompts = (torch.randn(batch, 3, 16), torch.randn(batch, 3, 16)) if prompted else None
    with torch.no_grad():
        expected = decoder(*features, prompts)
        cache = decoder.make_cache(*features)
        for _ in range(2):  # a call leaves the cache as it was
            outputs = decoder(*features, prompts, cache=cache)
            assert len(outputs) == len(expected) == 5
            for ours, theirs in zip(outputs, expected, strict=True):
                assert_close(ours.queries, theirs.queries)
                assert_close(ours.objectness_logits, theirs.objectness_logits)
                assert_close(ours.mask_logits, theirs.mask_logits)


def test_cells_are_projected_once(decoder, monkeypatch):
    projected = []
    project = Attention.project
    monkeypatch.setattr(
        Attention,
        "project",
        lambda self, key, value: projected.append(key.shape[1]) or project(self, key, value),
    )
    features = make_features()
    with torch.no_grad():
        cache = decoder.make_cache(*features)
        assert projected == [12, 48, 48, 12]
        projected.clear()
        decoder(*features, cache=cache)
    assert projected == [5] * 4  # the queries that look at each other


def test_cache_is_as_large_as_its_docstring_says():
    with torch.device("meta"):
        decoder = SharedQueryDecoder()
        levels = [torch.empty(1, 256, 736 // stride, 1280 // stride) for stride in (32, 16, 8)]
        cache = decoder.make_cache(torch.empty(1, 256, 184, 320), levels)
    guides = sum(guide.nbytes for guide in cache.guides)
    layers = sum(part.nbytes for layer in cache.projected for part in layer)
    assert not cache.cells
    said = SharedQueryDecoder.make_cache.__doc__
    assert f"{(guides + layers) / 1e6:.0f} MB" in said and f"{guides / 1e6:.0f} MB" in said
