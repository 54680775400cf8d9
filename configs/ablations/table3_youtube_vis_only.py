"""Table 3: the same model trained on YouTube-VIS 2019 alone. Its valid split is scored by a server: no validation."""

_base_ = ["../omg_coco_vipseg_ytvis.py"]

train_dataloader = dict(
    dataset=dict(
        datasets=dict(coco_panoptic=None, coco_pseudo_clips=None, coco_prompts=None, vipseg=None),
        repeat=dict(_delete_=True, youtube_vis_2019=30),
    )
)
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
