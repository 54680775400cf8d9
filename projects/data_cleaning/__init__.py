"""Finding what is wrong in annotations: outliers among embeddings of segments (arXiv:1811.04277, 1809.10816)."""
