"""MaskCLIP with OpenAI's ViT-B/16, of which alone weights are needed: open_clip downloads them at the first call.

Prompt denoising and key smoothing are off, as in the published annotation-free configurations.
"""

default_scope = "omgseg"
custom_imports = dict(imports=["omgseg.projects.mask_clip"])

segmenter = dict(type="MaskClipSegmenter", model_name="ViT-B-16-quickgelu", pretrained="openai")
