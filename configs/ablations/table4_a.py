"""Table 4, a: COCO alone, as images and as clips."""

_base_ = ["./table4_abc.py"]

train_dataloader = dict(
    dataset=dict(datasets=dict(vipseg=None, youtube_vis_2019=None), repeat=dict(_delete_=True))
)
