"""How often the host waits for the device: for values, for sizes that depend on values, and for copies of its own data.

The operations are those at which CUDA synchronises; on a CPU they are counted.
"""

import pytest
import torch
from mmdet.structures import DetDataSample
from torch.utils._python_dispatch import TorchDispatchMode

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries import readout, winners
from omgseg.models.mask_queries.readout import (
    PanopticConfig,
    read_panoptic,
    read_semantic,
    select_queries,
)
from tests.tiny_omgseg import config_for_calls, tiny_inferencer

aten = torch.ops.aten
WAITS = {
    aten._local_scalar_dense,  # item, tolist, bool, int
    aten.bincount,
    aten.equal,
    aten.lift_fresh,  # torch.tensor(numbers): a copy from the host
    aten.masked_select,
    aten.nonzero,
    aten.repeat_interleave,
    aten.unique_consecutive,
    aten._unique2,
}
INDEXED = {aten.index, aten.index_put, aten.index_put_}


class Waits(TorchDispatchMode):
    """Notes the operations that would wait."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet = func.overloadpacket
        indices = [x for x in args[1] if isinstance(x, torch.Tensor)] if packet in INDEXED else []
        if packet in WAITS or any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            self.found.append(str(packet))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: (x > 0).nonzero(),
        lambda x: x + torch.tensor([1.0]),
        lambda x: x.new_tensor([1.0]),
        lambda x: torch.as_tensor([1.0], device=x.device),
    ],
)
def test_waiting_is_found(wait):
    with Waits() as waits:
        wait(torch.ones(3))
    assert waits.found


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = tiny_inferencer(config_for_calls(tmp_path_factory.mktemp("clip"))).segmenter.model
    model.set_vocabulary(["dog", "truck", "sky"])
    return model


@pytest.mark.parametrize("training", [False, True])
def test_the_forward_pass_never_waits(model, training):
    """With gradient each layer has a prediction."""
    inputs = torch.randint(256, (2, 1, 3, 96, 160), dtype=torch.uint8)
    samples = [DetDataSample(metainfo=dict(img_shape=(90, 150))) for _ in range(2)]
    with torch.set_grad_enabled(training), Waits() as waits:
        outputs = model.decode(model.encode(inputs, samples), every_layer=training)
    assert len(outputs) == (4 if training else 1) and outputs[-1].class_logits.isfinite().all()
    assert waits.found == []


@pytest.fixture(params=[(96, 160), (61, 103)], ids=["original", "resized"])
def scene(request):
    """Class probabilities, mask logits with empty and equal masks, and sizes."""
    torch.manual_seed(0)
    masks = torch.nn.functional.interpolate(torch.randn(1, 40, 6, 10) * 6, (24, 40), mode="bicubic")[0]
    masks[3], masks[5] = -9, masks[4]
    probs = (torch.randn(40, 7) * 3).softmax(-1)
    return probs, masks, MaskGeometry((96, 160), (96, 160), request.param)


def read(probs, masks, geometry):
    indices, scores, labels = select_queries(probs, PanopticConfig())
    (panoptic,), segment_scores = read_panoptic(
        [masks[indices]], scores, labels, 4, 6, geometry, PanopticConfig(iou_thr=0.3)
    )
    return panoptic, segment_scores


def on_a_device(monkeypatch):
    for module in (readout, winners):
        monkeypatch.setattr(module, "saves_by_block", lambda logits: False)


def test_panoptic_read_outs_of_other_devices_wait_twice(scene, monkeypatch):
    """For the selected queries, and for the scores of the segments; what comes out is what CPUs read."""
    panoptic, scores = read(*scene)
    on_a_device(monkeypatch)
    with Waits() as waits:
        other, other_scores = read(*scene)
    assert (panoptic != other).float().mean() < 1e-3 and scores == other_scores and len(scores) > 2
    assert panoptic.dtype == other.dtype == torch.int32
    # a list is read number by number on CPUs, in one copy from a device
    copies = [name for name in waits.found if name != "aten._local_scalar_dense"]
    assert copies == ["aten.nonzero"]


def test_semantic_read_outs_of_other_devices_never_wait(scene, monkeypatch):
    probs, masks, geometry = scene
    labels = read_semantic(probs, masks, geometry)
    on_a_device(monkeypatch)
    with Waits() as waits:
        other = read_semantic(probs, masks, geometry)
    assert torch.equal(labels, other)
    # the places of the blocks' pixels are computed by the host
    assert set(waits.found) <= {"aten._local_scalar_dense"}
