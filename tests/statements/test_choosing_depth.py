"""Statements of *Choosing depth and initialization* (Part III)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import deeplimits as dl
from deeplimits import meanfield
from tests.support import assert_within_errors


@pytest.mark.statement("prop-mean-field-maps")
@pytest.mark.parametrize(("activation", "weight", "bias"), [("tanh", 1.3, 0.3), ("relu", 1.4, 0.2)])
def test_wide_networks_follow_the_maps_for_three_layers(activation, weight, bias):
    """Variance and order parameter of sampled networks of width 1500 against the iterated maps."""
    width, samples = 1500, 60
    pair = torch.zeros(2, width, dtype=torch.float64)
    pair[0, 0], pair[1, 0], pair[1, 1] = 1.0, 0.6, 0.8
    pair *= math.sqrt(width)
    ds = dl.simulate(dl.Dense(width, activation, weight, bias), pair, 3, ["variance", "rho"], samples=samples, seed=41, progress=False)
    first = weight**2 + bias**2
    for depth, (q, rho) in enumerate(zip(*iterate(activation, weight, bias, first, weight**2 * 0.4 / first), strict=True)):
        for name, value, index in (("variance", q, 0), ("rho", rho, 1)):
            x = ds[name].isel(input=index).sel(depth=depth).values
            assert_within_errors(x.mean(), x.std(ddof=1) / math.sqrt(samples) + 2e-3 * value, value)


def iterate(activation: str, weight: float, bias: float, q: float, rho: float) -> tuple[list[float], list[float]]:
    """The Gram map, three times: an algorithm that does not use the stable map of rho."""
    K = np.array([[q, q * (1 - rho)], [q * (1 - rho), q]])
    variances, rhos = [q], [rho]
    for _ in range(3):
        K = meanfield.gram_map(activation, K, weight, bias)
        variances.append(K[0, 0])
        rhos.append(1 - K[0, 1] / K[0, 0])
    return variances, rhos


@pytest.mark.statement("prop-mean-field-phases")
@pytest.mark.parametrize("activation", ["tanh", "erf", "hardtanh"])
def test_every_start_ends_at_the_one_attractor(activation):
    for weight, bias in ((0.9, 0.3), (2.5, 0.3)):
        point = meanfield.fixed_point(activation, weight, bias)
        for rho in (0.02, 0.7, 1.3, 2.0):
            end = meanfield.profile(activation, weight, bias, depth=250, rho=rho).rho[-1]
            assert end == pytest.approx(point.rho, abs=1e-6)
        for q in (1e-3, 10.0):
            ends = meanfield.profile(activation, weight, bias, depth=100, variance=q).variance
            assert ends[-1] == pytest.approx(point.variance, rel=1e-8)


@pytest.mark.statement("prop-edge-of-chaos")
def test_the_edge_leaves_one_like_the_two_thirds_power_of_the_bias():
    gains = [meanfield.critical_weight_std("tanh", bias) - 1 for bias in (1e-4, 1e-3)]
    assert math.log10(gains[1] / gains[0]) == pytest.approx(2 / 3, abs=5e-3)
    assert gains[0] == pytest.approx((0.75e-8) ** (1 / 3), rel=1e-2)


@pytest.mark.statement("prop-depth-scale")
def test_distances_of_ordered_wide_networks_shrink_at_half_the_logarithm_of_chi():
    """Width 400, tanh 0.9/0.3: corrections are of order 1/width, so the rate is close to the mean-field one, and not equal at width 16."""
    rate = {}
    for width, samples in ((16, 400), (400, 60)):
        pair = torch.eye(2, width, dtype=torch.float64) * math.sqrt(width)
        ds = dl.simulate(dl.Dense(width, "tanh", 0.9, 0.3), pair, 40, ["log_distance"], record=[10, 40], samples=samples, seed=42, progress=False)
        x = ds.log_distance.isel(input=1).diff("depth").values.ravel() / 30
        rate[width] = x.mean(), x.std(ddof=1) / math.sqrt(samples)
    theory = meanfield.fixed_point("tanh", 0.9, 0.3).distance_exponent
    assert abs(rate[400][0] - theory) <= 4 * rate[400][1] + 2 / 400
    assert rate[16][0] + 4 * rate[16][1] < theory
