"""Open-Vocabulary SAM with CLIP's RN50x16, trained on the 48 base classes of COCO, as it is published.

Weights: sam2clip_vith_rn50x16.pth and clip2sam_coco_rn50x16.pth (S-Lab License 1.0: non-commercial use only), merged
with SAM's prompt encoder by projects/ov_sam/published.py; CLIP's own come from open_clip.
"""

_base_ = ["../../../configs/_base_/runtime.py"]

custom_imports = dict(imports=["omgseg.projects.ov_sam"])

# OpenAI's text towers have QuickGELU; the image towers are the same under both names.
clip = "RN50x16-quickgelu"
model = dict(
    type="OpenVocabularySAM",
    image_encoder=dict(
        type="OVSamImageEncoder",
        trunk=dict(type="ClipResNet", model_name=clip, pretrained="openai"),
        image_size=1024,
    ),
    prompt_encoder=dict(type="SamPromptEncoder", image_size=1024),
    mask_decoder=dict(type="LabelMaskDecoder"),
    regions=dict(type="RegionEmbedder"),
    text_encoder=dict(type="CLIPTextEncoder", model_name=clip, pretrained="openai", templates="vild"),
    published=True,
    # fmt: off
    base_words=[
        "person",
        "bicycle",
        "car",
        "motorcycle",
        "train",
        "truck",
        "boat",
        "bench",
        "bird",
        "horse",
        "sheep",
        "bear",
        "zebra",
        "giraffe",
        "backpack",
        "handbag",
        "suitcase",
        "frisbee",
        "skis",
        "kite",
        "surfboard",
        "bottle",
        "fork",
        "spoon",
        "bowl",
        "banana",
        "apple",
        "sandwich",
        "orange",
        "broccoli",
        "carrot",
        "pizza",
        "donut",
        "chair",
        "bed",
        "toilet",
        "tv",
        "laptop",
        "mouse/computer mouse",
        "remote/remote control",
        "microwave",
        "oven",
        "toaster",
        "refrigerator",
        "book",
        "clock",
        "vase",
        "toothbrush",
    ],
    # fmt: on
)
