"""Dumped predictions give the numbers of the test that wrote them, bit for bit, without model and images."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from omgseg.engine.config import ConfigError
from omgseg.engine.offline_scoring import score
from omgseg.engine.picture_hooks import DumpHook
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import write_png, write_vipseg_panomask

FRAMES, HEIGHT, WIDTH = 5, 16, 20


@pytest.fixture
def vocabulary_file(vocabulary, tmp_path):
    vocabulary.save(tmp_path / "vocabulary.json")
    return str(tmp_path / "vocabulary.json")


@pytest.fixture
def config_of(vocabulary_file, tmp_path):
    """A config with an evaluator; the data set's annotation file and images do not exist."""

    def make(*evaluator, seg="gt", **changes):
        dataset = dict(
            type="CocoPanopticDataset",
            ann_file="absent.json",
            data_root=str(tmp_path),
            data_prefix=dict(img="absent/", seg=f"{seg}/"),
            vocabulary=vocabulary_file,
            test_mode=True,
            **changes,
        )
        return Config(dict(test_dataloader=dict(dataset=dataset), test_evaluator=list(evaluator)))

    return make


class Entries(list):
    """As much of a data set as the hook looks at."""

    def __init__(self, infos, vocabulary, root):
        super().__init__(infos)
        self.vocabulary, self.get_data_info = vocabulary, self.__getitem__
        self.metainfo = dict(tasks=("panoptic",), source="toy")
        self.data_prefix = dict(img=f"{root}/img/", seg=f"{root}/gt/")


@pytest.fixture
def dump(vocabulary, tmp_path):
    """Have the hook write samples as a test would, and return the folder."""

    def run(samples, expected=None, vocabulary=vocabulary):
        infos = [
            {"is_video": True, "video_id": s.video_id}
            if "video_id" in s
            else {"is_video": False, "frames": [{"img_id": s.img_id}]}
            for s in expected or samples
        ]
        loader = SimpleNamespace(dataset=Entries(infos, vocabulary, tmp_path))
        runner = SimpleNamespace(test_dataloader=loader, cfg=Config(dict(load_from="weights.pth")))
        hook = DumpHook(tmp_path / "dumped")
        hook.before_test(runner)
        for index, sample in enumerate(samples):
            hook.after_test_iter(runner, index, outputs=[sample])
        return tmp_path / "dumped"

    return run


@pytest.fixture
def images(panoptic_set, make_sample, damage, tmp_path):
    """Samples of the panoptic set with damaged predictions of three tasks, and the evaluators' configs."""
    rng = np.random.default_rng(0)
    samples, annotations = [], []
    for entry in panoptic_set["annotations"]:
        image_id, truth = entry["image_id"], panoptic_set["maps"][entry["image_id"]]
        values = damage(truth, image_id)
        sample = make_sample(
            {"pred_panoptic_seg": values, "pred_sem_seg": np.minimum(values % 1000, 2)},
            img_id=image_id,
            seg_map_path=f"{tmp_path}/gt/{entry['file_name']}",
            segments_info=entry["segments_info"],
        )
        things = [v for v in np.unique(truth) if v >= 1000]
        sample.pred_instances = InstanceData(
            masks=torch.from_numpy(np.stack([values == v for v in things])),
            labels=torch.tensor([v % 1000 for v in things]),
            scores=torch.from_numpy(rng.random(len(things), np.float32)),
        )
        samples.append(sample)
        for v in things:
            rle = coco_mask.encode(np.asfortranarray(truth == v, dtype=np.uint8))
            category = [3, 9][v % 1000]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=category,
                    area=int(coco_mask.area(rle)),
                    iscrowd=0,
                    segmentation={**rle, "counts": rle["counts"].decode()},
                )
            )
    content = json.loads(open(panoptic_set["ann_file"]).read()) | {"annotations": annotations}
    content["categories"] = content["categories"][1:]
    (tmp_path / "instances.json").write_text(json.dumps(content))
    paths = {key: panoptic_set[key] for key in ("ann_file", "seg_prefix")}
    return samples, [
        dict(type="CocoPanopticMetric", **paths),
        dict(type="CocoInstanceMetric", ann_file=str(tmp_path / "instances.json")),
        dict(type="SemanticMetric"),
    ]


@pytest.fixture
def evaluate(run_metric):
    def run(configs, samples):
        return {
            key: value
            for config in configs
            for key, value in run_metric({**config, "type": f"omgseg.{config['type']}"}, samples).items()
        }

    return run


def test_images(images, evaluate, dump, config_of):
    samples, configs = images
    expected = evaluate(configs, samples)
    for key in ("coco_panoptic/PQ", "coco_instance/AP", "semantic/mIoU"):
        assert 0 < expected[key] < 100
    assert score(config_of(*configs), dump(samples)) == expected


def test_ground_truth_may_have_moved(images, evaluate, dump, config_of, tmp_path):
    samples, configs = images
    expected, folder = evaluate(configs[2:], samples), dump(samples)
    (tmp_path / "gt").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="gt/.*png not found"):
        score(config_of(*configs[2:]), folder)
    assert score(config_of(*configs[2:], seg="moved"), folder) == expected


def test_missing_samples(images, evaluate, dump, config_of, tmp_path):
    samples, configs = images
    folder = dump(samples[:1], expected=samples)
    config = config_of(*configs)
    with pytest.raises(ValueError, match=r"dumped lacks 2 of 3 samples \(10, 20\): .* --partial"):
        score(config, folder)
    assert score(config, folder, partial=True) == evaluate(configs, samples[:1])
    (folder / "samples" / "30.npz").unlink()
    with pytest.raises(ValueError, match="lacks 3 of 3 samples"):
        score(config, folder, partial=True)


def test_predictions_of_another_vocabulary(images, dump, config_of):
    samples, configs = images
    folder = dump(samples, vocabulary=Vocabulary.from_names(["zebra"]))
    with pytest.raises(
        ValueError, match="labels of .*zebra.*has .*cat.*score them with the config that wrote"
    ):
        score(config_of(*configs), folder)


def test_config_without_an_evaluator(config_of, tmp_path):
    with pytest.raises(ConfigError, match="no test_evaluator: there is nothing to score by"):
        score(config_of(), tmp_path)


@pytest.fixture
def tubes():
    """Label and instance maps (T, H, W): a cat and a dog that move over sky."""
    labels = np.full((FRAMES, HEIGHT, WIDTH), 2)
    instances = np.zeros_like(labels)
    for t in range(FRAMES):
        labels[t, 3:9, 1 + t : 8 + t], instances[t, 3:9, 1 + t : 8 + t] = 0, 1
        labels[t, 10:15, 12 - t : 18 - t], instances[t, 10:15, 12 - t : 18 - t] = 1, 1
    return labels, instances


def test_videos(tubes, make_sample, make_video, damage, evaluate, dump, config_of, tmp_path):
    labels, instances = tubes
    videos, annotations = [], []
    rng = np.random.default_rng(0)
    for video_id in (6, 2):
        predicted = labels + 1000 * instances
        if video_id == 6:
            predicted = damage(predicted)
        scores = torch.from_numpy(rng.random((FRAMES, 2), np.float32))
        frames = []
        for t in range(FRAMES):
            path = tmp_path / "gt" / str(video_id) / f"{t}.png"
            write_vipseg_panomask(path, np.array([3, 9, 7])[labels[t]], instances[t])
            frame = make_sample({"pred_panoptic_seg": predicted[t]}, seg_map_path=str(path), frame_id=t)
            frame.pred_track_instances = InstanceData(
                instances_id=torch.arange(2),
                labels=torch.tensor([0, 1]),
                scores=scores[t],
                masks=[encode(predicted[t] == 1000 + label) for label in (0, 1)],
            )
            frames.append(frame)
        videos.append(make_video(frames, video_id=video_id))
        for label, category in ((0, 3), (1, 9)):
            masks = [encode(frame == label) for frame in labels]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    video_id=video_id,
                    category_id=category,
                    iscrowd=0,
                    segmentations=[{**m, "counts": m["counts"].decode()} for m in masks],
                    areas=[int(coco_mask.area(m)) for m in masks],
                    bboxes=[[0, 0, 1, 1]] * FRAMES,
                )
            )
    size = dict(height=HEIGHT, width=WIDTH, length=FRAMES)
    content = dict(
        videos=[dict(id=i, **size) for i in (6, 2)],
        annotations=annotations,
        categories=[dict(id=3, name="cat"), dict(id=9, name="dog")],
    )
    (tmp_path / "vis.json").write_text(json.dumps(content))
    configs = [
        dict(type="VideoPanopticMetric"),
        dict(type="YouTubeVISMetric", ann_file=str(tmp_path / "vis.json")),
    ]
    expected = evaluate(configs, videos)
    assert 0 < expected["vipseg/VPQ"] < 100 and 0 < expected["youtube_vis/AP"] < 100
    assert score(config_of(*configs), dump(videos)) == expected


def encode(mask):
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def test_video_objects(tubes, make_sample, make_video, damage, evaluate, dump, config_of, tmp_path):
    objects = np.where(tubes[0] == 2, 0, tubes[0] + 1)
    predicted, frames = damage(objects, 1), []
    for t in range(FRAMES):
        path = tmp_path / "gt" / "judo" / f"{t}.png"
        write_png(path, objects[t].astype(np.uint8))
        frames.append(
            make_sample({"pred_vos_seg": predicted[t]}, seg_map_path=str(path), img_path=f"{t}.jpg")
        )
    video = make_video(frames, video_id="judo")
    configs = [dict(type="DavisMetric", submission=str(tmp_path / "judo.zip"))]
    expected = evaluate(configs, [video])
    assert 0 < expected["davis/J&F"] < 100
    first = (tmp_path / "judo.zip").read_bytes()
    (tmp_path / "judo.zip").unlink()
    assert score(config_of(*configs), dump([video])) == expected
    assert len((tmp_path / "judo.zip").read_bytes()) == len(first)


def test_prompts(make_sample, evaluate, dump, config_of):
    rng = np.random.default_rng(0)
    samples = []
    for image_id in (2, 1):
        sample = make_sample(img_id=image_id, tasks=("interactive",))
        truth = rng.random((4, HEIGHT, WIDTH)) > 0.5
        sample.gt_instances = InstanceData(masks=torch.from_numpy(truth))
        flipped = truth ^ (rng.random(truth.shape) > 0.8)
        sample.pred_instances = InstanceData(masks=torch.from_numpy(flipped), scores=torch.ones(4))
        samples.append(sample)
    configs = [dict(type="InteractiveMetric")]
    expected = evaluate(configs, samples)
    assert 0 < expected["interactive/mIoU"] < 100
    assert score(config_of(*configs), dump(samples)) == expected
