"""Wrong input to a metric gives an error that names the file, the field and what to do."""

import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from omgseg.evaluation.functional.average_precision import evaluate_instances, evaluate_tracks
from omgseg.evaluation.functional.panoptic import PanopticAnnotations
from omgseg.evaluation.functional.semantic import confusion_matrix
from omgseg.evaluation.functional.video_panoptic import VideoOverlap
from omgseg.evaluation.functional.vos import frame_scores
from omgseg.structures.label_png import write_panoptic_png, write_png, write_vipseg_panomask
from tests.evaluation.whole import evaluate_files

FILE_METRICS = ["CocoPanopticMetric", "CocoInstanceMetric", "YouTubeVISMetric"]


def config_of(name, path):
    config = {"type": f"omgseg.{name}", "ann_file": str(path)}
    return {**config, "seg_prefix": str(path.parent)} if name == "CocoPanopticMetric" else config


@pytest.mark.parametrize("name", FILE_METRICS)
def test_annotation_file_missing_truncated_or_another(name, run_metric, tmp_path):
    path = tmp_path / "ann.json"
    with pytest.raises(FileNotFoundError, match=r"ann\.json not found; data/README\.md"):
        run_metric(config_of(name, path), [])
    path.write_text('{"annotations": [')
    with pytest.raises(ValueError, match=r"ann\.json is not complete JSON"):
        run_metric(config_of(name, path), [])
    path.write_text('{"info": {}}')
    with pytest.raises(ValueError, match=r"ann\.json has no list '(annotations|images|videos)'"):
        run_metric(config_of(name, path), [])
    fields = ("images", "videos", "annotations", "categories")
    path.write_text(json.dumps({field: ["not an object"] for field in fields}))
    with pytest.raises(ValueError, match=r"ann\.json"):
        run_metric(config_of(name, path), [])


@pytest.mark.parametrize(
    "name", ["SemanticMetric", "VideoPanopticMetric", "DavisMetric", "InteractiveMetric"]
)
def test_empty_evaluation(name, run_metric):
    with pytest.raises(ValueError, match=f"{name} saw no sample"):
        run_metric({"type": f"omgseg.{name}"}, [])


@pytest.fixture
def panoptic(panoptic_set, run_metric, make_sample):
    """Evaluate image 10 with a prediction (default: the truth), optionally of another image id."""

    def run(values=None, image_id=10, **options):
        values = panoptic_set["maps"][10] if values is None else values
        config = {"type": "omgseg.CocoPanopticMetric", **options}
        config |= {key: panoptic_set[key] for key in ("ann_file", "seg_prefix")} | options
        return run_metric(config, [make_sample({"pred_panoptic_seg": values}, img_id=image_id)])

    return run


def test_panoptic_folder_missing(panoptic, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere .*gt\.json.* not found; see data/README\.md"):
        panoptic(seg_prefix=str(tmp_path / "nowhere"))


def test_panoptic_unknown_group_member(panoptic):
    with pytest.raises(
        ValueError, match=r"groups\['novel'\] names 'zebra', which is not a category of .*gt\.json"
    ):
        panoptic(groups={"novel": ["cat", "zebra"]})


def test_panoptic_unknown_image(panoptic):
    with pytest.raises(ValueError, match=r"gt\.json: field 'annotations' has no entry with image_id 99"):
        panoptic(image_id=99)


def test_panoptic_missing_and_truncated_png(panoptic, panoptic_set, tmp_path):
    path = tmp_path / "gt" / "10.png"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(OSError, match=r"10\.png is truncated"):
        panoptic()
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"10\.png not found"):
        panoptic()


def test_panoptic_size(panoptic):
    with pytest.raises(ValueError, match=r"10\.png .*size \(6, 8\), the ground truth \(12, 16\).*resized"):
        panoptic(np.zeros((6, 8), np.int64))


def test_panoptic_png_id_not_in_json(panoptic, tmp_path):
    ids = np.zeros((12, 16), int)
    ids[3, 3] = 4242
    write_panoptic_png(tmp_path / "gt" / "10.png", ids)
    with pytest.raises(ValueError, match=r"10\.png .*gt\.json.*segment id 4242.*not in segments_info"):
        panoptic()


def test_panoptic_category_not_in_file(panoptic, panoptic_set):
    content = {
        "annotations": panoptic_set["annotations"],
        "categories": [{"id": 7, "name": "sky", "isthing": 0}],
    }
    with open(panoptic_set["ann_file"], "w") as file:
        json.dump(content, file)
    with pytest.raises(ValueError, match=r"10\.png .*category_id (3|9), which is not among the categories"):
        panoptic()


def test_panoptic_label_not_in_vocabulary(panoptic):
    with pytest.raises(ValueError, match="label 4, but the vocabulary has 3 categories"):
        panoptic(np.full((12, 16), 4))


def test_sample_without_prediction(run_metric, make_sample, panoptic_set, tmp_path):
    config = config_of("CocoPanopticMetric", tmp_path / "gt.json") | {
        "seg_prefix": panoptic_set["seg_prefix"]
    }
    with pytest.raises(ValueError, match="CocoPanopticMetric: sample without 'pred_panoptic_seg'.*tasks"):
        run_metric(config, [make_sample(img_id=10)])
    with pytest.raises(ValueError, match="sample without 'img_id'.*test pipeline"):
        run_metric(config, [make_sample()])


def test_prediction_file_lacks_an_image(panoptic_set, tmp_path):
    (tmp_path / "pred.json").write_text('{"annotations": []}')
    truth = PanopticAnnotations(panoptic_set["ann_file"], panoptic_set["seg_prefix"])
    predicted = PanopticAnnotations(tmp_path / "pred.json", tmp_path, fields=("annotations",))
    with pytest.raises(ValueError, match=r"pred\.json: field 'annotations' has no entry with image_id 10"):
        evaluate_files(truth, predicted)


def instances(masks, labels=(0,)):
    masks = torch.as_tensor(np.asarray(masks, dtype=bool))
    return InstanceData(masks=masks, labels=torch.tensor(labels), scores=torch.ones(len(masks)))


def test_instance_errors(run_metric, make_sample, tmp_path):
    path = tmp_path / "instances.json"
    images = [{"id": 1, "height": 4, "width": 6}]
    path.write_text(
        json.dumps({"images": images, "annotations": [], "categories": [{"id": 3, "name": "cat"}]})
    )

    def run(prediction, image_id=1):
        sample = make_sample(img_id=image_id)
        sample.pred_instances = prediction
        return run_metric({"type": "omgseg.CocoInstanceMetric", "ann_file": str(path)}, [sample])

    with pytest.raises(ValueError, match=r"instances\.json: field 'images' has no entry with id 2"):
        run(instances(np.ones((1, 4, 6))), image_id=2)
    with pytest.raises(ValueError, match=r"image 1: predicted masks have size \(6, 4\), .*\(4, 6\).*resized"):
        run(instances(np.ones((1, 6, 4))))
    with pytest.raises(ValueError, match="predicted label 5 has no category id"):
        run(instances(np.ones((1, 4, 6)), labels=(5,)))
    with pytest.raises(ValueError, match="results hold category_id 9, which the ground truth does not have"):
        run(instances(np.ones((1, 4, 6)), labels=(1,)))
    with pytest.raises(ValueError, match="results hold image_id 8"):
        truth = json.loads(path.read_text())
        evaluate_instances(truth, [{"image_id": 8, "category_id": 3, "score": 1, "segmentation": {}}])


def test_track_errors(run_metric, make_sample, make_video, tmp_path):
    path = tmp_path / "vis.json"
    videos = [{"id": 1, "height": 4, "width": 6, "length": 2}]
    track = {"id": 1, "video_id": 1, "category_id": 3, "iscrowd": 0, "segmentations": [None, None]}
    truth = {"videos": videos, "annotations": [track], "categories": [{"id": 3, "name": "cat"}]}
    path.write_text(json.dumps(truth))

    def run(ids=((0,), (0,)), size=(4, 6), video_id=1):
        frames = []
        for row in ids:
            frame = make_sample()
            mask = coco_mask.encode(np.ones(size, np.uint8, order="F"))
            frame.pred_track_instances = InstanceData(
                instances_id=torch.tensor(row),
                labels=torch.zeros(len(row), dtype=torch.int64),
                scores=torch.ones(len(row)),
                masks=[mask] * len(row),
            )
            frames.append(frame)
        video = make_video(frames, video_id=video_id)
        return run_metric({"type": "omgseg.YouTubeVISMetric", "ann_file": str(path)}, [video])

    with pytest.raises(ValueError, match=r"vis\.json: field 'videos' has no entry with id 5"):
        run(video_id=5)
    with pytest.raises(ValueError, match=r"video 1: predicted masks have size \(6, 4\).*resized"):
        run(size=(6, 4))
    with pytest.raises(ValueError, match="video 1: the rows of pred_track_instances must be the same"):
        run(ids=((0, 1), (1, 0)))
    with pytest.raises(ValueError, match="video 1 have 3 frames, the ground truth 2"):
        run(ids=((0,), (0,), (0,)))
    result = {"video_id": 1, "category_id": 3, "score": 1, "segmentations": [None] * 2}
    for field, match in (("video_id", "video_id 7"), ("category_id", "video 1 hold category_id 7")):
        with pytest.raises(ValueError, match=match):
            evaluate_tracks(truth, [{**result, field: 7}])


BROKEN_MASKS = [
    [[0, 0, 1e8, 0, 0, 9]],
    [[0, 0, float("nan"), 0, 0, 9]],
    {"size": [4, 6], "counts": [100, 20]},
    {"size": [4, 6], "counts": "0T1"},
]


@pytest.mark.parametrize("mask", BROKEN_MASKS, ids=["far", "nan", "short", "compressed"])
def test_broken_masks_of_the_ground_truth(mask, run_metric, tmp_path):
    path = tmp_path / "ann.json"
    size = {"id": 7, "height": 4, "width": 6}
    categories = [{"id": 3, "name": "cat", "frequency": "r"}]
    lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    entry = {"id": 5, "category_id": 3, "iscrowd": 0, "area": 9, "bbox": [0, 0, 3, 3]}
    image = {"images": [{**size, **lists}], "annotations": [{**entry, "image_id": 7, "segmentation": mask}]}
    video = {"videos": [size], "annotations": [{**entry, "video_id": 7, "segmentations": [None, mask]}]}
    for name, content in (
        ("CocoInstanceMetric", image),
        ("LVISMetric", image),
        ("YouTubeVISMetric", video),
    ):
        path.write_text(json.dumps({**content, "categories": categories}))
        with pytest.raises(ValueError, match=r"ann\.json, annotation 5: 'segmentation' is neither polygons"):
            run_metric(config_of(name, path), [])


def test_semantic_errors(run_metric, make_sample, tmp_path):
    path = tmp_path / "map.png"

    def run(truth, predicted=((0, 0),), segments_info=None):
        write = write_png if segments_info is None else write_panoptic_png
        write(path, np.array(truth, np.uint8))
        extra = {} if segments_info is None else {"segments_info": segments_info}
        sample = make_sample({"pred_sem_seg": np.array(predicted)}, img_id=1, seg_map_path=str(path), **extra)
        return run_metric({"type": "omgseg.SemanticMetric"}, [sample])

    with pytest.raises(ValueError, match=r"map\.png: the value 4 is neither a category id of the vocabulary"):
        run([[3, 4]])
    with pytest.raises(ValueError, match=r"map\.png: the prediction holds label 4, but there are 3 classes"):
        run([[3, 9]], [[0, 4]])
    with pytest.raises(
        ValueError, match=r"map\.png: the prediction has size \(2, 2\), the ground truth \(1, 2\)"
    ):
        run([[3, 9]], [[0, 0], [0, 0]])
    with pytest.raises(ValueError, match=r"map\.png: the value 6 is neither in segments_info"):
        run([[5, 6]], segments_info=[{"id": 5, "category_id": 3}])
    with pytest.raises(ValueError, match=r"map\.png: segments_info holds category_id 4"):
        run([[5, 5]], segments_info=[{"id": 5, "category_id": 4}])
    with pytest.raises(ValueError, match="the ground truth holds label 3, but there are 3 classes"):
        confusion_matrix(np.array([3]), np.array([0]), 3)


def test_video_panoptic_errors(run_metric, make_sample, make_video, tmp_path):
    path = tmp_path / "0.png"

    def run(category_id, shape=(2, 2), **metainfo):
        write_vipseg_panomask(path, np.full((2, 2), category_id), np.zeros((2, 2), int))
        frame = make_sample({"pred_panoptic_seg": np.zeros(shape, np.int32)}, **metainfo)
        return run_metric({"type": "omgseg.VideoPanopticMetric"}, [make_video([frame], video_id="v")])

    with pytest.raises(ValueError, match=r"0\.png: category id 4 is not in the data set's vocabulary"):
        run(4, seg_map_path=str(path))
    with pytest.raises(ValueError, match=r"0\.png: the prediction has size \(3, 2\)"):
        run(3, shape=(3, 2), seg_map_path=str(path))
    with pytest.raises(ValueError, match="VideoPanopticMetric: sample without 'seg_map_path'"):
        run(3)
    with pytest.raises(ValueError, match=r"classes must lie in \[0, 3\)"):
        VideoOverlap(3).add_frame(*np.full((4, 1, 1), 3))


def test_davis_errors(run_metric, make_sample, make_video, tmp_path):
    def run(predicted, truth=1, frames=3):
        samples = []
        for t in range(frames):
            path = tmp_path / f"{t}.png"
            write_png(path, np.full((2, 2), truth, np.uint8))
            samples.append(make_sample({"pred_vos_seg": predicted}, seg_map_path=str(path)))
        return run_metric({"type": "omgseg.DavisMetric"}, [make_video(samples, video_id="judo")])

    with pytest.raises(ValueError, match=r"video 'judo' has 2 frame\(s\)"):
        run(np.ones((2, 2), int), frames=2)
    with pytest.raises(
        ValueError, match=r"1\.png: the prediction holds object id 2, the first frame has objects"
    ):
        run(np.full((2, 2), 2))
    with pytest.raises(ValueError, match=r"1\.png: the prediction has size \(2, 3\)"):
        run(np.ones((2, 3), int))
    with pytest.raises(ValueError, match="none of the 1 videos has an object"):
        run(np.zeros((2, 2), int), truth=0)
    with pytest.raises(ValueError, match="object id -1"):
        frame_scores(np.ones((2, 2), int), np.full((2, 2), -1), 1)


def test_interactive_errors(run_metric, make_sample):
    def run(truth, predicted):
        sample = make_sample(img_id=8)
        sample.gt_instances, sample.pred_instances = (
            InstanceData(masks=torch.zeros(shape, dtype=torch.bool)) for shape in (truth, predicted)
        )
        return run_metric({"type": "omgseg.InteractiveMetric"}, [sample])

    with pytest.raises(
        ValueError, match=r"image 8: predicted masks \(1, 2, 2\) and ground-truth masks \(2, 2, 2\)"
    ):
        run((2, 2, 2), (1, 2, 2))
    with pytest.raises(ValueError, match="none of the 1 images has a prompted object"):
        run((0, 2, 2), (0, 2, 2))


def test_metric_without_vocabulary(make_sample, tmp_path):
    from mmengine.evaluator import Evaluator

    path = tmp_path / "m.png"
    write_png(path, np.zeros((1, 1), np.uint8))
    evaluator = Evaluator([{"type": "omgseg.SemanticMetric"}])
    sample = make_sample({"pred_sem_seg": np.zeros((1, 1), int)}, img_id=1, seg_map_path=str(path))
    with pytest.raises(ValueError, match=r"SemanticMetric needs dataset_meta\['vocabulary'\]"):
        evaluator.process([sample])
        evaluator.evaluate(1)
