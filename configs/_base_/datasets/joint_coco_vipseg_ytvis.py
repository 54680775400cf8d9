"""The joint training mix, validated on COCO panoptic.

A derived config changes a source by its name, and leaves one out with None:
``train_dataloader = dict(dataset=dict(datasets=dict(vipseg=dict(data_root="..."), coco_prompts=None)))``.
"""

_base_ = [
    "./coco_panoptic.py",
    "./coco_pseudo_clips.py",
    "./coco_prompts.py",
    "./vipseg.py",
    "./youtube_vis_2019.py",
]

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="SourceBatchSampler"),
    dataset=dict(
        type="JointDataset",
        datasets=dict(
            coco_panoptic={{_base_.coco_panoptic_train}},
            coco_pseudo_clips={{_base_.coco_pseudo_clips_train}},
            coco_prompts={{_base_.coco_prompts_train}},
            vipseg={{_base_.vipseg_train}},
            youtube_vis_2019={{_base_.youtube_vis_2019_train}},
        ),
        repeat=dict(vipseg=15, youtube_vis_2019=30),
    ),
)

val_dataloader = {{_base_.coco_panoptic_test_dataloader}}
val_evaluator = {{_base_.coco_panoptic_evaluator}}
test_dataloader = {{_base_.coco_panoptic_test_dataloader}}
test_evaluator = {{_base_.coco_panoptic_evaluator}}
