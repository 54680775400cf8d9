"""Every metric equals the official evaluator's numbers on the reference inputs."""

import json

import numpy as np
import pytest

from omgseg.evaluation.functional.average_precision import evaluate_instances, evaluate_lvis, evaluate_tracks
from omgseg.evaluation.functional.interactive import mask_overlaps, summarize_overlaps
from omgseg.evaluation.functional.panoptic import PanopticAnnotations, PanopticStat
from omgseg.evaluation.functional.semantic import confusion_matrix, summarize_confusion
from omgseg.evaluation.functional.video_panoptic import summarize_vpq
from omgseg.evaluation.functional.vos import mean_recall_decay, summarize_davis
from tests.evaluation.whole import evaluate_files, sequence_scores, video_stats

pytestmark = pytest.mark.golden
COUNTED, AP = 1e-9, 1e-6


def check_means(stat, groups, expected, close):
    for name, select in groups.items():
        mean = stat.mean(select)
        assert mean["n"] == expected[name]["n"]
        close([mean[k] for k in ("pq", "sq", "rq")], [expected[name][k] for k in ("pq", "sq", "rq")], COUNTED)


def check_per_class(stat, expected, close, iou_field):
    """`expected` maps a class index to the official numbers."""
    values = stat.per_class()
    for index, row in expected.items():
        close([values[k][index] for k in ("pq", "sq", "rq")], [row["pq"], row["sq"], row["rq"]], COUNTED)
        close(stat.iou[index], row[iou_field], COUNTED)
        assert [stat.tp[index], stat.fp[index], stat.fn[index]] == [row["tp"], row["fp"], row["fn"]]


def test_coco_panoptic(golden, close):
    folder, expected = golden("coco_panoptic")
    truth = PanopticAnnotations(folder / "gt.json", folder / "gt")
    predicted = PanopticAnnotations(folder / "pred.json", folder / "pred", fields=("annotations",))
    stat = evaluate_files(truth, predicted)
    things = np.array([bool(c["isthing"]) for c in truth.categories])
    check_means(stat, {"All": None, "Things": things, "Stuff": ~things}, expected, close)
    index = {c["id"]: i for i, c in enumerate(truth.categories)}
    per_class = {index[int(category)]: row for category, row in expected["per_class"].items()}
    assert len(per_class) == len(index)
    check_per_class(stat, per_class, close, "iou_sum")


@pytest.mark.parametrize(
    ("name", "evaluate"),
    [
        ("coco_instance", evaluate_instances),
        ("lvis_instance", evaluate_lvis),
        ("youtube_vis", evaluate_tracks),
    ],
)
def test_average_precision(golden, close, name, evaluate, capfd):
    folder, expected = golden(name)
    truth, results = (json.loads((folder / f"{part}.json").read_text()) for part in ("gt", "pred"))
    before = json.dumps([truth, results])
    capfd.readouterr()
    stats, per_category = evaluate(truth, results)
    assert capfd.readouterr() == ("", ""), "evaluators must not write to the screen"
    assert json.dumps([truth, results]) == before, "the inputs must not change"
    official = expected.get("results") or dict(zip(expected["names"], expected["stats"], strict=True))
    assert list(stats) == list(official)
    close(list(stats.values()), list(official.values()), AP)
    assert {str(k) for k in per_category} == set(expected["AP_per_category"])
    close(
        [per_category[int(k)] for k in expected["AP_per_category"]],
        list(expected["AP_per_category"].values()),
        AP,
    )


def test_video_panoptic_quality(golden, close):
    folder, expected = golden("vipseg_vpq_stq")
    maps = np.load(folder / "maps.npz")
    num_classes = int(maps["num_classes"])
    windows = expected["windows"]
    total = {k: PanopticStat.zeros(num_classes) for k in windows}
    for video in maps["video_names"]:
        parts = (maps[f"{video}_{p}"] for p in ("gt_class", "gt_instance", "pred_class", "pred_instance"))
        stats = video_stats(*parts, num_classes, windows)
        total = {k: total[k] + stats[k] for k in windows}
    things = np.isin(np.arange(num_classes), maps["thing_classes"])
    for k in windows:
        row = expected["vpq"][str(k)]
        for name, select in {"All": None, "Things": things, "Stuff": ~things}.items():
            close(100 * total[k].mean(select)["pq"], row[name], COUNTED)
        check_per_class(total[k], {int(c): r for c, r in row["per_class"].items()}, close, "iou")
    summary = summarize_vpq(total, things)
    for ours, theirs in {"VPQ": "All", "VPQ_th": "Things", "VPQ_st": "Stuff"}.items():
        close(100 * summary[ours], expected["vpq_mean"][theirs], COUNTED)
    for k in windows:
        close(100 * summary[f"VPQ_{k}"], expected["vpq"][str(k)]["All"], COUNTED)


@pytest.mark.parametrize("part", ["synthetic", "real"])
def test_davis(golden, close, part):
    folder, expected = golden("davis_vos")
    expected, maps = expected[part], np.load(folder / f"{part}.npz")
    objects = {}
    for name in sorted({key.rsplit("_", 1)[0] for key in maps}):
        j, f = sequence_scores(maps[f"{name}_gt"], maps[f"{name}_pred"])
        objects.update({f"{name}_{i + 1}": (j[i], f[i]) for i in range(len(j))})
    assert objects.keys() == expected["per_object"].keys()
    for key, row in expected["per_object"].items():
        for measure, values in zip("JF", objects[key], strict=True):
            close(values, row[f"{measure}_per_frame"], COUNTED)
            official = [row[f"{measure}_{statistic}"] for statistic in ("mean", "recall", "decay")]
            close(mean_recall_decay(values), official, COUNTED)
    summary = summarize_davis(objects.values())
    official_name = {"J&F": "J&F_mean", "J": "J_mean", "F": "F_mean"}
    assert {official_name.get(k, k) for k in summary} == expected["global"].keys()
    for key, value in summary.items():
        close(value, expected["global"][official_name.get(key, key)], COUNTED)


def test_semantic(golden, close):
    folder, expected = golden("semantic_miou")
    maps = np.load(folder / "maps.npz")
    total = sum(
        confusion_matrix(gt, pred, expected["num_classes"])
        for gt, pred in zip(maps["gt"], maps["pred"], strict=True)
    )
    assert total.tolist() == expected["confusion_matrix"]
    summary = summarize_confusion(total)
    names = {"mIoU_gt": "mIoU_gt_classes_only", "IoU": "IoU_per_class", "Acc": "Acc_per_class"}
    for key, value in summary.items():
        close(value, expected[names.get(key, key)], COUNTED)


def test_interactive(golden, close):
    folder, expected = golden("interactive_iou")
    masks = np.load(folder / "masks.npz")
    intersection, union = mask_overlaps(masks["gt"], masks["pred"])
    assert intersection.tolist() == expected["intersection"]
    assert union.tolist() == expected["union"]
    summary = summarize_overlaps(intersection, union)
    names = {
        "IoU": "IoU_per_instance",
        "mIoU": "mean_IoU",
        "IoU@50": "IoU_at_50_ge",
        "IoU@75": "IoU_at_75_ge",
        "oIoU": "overall_IoU",
    }
    assert summary.keys() == names.keys()
    for key, value in summary.items():
        close(value, expected[names[key]], COUNTED)
