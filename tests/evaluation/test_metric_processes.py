"""Numbers of processes and workers, and the samples repeated to fill processes, do not change a result."""

import json
import runpy
import subprocess
import sys

import numpy as np
import pytest
from pycocotools import mask as coco_mask

WORKER = """
import json, os, sys
import numpy as np, torch, torch.distributed as dist
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
import omgseg
from omgseg.structures import Vocabulary

rank, world, workers = map(int, sys.argv[1:4])
folder = sys.argv[4]
if world > 1:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store{world}", rank=rank, world_size=world)
data = np.load(f"{folder}/data.npz")
count = len(data["ids"])
evaluator = Evaluator([
    {"type": "omgseg.CocoInstanceMetric", "ann_file": f"{folder}/instances.json", "num_workers": workers},
    {"type": "omgseg.InteractiveMetric", "num_workers": workers},
])
evaluator.dataset_meta = {"vocabulary": Vocabulary.load(f"{folder}/instances.json")}
per_rank = -(-count // world)
for index in (np.arange(per_rank) * world + rank) % count:  # mmengine's sampler: interleaved, padded from the start
    sample = DetDataSample(metainfo={"img_id": int(data["ids"][index])})
    masks = torch.as_tensor(data["predicted"][index])
    sample.gt_instances = InstanceData(masks=torch.as_tensor(data["truth"][index]))
    sample.pred_instances = InstanceData(
        masks=masks, labels=torch.zeros(len(masks), dtype=torch.int64), scores=torch.full((len(masks),), 0.5)
    )
    evaluator.process([sample])
values = evaluator.evaluate(count)
if rank == 0:
    print(json.dumps(values), flush=True)
if world > 1:
    dist.barrier()
    os._exit(0)  # gloo's threads now and then abort an ordinary interpreter exit
"""


@pytest.fixture
def folder(tmp_path):
    """Five images of two objects, equal scores everywhere: AP depends on the order of the results."""
    rng = np.random.default_rng(1)
    truth = np.zeros((5, 2, 10, 12), bool)
    for masks in truth:
        for mask in masks:
            y, x = rng.integers(0, 6, 2)
            mask[y : y + 4, x : x + 5] = True
    predicted = truth.copy()
    predicted[::2] = np.roll(truth[::2], 2, axis=-1)
    ids = np.array([5, 3, 1, 4, 2])
    np.savez(tmp_path / "data.npz", ids=ids, truth=truth, predicted=predicted)
    annotations = []
    for image_id, masks in zip(ids, truth, strict=True):
        for mask in masks:
            rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": int(image_id),
                    "category_id": 1,
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
                }
            )
    images = [{"id": int(i), "height": 10, "width": 12} for i in ids]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    (tmp_path / "worker.py").write_text(WORKER)
    return tmp_path


def test_two_processes_with_workers_equal_one_without(folder, monkeypatch, capsys):
    worker = str(folder / "worker.py")
    arguments = [[worker, str(rank), "2", "2", str(folder)] for rank in range(2)]
    ranks = [
        subprocess.Popen([sys.executable, *a], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for a in arguments
    ]
    monkeypatch.setattr(sys, "argv", [worker, "0", "1", "0", str(folder)])
    runpy.run_path(worker)
    one = json.loads(capsys.readouterr().out.splitlines()[-1])
    outputs = [rank.communicate(timeout=120) for rank in ranks]
    assert all(rank.returncode == 0 for rank in ranks), outputs
    assert one == json.loads(outputs[0][0].splitlines()[-1])
    assert 0 < one["coco_instance/AP"] < 100 and 0 < one["interactive/mIoU"] < 100


def test_results_are_ordered_and_repeated_samples_dropped():
    from omgseg.evaluation.metrics import InteractiveMetric
    from omgseg.evaluation.metrics.base import Reduced

    class Recorder(InteractiveMetric):
        def summarize(self, results):
            return results

    results = [Reduced(*pair) for pair in ((3, "c"), (1, "a"), (2, "b"), (1, "repeated"))]
    assert list(Recorder().compute_metrics(results).items()) == [(1, "a"), (2, "b"), (3, "c")]
