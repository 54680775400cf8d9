"""The console script `omgseg`: one module per sub-command, each a thin layer over :mod:`omgseg.inference`."""
