"""From the model's data samples to results, task by task."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from omgseg.inference.results import result_of
from omgseg.structures import Task, Vocabulary
from omgseg.structures.predictions import STUFF_ID
from omgseg.structures.run_lengths import encode_masks

SIZE = (6, 8)
VOID = 4


def sample_with(**fields) -> DetDataSample:
    sample = DetDataSample(metainfo={"ori_shape": SIZE})
    for name, value in fields.items():
        sample.set_field(value, name)
    return sample


def map_of(values, **metainfo) -> PixelData:
    return PixelData(sem_seg=torch.as_tensor(values)[None], metainfo=metainfo)


@pytest.fixture
def panoptic_map():
    """Two cats, a dog, sky in two pieces, void; instance numbers have gaps, as in streams."""
    values = np.full(SIZE, VOID, np.int32)
    values[:2] = 2
    values[2:4, :3] = 0 + 1000 * 2
    values[2:4, 3:5] = 0 + 1000 * 9
    values[2:5, 6:] = 1 + 1000 * 4
    values[5, :2] = 2
    return values


def test_panoptic_of_an_image(words, panoptic_map):
    sample = sample_with(pred_panoptic_seg=map_of(panoptic_map, segment_scores={2: 0.5, 2000: 0.9}))
    result = result_of(sample, words, path="a/b.jpg")
    assert (result.task, result.size, result.name) == (Task.PANOPTIC, SIZE, "b")
    assert result.names == ["sky", "cat", "dog", "cat"]  # by the value of the map
    assert result.ids.tolist() == [1, 2, 3, 4]
    assert result.scores.tolist() == pytest.approx([0.5, 0.9, 1, 1])
    for mask, value in zip(result.masks, (2, 2000, 4001, 9000), strict=True):
        assert np.array_equal(mask, panoptic_map == value)
    assert np.array_equal(result.label_map == -1, panoptic_map == VOID)


def test_panoptic_of_a_frame_keeps_identities(words, panoptic_map):
    result = result_of(
        sample_with(pred_panoptic_seg=map_of(panoptic_map)), words, frame_index=0, time=0.5, name="00000"
    )
    assert result.ids.tolist() == [STUFF_ID + 2, 2, 4, 9]
    assert (result.frame_index, result.time, result.name) == (0, 0.5, "00000")


def test_semantic(words):
    labels = np.zeros(SIZE, np.int64)
    labels[:, 4:] = 3
    sample = sample_with(pred_sem_seg=map_of(labels))
    image, frame = result_of(sample, words), result_of(sample, words, frame_index=3)
    assert image.names == frame.names == ["cat", "road"]
    assert (image.ids.tolist(), frame.ids.tolist()) == ([1, 2], [1, 4])
    assert np.array_equal(image.label_map, labels)


def test_instances_are_sorted_and_seen(words):
    masks = torch.zeros(3, *SIZE, dtype=torch.bool)
    masks[0, 0, 0] = masks[2, 1:3] = True
    found = InstanceData(
        masks=masks,
        labels=torch.tensor([0, 1, 1]),
        scores=torch.tensor([0.2, 0.9, 0.5], dtype=torch.bfloat16),
    )
    result = result_of(sample_with(pred_instances=found), words)
    assert result.task is Task.INSTANCE and result.names == ["dog", "cat"] and result.ids.tolist() == [1, 2]
    assert np.array_equal(result.masks, masks[[2, 0]].numpy())


def test_tracks_keep_identities_where_they_are_seen(words):
    masks = np.zeros((3, *SIZE), bool)
    masks[0, 0], masks[2, 3] = True, True
    found = InstanceData(
        instances_id=torch.tensor([5, 6, 8]),
        labels=torch.tensor([1, 1, 0]),
        scores=torch.tensor([0.4, 0.9, 0.6]),
        masks=encode_masks(masks),
    )
    result = result_of(sample_with(pred_track_instances=found), words, frame_index=4)
    assert result.ids.tolist() == [8, 5] and result.names == ["cat", "dog"]
    assert np.array_equal(result.masks, masks[[2, 0]])


def test_prompts_keep_their_order_and_empty_answers():
    masks = torch.zeros(3, *SIZE, dtype=torch.bool)
    masks[0, 0], masks[2, 4] = True, True
    sample = sample_with(
        pred_instances=InstanceData(masks=masks, scores=torch.tensor([0.3, 0.0, 0.8])),
        prompts=InstanceData(points=torch.zeros(3, 2)),
    )
    result = result_of(sample)
    assert result.task is Task.INTERACTIVE and len(result.vocabulary) == 0
    assert np.array_equal(result.masks, masks.numpy())
    assert (result.ids.tolist(), result.labels.tolist()) == ([1, 2, 3], [-1, -1, -1])
    assert result.boxes[1].tolist() == [0, 0, 0, 0]


def test_objects_of_a_video_keep_their_numbers():
    objects = np.zeros(SIZE, np.int32)
    objects[1:3, 1:3], objects[4, 4:] = 7, 250
    result = result_of(sample_with(pred_vos_seg=map_of(objects)), frame_index=2)
    assert result.task is Task.VOS and result.ids.tolist() == [7, 250]
    assert np.array_equal(result.id_map, objects)


def test_the_task_is_chosen_where_there_are_several(words, panoptic_map):
    sample = sample_with(
        pred_panoptic_seg=map_of(panoptic_map), pred_sem_seg=map_of(np.zeros(SIZE, np.int64))
    )
    assert result_of(sample, words, task="semantic").names == ["cat"]
    with pytest.raises(ValueError, match="predictions of panoptic, semantic: choose one"):
        result_of(sample, words)
    with pytest.raises(ValueError, match="predictions of panoptic, semantic, not of vos"):
        result_of(sample, words, task=Task.VOS)
    with pytest.raises(ValueError, match="predictions of no task"):
        result_of(sample_with(), Vocabulary())
