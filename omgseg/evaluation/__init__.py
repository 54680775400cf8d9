"""Evaluation: ``functional`` computes numbers from arrays and files, ``metrics`` serves mmengine's loops."""
