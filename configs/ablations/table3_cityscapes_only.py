"""Table 3: the same model trained on Cityscapes alone."""

_base_ = ["../omg_coco_vipseg_ytvis_city_sam.py"]

train_dataloader = dict(
    dataset=dict(
        datasets=dict(coco_pseudo_clips=None, coco_prompts=None, vipseg=None, youtube_vis_2019=None),
        repeat=dict(_delete_=True, cityscapes=15),
    )
)
val_dataloader = test_dataloader = dict(_delete_=True, **_base_.cityscapes_test_dataloader)
val_evaluator = test_evaluator = _base_.cityscapes_evaluator
