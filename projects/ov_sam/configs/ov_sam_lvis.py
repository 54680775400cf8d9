"""Open-Vocabulary SAM with CLIP's RN50x16, trained on the frequent and common classes of LVIS, as it is published.

Weights: as for ov_sam_coco.py, with clip2sam_lvis_rn50x16.pth. The 866 base words are in the merged file:
``--base-words lvis_v1_val.json`` of projects/ov_sam/published.py takes them from an annotation file of LVIS.
"""

_base_ = ["./ov_sam_coco.py"]

# The published test configuration has regions of 7 cells, its training configuration of 12.
model = dict(base_words=None, regions=dict(size=7))
