"""Names for masks that nobody has named."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from omgseg.models.decoder import text_logits
from omgseg.models.segmentor import Features, OMGSeg
from omgseg.structures import NO_CLASS
from omgseg.structures.run_lengths import decode_masks


def label_masks(model: OMGSeg, features: Features, sample: DetDataSample, rles: Sequence[dict]) -> list[int]:
    """The word of the model's vocabulary that fits each mask best, as the frozen CLIP sees it (mask pooling).

    The prompts' own queries cannot say it: they were trained without classes.

    Args:
        features: of one image.
        sample: of that image.
        rles: N run lengths of its original size.

    Returns:
        N labels; ``NO_CLASS`` for a mask that covers no cell of CLIP's map.
    """
    if not rles:
        return []
    device = features.clip_feature.device
    masks = torch.from_numpy(decode_masks(rles, tuple(sample.ori_shape[:2]))).to(device).float()
    masks = F.interpolate(masks[None], tuple(sample.img_shape[:2]), mode="bilinear", align_corners=False)
    height, width = sample.batch_input_shape[:2]
    masks = F.pad(masks, (0, width - masks.shape[-1], 0, height - masks.shape[-2]))
    embeddings, seen = model.image_encoder.embed_masks(features.clip_feature, masks - 0.5)
    logits = text_logits(embeddings, model.class_embeddings, model.image_encoder.logit_scale)[0, :, :-1]
    return logits.argmax(-1).where(seen[0], NO_CLASS).tolist()
