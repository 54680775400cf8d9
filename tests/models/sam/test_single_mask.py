"""How many masks a single click is answered with."""

import numpy as np
import torch

from omgseg.models.sam.adapter import SamSegmenter
from omgseg.models.sam.model import best_candidate, to_model_frame
from omgseg.protocols import Prompts
from omgseg.structures.run_lengths import encode_masks


def test_a_single_click_as_published_evaluations_have_it(tiny):
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    clicks = Prompts(np.array([[[20, 30]], [[50, 10]]], np.float32))
    usual = SamSegmenter.from_model(tiny, {})
    single = SamSegmenter.from_model(tiny, {"segmenter": {"single_mask": True}})
    state = usual.encode_image(image)
    with torch.no_grad():
        placed = torch.from_numpy(to_model_frame(clicks.points, state.geometry).astype(np.float32))
        prediction = tiny.decode(state.embedding, placed, torch.ones(2, 1, dtype=torch.long), None, None)
    for segmenter, is_ambiguous in ((usual, True), (single, False)):
        logits, _ = best_candidate(prediction, is_ambiguous)
        expected = encode_masks((state.geometry.resize(logits) > 0).numpy())
        assert segmenter.segment_prompts(state, clicks).rles == expected
    boxes = Prompts(boxes=np.array([[5, 5, 30, 30]], np.float32))
    first, second = (one.segment_prompts(state, boxes).rles for one in (usual, single))
    assert first == second
