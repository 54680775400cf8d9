"""Attention as two dynamic convolutions (arXiv:2309.10713), with other activations than softmax."""
