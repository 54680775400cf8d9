import torch
from torch.testing import assert_close

from omgseg.models.decoder import DecoderOutput
from omgseg.models.readout import MaskGeometry
from omgseg.models.video import TubeMemory, match_first_frame, read_vos
from omgseg.models.video.tube_memory import ABSENT_LOGIT

QUERIES, CHANNELS = 4, 6


def clip_output(order: list[int], frames: int, objectness: list[float]) -> DecoderOutput:
    """Query ``order[i]`` shows entity i: an own direction in feature space, an own column of the picture."""
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


def test_tubes_keep_their_identity_when_queries_change_places():
    memory = TubeMemory(num_candidates=QUERIES)
    memory.add(clip_output([0, 1, 2, 3], 2, [1, 2, 3, 4]), area=torch.tensor([1, 2, 3, 4]))
    memory.add(clip_output([2, 3, 1, 0], 1, [1, 2, 3, 4]), area=torch.tensor([4, 3, 1, 2]))
    assert len(memory.frames) == 3
    assert_close(memory.mean("objectness_logits"), torch.tensor([1.0, 2, 3, 4]))
    assert memory.sum("area").tolist() == [2, 4, 6, 8]
    assert memory.mean("class_logits").argmax(-1).tolist() == [0, 1, 0, 1]
    every = torch.arange(QUERIES)
    assert_close(memory.frames[2].select(every), memory.frames[0].select(every))


def test_only_candidates_are_remembered():
    memory = TubeMemory(num_candidates=2)
    output = clip_output([0, 1, 2, 3], 1, [-9, 9, 9, -9])
    output.class_logits[..., -1] = 20
    memory.add(output)
    masks = memory.frames[0]
    assert sorted(masks.tubes.tolist()) == [1, 2]
    assert masks.logits.dtype == torch.float16
    assert (masks.select(torch.tensor([0])) == ABSENT_LOGIT).all()


def test_vos_continues_the_first_frames_masks():
    memory = TubeMemory(num_candidates=QUERIES)
    memory.add(clip_output([0, 1, 2, 3], 1, [5, 5, 5, -5]))
    memory.add(clip_output([3, 0, 1, 2], 1, [5, 5, 5, -5]))
    geometry = MaskGeometry((4, 8), (4, 8), (4, 8))
    masks = torch.zeros(2, 4, 8, dtype=torch.bool)
    masks[0, :, 4:6] = masks[1, :, 0:2] = True
    maps = read_vos(memory, masks, torch.tensor([7, 9]), geometry, num_proposals=3)
    for frame in maps:
        assert frame[0].tolist() == [9, 9, 0, 0, 7, 7, 0, 0]


def test_a_mask_that_no_proposal_touches_is_unmatched():
    proposals, masks = torch.zeros(1, 4, 4, dtype=torch.bool), torch.zeros(2, 4, 4, dtype=torch.bool)
    proposals[0, :2], masks[0, :2], masks[1, 3:] = True, True, True
    assert match_first_frame(proposals, masks).tolist() == [0, -1]
