"""Outlier detectors on rows of numbers: functions (rows (n, d), seed) -> scores (n,), the higher the stranger.

They expect at least two rows and finite numbers; constant columns and more columns than rows are fine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from omgseg.projects.data_cleaning.gaal import ITERATIONS, SUB_GENERATORS, fit_gaal
from omgseg.projects.data_cleaning.graphical_lasso import (
    graphical_lasso,
    joint_admm,
    positive_part,
    robust_graphical_lasso,
    soft,
)

Detector = Callable[[np.ndarray, int], np.ndarray]

TOLERANCE = 1e-3
"""Relative, of precision matrices: scores need their order only."""
ROUNDS, ADMM_STEPS, ADMM_LAMBDA = 3, 100, 1.0
LASSO_STEPS = 60
LEAST_RHO, MOST_RHO = 0.02, 0.5
SLACK = 2.0
"""Lambda of the robust graphical lasso, as a multiple of the largest entry of the precision matrix: from 1 on, S takes
only what keeps the correlations from being those of a covariance."""
NEIGHBOURS = 10
MOST_NEIGHBOURS = 20_000
"""Rows among which neighbours are looked for."""
SUPPORT = 0.75
"""Share of the rows that the minimum covariance determinant takes for clean."""
TREES, TREE_ROWS = 100, 256


def standardized(rows: np.ndarray, robust: bool) -> np.ndarray:
    """Columns around 0 with spread 1, by median and median deviation where `robust`; constant ones are 0."""
    center = np.median(rows, axis=0) if robust else rows.mean(0)
    centered = rows - center
    spread = centered.std(0)
    if robust:
        deviation = 1.4826 * np.median(np.abs(centered), axis=0)
        spread = np.where(deviation > 0, deviation, spread)
    return centered / np.where(spread > 0, spread, 1)


def correlation(rows: np.ndarray, ranks: bool) -> np.ndarray:
    """Correlations (d, d) of columns; of a constant column 0, with itself 1.

    Args:
        rows: (n, d).
        ranks: Spearman's, as 2 sin(pi r / 6), which for normal rows estimates the ordinary one. Single rows count
            little, and the matrix need not be positive semi-definite.
    """
    columns = standardized(rankdata(rows, axis=0) if ranks else rows, robust=False)
    found = columns.T @ columns / len(columns)
    if ranks:
        found = 2 * np.sin(np.pi / 6 * found)
    np.fill_diagonal(found, 1)
    return found


def _rho(rows: np.ndarray) -> float:
    """The usual rate sqrt(log d / n)."""
    count, columns = rows.shape
    return float(np.clip(math.sqrt(math.log(max(columns, 2)) / count), LEAST_RHO, MOST_RHO))


def mahalanobis(rows: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Squared distances (n,) from 0."""
    return np.einsum("nd,nd->n", rows @ precision, rows)


def rglasso(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Distances by the robust graphical lasso of rank correlations, around medians."""
    m, rho = correlation(rows, ranks=True), _rho(rows)
    f = positive_part(m)
    first = graphical_lasso(f, rho, tolerance=TOLERANCE, max_steps=LASSO_STEPS)
    found = robust_graphical_lasso(m, rho, SLACK * np.abs(first).max(), f, TOLERANCE, ROUNDS)
    return mahalanobis(standardized(rows, robust=True), found.theta)


def rglasso_admm(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Distances by the robust graphical lasso as outlined: one ADMM for the sample's correlations, around means.
    It stops when Theta and F + S hardly change."""
    m = correlation(rows, ranks=False)
    theta = np.eye(len(m))
    states = joint_admm(m, _rho(rows), ADMM_LAMBDA)
    for state in islice(states, ADMM_STEPS):
        change = np.linalg.norm(state.theta - theta) / np.linalg.norm(theta)
        missing = np.linalg.norm(m - state.f - state.s) / np.linalg.norm(m)
        theta = state.theta
        if max(change, missing) <= TOLERANCE:
            break
    return mahalanobis(standardized(rows, robust=False), theta)


def glasso(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Distances by the graphical lasso of the sample's correlations, around means."""
    theta = graphical_lasso(
        correlation(rows, ranks=False), _rho(rows), tolerance=TOLERANCE, max_steps=LASSO_STEPS
    )
    return mahalanobis(standardized(rows, robust=False), theta)


def mcd(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Distances by the minimum covariance determinant: concentration steps (Rousseeuw, Van Driessen, 1999) that begin
    with rows near the median. Covariances are shrunk to a sphere, as there may be more columns than rows."""
    rows = standardized(rows, robust=True)
    count, columns = rows.shape
    size = max(2, math.ceil(SUPPORT * count))
    share = columns / (columns + size)
    distances, chosen = np.square(rows).sum(1), np.zeros(0)
    for _ in range(30):
        before, chosen = chosen, np.sort(np.argsort(distances, kind="stable")[:size])
        if np.array_equal(before, chosen):
            break
        centered = rows - rows[chosen].mean(0)
        covariance = centered[chosen].T @ centered[chosen] / size
        sphere = max(np.trace(covariance) / columns, np.finfo(float).eps)
        covariance = (1 - share) * covariance + share * sphere * np.eye(columns)
        distances = mahalanobis(centered, np.linalg.inv(covariance))
    return distances


def robust_pca(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Norms of the rows of S in X = L + S, with L of low rank and S sparse (Candes et al., arXiv:0912.3599)."""
    x = standardized(rows, robust=True)
    lam, mu = 1 / math.sqrt(max(x.shape)), x.size / (4 * max(np.abs(x).sum(), 1e-12))
    s, y = np.zeros_like(x), np.zeros_like(x)
    for _ in range(200):
        left, values, right = np.linalg.svd(x - s + y / mu, full_matrices=False)
        low = (left * np.maximum(values - 1 / mu, 0)) @ right
        s = soft(x - low + y / mu, lam / mu)
        y += mu * (x - low - s)
        if np.linalg.norm(x - low - s) <= TOLERANCE * np.linalg.norm(x):
            break
    return np.linalg.norm(s, axis=1)


def knn(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Distance to the tenth neighbour, or to the farthest where there are fewer."""
    random = np.random.default_rng(seed)
    others = rows
    if len(rows) > MOST_NEIGHBOURS:
        others = rows[random.choice(len(rows), MOST_NEIGHBOURS, replace=False)]
    nearest = min(NEIGHBOURS, len(others) - 1)  # the row itself is the nearest of all
    blocks = np.array_split(rows, math.ceil(len(rows) * len(others) / 2**24))
    return np.concatenate([np.partition(cdist(block, others), nearest)[:, nearest] for block in blocks])


def isolation_forest(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Isolation forest (Liu, Ting, Zhou, 2008): rows that few random cuts separate from the others score near 1."""
    random = np.random.default_rng(seed)
    size = min(TREE_ROWS, len(rows))
    limit = math.ceil(math.log2(size))
    depths = np.zeros(len(rows))

    def grow(members: np.ndarray, passing: np.ndarray, depth: int) -> None:
        """Cut the members; `passing` are all rows that reach this node."""
        spread = np.flatnonzero(np.ptp(rows[members], axis=0)) if len(members) > 1 else ()
        if depth == limit or not len(spread):
            depths[passing] += depth + _average_depth(len(members))
            return
        column = random.choice(spread)
        values = rows[members, column]
        cut = random.uniform(values.min(), values.max())
        for below in (True, False):
            grow(
                members[(values <= cut) == below], passing[(rows[passing, column] <= cut) == below], depth + 1
            )

    for _ in range(TREES):
        grow(random.choice(len(rows), size, replace=False), np.arange(len(rows)), 0)
    return 2 ** (-depths / TREES / max(_average_depth(size), 1e-12))


def _average_depth(count: int) -> float:
    """Of an unsuccessful search in a binary tree of so many rows."""
    if count < 3:
        return max(count - 1.0, 0.0)
    return 2 * (math.log(count - 1) + np.euler_gamma) - 2 * (count - 1) / count


def _gaal(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    low, spread = rows.min(0), np.ptp(rows, axis=0)
    scaled = torch.from_numpy((rows - low) / np.where(spread > 0, spread, 1)).float()
    return fit_gaal(scaled, k, seed, ITERATIONS).outlier_scores(scaled).double().numpy()


def so_gaal(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """One generator (:mod:`gaal`)."""
    return _gaal(rows, 1, seed)


def mo_gaal(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Ten generators (:mod:`gaal`)."""
    return _gaal(rows, SUB_GENERATORS, seed)


DETECTORS: dict[str, Detector] = {
    "rglasso": rglasso,
    "rglasso_admm": rglasso_admm,
    "glasso": glasso,
    "mcd": mcd,
    "robust_pca": robust_pca,
    "so_gaal": so_gaal,
    "mo_gaal": mo_gaal,
    "isolation_forest": isolation_forest,
    "knn": knn,
}
