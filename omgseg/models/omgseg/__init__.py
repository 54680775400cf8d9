"""OMG-Seg (arXiv:2401.10229): a file per part of the paper's figure 2."""
