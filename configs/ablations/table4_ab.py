"""Table 4, a + b: COCO and VIPSeg."""

_base_ = ["./table4_abc.py"]

train_dataloader = dict(
    dataset=dict(datasets=dict(youtube_vis_2019=None), repeat=dict(_delete_=True, vipseg=15))
)
