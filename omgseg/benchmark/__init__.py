"""Measures our head against mmdet's ``Mask2FormerHead`` and ``MaskFormerFusionHead`` at equal sizes and weights,
the speed of our metrics, and what users wait for: images, clicks, streams."""
