"""EdgeSAM with the RPN that proposes boxes for clicks. Weights: edge_sam.pth (S-Lab License 1.0: non-commercial use
only) together with those of a detector's neck and head, which are not published.
"""

_base_ = ["./edge_sam.py"]

model = dict(
    type="EdgeSamRPN",
    fpn=dict(_scope_="mmdet", type="FPN", in_channels=[96, 192, 384], out_channels=96, num_outs=5),
    rpn_head=dict(
        _scope_="mmdet",
        type="CenterNetUpdateHead",
        num_classes=1,
        in_channels=96,
        feat_channels=96,
        stacked_convs=4,
        strides=(8, 16, 32, 64, 128),
    ),
)
