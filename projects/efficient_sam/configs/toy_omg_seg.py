"""configs/toy/joint.py with the ViT of toy_sami.py as image encoder; `make demo` makes its data and its CLIP.

Pre-trained: --cfg-options model.image_encoder.pretrained=work_dirs/efficient_sam_proof/SAMI_0_pretraining/iter_500.pth
"""

_base_ = ["../../../configs/toy/joint.py"]
custom_imports = dict(imports=["omgseg.toy", "omgseg.projects.efficient_sam"])

model = dict(
    image_encoder=dict(
        _delete_=True,
        type="VitPyramidEncoder",
        pretrained=None,
        vit=dict(
            type="EfficientSamImageEncoder",
            width=128,
            depth=4,
            num_heads=4,
            mlp_ratio=2.0,
            position_grid=16,
        ),
    ),
    test_cfg=dict(ensemble=False),
)
