"""Sparse inverse covariances: the graphical lasso and the robust graphical lasso, by ADMM.

The robust one (Liu, Paffenroth, Zou, Zhou, "Anomaly Detection via Graphical Lasso", arXiv:1811.04277) minimises

    -log det Theta + tr(F Theta) + rho |Theta|_1 + lambda |S|_1    subject to    M = F + S

over Theta > 0, F >= 0 (positive semi-definite) and S. |.|_1 counts all entries, the diagonal too. It is convex in Theta
alone and in F alone, not in both: what is found depends on the start. Where M is positive semi-definite and lambda is
at least the largest |Theta_ij|, F = M is optimal, and the result is the graphical lasso.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

EXACT = 1e-10
"""Relative residual at which the values are those of the optimum to seven digits."""
MAX_STEPS = 20_000
_RELAXATION = 1.7
"""Of ADMM: from 1.5 to 1.8 it takes fewer steps (Boyd et al., 2011, section 3.4.3)."""
_BALANCED_STEPS = 100
_UNBALANCED = 5.0


def soft(values: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """Soft thresholding: what minimises ``threshold |x|_1 + |x - values|^2 / 2``."""
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


def positive_part(symmetric: np.ndarray) -> np.ndarray:
    """The nearest positive semi-definite matrix: without negative eigenvalues."""
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def _precision_step(target: np.ndarray, mu: float) -> np.ndarray:
    """What minimises ``-log det Theta - tr(target Theta) + mu |Theta|^2 / 2``: positive definite."""
    values, vectors = np.linalg.eigh(target)
    return (vectors * ((values + np.sqrt(values**2 + 4 * mu)) / (2 * mu))) @ vectors.T


def _balanced(mu: float, primal: float, dual: float, step: int) -> float:
    """The next penalty: residuals that differ much are brought together (Boyd et al., 2011, section 3.4.1)."""
    if step < _BALANCED_STEPS:
        if primal > _UNBALANCED * dual:
            return 2 * mu
        if dual > _UNBALANCED * primal:
            return mu / 2
    return mu


def objective(theta: np.ndarray, f: np.ndarray, s: np.ndarray, rho: float, lam: float) -> float:
    """Of the robust graphical lasso; infinite where Theta is not positive definite."""
    sign, log_det = np.linalg.slogdet(theta)
    if sign <= 0:
        return np.inf
    return float(-log_det + (f * theta).sum() + rho * np.abs(theta).sum() + lam * np.abs(s).sum())


def graphical_lasso(
    covariance: np.ndarray,
    rho: float,
    penalize_diagonal: bool = True,
    start: np.ndarray | None = None,
    tolerance: float = EXACT,
    max_steps: int = MAX_STEPS,
) -> np.ndarray:
    """Minimise ``-log det Theta + tr(covariance Theta) + rho |Theta|_1``.

    Args:
        covariance: (D, D), positive semi-definite; singular ones are fine.
        rho: above 0.
        penalize_diagonal: whether |.|_1 counts the diagonal.
        start: where to begin, e.g. the result for a similar matrix.
        tolerance: of both residuals of ADMM, relative to |Theta|.
        max_steps: of ADMM, each an eigen-decomposition.

    Returns:
        Theta (D, D), positive definite, with exact zeros (where the steps ended too early for these: without).
    """
    penalty = np.full_like(covariance, rho)
    if not penalize_diagonal:
        np.fill_diagonal(penalty, 0)
    sparse = np.diag(1 / (np.diag(covariance) + rho)) if start is None else start
    mu = 1.0
    dual = (np.linalg.inv(sparse) - covariance) / mu  # what it is at the optimum
    for step in range(max_steps):
        theta = _precision_step(mu * (sparse - dual) - covariance, mu)
        relaxed = _RELAXATION * theta + (1 - _RELAXATION) * sparse
        before, sparse = sparse, soft(relaxed + dual, penalty / mu)
        dual += relaxed - sparse
        errors = np.linalg.norm(theta - sparse), mu * np.linalg.norm(sparse - before)
        if max(errors) <= tolerance * max(np.linalg.norm(sparse), 1):
            break
        next_mu = _balanced(mu, *errors, step)
        dual, mu = dual * (mu / next_mu), next_mu
    return sparse if np.linalg.eigvalsh(sparse)[0] > 0 else theta


def clean_covariance(
    m: np.ndarray,
    theta: np.ndarray,
    lam: float,
    dual: np.ndarray | None = None,
    tolerance: float = EXACT,
    max_steps: int = MAX_STEPS,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ``tr(F Theta) + lambda |M - F|_1`` over positive semi-definite F.

    Args:
        m, theta: (D, D), symmetric.
        lam: lambda, above 0.
        dual: of a similar problem, to begin with.
        tolerance: of both residuals of ADMM, relative to |M|.
        max_steps: of ADMM, each an eigen-decomposition.

    Returns:
        F, and the dual variable of M = F + S.
    """
    if np.abs(theta).max() <= lam and np.linalg.eigvalsh(m)[0] >= 0:
        return m, theta
    s, mu = np.zeros_like(m), lam
    dual = np.zeros_like(m) if dual is None else dual.copy()
    for step in range(max_steps):
        f = positive_part(m - s + (dual - theta) / mu)
        relaxed = _RELAXATION * (m - f) + (1 - _RELAXATION) * s
        before, s = s, soft(relaxed + dual / mu, lam / mu)
        dual += mu * (relaxed - s)
        errors = np.linalg.norm(m - f - s), np.linalg.norm(s - before)
        if max(errors) <= tolerance * np.linalg.norm(m):
            break
        mu = _balanced(mu, *errors, step)
    return f, dual


@dataclass(frozen=True)
class Decomposition:
    """What the robust graphical lasso finds.

    Attributes:
        theta: sparse precision matrix (D, D).
        f: cleaned covariance, positive semi-definite.
        s: what was taken from M; M = F + S.
        objectives: after each half step, falling.
    """

    theta: np.ndarray
    f: np.ndarray
    s: np.ndarray
    objectives: list[float]


def robust_graphical_lasso(
    m: np.ndarray,
    rho: float,
    lam: float,
    start: np.ndarray | None = None,
    tolerance: float = EXACT,
    max_rounds: int = 500,
) -> Decomposition:
    """Minimise over Theta given F, then over F given Theta, in turn, until the objective does not fall any more.

    Args:
        m: sample covariance or correlation (D, D); need not be positive semi-definite.
        rho, lam: above 0.
        start: the first F; default: M without its negative eigenvalues.
        tolerance: of the falling objective, relative, and of the two minimisations.
        max_rounds: of both half steps.

    Returns:
        Where neither half step improves: optimal in Theta and in F, each given the other.
    """
    f = positive_part(m) if start is None else start
    theta = dual = None
    objectives: list[float] = []
    for _ in range(max_rounds):
        theta = graphical_lasso(f, rho, start=theta, tolerance=tolerance)
        objectives.append(objective(theta, f, m - f, rho, lam))
        f, dual = clean_covariance(m, theta, lam, dual, tolerance)
        objectives.append(objective(theta, f, m - f, rho, lam))
        if len(objectives) > 2 and objectives[-3] - objectives[-1] <= tolerance * max(abs(objectives[-1]), 1):
            break
    return Decomposition(theta, f, m - f, objectives)


@dataclass(frozen=True)
class AdmmState:
    """The variables of :func:`joint_admm` after a step: Theta and its sparse copy Z, F, S."""

    theta: np.ndarray
    z: np.ndarray
    f: np.ndarray
    s: np.ndarray


def joint_admm(m: np.ndarray, rho: float, lam: float, mu: float = 1.0) -> Iterator[AdmmState]:
    """One ADMM over all variables, from F = 0 and S = M, without end: its caller stops it.

    With a small lambda it walks towards a singular F, so that when it is stopped decides what it finds.
    """
    z, s, f = np.eye(len(m)), m.copy(), np.zeros_like(m)
    u, y = np.zeros_like(m), np.zeros_like(m)
    while True:
        theta = _precision_step(mu * (z - u) - f, mu)
        z = soft(theta + u, rho / mu)
        u = u + theta - z
        f = positive_part(m - s + (y - z) / mu)
        s = soft(m - f + y / mu, lam / mu)
        y = y + mu * (m - f - s)
        yield AdmmState(theta, z, f, s)
