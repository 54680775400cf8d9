"""The toy training on a tenth of the images' labels, and on what a teacher says of all images.

Every kind of sample (images, clips of two views, clicks) comes half from labels and half from the teacher, in the
shares of joint.py. docs/training.md#pseudo-labels has the command that makes the teacher's labels.
"""

_base_ = ["./joint.py"]
from omgseg import recipes

__labelled = dict(indices=100)  # of 1000
__taught = dict(
    ann_file=_base_.toy_root + "pseudo_labels.json",
    data_prefix=dict(img=_base_.data_root + "coco/train2017/", seg=_base_.toy_root + "pseudo_labels/"),
    image_size=_base_.image_size,
    pseudo_labels=dict(sure_score=0.5),
)
__jitter = (0.8, 1.25)

train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            coco_panoptic=__labelled,
            coco_pseudo_clips=__labelled,
            coco_prompts=__labelled,
            taught_panoptic=dict(
                type="CocoPanopticDataset", **__taught, pipeline=recipes.image_steps(jitter=__jitter)
            ),
            taught_clips=dict(
                type="CocoPanopticDataset", **__taught, pipeline=recipes.pseudo_clip_steps(__jitter)
            ),
            taught_prompts=dict(
                type="CocoPromptDataset",
                **__taught,
                pipeline=recipes.image_steps(dict(type="SamplePrompts", repeat=True), jitter=__jitter),
            ),
        ),
        repeat=dict(
            coco_panoptic=10,
            coco_pseudo_clips=10,
            coco_prompts=20,
            taught_prompts=2,
            vipseg=16,
            youtube_vis_2019=16,
        ),
    )
)
