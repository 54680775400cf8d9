"""One model for several threads and calls: its precision, and whose turn it is."""

import threading

import numpy as np
import pytest
import torch

from omgseg.apis import read_image
from omgseg.apis.gate import choose_dtype

POINTS = [(50, 40), (100, 80)]


def test_precision():
    cpu = torch.device("cpu")
    assert choose_dtype("auto", cpu) is torch.float32
    assert choose_dtype("bfloat16", cpu) is torch.bfloat16
    with pytest.raises(ValueError, match="dtype 'fp8' is none of auto, float32, bfloat16"):
        choose_dtype("fp8", cpu)


def test_every_call_computes_in_the_chosen_precision(seg, photo, monkeypatch):
    seen = []
    encode = seg.model.encode
    monkeypatch.setattr(seg.interactive.gate, "dtype", torch.bfloat16)
    monkeypatch.setattr(
        seg.model, "encode", lambda *args: seen.append(torch.is_autocast_enabled("cpu")) or encode(*args)
    )
    assert (seg(photo).label_map == seg(photo).label_map).all()
    seg.stream(np.stack([read_image(photo)] * 2), "semantic").__next__()
    assert len(seg(photo, "interactive", prompts={"points": POINTS})) == 2
    assert len(seg.interactive.predict(points=POINTS[:1])) == 1, "on the image that the call before has set"
    seg.interactive.set_image(photo)
    assert len(seg.interactive.segment_everything(2, min_score=0)) > 0
    assert seen == [True] * 5
    assert not torch.is_autocast_enabled("cpu")


def test_threads_take_turns(seg, photo):
    """Each call sets words of its own; a change in the middle of another one would show in its names."""
    words = (["moose", "elk"], ["lamp", "desk"])
    alone = [seg(photo, "semantic", own, background=[]) for own in words]
    found: list[list] = [[], []]

    def ask(number: int) -> None:
        for _ in range(10):
            found[number].append(seg(photo, "semantic", words[number], background=[]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own, right in zip(found, alone, strict=True):
        assert len(own) == 10 and all(each == right for each in own)
