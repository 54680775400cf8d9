"""What is remembered of a video's clips."""

import torch
from torch.testing import assert_close

from omgseg.models.mask_queries.video import ABSENT_LOGIT, TubeMemory

QUERIES = 4


def test_tubes_keep_their_identity_when_queries_change_places(clip_output):
    memory = TubeMemory(num_candidates=QUERIES)
    memory.add(clip_output([0, 1, 2, 3], 2, [1, 2, 3, 4]), area=torch.tensor([1, 2, 3, 4]))
    memory.add(clip_output([2, 3, 1, 0], 1, [1, 2, 3, 4]), area=torch.tensor([4, 3, 1, 2]))
    assert len(memory.frames) == 3
    assert_close(memory.mean("objectness_logits"), torch.tensor([1.0, 2, 3, 4]))
    assert memory.sum("area").tolist() == [2, 4, 6, 8]
    assert memory.mean("class_logits").argmax(-1).tolist() == [0, 1, 0, 1]
    every = torch.arange(QUERIES)
    assert_close(memory.frames[2].select(every), memory.frames[0].select(every))


def test_only_candidates_are_remembered(clip_output):
    memory = TubeMemory(num_candidates=2)
    output = clip_output([0, 1, 2, 3], 1, [-9, 9, 9, -9])
    output.class_logits[..., -1] = 20
    memory.add(output)
    masks = memory.frames[0]
    assert sorted(masks.tubes.tolist()) == [1, 2]
    assert masks.logits.dtype == torch.float16
    assert (masks.select(torch.tensor([0])) == ABSENT_LOGIT).all()
