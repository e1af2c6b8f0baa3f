"""Statements of *The cut-off in contracting random layers* (Part III)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

import deeplimits as dl

WIDTH, STD = 16, 0.9


@pytest.fixture(scope="module")
def linear_run():
    """Linear layers, two inputs at distance 1, down to a precision of 1e-15."""
    layer = dl.Dense(WIDTH, "identity", STD)
    pair = torch.eye(2, WIDTH, dtype=torch.float64) / math.sqrt(2)
    return dl.simulate(layer, pair, 330, ["log_distance"], record=range(331), samples=1200, seed=21, progress=False)


def steps_of(run, slope: float = 1.0) -> np.ndarray:
    """Steps of the logarithm, shape (sample, depth)."""
    name = "log_distance" if "log_distance" in run else "log_norm"
    return run[name].isel(input=-1).diff("depth").transpose("sample", "depth").values


@pytest.mark.statement("thm-log-norm-walk")
def test_steps_of_a_distance_are_independent_and_have_the_law_of_a_chi_square(linear_run):
    steps = steps_of(linear_run)
    law = lambda y: stats.chi2.cdf(WIDTH * np.exp(2 * y) / STD**2, WIDTH)
    for depth in (0, 40, 329):
        assert stats.kstest(steps[:, depth], law).pvalue > 1e-4, depth
    a, b = steps[:, :-1].ravel(), steps[:, 1:].ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) <= 4 / math.sqrt(a.size)
    assert abs(np.corrcoef(a**2, b**2)[0, 1]) <= 4 / math.sqrt(a.size)


@pytest.mark.statement("thm-log-norm-walk")
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_steps_of_a_leaky_network_do_not_remember_where_they_are(weights):
    layer = dl.Dense(4, "leaky_relu", 1.0, slope=0.2, weights=weights)
    corner = torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)  # a start far from typical
    steps = steps_of(dl.simulate(layer, corner, 12, ["log_norm"], samples=4000, seed=22, progress=False))
    assert stats.ks_2samp(steps[:, 0], steps[:, -1]).pvalue > 1e-4
    a, b = steps[:, :-1].ravel(), steps[:, 1:].ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) <= 4 / math.sqrt(a.size)


@pytest.mark.statement("thm-log-norm-walk")
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_a_small_difference_takes_the_walk_of_the_norm(slope):
    """Equal lengths and a tiny angle: the steps of the distance have the law of those of the norm from the first layer on."""
    layer = dl.Dense(16, "leaky_relu", 1.0, slope=slope)
    x0 = torch.eye(2, 16, dtype=torch.float64)
    x0[1] = x0[0] * math.cos(1e-9) + x0[1] * math.sin(1e-9)
    ds = dl.simulate(layer, x0, 30, ["log_norm", "log_distance"], samples=1500, seed=25, progress=False)
    norm = ds.log_norm.isel(input=0).diff("depth").transpose("sample", "depth").values
    alive = np.isfinite(norm).all(1)  # a rectified network of width 16 may die
    distance, norm = steps_of(ds)[alive], norm[alive]
    for depth in (0, 29):
        assert stats.ks_2samp(distance[:, depth], norm[:, depth]).pvalue > 1e-4
    exponent = dl.ergodic.lyapunov_exponent(layer).value
    assert abs(distance.mean() - exponent) <= 4 * distance.std() / math.sqrt(distance.size)


def third_moment() -> float:
    """E|Y - EY|^3 of one linear step, by quadrature."""
    exact = dl.ergodic.lyapunov_exponent(dl.Dense(WIDTH, "identity", STD))
    height = lambda q: abs(0.5 * math.log(q * STD**2 / WIDTH) - exact.value) ** 3 * stats.chi2.pdf(q, WIDTH)
    return integrate.quad(height, 0, WIDTH, limit=200)[0] + integrate.quad(height, WIDTH, 20 * WIDTH, limit=200)[0]


@pytest.mark.statement("thm-contracting-cutoff")
def test_profiles_are_gaussian_within_the_bound_of_berry_and_esseen(linear_run):
    exact = dl.ergodic.lyapunov_exponent(dl.Dense(WIDTH, "identity", STD))
    depth = linear_run.depth.values[5:]
    bound = 0.4748 * third_moment() / (exact.variance**1.5 * np.sqrt(depth))  # Shevtsova (2011)
    for epsilon in (1e-2, 1e-5, 1e-15):
        profile = dl.cutoff.survival(linear_run, "log_distance", epsilon).sel(depth=depth)
        room = -math.log(epsilon) + exact.value * depth
        expected = stats.norm.cdf(room / np.sqrt(exact.variance * depth))
        assert (abs(profile.survival.values - expected) <= bound + 4 * 0.5 / math.sqrt(1200)).all()


@pytest.mark.statement("thm-contracting-cutoff")
def test_depth_and_window_of_the_family_are_those_predicted(linear_run):
    exact = dl.ergodic.lyapunov_exponent(dl.Dense(WIDTH, "identity", STD))
    rate, spread = -exact.value, math.sqrt(exact.variance)
    for epsilon in (1e-6, 1e-10, 1e-15):
        found = dl.cutoff.locate(dl.cutoff.survival(linear_run, "log_distance", epsilon))
        room = -math.log(epsilon)
        assert abs(found.depth - room / rate) <= 4 * found.depth_se + 0.5
        assert abs(found.relative_width - 1.349 * spread / math.sqrt(rate * room)) <= 4 * found.relative_width_se + 0.002
    family = dl.cutoff.family(dl.cutoff.survival(linear_run, "log_distance", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-15]))
    assert dl.cutoff.verdict(family) == "cut-off"


@pytest.mark.statement("thm-contracting-cutoff")
def test_the_law_of_large_numbers_is_enough_and_the_window_then_is_another():
    """Steps with tail exponent 3/2 have no variance: R decays like the depth to the power -1/3, not -1/2."""
    generator = np.random.default_rng(23)
    walk = np.cumsum(-1 - generator.pareto(1.5, size=(3000, 1500)).astype(np.float32), axis=1)
    depth, width = [], []
    for level in (30, 100, 300, 1000, 3000):
        low, middle, high = (np.quantile((walk > -level).sum(1), q) for q in (0.25, 0.5, 0.75))
        depth.append(middle)
        width.append((high - low) / middle)
    assert (np.diff(width) < 0).all()
    slope = np.polyfit(np.log(depth[1:]), np.log(width[1:]), 1)[0]
    assert abs(slope + 1 / 3) < 0.06


@pytest.mark.statement("thm-contracting-cutoff")
def test_vanishing_contraction_at_a_fixed_precision_is_no_cutoff(linear_run):
    """The hypothesis that cannot be dropped: along weight_std the depth diverges and the fall does not sharpen."""
    profiles = {}
    for std in (0.8, 0.9, 0.95, 0.98):
        moved = linear_run.assign(log_distance=linear_run.log_distance + linear_run.depth * math.log(std / STD))
        profiles[std] = dl.cutoff.survival(moved, "log_distance", 1e-2)
    family = dl.cutoff.family(profiles, along="weight_std")
    assert (family.depth.diff("weight_std") > 0).all() and (family.relative_width.diff("weight_std") > 0).all()
    assert dl.cutoff.verdict(family) == "no cut-off"
    for std, row in zip(profiles, family.isel(pair=0).relative_width.values, strict=True):
        predicted = dl.cutoff.predict(dl.Dense(WIDTH, "identity", std), 1e-2).relative_width
        assert abs(row - predicted) <= 4 * float(family.relative_width_se.sel(weight_std=std)[0]) + 0.03


@pytest.mark.statement("prop-law-route")
def test_inputs_that_share_a_layer_are_jointly_right_by_either_route():
    """Covariances of pre-activations of three inputs, against K = s_w^2 X^T X / N + s_b^2."""
    x0 = torch.randn(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layer = dl.Dense(6, "identity", 1.3, 0.4)
    exact = (1.69 * x0 @ x0.T / 6 + 0.16).numpy()
    for route in ("law", "weights"):
        ds = dl.simulate(layer, x0, 1, {"h": lambda x: x}, record=[1], samples=4000, seed=24, route=route, progress=False)
        h = ds.h.values.reshape(4000, 3, 6)
        products = np.einsum("sin,sjn->sij", h, h) / 6
        se = products.std(0, ddof=1) / math.sqrt(4000)
        assert (abs(products.mean(0) - exact) <= 4 * se).all(), route
