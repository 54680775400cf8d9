"""Pictures of a test, and of validations: found by image, with the ground truth of the dataset where it has one."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from omgseg.datasets import CocoPanopticDataset
from omgseg.engine import PicturesHook
from omgseg.structures.label_png import load_image, write_panoptic_png, write_png


@pytest.fixture
def dataset(tmp_path) -> CocoPanopticDataset:
    """Two images, of which the first is annotated."""
    ids = np.full((40, 60), 5)
    ids[10:30, 10:40] = 9
    for name in ("a.png", "b.png"):
        write_png(tmp_path / "img" / name, np.full((40, 60, 3), 80, np.uint8))
    write_panoptic_png(tmp_path / "seg" / "a.png", ids)
    segments = [dict(id=5, category_id=2, iscrowd=0), dict(id=9, category_id=1, iscrowd=0)]
    content = dict(
        images=[dict(id=n, file_name=name, height=40, width=60) for n, name in enumerate(("a.png", "b.png"))],
        annotations=[dict(image_id=0, file_name="a.png", segments_info=segments)],
        categories=[dict(id=1, name="cat", isthing=1), dict(id=2, name="grass", isthing=0)],
    )
    (tmp_path / "panoptic.json").write_text(json.dumps(content))
    return CocoPanopticDataset(
        ann_file=str(tmp_path / "panoptic.json"),
        data_prefix=dict(img=str(tmp_path / "img"), seg=str(tmp_path / "seg")),
        test_mode=True,
    )


def make_runner(dataset, **more: Any) -> SimpleNamespace:
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(
        test_dataloader=loader,
        val_dataloader=loader,
        model=SimpleNamespace(vocabulary=dataset.vocabulary, module=None),
        **more,
    )


def predicted(dataset, index: int) -> DetDataSample:
    path = dataset.get_data_info(index)["frames"][0]["img_path"]
    sample = DetDataSample(metainfo=dict(img_path=path, source="coco", ori_shape=(40, 60)))
    sample.pred_panoptic_seg = PixelData(sem_seg=torch.zeros(1, 40, 60, dtype=torch.int32))
    return sample


def test_validations_give_the_same_samples_to_the_backends_every_time(dataset, tmp_path):
    images = []
    visualizer = SimpleNamespace(
        add_image=lambda name, image, step: images.append((name, image.shape[1], step))
    )
    hook = PicturesHook(max_samples=1)
    for step in (10, 20):
        runner = make_runner(dataset, visualizer=visualizer, iter=step)
        hook.before_val(runner)
        for index in (0, 1):
            hook.after_val_iter(runner, index, outputs=[predicted(dataset, index)])
    wide = 3 * 480 + 2 * 6
    assert images == [("val_coco_panoptic_a", wide, 10), ("val_coco_panoptic_a", wide, 20)]
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, outputs=[predicted(dataset, 0)])
    assert len(images) == 2, "pictures of a test go to a folder only"


def test_hooks_for_tests_leave_validations_alone(dataset, tmp_path):
    hook = PicturesHook(tmp_path / "shown")
    runner = make_runner(dataset)
    hook.before_val(runner)
    hook.after_val_iter(runner, 0, outputs=[predicted(dataset, 0)])
    assert not (tmp_path / "shown").exists()


def test_writes_a_picture_for_every_sample(dataset, tmp_path):
    runner = make_runner(dataset)
    hook = PicturesHook(tmp_path / "shown")
    hook.before_test(runner)
    for index in (1, 0):
        hook.after_test_iter(runner, 0, outputs=[predicted(dataset, index)])
    with_truth = np.asarray(load_image(tmp_path / "shown" / "coco" / "panoptic" / "a.png"))
    without = np.asarray(load_image(tmp_path / "shown" / "coco" / "panoptic" / "b.png"))
    assert with_truth.shape[1] == 3 * 480 + 2 * 6
    assert without.shape[1] == 2 * 480 + 6
    truth = with_truth[-320:, 486:966].astype(int)
    assert np.abs(truth[8:16, 8:16].mean((0, 1)) - truth[100:110, 100:110].mean((0, 1))).max() > 20


def test_a_hostile_source_and_name_stay_in_the_folder(dataset, tmp_path):
    hook = PicturesHook(tmp_path / "inner" / "shown")
    runner = make_runner(dataset)
    hook.before_test(runner)
    sample = predicted(dataset, 0)
    sample.set_metainfo(dict(source="../../up", video_id="/../../film"))
    hook.after_test_iter(runner, 0, outputs=[sample])
    (written,) = tmp_path.rglob("panoptic/*.png")
    assert written.parent.parent.parent == tmp_path / "inner" / "shown"
