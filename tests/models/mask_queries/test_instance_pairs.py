"""Which (query, class) pairs are read out."""

import torch

from omgseg.models.mask_queries.readout import select_pairs

PROBS = torch.tensor([[0.6, 0.3, 0.0, 0.1], [0.1, 0.2, 0.65, 0.05]])  # two things, stuff, background


def test_best_pairs_of_things():
    pairs = select_pairs(PROBS, num_things=2, max_per_image=4)
    assert pairs.queries.tolist() == [0, 0, 1] and pairs.labels.tolist() == [0, 1, 1]
    assert torch.allclose(pairs.scores, torch.tensor([0.6, 0.3, 0.2]))


def test_pairs_below_the_limit_are_left_out():
    assert select_pairs(PROBS, 2, 4, min_score=0.25).labels.tolist() == [0, 1]
    assert len(select_pairs(PROBS, 2, 4, min_score=0.7).scores) == 0
