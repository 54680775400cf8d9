"""The joint toy config in sizes at which an iteration takes a fraction of a second. $OMGSEG_TOY names the toy world."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = f"""
_base_ = ["{ROOT}/configs/toy/joint.py"]
image_size = (64, 64)
names = ("coco_panoptic", "coco_pseudo_clips", "coco_prompts", "vipseg", "youtube_vis_2019")
model = dict(
    image_encoder=dict(pretrained=None),
    text_encoder=dict(pretrained=None),
    query_decoder=dict(num_queries=10, num_layers=2),
    criterion=dict(num_points=64),
)
# two samples of each source: with two samples a (global) batch, five batches are an epoch
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        datasets=dict((name, dict(image_size=image_size, indices=2)) for name in names),
        repeat=dict(vipseg=1, youtube_vis_2019=1),
    ),
)
val_dataloader = dict(dataset=dict(image_size=image_size, indices=2))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=5, val_interval=1000)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1000))
"""
