"""Reading ahead: a thread prepares the next inputs while the model works on the present ones."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()
_POLL = 0.1
_PATIENCE = 5.0
"""Seconds to wait for the thread at the end; one that hangs in a dead stream is left alone, as it is a daemon."""


def read_ahead(items: Iterable[T], depth: int, drop_oldest: bool = False) -> Iterator[T]:
    """Iterate in a thread of its own, at most `depth` items ahead.

    Closing the returned iterator ends the thread, and closes `items`.

    Args:
        items: iterated in the thread only.
        depth: how many items wait at most.
        drop_oldest: where the consumer is too slow, forget the oldest waiting item instead of waiting: for live
            sources, whose newest frame counts.

    Raises:
        Exception: what `items` raised, after the items before it.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def put(item: object, may_drop: bool) -> None:
        while not stop.is_set():
            try:
                return waiting.put(item, timeout=0 if may_drop else _POLL)
            except queue.Full:
                if may_drop:
                    _forget_one(waiting)

    def work() -> None:
        iterator: Iterator[T] = iter(())
        try:
            iterator = iter(items)  # may fail, too
            for item in iterator:
                put((item, None), drop_oldest)
                if stop.is_set():
                    break
        except BaseException as error:  # handed over to the consumer
            put((None, error), False)
        else:
            put(_END, False)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    thread = threading.Thread(target=work, name="omgseg-read-ahead", daemon=True)
    thread.start()
    try:
        while (entry := waiting.get()) is not _END:
            item, error = entry
            if error is not None:
                raise error
            yield item
            del item, entry  # not kept alive while the next one is awaited
    finally:
        stop.set()
        thread.join(_PATIENCE)


def _forget_one(waiting: queue.Queue) -> None:
    try:
        waiting.get_nowait()
    except queue.Empty:
        pass
