"""From what a model sees in segments to an order in which a person should look at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omgseg.projects.data_cleaning.detectors import DETECTORS, Detector
from omgseg.projects.data_cleaning.survey import Seen, Survey

DEFAULT_METHOD = "agreement"
METHODS: tuple[str, ...] = (*DETECTORS, "confident_learning", "agreement")
LEAST_SEGMENTS = 20
"""Classes with fewer segments are judged together, as one class."""
LEAST_JUDGED = 3
"""Fewer rows say nothing about each other."""
COMPONENTS = 64
SAME_MASK = 0.5
"""IoU from which two masks are of the same object."""


def suspicion(
    method: str,
    labels: np.ndarray,
    seen: Seen,
    empty: np.ndarray,
    seed: int = 0,
    components: int = COMPONENTS,
) -> np.ndarray:
    """How suspicious N segments are.

    Args:
        method: one of :data:`METHODS`.
        labels: int64 (N,), annotated.
        seen: by a model.
        empty: bool (N,), masks without a pixel.
        seed: of methods with chance.
        components: principal components of the embeddings that outliers are looked for in; 0: all numbers.

    Returns:
        float64 (N,), the higher the more suspicious; infinite for empty masks, and minus infinite for what cannot be
        judged: the model sees nothing there, or there are fewer than three segments to compare.
    """
    scores = np.full(len(labels), -np.inf)
    if method in DETECTORS:
        usable = np.flatnonzero(np.isfinite(seen.embeddings).all(1) & ~empty)
        if len(usable):
            rows = np.column_stack([_reduced(seen.embeddings[usable], components), seen.ious[usable]])
            scores[usable] = by_class(DETECTORS[method], rows, labels[usable], seed)
    else:
        usable = np.flatnonzero((seen.probs.sum(1) > 0) & ~empty)
        probs, ious = seen.probs[usable].astype(np.float64), seen.ious[usable]
        if method == "agreement":
            scores[usable] = 1 - probs[np.arange(len(usable)), labels[usable]] * ious
        elif len(usable):
            scores[usable] = confident_learning(probs, labels[usable])
    scores[empty] = np.inf
    return scores


def _reduced(embeddings: np.ndarray, components: int) -> np.ndarray:
    """The first principal components, float64."""
    rows = embeddings.astype(np.float64)
    rows -= rows.mean(0)
    if not components or components >= rows.shape[1]:
        return rows
    _, vectors = np.linalg.eigh(rows.T @ rows)
    return rows @ vectors[:, ::-1][:, :components]


def by_class(detector: Detector, rows: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Scores (n,) of rows (n, d) among those of their class, in median deviations above the class's median, which makes
    classes comparable. Rare classes are one class; minus infinite where even that has too few rows."""
    classes, of_row, counts = np.unique(labels, return_inverse=True, return_counts=True)
    group = np.where(counts[of_row] < LEAST_SEGMENTS, len(classes), of_row)
    scores = np.full(len(rows), -np.inf)
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        if len(members) < LEAST_JUDGED:
            continue
        found = detector(rows[members], seed)
        above = found - np.median(found)
        spread = np.median(np.abs(above)) or above.std() or 1.0
        scores[members] = above / spread
    return scores


def confident_learning(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much likelier another class is than the annotated one (Northcutt et al., arXiv:1911.00068): each class counts
    by its probability above the mean one of the segments that are annotated with it, so that classes of which the
    model is less sure are no suspects for that.

    Args:
        probs: (n, C); those of a model that has not learned these labels are best.
        labels: (n,).
    """
    present = np.unique(labels)
    thresholds = np.full(probs.shape[1], np.nan)
    thresholds[present] = [probs[labels == label, label].mean() for label in present]
    thresholds[np.isnan(thresholds)] = np.nanmean(thresholds)
    above = probs - thresholds
    own = above[np.arange(len(labels)), labels]
    above[np.arange(len(labels)), labels] = -np.inf
    others = above.max(1) if probs.shape[1] > 1 else np.zeros(len(labels))
    return others - own


@dataclass(frozen=True)
class Suspect:
    """A segment in the ranked list.

    Attributes:
        index: in the survey.
        score: of :func:`suspicion`.
        likely: the likeliest label; None where the model cannot tell.
        probability: of that label.
        hint: what looks wrong, in a few words.
    """

    index: int
    score: float
    likely: int | None
    probability: float
    hint: str


def ranked(found: Survey, scores: np.ndarray) -> list[Suspect]:
    """All segments, the most suspicious first."""
    empty = found.empty
    suspects = []
    for index in np.argsort(-scores, kind="stable").tolist():
        probs = found.seen.probs[index]
        likely = int(probs.argmax()) if probs.any() else None
        if empty[index]:
            hint = "the mask is empty"
        elif scores[index] == -np.inf:
            hint = "not judged"
        elif likely is not None and likely != found.labels[index]:
            hint = "another label is likelier"
        elif found.seen.ious[index] < SAME_MASK:
            hint = "the model's mask is another one"
        else:
            hint = "unusual in its class"
        suspects.append(Suspect(index, float(scores[index]), likely, float(probs.max()), hint))
    return suspects
