"""Drift, Kingman's curve and the order of composition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

from deeplimits import ergodic, metrics
from deeplimits.layers import Congruence, Dense, Function, Layer, LayerMap, MaxPlus, Positive, Stationary
from tests.support import assert_within_errors, no_implicit_device

CPU = torch.device("cpu")


def point(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, device=CPU)


class Walk(Layer):
    """R x + (1, 1) with R the identity or a reflection of the second axis."""

    width = fan_in = 2

    def _sample(self, generator, samples, dtype, device, state):
        sign = (torch.rand(samples, 1, generator=generator, dtype=dtype, device=device) < 0.5).to(dtype) * 2 - 1
        factor = torch.stack([torch.ones_like(sign), sign], -1)
        return Function(lambda x: factor * x + 1)


class HalvingMap(LayerMap):
    def __init__(self, coin: torch.Tensor):
        self.coin = coin

    def __call__(self, x):
        return x / 2 + self.coin

    def pair(self, x, d, log_scale):
        return self(x), d / 2


class Halving(Layer):
    """x/2 + 0 or 1/2: the fair coin whose stationary law is uniform."""

    width = fan_in = 1

    def _sample(self, generator, samples, dtype, device, state):
        coin = (torch.rand(samples, 1, 1, generator=generator, dtype=dtype, device=device) < 0.5).to(dtype) / 2
        return HalvingMap(coin)


@pytest.mark.statement("thm-kingman")
@pytest.mark.parametrize("order", ["backward", "forward"])
def test_isometries_of_the_plane(order):
    depth, samples = 200, 200
    found = ergodic.drift(Walk(), metrics.lp(2), point(0, 0), depth, samples, order=order)
    # |(n, S)|/n = 1 + S^2/(2n^2) to this order, with E S^2 = n for both orders (up to the first reflections).
    assert_within_errors(found.value, found.se, 1 + 1 / (2 * depth), 1 / depth**2)
    assert found.value < 1.1 < math.sqrt(2)


@pytest.mark.statement("prop-maxplus-drift")
@pytest.mark.parametrize("p", [0.2, 0.5, 0.7])
def test_maxplus_layer(p):
    found = ergodic.drift(MaxPlus(2, ("bernoulli", p)), metrics.lp(math.inf), point(0, 0), 300, 1000, order="forward")
    assert_within_errors(found.value, found.se, ergodic.maxplus_drift(p), 0.5 / 300)  # start-up of order 1/depth


@pytest.mark.statement("thm-spd-drift")
@pytest.mark.parametrize("order", ["backward", "forward"])
def test_drift_on_positive_definite_matrices(order):
    depth, layer, start = 60, Congruence(3, weight_std=3**0.5), torch.eye(3, dtype=torch.float64, device=CPU)
    found = ergodic.drift(layer, metrics.spd_hilbert, start, depth, 200, seed=3, order=order)
    # E log(sigma_1/sigma_3) = n(lambda_1 - lambda_3) + 2: a uniform direction in space has E log|cos| = -1, at both ends.
    assert_within_errors(found.value, found.se, ergodic.spd_drift(3, "spd_hilbert") + 4 / depth)
    for metric in (metrics.affine_invariant, metrics.spd_thompson):
        estimate = ergodic.drift(layer, metric, start, depth, 100, order=order)
        assert estimate.value > ergodic.spd_drift(3, metric) - 4 * estimate.se  # Kingman: the mean is an upper bound
        assert estimate.value < ergodic.spd_drift(3, metric) + 4 * estimate.se + 6 / depth


def test_short_congruences_agree_with_the_metric_itself():
    layer, start = Congruence(3), torch.diag(point(1, 2, 3))
    other = metrics.Metric("other", "", metrics.affine_invariant.distance, metrics.affine_invariant.space)
    by_product = ergodic.drift_curve(layer, metrics.affine_invariant, start, [1, 4], 5)
    by_orbit = ergodic.drift_curve(layer, other, start, [1, 4], 5)
    assert np.allclose(by_product.distance, by_orbit.distance, rtol=1e-8)


def test_positive_layers_at_any_depth():
    found = ergodic.drift(Positive(4), metrics.thompson, point(1, 1, 1, 1), 1500, 30)
    assert_within_errors(found.value, found.se, 1.38357, 0.00016 + 1 / 1500)
    shallow = ergodic.drift(Positive(4), metrics.thompson, point(1, 2, 1, 3), 5, 10)
    plain = metrics.Metric("plain", "", metrics.thompson.distance, metrics.thompson.space)
    assert shallow.value == pytest.approx(ergodic.drift(Positive(4), plain, point(1, 2, 1, 3), 5, 10).value, rel=1e-12)


@pytest.mark.statement("thm-kingman")
def test_stationary_layers_have_a_drift_in_both_orders():
    layer = Stationary([MaxPlus(3, ("bernoulli", 0.1)), MaxPlus(3, ("bernoulli", 0.6))], [[0.9, 0.1], [0.1, 0.9]])
    curves = [ergodic.drift_curve(layer, metrics.lp(math.inf), point(0, 0, 0), [20, 80], 400, order=o) for o in ("backward", "forward")]
    last = [(float(c.rate[-1]), float(c.rate_se[-1])) for c in curves]
    assert_within_errors(last[0][0], last[0][1], *last[1])
    # Subadditivity: the mean rate at 80 is at most that at 20.
    assert all(float(c.rate[1] - c.rate[0]) < 4 * float(c.rate_se.sum()) for c in curves)


@pytest.mark.statement("thm-letac")
def test_backward_orbits_converge_and_forward_orbits_wander():
    layer, start = Dense(8, "relu", 0.6, 1.0), torch.zeros(8, dtype=torch.float64, device=CPU)
    backward = np.exp(ergodic.successive_distances(layer, start, [20, 50], 200).log_step)
    forward = np.exp(ergodic.successive_distances(layer, start, [20, 50], 200, order="forward").log_step)
    assert (backward.mean("sample") < [1e-6, 1e-16]).all()
    for l, reference in ((0, 2.37), (1, 2.41)):
        step = forward.isel(depth=l)
        assert_within_errors(float(step.mean()), float(step.std()) / 200**0.5, reference, float(step.std()) / 200**0.5)


@pytest.mark.statement("thm-letac")
def test_random_halving_has_its_uniform_law():
    ds = ergodic.successive_distances(Halving(), point(0.0), [40], 4000, order="forward")
    square = np.exp(2 * ds.log_step).isel(depth=0)
    assert_within_errors(float(square.mean()), float(square.std()) / 4000**0.5, 1 / 12)
    back = ergodic.successive_distances(Halving(), point(0.0), [59, 300], 20)
    assert float(back.log_step.isel(depth=0).max()) <= -59 * math.log(2)
    assert float(back.log_step.isel(depth=1).max()) <= -300 * math.log(2)


@pytest.mark.statement("thm-log-norm-walk")
def test_running_exponent_of_a_simulation():
    import deeplimits.engine as engine

    layer = Dense(8, "relu")
    x0 = torch.ones(1, 8, dtype=torch.float64, device=CPU)
    ds = engine.simulate(layer, x0, 100, ["log_norm"], record=[0, 50, 100], samples=1000, progress=False)
    found = ergodic.running_exponent(ds).isel(input=0)
    exact = ergodic.lyapunov_exponent(layer)
    for l in (50, 100):
        row = found.sel(depth=l)
        assert_within_errors(float(row.exponent), float(row.exponent_se), exact.value)
        chance = (1 - exact.death) ** l
        assert_within_errors(float(row.used) / 1000, (chance * (1 - chance) / 1000) ** 0.5, chance)


def test_every_tensor_names_its_device():
    with no_implicit_device():
        ergodic.drift(Positive(3), metrics.thompson, point(1, 1, 1), 3, 2)
        ergodic.drift(MaxPlus(3), metrics.lp(math.inf), point(1, 1, 1), 3, 2, order="forward")
        ergodic.drift(Congruence(3), metrics.affine_invariant, torch.eye(3, dtype=torch.float64, device=CPU), 3, 2)
        ergodic.successive_distances(Dense(3, "tanh"), point(1, 1, 1), [1, 3], 2)
        ergodic.birkhoff_bound(Positive(3), 5)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: ergodic.drift(Dense(2), metrics.lp(2), point(1, 1), 5, order="outward"), "order"),
        (lambda: ergodic.drift(Dense(2), metrics.lp(2), point(1, 1), 0), "depth"),
        (lambda: ergodic.drift(Dense(2), metrics.lp(2), point(1, math.nan), 5), "finite"),
        (lambda: ergodic.drift(Dense(2, "identity", 9.0), metrics.lp(2), point(1, 1), 2000, 2), "finite at depth 2000"),
        (lambda: ergodic.drift_curve(Dense(2), metrics.lp(2), point(1, 1), [5, 5]), "strictly increasing"),
        (lambda: ergodic.running_exponent(xr.Dataset(), "log_norm"), "variable"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()
