"""Statements of *ReLU at finite width: depth over width* (Part III)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

import deeplimits as dl
from tests.support import assert_within_errors


@pytest.mark.statement("prop-angle-map")
def test_very_wide_layers_follow_the_angle_map():
    """One layer of width 10 000, with 40 repetitions: the mean angle is the image under the map, up to order 1/width."""
    for slope in (0.0, 0.4):
        layer = dl.Dense(10_000, "leaky_relu", 1.0, slope=slope, fan_in=2)
        pair = torch.tensor([[1.0, 0.0], [math.cos(2.0), math.sin(2.0)]], dtype=torch.float64)
        ds = dl.simulate(layer, pair, 1, ["log_angle"], record=[1], samples=40, seed=31, progress=False)
        angles = np.exp(ds.log_angle.isel(input=1).values.ravel())
        se = angles.std(ddof=1) / math.sqrt(40)
        assert_within_errors(angles.mean(), se, dl.meanfield.angle_map("leaky_relu", 2.0, slope))


@pytest.mark.statement("prop-angle-collapse")
def test_ratio_of_small_angles_is_a_quotient_of_chi_squares_given_the_number_of_active_units():
    rng, width = np.random.default_rng(32), 6
    k = rng.binomial(width, 0.5, 40_000)
    k = k[k >= 2]
    law = 0.5 * np.log(rng.chisquare(k - 1) / rng.chisquare(k))
    pair = torch.eye(2, width, dtype=torch.float64)
    pair[1] = pair[0] + 1e-9 * pair[1]
    ds = dl.simulate(dl.Dense(width, "relu", 3.0), pair, 2, ["log_angle"], samples=8000, seed=33, progress=False)
    walk = ds.log_angle.isel(input=1).transpose("sample", "depth").values
    steps = np.diff(walk[np.isfinite(walk).all(1)], axis=1)
    for layer in (0, 1):
        assert stats.ks_2samp(steps[:, layer], law).pvalue > 1e-4
    assert abs(np.corrcoef(steps.T)[0, 1]) <= 4 / math.sqrt(len(steps))
    lost = 1 - len(steps) / len(walk)
    exact = 1 - (1 - (width + 1) * 2.0**-width) ** 2
    assert_within_errors(lost, math.sqrt(exact * (1 - exact) / len(walk)), exact)


@pytest.mark.statement("prop-depth-over-width")
@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5, 1.0])
def test_mean_and_variance_of_the_log_norm_per_width(slope):
    mu = 6 * (1 + slope**4) / (1 + slope**2) ** 2 - 1
    gaps = []
    for width in (64, 128, 256):
        exact = dl.ergodic.lyapunov_exponent(dl.Dense(width, "leaky_relu", "he", slope=slope))
        gaps.append((width * exact.value + mu / 4, width * exact.variance - mu / 4))
    gaps = np.abs(np.array(gaps))
    assert (gaps[-1] < 0.03).all() and (gaps[-1] <= 0.55 * gaps[-2]).all()  # corrections of order 1/width


@pytest.mark.statement("prop-depth-over-width")
def test_log_norm_and_small_angle_are_normal_at_fixed_depth_over_width():
    width, t = 48, 1.5
    pair = torch.eye(2, width, dtype=torch.float64)
    pair[1] = pair[0] + 1e-12 * pair[1]
    ds = dl.simulate(dl.Dense(width, "relu", "he"), pair, int(t * width), ["log_norm", "log_angle"], record=[0, int(t * width)],
                     samples=1500, seed=34, progress=False)  # fmt: skip
    norm = ds.log_norm.isel(input=0).diff("depth").values.ravel()
    angle = ds.log_angle.isel(input=1).diff("depth").values.ravel()
    for x, value, variance in ((norm, -1.25 * t, 1.25 * t), (angle, -t, 2 * t)):
        scaled = (x - x.mean()) / x.std()
        assert stats.kstest(scaled, "norm").pvalue > 1e-4
        slack = 4 / width * abs(value)  # the corrections are of relative order 1/width
        assert abs(x.mean() - value) <= 4 * x.std() / math.sqrt(x.size) + slack
        spread = (x - x.mean()) ** 2
        assert abs(x.var() - variance) <= 4 * spread.std() / math.sqrt(x.size) + 4 / width * variance


@pytest.mark.statement("prop-depth-over-width")
def test_the_mean_square_does_not_move():
    """He keeps E|x|^2 while the typical norm decays: at small depth over width both can be seen."""
    ds = dl.simulate(dl.Dense(64, "relu", "he"), torch.ones(1, 64, dtype=torch.float64), 16, ["log_norm"], record=[0, 16], samples=4000, seed=35, progress=False)
    growth = ds.log_norm.isel(input=0).diff("depth").values.ravel()
    square = np.exp(2 * growth)
    assert_within_errors(square.mean(), square.std(ddof=1) / math.sqrt(square.size), 1.0)
    assert growth.mean() + 4 * growth.std() / math.sqrt(growth.size) < 0
