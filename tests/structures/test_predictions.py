"""What was predicted for a frame, as segments."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from omgseg.structures import Category, Segments, Vocabulary
from omgseg.structures.predictions import segments_of


def test_a_thing_of_a_long_stream_is_not_taken_for_stuff():
    words = Vocabulary([Category("cat"), Category("sky", is_thing=False)])
    identity = 1_000_001
    sample = DetDataSample(metainfo=dict(ori_shape=(4, 6)))
    panoptic = torch.full((1, 4, 6), 1, dtype=torch.int64)
    panoptic[..., :3] = 1000 * identity
    sample.pred_panoptic_seg = PixelData(sem_seg=panoptic)
    found = segments_of(Segments, sample, "panoptic", words, frame_index=0)
    assert found.labels.tolist() == [1, 0]
    assert found.ids[1] == identity != found.ids[0]
