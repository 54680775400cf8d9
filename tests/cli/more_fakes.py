"""Models for single tests of the command line."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from omgseg.protocols import Abilities, ExportGraph
from omgseg.registry import SEGMENTERS
from omgseg.structures import Task
from tests.fakes import AnswersPrompts, FakeSegmenter, FindsEverything


@SEGMENTERS.register_module(force=True)
class WordlessFake(FakeSegmenter):
    """Takes any words, and has none of its own, as weights without those of their training."""

    abilities = replace(FakeSegmenter.abilities, vocabulary=None)


@SEGMENTERS.register_module(force=True)
class ProposerFake(AnswersPrompts, FindsEverything):
    """Finds masks, and knows no words."""

    abilities = Abilities(
        tasks=frozenset({Task.INTERACTIVE, Task.EVERYTHING}), prompts=frozenset({"points", "labels", "boxes"})
    )

    def predict(self, images, request):
        raise AssertionError("its abilities have no such task")


@SEGMENTERS.register_module(force=True)
class StoppedFake(FakeSegmenter):
    """The user presses Ctrl-C while it works on the fourth frame or the second image."""

    seen = 0

    def segment_frames(self, frames, request, start):
        if start + len(frames) > 3:
            press_ctrl_c()
        return super().segment_frames(frames, request, start)

    def predict(self, images, request):
        self.seen += 1
        if self.seen == 2:
            press_ctrl_c()
        return super().predict(images, request)


def press_ctrl_c() -> None:
    """The signal of a terminal, to the thread that Python handles signals in."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@SEGMENTERS.register_module(force=True)
class DeadlyFake(FakeSegmenter):
    """Its process dies at the first image of 4 pixels width, once: a file notes that it happened."""

    def __init__(self, note: str, **options: Any) -> None:
        super().__init__(**options)
        self.died = Path(note)

    def predict(self, images, request):
        if any(image.shape[1] == 4 for image in images) and not self.died.exists():
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(images, request)


@SEGMENTERS.register_module(force=True)
class ExportableFake(FakeSegmenter):
    """Exports one graph: the brightness of an image.

    Args:
        error: added to the brightness in what is exported, and not in what PyTorch computes.
    """

    def __init__(self, error: float | str = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.error = error

    def export_graphs(self):
        return [
            ExportGraph(
                name="brightness",
                module=_Brightness(self.error),
                inputs={"image": "RGB"},
                outputs={"brightness": "of the pixels"},
                axes={"image": {0: "height", 1: "width"}},
                calls=[(torch.rand(size),) for size in ((4, 6, 3), (5, 2, 3))],
            )
        ]


class _Brightness(torch.nn.Module):
    def __init__(self, error: float | str) -> None:
        super().__init__()
        self.error = float(error)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean(2) + (self.error if torch.compiler.is_exporting() else 0.0)
