"""What a trained model sees in the annotated segments of a dataset: embeddings, class probabilities, its own masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg import recipes
from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.checking import DatasetFiles
from omgseg.models.mask_queries.readout import geometry_of
from omgseg.models.omgseg.adapter import EncodedImage, MaskQuerySegmenter, mask_in_model
from omgseg.models.omgseg.image_encoder import ImageEncoder
from omgseg.models.precision import predicting
from omgseg.protocols import MaskNamer, Segmenter
from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary
from omgseg.structures.run_lengths import encode_masks, mask_areas

LEAST_PROBABILITY = 1e-4


class SurveyError(ValueError):
    """The dataset or the model cannot be used for this; says why, and what to do."""


@dataclass(frozen=True)
class Seen:
    """What a model sees in N segments.

    Attributes:
        embeddings: float32 (N, E); NaN where it sees nothing, e.g. in an empty mask.
        probs: float32 (N, C), of each class, with sum 1; zeros where it cannot tell.
        ious: float32 (N,), with its own mask of the segment; 1 for a model without masks of its own.
        rles: its own masks, or the given ones.
    """

    embeddings: np.ndarray
    probs: np.ndarray
    ious: np.ndarray
    rles: list[dict[str, Any]]


@dataclass(frozen=True)
class Survey:
    """N annotated segments of a dataset, and what a model sees in them.

    Attributes:
        vocabulary: what labels mean.
        images: N image files.
        image_ids: N ids of images, as in the annotation file.
        segment_ids: N ids of annotations, or of the segments of a panoptic image.
        labels: int64 (N,).
        rles: N annotated masks.
        seen: by the model.
    """

    vocabulary: Vocabulary
    images: list[Path]
    image_ids: list[Any]
    segment_ids: list[int]
    labels: np.ndarray
    rles: list[dict[str, Any]]
    seen: Seen

    @property
    def empty(self) -> np.ndarray:
        """bool (N,): annotated masks without a pixel."""
        return mask_areas(self.rles) == 0


def annotated_images(files: DatasetFiles) -> SegmentationDataset:
    """The dataset of annotated images, as they are stored.

    Raises:
        FileNotFoundError, ValueError: a file is missing or wrong; the dataset has no annotations.
        SurveyError: it has videos, no classes, or no masks.
    """
    dataset = DATASETS.build({"source": files.name, **files.config, "pipeline": recipes.LOAD})
    if dataset.CLASS_AGNOSTIC:
        raise SurveyError(f"{files.name}: its segments have no classes; choose another dataset with --source")
    if dataset.SEG_FORMAT == "boxes":
        raise SurveyError(f"{files.name}: it has boxes and no masks; choose another dataset with --source")
    if dataset.get_data_info(0)["is_video"]:
        raise SurveyError(f"{files.name}: it has videos; choose a dataset of images with --source")
    return dataset


def survey(
    dataset: SegmentationDataset, model: Segmenter, report: Callable[[str], None] = lambda line: None
) -> Survey:
    """Look at all annotated segments of a dataset.

    Args:
        dataset: of :func:`annotated_images`.
        model: with queries as those of OMG-Seg, or one that names masks.
        report: called with a line now and then.

    Raises:
        SurveyError: the model can do neither; there is no segment; or it sees no segment at all.
        MissingWords: the model cannot take some of the dataset's words.
        OSError, ValueError: an image or its annotation cannot be read.
    """
    look = _look_of(model)
    where: list[tuple[Path, Any, int]] = []
    labels, rles, seen = [], [], []
    for index in range(len(dataset)):
        sample = dataset.prepare_data(index)
        frame = sample["frames"][0]
        of_image = encode_masks(sample["gt_masks"][:, 0])
        if of_image:
            seen.append(look(sample["imgs"][0], of_image, dataset.vocabulary))
        ids = sample["gt_instance_ids"].tolist()
        where += [(Path(frame["img_path"]), frame["img_id"], number) for number in ids]
        labels += sample["gt_labels"].tolist()
        rles += of_image
        if (index + 1) % 100 == 0 or index + 1 == len(dataset):
            report(f"{index + 1} of {len(dataset)} images, {len(rles)} segments")
    if not seen:
        raise SurveyError(f"{dataset.ann_file}: no image has a segment")
    images, image_ids, segment_ids = (list(column) for column in zip(*where, strict=True))
    found = Survey(
        dataset.vocabulary, images, image_ids, segment_ids, np.array(labels, np.int64), rles, _joined(seen)
    )
    if not np.isfinite(found.seen.embeddings).all(1).any():
        raise SurveyError(
            f"{dataset.ann_file}: the model sees none of {len(rles)} segments, as all embeddings are NaN or all masks "
            "empty; check the weights and the masks"
        )
    return found


def _joined(seen: Sequence[Seen]) -> Seen:
    arrays = (
        np.concatenate([getattr(one, name) for one in seen]) for name in ("embeddings", "probs", "ious")
    )
    return Seen(*arrays, [rle for one in seen for rle in one.rles])


Look = Callable[[np.ndarray, list[dict[str, Any]], Vocabulary], Seen]


def _look_of(model: Segmenter) -> Look:
    """How a model looks at segments: (image RGB uint8 (H, W, 3), masks, words) -> :class:`Seen`."""
    if isinstance(model, MaskQuerySegmenter):
        return lambda image, rles, words: by_queries(model, image, rles, words)
    if isinstance(model, MaskNamer):
        return lambda image, rles, words: by_names(model, image, rles, words)
    raise SurveyError(
        f"{type(model).__name__} has no queries and names no masks; take a run of OMG-Seg, or a model that names masks"
    )


def by_names(model: MaskNamer, image: np.ndarray, rles: list[dict[str, Any]], words: Vocabulary) -> Seen:
    """The class probabilities of the masks; their logarithms are the embeddings."""
    probs = model.name_masks(model.encode_image(image), rles, words)
    embeddings = np.log(np.maximum(probs, LEAST_PROBABILITY))
    embeddings[probs.sum(1) == 0] = np.nan
    return Seen(embeddings, probs, np.ones(len(rles), np.float32), rles)


def by_queries(
    model: MaskQuerySegmenter, image: np.ndarray, rles: list[dict[str, Any]], words: Vocabulary
) -> Seen:
    """The best matching query of each segment, and CLIP's view of the segment where the model has a CLIP.

    The best query is that of the highest IoU times probability to be no background. An embedding is the query after the
    decoder's norm, and CLIP's embedding of the mean feature under the mask, both of unit length.
    """
    state = model.encode_image(image)
    network, features = model.model, state.features
    with predicting(model.device, model.dtype):
        network.set_vocabulary(words)
        (output,) = network.decode(features, every_layer=False)
        evidence = network.zero_shot_evidence(features, output)
        probs = network.class_probs(
            output.class_logits[0], **{name: value[0] for name, value in evidence.items()}
        )
        logits = output.mask_logits[0, :, 0].float()
        full = torch.cat([mask_in_model(state.sample, rle) for rle in rles]).to(logits.device)
        ious = _ious(_shares(full, logits.shape[-2:]) > 0.5, logits > 0)
        best = (ious * (1 - probs[:, -1])).argmax(1)
        parts = [F.normalize(output.normed_queries[0, best].float(), dim=-1)]
        if isinstance(network.image_encoder, ImageEncoder):
            parts.append(_clip_views(network.image_encoder, features.last_feature, full))
        embeddings = torch.cat(parts, dim=1)
        embeddings[full.flatten(1).sum(1) == 0] = torch.nan
        named = probs[best, :-1].float()
        named = named / named.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        own = encode_masks(_full_size(state, logits[best]))
    of_best = ious[torch.arange(len(rles)), best]
    return Seen(embeddings.cpu().numpy(), named.cpu().numpy(), of_best.cpu().numpy(), own)


def _shares(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Share (N, h, w) of each cell that masks (N, H, W) cover: no mask is too small to be there."""
    return F.interpolate(masks.unsqueeze(0), tuple(size), mode="area").squeeze(0)


def _clip_views(encoder: ImageEncoder, feature: Tensor, masks: Tensor) -> Tensor:
    """CLIP's unit embeddings (N, E) of the mean of a feature (1, C, h, w) under masks (N, H, W)."""
    shares = _shares(masks, feature.shape[-2:])
    weights = shares / shares.sum((1, 2), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    means = torch.einsum("chw,nhw->nc", encoder.norm_pre(feature)[0].float(), weights)
    return encoder.embed_pooled(means, means.new_ones(len(means))).float()


def _ious(given: Tensor, found: Tensor) -> Tensor:
    """IoU (N, Q) of bool masks (N, h, w) and (Q, h, w)."""
    given, found = given.flatten(1).float(), found.flatten(1).float()
    both = given @ found.t()
    return both / (given.sum(1, keepdim=True) + found.sum(1) - both).clamp(min=1)


def _full_size(state: EncodedImage, logits: Tensor) -> Iterator[np.ndarray]:
    """Masks (H, W) of the original image, one by one, of logits (N, h, w)."""
    for _, resized in geometry_of(state.sample).resized_chunks(logits):
        yield from (resized > 0).cpu().numpy()
