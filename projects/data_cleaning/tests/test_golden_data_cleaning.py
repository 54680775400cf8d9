"""The robust graphical lasso and GAAL against derived optima and steps of a port of the published loop."""

from itertools import islice

import numpy as np
import pytest
import torch

from omgseg.projects.data_cleaning.gaal import Gaal, slices
from omgseg.projects.data_cleaning.graphical_lasso import (
    clean_covariance,
    graphical_lasso,
    joint_admm,
    objective,
    positive_part,
    robust_graphical_lasso,
)

SETS = ("indefinite_M", "definite_M")
OBJECTIVE, MATRIX, STEP = 1e-7, 1e-5, 1e-10


@pytest.fixture(scope="module")
def rglasso(golden_dir):
    return torch.load(golden_dir / "rglasso" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def gaal(golden_dir):
    return torch.load(golden_dir / "gaal" / "golden.pt", weights_only=True)


def lasso_value(theta, covariance, rho):
    return objective(theta, covariance, np.zeros_like(covariance), rho, 0.0)


@pytest.mark.parametrize("name", SETS)
def test_the_graphical_lasso_finds_the_certified_optima(rglasso, name):
    values = rglasso[name]
    for key, entry in values["glasso"].items():
        covariance = values[key.split("_rho")[0]].numpy()
        theta = graphical_lasso(covariance, entry["rho"])
        assert np.abs(theta - entry["Theta"].numpy()).max() < MATRIX, key
        assert abs(lasso_value(theta, covariance, entry["rho"]) - entry["objective"]) < OBJECTIVE, key
        assert np.count_nonzero(theta) - len(theta) == entry["nonzeros_offdiag"], key
        without = graphical_lasso(covariance, entry["rho"], penalize_diagonal=False)
        assert np.abs(without - entry["off_diagonal_penalty_only"]["Theta"].numpy()).max() < MATRIX, key


@pytest.mark.parametrize("name", SETS)
def test_the_cleaned_covariance_is_the_optimum_for_a_precision(rglasso, name):
    values = rglasso[name]
    m = values["M"].numpy()
    for key, entry in values["f_step"].items():
        theta = entry["Theta"].numpy()
        f, _ = clean_covariance(m, theta, entry["lambda"])
        value = (f * theta).sum() + entry["lambda"] * np.abs(m - f).sum()
        assert abs(value - entry["objective"]) < OBJECTIVE, key
        assert np.abs(f - entry["F"].numpy()).max() < MATRIX, key
        assert np.linalg.eigvalsh(f)[0] > -MATRIX, key


@pytest.mark.parametrize("name", SETS)
def test_the_robust_graphical_lasso_ends_in_a_block_optimum_as_low(rglasso, name):
    m = rglasso[name]["M"].numpy()
    for key, entry in rglasso[name]["joint"].items():
        rho, lam = entry["rho"], entry["lambda"]
        start = positive_part(m) if entry["start"] == "clipped_M" else np.zeros_like(m)
        found = robust_graphical_lasso(m, rho, lam, start)
        value = objective(found.theta, found.f, found.s, rho, lam)
        assert value <= entry["objective"] + OBJECTIVE, key
        assert value == found.objectives[-1] and np.diff(found.objectives).max() < OBJECTIVE, key
        assert np.allclose(found.f + found.s, m) and np.linalg.eigvalsh(found.f)[0] > -MATRIX, key
        theta = graphical_lasso(found.f, rho)
        assert objective(theta, found.f, found.s, rho, lam) > value - OBJECTIVE, key
        f, _ = clean_covariance(m, found.theta, lam)
        assert objective(found.theta, f, m - f, rho, lam) > value - OBJECTIVE, key


@pytest.mark.parametrize("name", SETS)
def test_the_outlined_admm_walks_through_the_derived_states(rglasso, name):
    entry = rglasso[name]["derived_admm"]
    states = entry["iterations"]
    admm = joint_admm(rglasso[name]["M"].numpy(), entry["rho"], entry["lambda"], entry["mu"])
    ours = list(islice(admm, max(map(int, states))))
    for number, state in states.items():
        found = ours[int(number) - 1]
        for field, matrix in (("Theta", found.theta), ("Z", found.z), ("F", found.f), ("S", found.s)):
            assert np.abs(matrix - state[field].numpy()).max() < MATRIX, (number, field)


@pytest.mark.parametrize("name", ["so_gaal", "mo_gaal_k4"])
def test_every_step_of_gaal_is_that_of_the_published_loop(gaal, name):
    entry = gaal[name]
    options = {key: entry[key] for key in ("lr_d", "lr_g", "momentum", "decay")}
    model = Gaal(entry["D0"], entry["G0"], **options)
    rows = entry["X"]
    assert [tuple(part) for part in entry["slices"]] == slices(len(rows), model.k)
    for number, step in enumerate(entry["steps"]):
        noises = step["noise_discriminator"], step["noise_generators"]
        found = model.step(rows, rows, *noises, bool(step["train_generators"]))
        same(found.fake, step["fake"])
        same(found.p, step["p_after_d_step"])
        same(torch.tensor([found.d_loss], dtype=rows.dtype), torch.tensor([step["d_loss"]], dtype=rows.dtype))
        same(found.targets, torch.tensor(step["targets"], dtype=rows.dtype))
        same(found.g_losses, torch.tensor(step["g_losses"], dtype=rows.dtype))
        for ours, derived in zip(model.discriminator, step["D"], strict=True):
            same(ours, derived.view_as(ours))
        for place, stacked in enumerate(model.generators):
            same(stacked, torch.stack([weights[place] for weights in step["G"]]))
        assert number < 2 or not step["train_generators"]
    same(model.outlier_scores(rows), entry["outlier_score"].view(-1))


def same(ours, derived):
    assert ours.shape == derived.shape and (ours - derived).abs().max() < STEP


def test_generators_make_the_published_slices(gaal):
    for rows, parts in gaal["slices_k10"].items():
        assert slices(int(rows), len(parts)) == [tuple(part) for part in parts]
