"""Workers change neither a result nor its order, hold few samples, and pass their errors on."""

import threading
import time
import weakref

import numpy as np
import pytest
import torch

from omgseg.evaluation.metrics.base import OrderedWorkers, SampleMetric

WORKERS = [0, 1, 3]


class Payload:
    """Stands for a full-resolution prediction; can be referred to weakly."""

    def __init__(self, number):
        self.number = number


class SlowMetric(SampleMetric):
    """Reduces a sample to its number, later samples sooner; notes how many payloads exist meanwhile."""

    default_prefix = "slow"
    NUM_WORKERS = 2

    def __init__(self, alive=(), fail_at=None, **kwargs):
        super().__init__(**kwargs)
        self.alive, self.fail_at, self.most = alive, fail_at, 0

    def reduce(self, sample):
        self.most = max(self.most, sum(ref() is not None for ref in self.alive))
        time.sleep(0.004 if sample["img_id"] % 2 else 0.012)
        if sample["payload"].number == self.fail_at:
            raise ValueError(f"image {self.fail_at}: the mask is too small")
        return sample["payload"].number

    def summarize(self, results):
        return {"numbers": list(results.values())}


@pytest.fixture
def feed():
    """Give a metric samples 0..count - 1 in turn; nothing but the metric keeps them."""

    def run(metric, count=20):
        alive = metric.alive = []
        for number in range(count):
            payload = Payload(number)
            alive.append(weakref.ref(payload))
            metric.process(None, [{"img_id": number, "payload": payload}])
            del payload
        return metric.evaluate(count)

    return run


def running_workers():
    return [thread for thread in threading.enumerate() if "OrderedWorkers" in thread.name]


@pytest.mark.parametrize("num_workers", WORKERS)
def test_results_keep_their_order_and_few_samples_are_held(feed, num_workers):
    metric = SlowMetric(num_workers=num_workers)
    assert feed(metric) == {"slow/numbers": list(range(20))}
    # the one at hand, those being reduced, one that waits, and one whose worker has not let go of it yet
    assert 1 <= metric.most <= (num_workers + 3 if num_workers else 1)
    assert not running_workers()
    assert feed(metric) == {"slow/numbers": list(range(20))}, "a metric can evaluate again"


def test_workers_run_beside_the_main_thread(feed):
    names = set()

    class Named(SlowMetric):
        def reduce(self, sample):
            names.add(threading.current_thread().name)
            return super().reduce(sample)

    feed(Named())
    assert len(names) == Named.NUM_WORKERS and threading.main_thread().name not in names
    names.clear()
    feed(Named(num_workers=0))
    assert names == {threading.main_thread().name}


@pytest.mark.parametrize("num_workers", WORKERS)
@pytest.mark.parametrize("fail_at", [0, 19])
def test_errors_of_workers_keep_their_message(feed, num_workers, fail_at):
    metric = SlowMetric(num_workers=num_workers, fail_at=fail_at)
    with pytest.raises(ValueError, match=f"image {fail_at}: the mask is too small"):
        feed(metric)
    assert not running_workers()


def test_the_first_error_wins_and_later_calls_are_given_up():
    workers, started = OrderedWorkers(2), []

    def call(number):
        started.append(number)
        time.sleep(0.05 if number == 0 else 0)
        raise ValueError(f"call {number}")

    for number in range(3):
        workers.submit(call, number)
    with pytest.raises(ValueError, match="call 0"):
        workers.close()
    assert workers.close() == []
    workers.submit(lambda: "again")
    assert workers.close() == ["again"]


def test_negative_number_of_workers():
    with pytest.raises(ValueError, match="num_workers must be 0 or more, got -1"):
        SlowMetric(num_workers=-1)


def test_frames_become_dicts_with_tensors_on_the_cpu(make_sample, make_video):
    """Workers must not touch a device: their current one is not that of the process."""
    seen = {}

    class Reader(SlowMetric):
        def reduce(self, sample):
            seen.update(sample)
            return 0

    moved = []

    class FakeDeviceTensor(torch.Tensor):
        def cpu(self):
            moved.append(self.shape)
            return torch.zeros(self.shape)

    frame = make_sample({"pred_vos_seg": np.zeros((2, 3))})
    frame.pred_vos_seg.sem_seg = frame.pred_vos_seg.sem_seg.as_subclass(FakeDeviceTensor)
    metric = Reader()
    metric.process(None, [make_video([frame], video_id="a").to_dict()])
    metric.evaluate(1)
    assert moved == [(1, 2, 3)]
    assert type(seen["video_data_samples"][0]["pred_vos_seg"]["sem_seg"]) is torch.Tensor
    assert isinstance(frame.pred_vos_seg.sem_seg, FakeDeviceTensor), "the model's own sample stays as it is"
