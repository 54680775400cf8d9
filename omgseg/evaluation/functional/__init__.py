"""Metrics as pure functions of arrays, JSON content and files. No model code, no training framework.

All results are fractions; ``metrics`` turns them into percent.
"""
