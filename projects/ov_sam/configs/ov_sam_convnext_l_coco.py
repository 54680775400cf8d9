"""Open-Vocabulary SAM on the frozen ConvNeXt-L CLIP of OMG-Seg, for the 48 base classes of COCO.

No such weights are published. Images are normalised as for OMG-Seg's published weights, so that both may share a trunk.
"""

_base_ = ["./ov_sam_coco.py"]

__clip = dict(model_name="convnext_large_d_320", pretrained="laion2b_s29b_b131k_ft_soup")
model = dict(
    image_encoder=dict(
        trunk=dict(
            _delete_=True,
            type="ClipConvNeXt",
            **__clip,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        )
    ),
    text_encoder=dict(**__clip),
    published=False,
)
