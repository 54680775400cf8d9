"""Table 3: the same model trained on COCO panoptic alone."""

_base_ = ["../omg_coco_vipseg_ytvis.py"]

train_dataloader = dict(
    dataset=dict(
        datasets=dict(coco_pseudo_clips=None, coco_prompts=None, vipseg=None, youtube_vis_2019=None),
        repeat=dict(_delete_=True),
    )
)
