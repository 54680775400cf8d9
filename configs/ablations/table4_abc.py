"""Table 4, a + b + c: COCO, VIPSeg and YouTube-VIS 2019, without prompts."""

_base_ = ["../omg_coco_vipseg_ytvis.py"]

train_dataloader = dict(dataset=dict(datasets=dict(coco_prompts=None)))
