"""The stochastic equation of finite width: two integrators, closed forms, and networks that obey it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from deeplimits import Dense, criticality, simulate
from tests.support import assert_within_errors

TIMES = (0.1, 0.5, 1.0, 2.0, 4.25)


def test_reference_means():
    """The reference comes from another integrator, with errors of 0.13 at t = 0.1 and one per cent elsewhere."""
    for theta, row in ((0.0, (10.110, 2.088, 1.082, 0.580, 0.304)), (-0.4363, (9.893, 1.877, 0.878, 0.388, 0.1355))):
        for t, value in zip(TIMES, row, strict=True):
            assert_within_errors(value, 0.13 if t == 0.1 else 0.01 * value, criticality.mean_activity(theta, t))
    late = criticality.mean_activity(0.0, [10.0, 30.0, 100.0, 300.0])
    for found, value, se in zip(late, (0.160, 0.079, 0.043, 0.025), (0.005, 0.004, 0.003, 0.002), strict=True):
        assert_within_errors(value, se, found)


@pytest.mark.statement("prop-finite-width-scaling")
@pytest.mark.parametrize("theta", [-2.3, -1.0, -0.4363, 0.0, 0.3, 1.0, 2.7])
def test_moments_by_two_integrators(theta):
    for method, step, times in (("exact", 0.03, TIMES), ("milstein", 0.005, TIMES[1:])):
        y = criticality.activity_paths(theta, times, 8000, method=method, step=step, seed=4)
        for order in (1, 2):
            exact = criticality.mean_activity(theta, times, order)
            for column, value in zip((y**order).T, exact, strict=True):
                error = column.std() / math.sqrt(8000)
                assert_within_errors(column.mean(), error, value, 2 * step * value)


def test_mean_at_theta_zero_and_its_ends():
    for t in (0.3, 3.0):
        direct = quad(lambda k, t=t: k / math.tanh(math.pi * k) * math.exp(-k * k * t / 2), 0, 60, epsabs=1e-13)[0]
        assert criticality.mean_activity(0.0, t) == pytest.approx(direct, rel=1e-10)
    assert criticality.mean_activity(0.0, 1e6) * math.sqrt(2 * math.pi * 1e6) == pytest.approx(1, rel=1e-4)
    assert criticality.mean_activity(0.7, 1e-6) * 1e-6 == pytest.approx(1, rel=1e-5)
    # The typical network decays at rate |theta|, the mean at theta^2/2 with a power -3/2.
    far = criticality.mean_activity(-0.4, [400.0, 800.0]) * np.exp(0.08 * np.array([400.0, 800.0])) * np.array([400.0, 800.0]) ** 1.5
    assert far[1] / far[0] == pytest.approx(1, abs=0.03)


@pytest.mark.statement("prop-finite-width-scaling")
def test_crossover_of_the_mean():
    """Small t: 1/t + 1/12; duality t -> 4 pi^2/t; large t at negative theta: a power times a slower exponential."""
    assert criticality.mean_activity(0.0, 1e-3) - 1e3 == pytest.approx(1 / 12, abs=1e-3)
    for t in (0.2, 1.7, 11.0):
        dual = (2 * math.pi / t) ** 1.5 * criticality.mean_activity(0.0, 4 * math.pi**2 / t)
        assert criticality.mean_activity(0.0, t) == pytest.approx(dual, rel=1e-12)
    t, theta = 2000.0, -0.3
    limit = math.sqrt(math.pi / 2) * math.pi / math.sin(math.pi * theta) ** 2 * t**-1.5 * math.exp(-0.5 * theta**2 * t)
    assert criticality.mean_activity(theta, t) == pytest.approx(limit, rel=0.02)


def test_moments_are_smooth_in_theta():
    """The sums switch on at whole theta exactly where the integral has its kinks."""
    for order in (1, 2):
        for whole in (-2.0, -1.0, 0.0, 1.0, 2.0):
            low, at, high = (criticality.mean_activity(whole + s, 0.8, order) for s in (-1e-3, 0.0, 1e-3))
            assert high + low - 2 * at == pytest.approx(0, abs=3e-6)


def test_mean_obeys_its_equation():
    """d/dt E log y = theta - E y; and E y' = (theta + 1/2) E y - E y^2."""
    for theta in (-1.7, -0.3, 0.9):
        h = 1e-4
        slope = (criticality.mean_activity(theta, 0.7 + h) - criticality.mean_activity(theta, 0.7 - h)) / (2 * h)
        first, second = (criticality.mean_activity(theta, 0.7, k) for k in (1, 2))
        assert slope == pytest.approx((theta + 0.5) * first - second, rel=1e-6)


@pytest.mark.statement("prop-stationary-gamma")
@pytest.mark.parametrize("theta", [0.4, 1.5])
def test_stationary_law(theta):
    law = criticality.stationary_law(theta)
    assert (law.mean, law.variance / law.mean**2) == pytest.approx((theta, 1 / (2 * theta)), rel=1e-14)
    assert quad(law.density, 0, law.quantile(0.3), epsabs=1e-12)[0] == pytest.approx(0.3, abs=1e-7)
    late = criticality.mean_activity(theta, 400.0)
    assert late == pytest.approx(law.mean, rel=1e-6)
    assert criticality.mean_activity(theta, 400.0, 2) == pytest.approx(law.variance + law.mean**2, rel=1e-6)
    y = criticality.activity_paths(theta, [40.0], 3000, step=0.1)[:, 0]
    levels = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    below = (y[:, None] < law.quantile(levels)).mean(0)
    for share, level in zip(below, levels, strict=True):
        assert_within_errors(share, math.sqrt(level * (1 - level) / 3000), level)


@pytest.mark.statement("prop-stationary-gamma")
def test_networks_reach_the_stationary_law():
    """tanh, N = 200, weight_std 1.45: mean and relative variance of rho, to the asymptotic accuracy of a few per cent."""
    net = criticality.finite_width("tanh", 0.3, 200, 1.45)
    law = net.stationary()
    assert (net.exponent, law.mean, law.variance / law.mean**2) == pytest.approx((0.0225, 0.0963, 0.473), abs=2e-3)
    layer = Dense(200, "tanh", 1.45, 0.3)
    ds = simulate(layer, criticality.input_pair(layer, dtype=torch.float32), 300, ["rho"], record=[220, 300], samples=400, seed=1, progress=False)
    rho = ds.rho.values[:, :, 1].mean(1)  # two depths of one network are one observation
    assert_within_errors(rho.mean(), rho.std() / 20, law.mean, 0.02 * law.mean)
    single = ds.rho.values[:, 1, 1]
    relative = single.var() / single.mean() ** 2
    assert_within_errors(relative, relative * math.sqrt(2 * (1 + 3 * relative) / 400), 0.473, 0.03)


@pytest.mark.statement("prop-finite-width-scaling")
def test_networks_follow_the_equation():
    """tanh at the critical point of infinite width, l = N: N E rho tends to the value of the equation."""
    predictions = {}
    for width, reference, se in ((50, 3.243, 0.030), (100, 2.945, 0.045)):
        layer = Dense(width, "tanh", "critical", 0.3)
        ds = simulate(layer, criticality.input_pair(layer, dtype=torch.float32), width, ["rho"], record=[width], samples=1500, seed=8, progress=False)
        rho = width * ds.rho.values[:, 0, 1]
        assert_within_errors(rho.mean(), rho.std() / math.sqrt(1500), reference, se)
        predictions[width] = width * criticality.finite_width("tanh", 0.3, width).mean_rho(width)
    assert predictions[50] == pytest.approx(predictions[100], rel=1e-12)  # one scaling function
    assert predictions[50] == pytest.approx(2.51, abs=0.05)


@pytest.mark.statement("prop-finite-width-scaling")
def test_kinked_networks_follow_their_twin():
    """hardtanh: the square root of rho obeys the equation, so that N^2 rho is the scaling variable, not N rho."""
    twin = criticality.finite_width("hardtanh", 0.3, 200)
    paths = twin.rho_paths([100, 200], 8000, seed=1)
    for column, mean in zip(paths.T, twin.mean_rho([100, 200]), strict=True):
        assert_within_errors(column.mean(), column.std() / math.sqrt(8000), mean, 0.02 * mean)
    means = {}
    for width in (100, 200):
        layer = Dense(width, "hardtanh", "critical", 0.3)
        x0 = criticality.input_pair(layer, dtype=torch.float32)
        rho = simulate(layer, x0, width, ["rho"], record=[width], samples=800, seed=8, progress=False).rho.values[:, 0, 1]
        means[width], mean = rho.mean(), criticality.finite_width("hardtanh", 0.3, width).mean_rho(width)
        assert_within_errors(means[width], rho.std() / math.sqrt(800), mean, 0.08 * mean)  # corrections to scaling
    assert means[100] / means[200] > 2.5  # four in the limit, two if N rho were the variable
    assert twin.mean_rho(200) * 200**2 == pytest.approx(100.26, abs=0.01)
    far = criticality.finite_width("hardtanh", 0.3, 400, 1.15)
    assert far.stationary().mean == pytest.approx(far.exponent / far.factors.curvature, rel=1e-12)


def test_explicit_weights_have_the_same_law():
    layer = Dense(50, "tanh", "critical", 0.3)
    x0 = criticality.input_pair(layer, dtype=torch.float32)
    ds = simulate(layer, x0, 14, ["rho"], record=[5, 14], samples=1500, route="weights", seed=5, progress=False)
    for rho, reference, se in zip(50 * ds.rho.values[:, :, 1].T, (28.46, 14.20), (0.07, 0.06), strict=True):
        assert_within_errors(rho.mean(), rho.std() / math.sqrt(1500), reference, se)


def test_finite_start():
    net = criticality.finite_width("tanh", 0.3, 400)
    depths = [1, 40, 400]
    assert net.rho_paths(depths, 7, rho0=0.5).shape == (7, 3)
    near = net.rho_paths([1e-3], 50, rho0=0.5)
    np.testing.assert_allclose(near, 0.5, rtol=2e-2)
    # From above everything comes down: a finite start lies below an infinite one on the same path.
    assert (net.rho_paths(depths, 200, rho0=0.5) < net.rho_paths(depths, 200)).all()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: criticality.stationary_law(0.0), "absorbed"),
        (lambda: criticality.finite_width("tanh", 0.3, 200).stationary(), "exceed the critical value 1.41"),
        (lambda: criticality.finite_width("tanh", 0.0, 200), "bias_std must be positive"),
        (lambda: criticality.finite_width("relu", 0.3, 200), "chaotic phase"),
        (lambda: criticality.mean_activity(0.0, 0.0), "times"),
        (lambda: criticality.mean_activity(0.0, 1.0, 3), "order"),
        (lambda: criticality.activity_paths(0.0, [1.0, 0.5]), "increasing"),
        (lambda: criticality.activity_paths(0.0, [1.0], start=0.0), "start"),
        (lambda: criticality.activity_paths(0.0, [1.0], method="euler"), "method"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()
