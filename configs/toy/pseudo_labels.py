"""The toy training on a tenth of the images' labels, and on what a teacher says of all images.

docs/training.md#pseudo-labels has the command that makes the teacher's labels.
"""

_base_ = ["./joint.py"]
from omgseg import recipes

__labelled = dict(indices=100)  # of 1000
pseudo_labels = dict(
    type="CocoPanopticDataset",
    ann_file=_base_.toy_root + "pseudo_labels.json",
    data_prefix=dict(img=_base_.data_root + "coco/train2017/", seg=_base_.toy_root + "pseudo_labels/"),
    image_size=_base_.image_size,
    pipeline=recipes.image_steps(jitter=(0.8, 1.25)),
    pseudo_labels=dict(sure_score=0.5),
)

train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            coco_panoptic=__labelled,
            coco_pseudo_clips=__labelled,
            coco_prompts=__labelled,
            pseudo_labels=pseudo_labels,
        ),
        repeat=dict(
            coco_panoptic=2, coco_pseudo_clips=2, coco_prompts=4
        ),  # almost as many samples as the teacher's
    )
)
