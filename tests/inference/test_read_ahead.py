"""Reading in a thread of its own."""

import threading
import time

import pytest

from omgseg.inference.running import read_ahead


def readers() -> int:
    return sum(thread.name == "omgseg-read-ahead" for thread in threading.enumerate())


def test_order_and_bound():
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    ahead = read_ahead(items(), depth=3)
    assert next(ahead) == 0
    deadline = time.monotonic() + 2
    while len(taken) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(taken) == 5  # one is out, three wait, one is in the thread's hand
    assert list(ahead) == list(range(1, 20))
    assert not readers()


def test_errors_come_after_the_items_before_them():
    def items():
        yield 1
        raise OSError("broken")

    ahead = read_ahead(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(OSError, match="broken"):
        next(ahead)
    assert not readers()


def test_closing_ends_the_thread_and_the_reading():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    ahead = read_ahead(items(), 2)
    next(ahead)
    ahead.close()
    assert closed and not readers()


def test_live_sources_drop_the_oldest():
    started, produced = threading.Event(), threading.Event()

    def items():
        yield 0
        started.wait(2)
        yield from range(1, 10)
        produced.set()

    ahead = read_ahead(items(), depth=2, drop_oldest=True)
    assert next(ahead) == 0
    started.set()
    assert produced.wait(2)  # the reader never waited for us
    assert list(ahead) == [8, 9]


def test_an_error_before_the_first_item_reaches_the_consumer():
    class Broken:
        def __iter__(self):
            raise OSError("no such camera")

    with pytest.raises(OSError, match="no such camera"):
        next(read_ahead(Broken(), 2))
    assert not readers()
