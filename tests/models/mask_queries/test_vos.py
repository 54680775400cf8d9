"""Video object segmentation: which tubes continue which masks, and from when on."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.video import GivenObjects, TubeMemory, given_objects, match_masks, read_vos

GEOMETRY = MaskGeometry((4, 8), (4, 8), (4, 8))


def columns(*entities):
    """Masks (N, 4, 8) of entities 0 to 3, two columns each."""
    masks = torch.zeros(len(entities), 4, 8, dtype=torch.bool)
    for row, entity in enumerate(entities):
        masks[row, :, 2 * entity : 2 * entity + 2] = True
    return masks


def given(frame, entities, ids):
    return GivenObjects(frame, columns(*entities), torch.tensor(ids))


@pytest.fixture
def memory(clip_output):
    """Four frames in two clips; the queries change places, and entity 3 has the lowest objectness."""
    memory = TubeMemory(num_candidates=4)
    memory.add(clip_output([0, 1, 2, 3], 2, [5, 4, 3, -5]))
    memory.add(clip_output([3, 0, 1, 2], 2, [5, 4, 3, -5]))
    return memory


def test_masks_of_the_first_frame_are_continued(memory):
    for frame in read_vos(memory, [given(0, (2, 0), [7, 9])], GEOMETRY, num_proposals=3):
        assert frame.dtype == torch.int32
        assert frame[0].tolist() == [9, 9, 0, 0, 7, 7, 0, 0]


def test_an_object_is_background_before_its_first_mask(memory):
    maps = read_vos(memory, [given(0, (2,), [7]), given(3, (1, 0), [2, 4])], GEOMETRY, num_proposals=3)
    assert [frame[0].tolist() for frame in maps] == [
        [0, 0, 0, 0, 7, 7, 0, 0],
        [0, 0, 0, 0, 7, 7, 0, 0],
        [0, 0, 0, 0, 7, 7, 0, 0],
        [4, 4, 2, 2, 7, 7, 0, 0],
    ]


def test_a_video_may_begin_without_objects(memory):
    maps = read_vos(memory, [given(2, (1,), [3])], GEOMETRY, num_proposals=3)
    assert [frame.unique().tolist() for frame in maps] == [[0], [0], [0, 3], [0, 3]]
    assert all(not frame.any() for frame in read_vos(memory, [], GEOMETRY, num_proposals=3))


def test_a_later_object_takes_no_tube_of_an_earlier_one(memory):
    """Its mask lies on entity 0, which is taken: it gets none, and the earlier object stays as it was."""
    alone = read_vos(memory, [given(0, (0,), [1])], GEOMETRY, num_proposals=3)
    both = read_vos(memory, [given(0, (0,), [1]), given(2, (0,), [2])], GEOMETRY, num_proposals=3)
    assert all(torch.equal(one, other) for one, other in zip(alone, both, strict=True))


def test_taken_tubes_do_not_count_as_proposals(memory):
    """Two proposals a frame: entities 0 and 1 are taken in frame 0, so that 2 is among the best two left."""
    objects = [given(0, (0, 1), [1, 2]), given(1, (2,), [3])]
    maps = read_vos(memory, objects, GEOMETRY, num_proposals=2)
    assert maps[1][0].tolist() == [1, 1, 2, 2, 3, 3, 0, 0]
    everything = [given(t, (t,), [t + 1]) for t in range(4)]
    maps = read_vos(memory, everything, GEOMETRY, num_proposals=4)
    assert maps[3][0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert not read_vos(memory, [given(0, (3,), [1])], GEOMETRY, num_proposals=3)[0].any()


def frame_with(masks=None, ids=()):
    frame = DetDataSample()
    if masks is not None:
        frame.gt_instances = InstanceData(masks=masks, instances_ids=torch.tensor(ids))
    return frame


def test_objects_are_given_once_by_their_first_mask():
    empty = torch.zeros(1, 4, 8, dtype=torch.bool)
    frames = [
        frame_with(torch.cat([columns(0), empty]), [6, 8]),
        frame_with(),
        frame_with(columns(3, 1), [6, 8]),  # 6 again: later ground truth
        frame_with(columns(3, 3), [6, 8]),
    ]
    first, second = given_objects(frames)
    assert (first.frame, first.ids.tolist()) == (0, [6]) and torch.equal(first.masks, columns(0))
    assert (second.frame, second.ids.tolist()) == (2, [8]) and torch.equal(second.masks, columns(1))
    assert given_objects([frame_with()]) == []


def test_a_mask_that_no_proposal_touches_is_unmatched():
    proposals, masks = torch.zeros(1, 4, 4, dtype=torch.bool), torch.zeros(2, 4, 4, dtype=torch.bool)
    proposals[0, :2], masks[0, :2], masks[1, 3:] = True, True, True
    assert match_masks(proposals, masks).tolist() == [0, -1]


def test_overlaps_are_counted_exactly_under_autocast():
    """257 and 256 pixels are one number in bfloat16; the larger overlap must win all the same."""
    masks, proposals = torch.zeros(1, 20, 20, dtype=torch.bool), torch.zeros(2, 20, 20, dtype=torch.bool)
    masks.view(1, -1)[0, :300] = True
    proposals.view(2, -1)[0, :256] = True
    proposals.view(2, -1)[1, :257] = True
    with torch.autocast("cpu", torch.bfloat16):
        assert match_masks(proposals, masks).tolist() == [1]
