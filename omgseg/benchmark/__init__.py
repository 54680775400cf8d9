"""Measures our head against mmdet's ``Mask2FormerHead`` and ``MaskFormerFusionHead`` at equal sizes and weights, and
the speed of our metrics."""
