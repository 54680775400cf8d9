"""One call for any input and any task."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from PIL import Image
from pycocotools import mask as coco_mask

from omgseg.apis import read_image
from omgseg.datasets.transforms import LoadFrames, PackClip, Resize
from omgseg.structures import Category, Vocabulary

ALL = ("panoptic", "instance", "semantic")


def test_image_in_every_task(seg, photo):
    sample = seg(photo, ALL)
    assert isinstance(sample, DetDataSample)
    panoptic = sample.pred_panoptic_seg.sem_seg
    assert panoptic.shape == (1, 90, 140) and panoptic.dtype == torch.int32
    assert ((panoptic % 1000) < 4).any()  # something was found
    semantic = sample.pred_sem_seg.sem_seg
    assert semantic.shape == (1, 90, 140) and 0 <= semantic.min() and semantic.max() < 4
    found = sample.pred_instances
    assert found.masks.shape == (len(found), 90, 140) and found.masks.dtype == torch.bool
    assert len(found) and found.labels.max() < 2
    assert sample.vocabulary.names == ["dog", "truck", "sky", "road"]


def test_equals_the_model_behind_the_test_pipeline(seg, photo):
    ours = seg(photo, ALL)
    results = dict(
        frames=[dict(img_path=str(photo), frame_id=0)],
        is_video=False,
        tasks=ALL,
        source="coco",
        readme_anchor="coco",
    )
    for step in (LoadFrames(), Resize((160, 96)), PackClip()):
        results = step(results)
    (reference,) = seg.model.test_step({key: [value] for key, value in results.items()})
    assert reference.img_shape == ours.img_shape == (96, 149)
    assert torch.equal(ours.pred_panoptic_seg.sem_seg, reference.pred_panoptic_seg.sem_seg)
    assert torch.equal(ours.pred_instances.scores, reference.pred_instances.scores)


def test_path_array_and_list_agree(seg, photo, video):
    one = seg(photo).pred_panoptic_seg.sem_seg
    two, three = seg([read_image(photo), str(video)])
    assert torch.equal(two.pred_panoptic_seg.sem_seg, one)
    assert isinstance(three, TrackDataSample) and len(three) == 5


def test_words_of_a_call_do_not_stay(seg, photo):
    before = seg(photo, "semantic").pred_sem_seg.sem_seg
    other = seg(photo, "semantic", vocabulary=["moose"], stuff=["lake"])
    assert other.pred_sem_seg.sem_seg.max() < 2
    assert other.vocabulary == Vocabulary([Category("moose"), Category("lake", is_thing=False)])
    assert torch.equal(seg(photo, "semantic").pred_sem_seg.sem_seg, before)


def test_one_word(seg, photo):
    found = seg(photo, "instance", vocabulary=["dog"]).pred_instances
    assert len(found) and not found.labels.any()


def test_video_in_every_task(seg, video):
    sample = seg(video, ALL)
    assert sample.video_id == "clip" and sample.video_length == 5
    frames = sample.video_data_samples
    label_of = {}
    for frame in frames:
        assert frame.pred_panoptic_seg.sem_seg.shape == frame.pred_sem_seg.sem_seg.shape == (1, 90, 140)
        for value in frame.pred_panoptic_seg.sem_seg.unique().tolist():
            if value >= 1000:
                assert label_of.setdefault(value // 1000, value % 1000) == value % 1000
        tracks = frame.pred_track_instances
        first = frames[0].pred_track_instances
        assert torch.equal(tracks.instances_id, first.instances_id) and len(tracks)
        assert torch.equal(tracks.labels, first.labels)
        assert all(mask["size"] == [90, 140] for mask in tracks.masks)
    assert label_of


def test_identities_are_constant_over_clips(seg, photo):
    """Five times the same frame, read as three clips: every frame must get the same numbers."""
    frames = seg(np.stack([read_image(photo)] * 5), ("panoptic", "instance")).video_data_samples
    maps = [frame.pred_panoptic_seg.sem_seg for frame in frames]
    assert len(maps[0].unique()) > 1
    masks = [[coco_mask.decode(mask) for mask in frame.pred_track_instances.masks] for frame in frames]
    for index in range(1, 5):
        # clips of two and of one frame differ a little; a swapped identity would differ a lot
        assert (maps[index] == maps[0]).float().mean() > 0.9
        for first, later in zip(masks[0], masks[index], strict=True):
            assert (first == later).mean() > 0.9


def test_objects_of_the_first_frame(seg, video, tmp_path):
    objects = np.zeros((90, 140), np.uint8)
    objects[20:60, 30:70], objects[70:, :40] = 3, 8
    Image.fromarray(objects).save(tmp_path / "objects.png")
    for first_mask in (objects, tmp_path / "objects.png"):
        sample = seg(video, "vos", first_mask=first_mask)
        numbers = {n for f in sample.video_data_samples for n in f.pred_vos_seg.sem_seg.unique().tolist()}
        assert numbers <= {0, 3, 8} and len(numbers) > 1
        assert sample[4].pred_vos_seg.sem_seg.shape == (1, 90, 140)


def test_mask_that_does_not_fit(seg, video):
    with pytest.raises(ValueError, match=r"mask is 5x4, the frames of clip are 140x90"):
        seg(video, "vos", first_mask=np.ones((4, 5), np.uint8))
    with pytest.raises(ValueError, match="mask is empty"):
        seg(video, "vos", first_mask=np.zeros((90, 140), np.uint8))


def test_clicks(seg, photo):
    sample = seg(photo, "interactive", points=[(50, 40), (100, 80)])
    assert sample.pred_instances.masks.shape == (2, 90, 140)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(tasks="colour"), "unknown task 'colour'; tasks are semantic, instance"),
        (dict(tasks=[]), "no task"),
        (dict(tasks=["interactive", "panoptic"], points=[(1, 1)]), "call it alone"),
        (dict(tasks="interactive"), "need each other"),
        (dict(tasks="panoptic", points=[(1, 1)]), "need each other"),
        (dict(tasks="vos"), "need each other"),
        (dict(tasks="vos", first_mask=np.ones((90, 140), np.uint8)), "photo is an image"),
        (
            dict(tasks="interactive", points=[(140, 5)]),
            r"point \(140, 5\) lies outside of the image of 140x90",
        ),
    ],
)
def test_wrong_calls(seg, photo, arguments, message):
    with pytest.raises(ValueError, match=message):
        seg(photo, **arguments)


def test_empty_list(seg):
    with pytest.raises(ValueError, match="list of inputs is empty"):
        seg([])


def test_prompts_on_a_video(seg, video):
    with pytest.raises(ValueError, match="clip is a video; prompts are for images"):
        seg(video, "interactive", points=[(1, 1)])
