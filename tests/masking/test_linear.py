"""The linearized network: exact means against all masks, the ridge against its normal equations."""

from __future__ import annotations

import math

import pytest
import torch

from deeplimits import masking


def small(n=8, dim=2, width=8, seed=3):
    X, y = masking.random_task(n, dim, seed)
    W, a = masking.initial_weights(width, dim, seed, dtype=torch.float64)
    return X.double(), y.double(), W, a


@pytest.mark.statement("prop-mean-dynamics")
@pytest.mark.parametrize(("masks", "subnetworks", "keep", "outcomes"), [
    ("bernoulli", 2, 0.5, 65_536), ("bernoulli", 2, 0.3, 65_536), ("categorical", 2, None, 256), ("partition", 4, None, 2520), ("partition", 2, None, 70),
])  # fmt: skip
@pytest.mark.parametrize("scale", [None, 1.0])
def test_mean_over_all_masks(masks, subnetworks, keep, outcomes, scale):
    X, y, W, a = small()
    law = masking.mask_law(masks, subnetworks, keep, width=8)
    M, p = law.outcomes()
    assert len(M) == outcomes
    gate, q = (X @ W.T > 0).double(), scale or 1 / law.keep
    ends = torch.cat([masking.one_round(W.expand(len(m), -1, -1), a.expand(len(m), -1), m, X, y, lr=0.1, scale=q,
                                        gate=gate.expand(len(m), -1, -1)) for m in M.split(8192)])  # fmt: skip
    mean = torch.einsum("k,kij->ij", p, ends)
    exact = masking.mean_step(W, a, gate, X, y, law, 0.1, scale)
    assert (exact - W).abs().max() > 1e-3
    assert (mean - exact).abs().max() < 1e-11


@pytest.mark.statement("prop-mean-dynamics")
@pytest.mark.parametrize(("masks", "keep"), [("bernoulli", 0.5), ("partition", None)])
def test_mean_of_many_runs(masks, keep):
    """Five rounds of 2000 linearized networks from the same weights, each with masks of its own."""
    X, y, W, a = small(12, 3, 20)
    law, R = masking.mask_law(masks, 2, keep, width=20), 2000
    gate, path = (X @ W.T > 0).double(), masking.mean_dynamics(X, y, W, a, law, 0.2, 5)
    runs, many = W.expand(R, -1, -1), (a.expand(R, -1), gate.expand(R, -1, -1))
    for k in range(5):
        M = torch.stack([law.draw(s, k) for s in range(R)]).double()
        runs = masking.one_round(runs, many[0], M, X, y, lr=0.2, scale=1 / law.keep, gate=many[1])
    se = runs.std(0) / math.sqrt(R)
    assert ((runs.mean(0) - path.weights).abs() <= 4.5 * se + 1e-12).all()


@pytest.mark.statement("prop-ridge-fixed-point")
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.9])
def test_residual_of_the_ridge_against_the_normal_equations(keep):
    X, y, W, a = small(30, 5, 60)
    law = masking.mask_law("bernoulli", 4, keep, width=60)
    J = masking.jacobian(X, W, a)
    D = torch.block_diag(*[J[:, 5 * r:5 * r + 5].T @ J[:, 5 * r:5 * r + 5] for r in range(60)])
    solved = torch.linalg.pinv(J.T @ J + law.spread * D, hermitian=True) @ (J.T @ y)
    ridge = masking.ridge_fixed_point(X, y, W, law)
    assert (ridge.residual - (y - J @ solved)).abs().max() < 1e-8
    gate = (X @ W.T > 0).double()
    at_rest = masking.mean_step(solved.reshape(60, 5), a, gate, X, y, law, 0.1)
    assert (at_rest.flatten() - solved).abs().max() < 1e-10
    other = masking.ridge_fixed_point(X, y, W, masking.mask_law("bernoulli", 1, keep, width=60))
    assert torch.equal(other.residual, ridge.residual)  # whatever S


@pytest.mark.statement("prop-ridge-fixed-point")
def test_bias_falls_with_the_square_of_the_width():
    """The sheet's values for other random weights: within a few per cent, and a slope of -2."""
    X, y = masking.random_task(100, 20)
    found = []
    for width, value in ((500, 3.47e-4), (1000, 8.53e-5), (2000, 2.20e-5)):
        W, _ = masking.initial_weights(width, 20, seed=1)
        ridge = masking.ridge_fixed_point(X, y, W, masking.mask_law("bernoulli", 4, 0.5, width=width))
        assert ridge.relative == pytest.approx(value, rel=0.15)
        assert float(ridge.eigenvalues.sum()) == pytest.approx(20 * width, rel=0.01)  # trace P is about m d
        found.append(math.log(ridge.relative))
    assert (found[-1] - found[0]) / math.log(4) == pytest.approx(-2, abs=0.1)


@pytest.mark.statement("prop-balanced-partition")
@pytest.mark.parametrize("subnetworks", [2, 4, 8])
def test_fixed_point_of_a_balanced_partition(subnetworks):
    """Against rest of the mean step, and its residual (S-1)(m-P)/(m-1) over the rest in closed form."""
    X, y, W, _ = small(30, 5, 64)
    a = masking.initial_weights(64, 5, 3, dtype=torch.float64)[1]
    law = masking.mask_law("partition", subnetworks, width=64)
    ridge, J = masking.ridge_fixed_point(X, y, W, law), masking.jacobian(X, W, a)
    parts = J.reshape(30, 64, 5).permute(1, 0, 2)
    P = torch.einsum("rni,rki->nk", parts @ torch.linalg.pinv(parts.mT @ parts, hermitian=True), parts)
    c, one = law.coupling, torch.eye(30, dtype=torch.float64)
    closed = torch.linalg.solve((subnetworks - c) * one + c * P, (subnetworks - 1) / 63 * (64 * one - P) @ y)
    assert (ridge.residual - closed).abs().max() < 1e-8
    D = torch.block_diag(*[part.T @ part for part in parts])
    solved = (torch.linalg.pinv(c * J.T @ J + (subnetworks - c) * D, hermitian=True) @ (J.T @ y)).reshape(64, 5)
    at_rest = masking.mean_step(solved, a, (X @ W.T > 0).double(), X, y, law, 0.1)
    assert (at_rest - solved).abs().max() < 1e-9
    assert (y - J @ solved.flatten() - ridge.residual).abs().max() < 1e-8
    labels = masking.ridge_fixed_point(X, y, W, masking.mask_law("categorical", subnetworks, width=64))
    assert ridge.relative < labels.relative


@pytest.mark.statement("prop-balanced-partition")
def test_a_balanced_partition_of_full_gates_has_no_bias():
    """More dimensions than samples: each neuron alone could fit all samples that it sees; with all gates open P = m."""
    X = torch.randn(6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    W = torch.linalg.pinv(X).sum(1).expand(12, -1)  # on for every sample
    ridge = masking.ridge_fixed_point(X, torch.ones(6), W, masking.mask_law("partition", 3, width=12))
    assert ridge.relative < 1e-24
    assert masking.ridge_fixed_point(X, torch.ones(6), W, masking.mask_law("categorical", 3, width=12)).relative == pytest.approx((2 / 14) ** 2)


@pytest.mark.parametrize(("width", "residual"), [(1, 0.5), (9, 0.1)])
def test_one_sample_with_scalar_features(width, residual):
    one = torch.ones(1, 1, dtype=torch.float64)
    ridge = masking.ridge_fixed_point(one, one[0], one.expand(width, 1), masking.mask_law("bernoulli", 1, 0.5, width=width))
    assert ridge.residual.item() == pytest.approx(residual, rel=1e-12)


@pytest.mark.statement("prop-unscaled-trap")
@pytest.mark.parametrize(("keep", "slope"), [(0.5, 0.956), pytest.param(0.8, 0.243, marks=pytest.mark.slow)])
def test_subnetworks_without_their_scale_overshoot(keep, slope):
    """The fixed point tends to y/keep; a run of 300 rounds has come to the slope that the sheet measured."""
    X, y = masking.random_task(100, 20)
    for width, tolerance in ((500, 0.06), (2000, 0.015)):
        W, _ = masking.initial_weights(width, 20, seed=0)
        ridge = masking.ridge_fixed_point(X, y, W, masking.mask_law("bernoulli", 8, keep, width=width), scale=1.0)
        assert (ridge.residual + (1 / keep - 1) * y.double()).norm() < tolerance * y.norm() / keep
    ds = masking.train(X, y, 2000, 8, 1, keep, 0.2, rounds=300, scale=1.0, progress=False)
    W, a = torch.as_tensor(ds.weights.values[0]), torch.as_tensor(ds.signs.values[0])
    excess = torch.relu(X @ W.T) @ a / math.sqrt(2000) - y
    assert float(excess @ y / (y @ y)) == pytest.approx(slope, abs=0.04)
