"""Official annotation files, scored against themselves, reach 100."""

import json

import numpy as np

from omgseg.evaluation.functional.average_precision import evaluate_instances, evaluate_tracks
from omgseg.evaluation.functional.panoptic import PanopticAnnotations
from tests.evaluation.whole import evaluate_files


def test_coco_panoptic(real_samples_dir):
    annotations = real_samples_dir / "coco" / "annotations"
    truth = PanopticAnnotations(annotations / "panoptic_val2017.json", annotations / "panoptic_val2017")
    stat = evaluate_files(truth, truth)
    mean = stat.mean()
    assert mean["pq"] == 1 and mean["n"] > 0
    segments = [s for a in truth.by_image.values() for s in a["segments_info"]]
    assert stat.tp.sum() == sum(not s["iscrowd"] for s in segments)
    assert any(s["iscrowd"] for s in segments), "crowd regions are neither found nor missed"


def test_coco_instance(real_samples_dir):
    truth = json.loads((real_samples_dir / "coco" / "annotations" / "instances_val2017.json").read_text())
    results = [
        {**{k: a[k] for k in ("image_id", "category_id", "segmentation")}, "score": 1.0}
        for a in truth["annotations"]
        if not a["iscrowd"]
    ]
    stats, _ = evaluate_instances(truth, results)
    np.testing.assert_allclose([stats["AP"], stats["AR@100"]], 1)


def test_youtube_vis(real_samples_dir):
    path = real_samples_dir / "youtube_vis_2019" / "annotations" / "youtube_vis_2019_train.json"
    truth = json.loads(path.read_text())
    stats, _ = evaluate_tracks(truth, [])
    assert stats["AP"] == 0
