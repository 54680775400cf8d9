"""Clips of four entities, as a decoder would see them."""

import pytest
import torch

from omgseg.models.decoder import DecoderOutput

QUERIES, CHANNELS = 4, 6


@pytest.fixture
def clip_output():
    """Query ``order[i]`` shows entity i: an own direction in feature space, an own column of the picture."""

    def make(order: list[int], frames: int, objectness: list[float]) -> DecoderOutput:
        queries, embeddings = torch.zeros(2, 1, QUERIES, CHANNELS)
        logits, classes = torch.zeros(1, QUERIES), torch.zeros(1, QUERIES, 3)
        for entity, query in enumerate(order):
            queries[0, query, entity] = embeddings[0, query, entity] = 1
            logits[0, query] = objectness[entity]
            classes[0, query, entity % 2] = 5
        features = torch.full((1, CHANNELS, frames, 4, 8), -4.0)
        for entity in range(QUERIES):
            features[0, entity, :, :, 2 * entity : 2 * entity + 2] = 4.0
        return DecoderOutput(queries, queries, embeddings, features, logits, classes)

    return make
