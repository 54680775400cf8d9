"""``make demo``: data, CLIP, joint training, evaluation of one checkpoint on every task, pictures, report."""

from omgseg.toy.demo.run import run_demo

__all__ = ["run_demo"]
