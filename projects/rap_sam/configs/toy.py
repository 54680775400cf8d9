"""RAP-SAM's joint training on the toy world: images, videos and prompts, with the data and the CLIP of OMG-Seg's.

An iteration takes about as long as one of configs/toy/joint.py. toy_proof.py trains both and compares them.
"""

_base_ = ["../../../configs/toy/joint.py"]
custom_imports = dict(imports=["omgseg.toy", "omgseg.projects.rap_sam"])

channels = 64
max_iters = 1100

model = dict(
    type="RapSAM",
    image_encoder=dict(type="PyramidClipEncoder"),
    # narrow where deformable convolutions are, whose backward pass takes most of the time
    pixel_decoder=dict(_delete_=True, type="LitePixelDecoder", channels=channels, widths=(64, 32, 32, 64)),
    query_decoder=dict(
        _delete_=True,
        type="DynamicQueryDecoder",
        num_queries=20,
        channels=channels,
        feedforward_channels=128,
        embed_dim=64,
        temperature=1.0,
    ),
    # with the published scale, 1000 in the stages, the class losses began ten times as large as those of the masks
    classifier=dict(_delete_=True, type="CosineClassifier", logit_scale=3.4),
    test_cfg=dict(ensemble=False, recognition=-1.0),
)
# images instead of pseudo clips of them: more of them in the same time
train_dataloader = dict(
    dataset=dict(
        datasets=dict(coco_pseudo_clips=None, vipseg=None),
        repeat=dict(_delete_=True, coco_panoptic=2, coco_prompts=2, youtube_vis_2019=16),
    )
)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type="timm.optim.muon.Muon",
        lr=2e-3,  # with 8e-3 clicks had learned nothing after 125 iterations, and images less
        weight_decay=0.05,
        nesterov=True,
        betas=(0.9, 0.98),
    ),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
