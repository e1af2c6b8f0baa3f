"""Statements of *The edge of chaos* (Part IV)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import deeplimits as dl


@pytest.mark.statement("prop-absorbing")
@pytest.mark.parametrize("activation", ["tanh", "erf", "relu"])
def test_equal_inputs_stay_equal_for_any_weights(activation):
    """Any width from layer to layer, any size of the weights, biases or none; up to the rounding of sums, whose order may differ between rows."""
    g, x = torch.Generator(device="cpu").manual_seed(0), torch.ones(5, dtype=torch.float64, device="cpu")
    for k, (width, fan_in) in enumerate([(3, 5), (50, 3), (7, 50), (7, 7), (5, 7)] * 3):
        T = dl.Dense(width, activation, 10.0 ** (k % 4 - 1), 0.3 * (k % 2), fan_in=fan_in).sample(g, dtype=torch.float64)
        rounding = 4 * (fan_in + 1) * torch.finfo(x.dtype).eps * float((T.weight.abs() @ x.abs()).max() + 1)
        x, other = T(torch.stack([x, x]))
        torch.testing.assert_close(other, x, rtol=0, atol=rounding)


@pytest.mark.statement("prop-absorbing")
def test_the_absorbing_state_is_not_entered_where_the_activation_is_injective():
    """Deep in the ordered phase, at a width of 3 and after 500 layers, the logarithm of rho is finite; ReLU networks of width 3 have rho = 0."""
    x0 = torch.eye(2, 3, dtype=torch.float64, device="cpu")
    ordered = dl.simulate(dl.Dense(3, "tanh", 0.5, 0.3), x0, 500, ["log_rho"], record=[0, 500], samples=200, seed=1, progress=False)
    log_rho = ordered.log_rho.isel(input=1, depth=-1).values
    assert np.isfinite(log_rho).all() and (log_rho < -400).all()
    entered = dl.simulate(dl.Dense(3, "relu", 1.4, 0.0), x0, 50, ["log_distance"], record=[50], samples=200, seed=1, progress=False)
    assert np.isneginf(entered.log_distance.isel(input=1)).mean() > 0.5


@pytest.mark.statement("prop-absorbing")
@pytest.mark.parametrize("activation", ["tanh", "erf", "sin", "hardtanh"])
def test_one_is_a_fixed_point_of_the_correlation_map_and_nothing_else_goes_there(activation):
    for weight in (0.5, 1.2, 3.0):
        assert dl.meanfield.correlation_map(activation, 1.0, weight, 0.3) == 1
        for c in (-0.99, 0.0, 0.9, 1 - 1e-9):
            assert dl.meanfield.rho_map(activation, 1 - c, weight, 0.3) > 0


@pytest.mark.statement("prop-degenerate-zero-bias")
@pytest.mark.parametrize("activation", ["tanh", "erf"])
def test_without_biases_the_order_parameter_stays_between_its_two_absorbing_states(activation):
    edge, limits = dl.meanfield.critical_weight_std(activation, 0.0), []
    for rho in (0.02, 0.5, 1.98):
        run = dl.meanfield.profile(activation, edge, 0.0, 400, variance=0.5, rho=rho)
        assert 2 * 400 * run.variance[-1] == pytest.approx(1, abs=5e-3)
        assert abs(math.log(run.rho[400] / run.rho[200])) < 1 / 400  # the rest of the product is of order 1/l
        limits.append(run.rho[-1])
        mirrored = dl.meanfield.profile(activation, edge, 0.0, 20, variance=0.5, rho=2 - rho).rho[-1]
        assert mirrored == pytest.approx(2 - run.rho[20], rel=1e-9)
    assert (np.diff(limits) > 0).all() and 0 < limits[0] and limits[-1] < 2
    for absorbing in (0.0, 2.0):
        assert dl.meanfield.profile(activation, edge, 0.0, 30, variance=0.5, rho=absorbing).rho[-1] == pytest.approx(absorbing, abs=1e-12)


@pytest.mark.statement("prop-degenerate-zero-bias")
def test_one_step_without_biases_keeps_rho_up_to_the_square_of_the_variance():
    for rho in (1e-6, 0.3, 1.5):
        gaps = [abs(dl.meanfield.rho_map("tanh", rho, 1.0, 0.0, variance=q) / rho - 1) for q in (0.02, 0.01)]
        assert 1.8 < math.log2(gaps[0] / gaps[1]) < 2.2
    assert gaps[0] < 0.02**2 * 3
    assert dl.meanfield.rho_map("tanh", 1e-9, 1.0, 0.0, variance=0.01) / 1e-9 - 1 == pytest.approx(4 / 3 * 1e-4, rel=0.1)
