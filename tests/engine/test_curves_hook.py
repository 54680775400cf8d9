"""A training run leaves a picture of its values, and its values and pictures in the backends that its config names."""

import json

import numpy as np
import pytest

import omgseg.engine.picture_hooks as module
from omgseg.structures.label_png import load_image

HOOK = {
    "custom_hooks": [dict(type="CurvesHook")],
    "default_hooks.logger": dict(type="LoggerHook", interval=1),
}


@pytest.fixture
def drawn(monkeypatch) -> list:
    """What is given to be drawn: panels, last iteration, number of iterations."""
    calls = []
    draw = module.draw_curves

    def note(panels, last, count, noisy):
        calls.append(({title: dict(lines) for title, lines in panels.items()}, last, count))
        return draw(panels, last, count, noisy)

    monkeypatch.setattr(module, "draw_curves", note)
    return calls


def test_a_run_ends_with_its_curves(make_runner, tmp_path, drawn):
    make_runner(**HOOK).train()
    ((panels, last, count),) = drawn
    assert (last, count) == (4, 4)
    assert len(panels["loss"]["loss"]) == 4
    assert list(panels["parts of the loss, last layer"]) == ["fit"]
    np.testing.assert_allclose(panels["learning rate"]["lr"], [0.1, 0.1, 0.01, 0.01])
    assert {name: len(values) for name, values in panels["validation"].items()} == {"mean": 2}
    shown = np.asarray(load_image(tmp_path / "work" / "curves.png"))
    assert shown.shape[2] == 3
    (copy,) = (tmp_path / "work").glob("*/vis_data/vis_image/curves_4.png")
    np.testing.assert_array_equal(np.asarray(load_image(copy)), shown)


def test_a_resumed_run_shows_its_whole_history(make_runner, tmp_path, drawn):
    make_runner(**HOOK).train()
    make_runner(load_from=str(tmp_path / "work" / "epoch_1.pth"), resume=True, **HOOK).train()
    (whole, *_), (resumed, last, count) = drawn
    assert (last, count) == (4, 4)
    np.testing.assert_allclose(resumed["loss"]["loss"], whole["loss"]["loss"], rtol=1e-5)


def test_a_run_without_iterations_draws_nothing(make_runner, tmp_path, drawn):
    make_runner(**HOOK).train()
    drawn.clear()
    runner = make_runner(load_from=str(tmp_path / "work" / "epoch_2.pth"), **HOOK)
    runner.test()
    assert not drawn


def test_tensorboard_gets_metrics_and_pictures(make_runner, tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
    make_runner(visualizer=dict(type="Visualizer", vis_backends=backends), **HOOK).train()
    (folder,) = (tmp_path / "work").glob("*/vis_data")
    events = accumulators.EventAccumulator(str(folder))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("mean")] == [1, 2]
    assert [event.step for event in events.Images("curves")] == [4]
    local = [json.loads(line) for line in (folder / "scalars.json").read_text().splitlines()]
    losses = [line["loss"] for line in local if "loss" in line]
    np.testing.assert_allclose([event.value for event in events.Scalars("loss")], losses, rtol=1e-5)
