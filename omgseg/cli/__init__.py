"""The console script `omgseg`: one file a sub-command, each thin over :mod:`omgseg.inference`."""
