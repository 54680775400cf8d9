"""Table 3: the same model trained on VIPSeg alone."""

_base_ = ["../omg_coco_vipseg_ytvis.py"]

train_dataloader = dict(
    dataset=dict(
        datasets=dict(coco_panoptic=None, coco_pseudo_clips=None, coco_prompts=None, youtube_vis_2019=None),
        repeat=dict(_delete_=True, vipseg=15),
    )
)
model = dict(test_cfg=dict(clip_size=2))
val_dataloader = test_dataloader = dict(_delete_=True, **_base_.vipseg_test_dataloader)
val_evaluator = test_evaluator = [_base_.vipseg_evaluator]
