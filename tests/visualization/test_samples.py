"""Every prediction on a data sample becomes a picture of its task, beside the ground truth."""

import numpy as np
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as coco_mask

from omgseg.structures import Category, Vocabulary
from omgseg.structures.label_png import load_image
from omgseg.visualization import GroundTruth, draw_sample, write_sample
from omgseg.visualization.palette import category_color, identity_color

VOCABULARY = Vocabulary([Category("cat", True), Category("grass", False)])
IMAGE = np.full((320, 400, 3), 90, np.uint8)
MASKS = np.zeros((2, 1, 320, 400), bool)
MASKS[0, 0, 50:150, 50:150] = True
MASKS[1, 0, 200:] = True
TRUTH = GroundTruth(MASKS, np.array([0, 1]))


def label_map(value: int) -> PixelData:
    return PixelData(sem_seg=torch.full((1, 320, 400), value))


def test_an_image_of_every_task(tmp_path):
    sample = DetDataSample(metainfo=dict(ori_shape=(320, 400)))
    sample.pred_panoptic_seg = label_map(1)
    sample.pred_sem_seg = label_map(0)
    sample.pred_instances = InstanceData(
        masks=torch.from_numpy(MASKS[:1, 0]), labels=torch.tensor([0]), scores=torch.tensor([0.9])
    )
    drawn = draw_sample(sample, [IMAGE], VOCABULARY, TRUTH)
    assert set(drawn) == {"panoptic", "semantic", "instance"}
    assert drawn["panoptic"][0].shape[1] == 3 * 400 + 2 * 6
    assert draw_sample(sample, [IMAGE], VOCABULARY)["panoptic"][0].shape[1] == 2 * 400 + 6
    files = write_sample(drawn, tmp_path, "photo")
    assert sorted(file.parent.name for file in files) == ["instance", "panoptic", "semantic"]
    np.testing.assert_array_equal(
        np.asarray(load_image(tmp_path / "semantic" / "photo.png")), drawn["semantic"][0]
    )


def test_the_truth_is_drawn_like_the_prediction():
    sample = DetDataSample(metainfo=dict(ori_shape=(320, 400)))
    panoptic = torch.full((1, 320, 400), len(VOCABULARY))
    panoptic[0, 50:150, 50:150] = 1000
    panoptic[0, 200:] = 1
    sample.pred_panoptic_seg = PixelData(sem_seg=panoptic)
    semantic = torch.where(panoptic == 1000, 0, panoptic)
    sample.pred_sem_seg = PixelData(sem_seg=semantic)
    for (picture,) in draw_sample(sample, [IMAGE], VOCABULARY, TRUTH).values():
        true, predicted = picture[-320:, 406:806], picture[-320:, 812:]
        np.testing.assert_array_equal(true, predicted)
        np.testing.assert_allclose(true[60, 60], (90 + np.array(category_color(VOCABULARY, 0))) / 2, atol=1)
        assert (true[160:190, :] == 90).all()


def test_unsure_instances_are_left_out_and_unsure_answers_to_clicks_are_not():
    masks = torch.from_numpy(MASKS[:1, 0])
    found = InstanceData(masks=masks, labels=torch.tensor([0]), scores=torch.tensor([0.1]))
    sample = DetDataSample(metainfo=dict(ori_shape=(320, 400)))
    sample.pred_instances = found
    (picture,) = draw_sample(sample, [IMAGE], VOCABULARY)["instance"]
    assert (picture[-320:, 406:] == 90).all()
    sample.prompts = InstanceData(boxes=torch.tensor([[40.0, 40.0, 160.0, 160.0]]))
    (picture,) = draw_sample(sample, [IMAGE], VOCABULARY)["interactive"]
    color = np.array(identity_color(1))
    np.testing.assert_allclose(picture[-320 + 100, 406 + 100], (90 + color) / 2, atol=1)
    np.testing.assert_array_equal(picture[-320 + 40, 100], color)


def test_small_images_are_enlarged_with_their_masks():
    sample = DetDataSample(metainfo=dict(ori_shape=(64, 80)))
    sample.pred_sem_seg = PixelData(sem_seg=torch.full((1, 64, 80), -1))
    sample.pred_sem_seg.sem_seg[0, 10:40, 10:40] = 0
    (picture,) = draw_sample(sample, [IMAGE[:64, :80]], VOCABULARY)["semantic"]
    assert picture.shape[1] == 2 * 400 + 6
    assert (picture[-320 + 60 : -320 + 70, 406 + 60 : 406 + 70] != 90).all()
    assert (picture[-320 + 220 :, 406 + 220 :] == 90).all()
    sample = DetDataSample(metainfo=dict(ori_shape=(64, 80), scale_factor=(2.0, 2.0)))
    sample.prompts = InstanceData(points=torch.tensor([[60.0, 40.0]]))
    sample.pred_instances = InstanceData(masks=torch.zeros(1, 64, 80, dtype=torch.bool), scores=torch.ones(1))
    (picture,) = draw_sample(sample, [IMAGE[:64, :80]], VOCABULARY)["interactive"]
    np.testing.assert_array_equal(picture[-320 + 100, 150], identity_color(1))


def test_clicks_are_drawn_in_pixels_of_the_stored_image():
    sample = DetDataSample(metainfo=dict(ori_shape=(320, 400), scale_factor=(2.0, 0.5)))
    sample.prompts = InstanceData(points=torch.tensor([[200.0, 50.0]]))
    sample.pred_instances = InstanceData(
        masks=torch.zeros(1, 320, 400, dtype=torch.bool), scores=torch.ones(1)
    )
    (picture,) = draw_sample(sample, [IMAGE], VOCABULARY)["interactive"]
    top = picture.shape[0] - 320
    np.testing.assert_array_equal(picture[top + 100, 100], identity_color(1))


def test_a_video_gets_a_sheet_and_an_animation(tmp_path):
    sample = TrackDataSample(metainfo=dict(video_id=3))
    frames = []
    for t in range(3):
        frame = DetDataSample(metainfo=dict(ori_shape=(320, 400)))
        mask = np.zeros((320, 400), np.uint8)
        mask[50:150, 50 + 60 * t : 150 + 60 * t] = 1
        frame.pred_track_instances = InstanceData(
            instances_id=torch.tensor([8]),
            labels=torch.tensor([0]),
            scores=torch.tensor([0.8]),
            masks=[coco_mask.encode(np.asfortranarray(mask))],
        )
        frame.pred_vos_seg = label_map(0)
        frames.append(frame)
    sample.video_data_samples = frames
    drawn = draw_sample(
        sample, [IMAGE] * 3, VOCABULARY, GroundTruth(MASKS.repeat(3, axis=1), np.array([0, 1]))
    )
    assert {task: len(pictures) for task, pictures in drawn.items()} == {"instance": 3, "vos": 3}
    pixels = [picture[-320 + 60, 2 * 406 + 50 + 60 * t + 20] for t, picture in enumerate(drawn["instance"])]
    np.testing.assert_allclose(pixels[0], (90 + np.array(identity_color(8))) / 2, atol=1)
    np.testing.assert_array_equal(pixels[0], pixels[1])
    np.testing.assert_array_equal(pixels[0], pixels[2])
    files = write_sample(drawn, tmp_path, "3")
    assert sorted(str(file.relative_to(tmp_path)) for file in files) == [
        "instance/3.gif",
        "instance/3.png",
        "vos/3.gif",
        "vos/3.png",
    ]
