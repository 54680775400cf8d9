"""Detectors on rows of numbers, and how their scores of several classes become one list."""

import numpy as np
import pytest
import torch

from omgseg.projects.data_cleaning import detectors
from omgseg.projects.data_cleaning.detectors import DETECTORS
from omgseg.projects.data_cleaning.gaal import fit_gaal
from omgseg.projects.data_cleaning.graphical_lasso import graphical_lasso
from omgseg.projects.data_cleaning.ranking import (
    LEAST_SEGMENTS,
    METHODS,
    by_class,
    confident_learning,
    suspicion,
)
from omgseg.projects.data_cleaning.survey import Seen
from omgseg.projects.data_cleaning.toy_proof import area_under_curve, measure


def rows_with_outliers(count=120, columns=12, outliers=6, seed=0):
    """Correlated normal rows; the last ones are far away in directions of little variance."""
    random = np.random.default_rng(seed)
    mix = random.normal(size=(columns // 2, columns))
    rows = random.normal(size=(count, columns // 2)) @ mix + 0.3 * random.normal(size=(count, columns))
    rows[-outliers:] += random.choice((-4.0, 4.0), (outliers, columns))
    return rows, np.arange(count) >= count - outliers


@pytest.fixture
def short_gaal(monkeypatch):
    """GAAL takes a second otherwise."""
    monkeypatch.setattr(detectors, "ITERATIONS", 5)


@pytest.mark.parametrize("name", [name for name in DETECTORS if "gaal" not in name])
def test_a_detector_finds_outliers_and_repeats_itself(name):
    rows, wrong = rows_with_outliers()
    scores = DETECTORS[name](rows, 3)
    assert area_under_curve(scores, wrong) > 90
    assert np.array_equal(scores, DETECTORS[name](rows, 3))


@pytest.mark.parametrize("name", ["so_gaal", "mo_gaal"])
def test_gaal_finds_what_lies_outside_of_a_cluster_and_repeats_itself(name, monkeypatch):
    monkeypatch.setattr(detectors, "ITERATIONS", 60)
    random = np.random.default_rng(0)
    rows = np.concatenate([random.normal(0.5, 0.05, (120, 4)), random.uniform(0, 1, (6, 4))])
    scores = DETECTORS[name](rows, 3)
    assert area_under_curve(scores, np.arange(126) >= 120) > 80
    assert np.array_equal(scores, DETECTORS[name](rows, 3))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("case", ["few rows", "constant column", "equal rows", "copied columns"])
def test_singular_rows_have_finite_scores(name, case, short_gaal):
    rows, _ = rows_with_outliers(count=30)
    if case == "few rows":
        rows = rows[:3]
    elif case == "constant column":
        rows[:, 0] = 1
    elif case == "equal rows":
        rows[:] = rows[0]
    else:
        rows[:, 6:] = rows[:, :6]
    scores = DETECTORS[name](rows, 0)
    assert scores.shape == (len(rows),) and np.isfinite(scores).all()


def test_neighbours_are_looked_for_among_some_of_many_rows(monkeypatch):
    rows, wrong = rows_with_outliers(count=300)
    monkeypatch.setattr(detectors, "MOST_NEIGHBOURS", 100)
    assert area_under_curve(detectors.knn(rows, 0), wrong) > 90


def test_gaal_takes_fewer_generators_for_few_rows_and_whole_batches_of_many():
    assert fit_gaal(torch.rand(20, 3), 10, seed=0, iterations=1).k == 5
    assert fit_gaal(torch.rand(1100, 2), 3, seed=0, iterations=1).k == 3


def test_the_graphical_lasso_of_independent_columns_is_diagonal():
    theta = graphical_lasso(np.diag([1.0, 2.0, 4.0]), 0.5)
    assert np.allclose(theta, np.diag([1 / 1.5, 1 / 2.5, 1 / 4.5]))


def seen_of(labels, classes=3, seed=0):
    """What a model sees that is right in all but the first segment."""
    random = np.random.default_rng(seed)
    true = np.where(np.arange(len(labels)) == 0, (labels + 1) % classes, labels)
    embeddings = (5 * np.eye(8)[true] + random.normal(scale=0.3, size=(len(labels), 8))).astype(np.float32)
    probs = np.full((len(labels), classes), 0.1, np.float32)
    probs[np.arange(len(labels)), true] = 1 - 0.1 * (classes - 1)
    rle = {"size": [1, 1], "counts": "01"}
    return Seen(embeddings, probs, np.full(len(labels), 0.9, np.float32), [rle] * len(labels))


@pytest.mark.parametrize("method", [name for name in METHODS if "gaal" not in name])
def test_a_wrong_label_is_among_the_most_suspicious_segments(method):
    labels = np.repeat([0, 1, 2], 40)
    scores = suspicion(method, labels, seen_of(labels), np.zeros(len(labels), bool))
    assert 0 in np.argsort(-scores)[:3]


@pytest.mark.parametrize("method", METHODS)
def test_empty_masks_come_first_and_what_the_model_does_not_see_last(method, short_gaal):
    labels = np.repeat([0, 1], 30)
    seen = seen_of(labels)
    seen.embeddings[[4, 5]] = np.nan
    seen.probs[5] = 0
    seen.embeddings[6], seen.probs[6] = np.inf, 0
    scores = suspicion(method, labels, seen, np.arange(60) == 4)
    assert scores[4] == np.inf and (scores[[5, 6]] == -np.inf).all()
    assert np.isfinite(np.delete(scores, [4, 5, 6])).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_segment_of_a_class_is_judged_with_other_rare_ones_and_alone_not_at_all(method, short_gaal):
    labels = np.array([0] * 30 + [1] + [2] * 4)
    scores = suspicion(method, labels, seen_of(labels), np.zeros(35, bool), components=2)
    assert np.isfinite(scores).all()
    alone = suspicion(method, labels[:1], seen_of(labels[:1]), np.zeros(1, bool))
    assert alone.shape == (1,) and not np.isnan(alone).any()
    nothing = suspicion(method, labels[:0], seen_of(labels[:0]), np.zeros(0, bool))
    assert nothing.shape == (0,)


def test_scores_of_classes_are_made_comparable():
    labels = np.repeat([0, 1], LEAST_SEGMENTS)
    rows = np.tile(np.linspace(0, 1, LEAST_SEGMENTS), 2)[:, None] * np.where(labels, 100, 1)[:, None]
    scores = by_class(lambda some, seed: some[:, 0], rows, labels, 0)
    assert np.allclose(scores[:LEAST_SEGMENTS], scores[LEAST_SEGMENTS:])


def test_confident_learning_does_not_suspect_what_the_model_is_never_sure_of():
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.5, 0.5], [0.4, 0.6]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = confident_learning(probs, labels)
    assert scores.argmax() == 2 and (scores[3:] < scores[2] - 0.5).all()
    assert np.isfinite(confident_learning(np.ones((2, 1)), np.zeros(2, int))).all()


def test_numbers_of_the_proof():
    kinds = np.array(["label", "", "", "mask"] + [""] * 36)
    scores = np.r_[40.0, 39, 38, 0, -np.arange(1, 37)]
    numbers = measure(scores, kinds)
    assert numbers["AUC label"] == 100 and numbers["P@5 %"] == 50
    assert numbers["AUC mask"] == pytest.approx(100 * 36 / 38)
    assert np.isnan(numbers["AUC swap"])
    assert area_under_curve(np.zeros(4), np.array([True, False, False, True])) == 50
