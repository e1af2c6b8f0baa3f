"""Universal curves: values, limits, and the maps of infinite width that follow them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from deeplimits import criticality, meanfield


def test_values_and_limits():
    assert [criticality.universal_curve(x) for x in (-2, 0, 2)] == pytest.approx([0.31304, 1, 2.31304], abs=5.1e-6)
    x = np.array([-np.inf, -1e4, -1e-300, 0.0, 5e-324, 1e-9, 1e4, np.inf])
    assert criticality.universal_curve(x).tolist() == [0, 0, 1, 1, 1, 1 + 5e-10, 1e4, np.inf]
    x = np.linspace(-5, 5, 11)
    g = criticality.universal_curve(x)
    np.testing.assert_allclose(g - g[::-1], x, rtol=1e-14, atol=1e-14)  # G(X) - G(-X) = X
    np.testing.assert_allclose(criticality.kinked_curve(2 * x), 4 * g**2, rtol=1e-14)
    assert isinstance(criticality.universal_curve(1), float) and isinstance(criticality.kinked_curve(1.0), float)
    tiny = 1e-5  # G = 1 + X/2 + X^2/12
    assert criticality.universal_curve(tiny) - 1 == pytest.approx(tiny / 2 + tiny**2 / 12, rel=1e-10)
    assert criticality.universal_curve(-700.0) == pytest.approx(700 * math.exp(-700), rel=1e-13)


@pytest.mark.parametrize("tau", [-0.3, -1e-12, 0.0, 1e-9, 0.2])
@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
def test_logistic_solves_its_equation(tau, power):
    depths = np.array([0.0, 1.0, 10.0, 50.0])
    found = solve_ivp(lambda l, rho: tau * rho - 0.4 * rho**power, (0, 50), [0.7], t_eval=depths, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(criticality.logistic(depths, tau, 0.4, 0.7, power), found.y[0], rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("tau", [-0.2, 0.0, 0.2])
def test_logistic_from_infinity_is_the_universal_curve(tau):
    depths = np.array([1.0, 30.0, 400.0])
    np.testing.assert_allclose(0.4 * depths * criticality.logistic(depths, tau, 0.4, math.inf), criticality.universal_curve(tau * depths), rtol=1e-13)
    np.testing.assert_allclose((0.4 * depths) ** 2 * criticality.logistic(depths, tau, 0.4, math.inf, 1.5), criticality.kinked_curve(tau * depths), rtol=1e-13)
    assert criticality.logistic(1e7, tau, 0.4, 0.5) == pytest.approx(max(tau, 1 / 1e7) / 0.4 if tau >= 0 else 0.0, rel=1e-5)


# b l rho / G(X), start rho = 1, b at the critical point
RATIOS = {
    ("tanh", 0.02): (1.056, 1.070, 1.080, 1.027, 1.001, 0.984),
    ("tanh", 0.005): (1.027, 1.032, 1.040, 1.015, 1.002, 0.996),
    ("erf", 0.02): (1.044, 1.059, 1.065, 1.013, 0.992, 0.977),
    ("erf", 0.005): (1.023, 1.028, 1.035, 1.010, 1.000, 0.994),
}


def _ratios(name: str, step: float, factors: criticality.MetricFactors, xs: tuple[float, ...]) -> list[float]:
    """b l rho / G(tau l) at the depths where tau l passes each x, with rho interpolated between layers."""
    curve = criticality.universal_curve if factors.power == 2 else criticality.kinked_curve
    out = []
    for side in (-1, 1):
        weight = factors.weight_std + side * step
        tau = meanfield.fixed_point(name, weight, 0.3).chi - 1
        mine = [x for x in xs if x * side > 0]
        run = meanfield.profile(name, weight, 0.3, depth=math.ceil(max(abs(x) for x in mine) / abs(tau)) + 1, rho=1.0)
        for x in mine:
            l = x / tau
            rho = math.exp(np.interp(l, run.depth, run.log_rho))
            out.append((factors.curvature * l) ** (1 / (factors.power - 1)) * rho / curve(x))
    return out


@pytest.mark.statement("prop-universal-curve")
@pytest.mark.parametrize(("name", "step"), list(RATIOS), ids=str)
def test_table_of_ratios(name, step):
    factors = criticality.metric_factors(name, 0.3)
    assert _ratios(name, step, factors, (-4, -2, -1, 1, 2, 4)) == pytest.approx(RATIOS[name, step], abs=4e-3)


@pytest.mark.statement("prop-universal-curve")
@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "hardtanh"])
def test_approach_to_the_universal_curve(name):
    """The gap closes as the critical point is approached, on both sides."""
    factors = criticality.metric_factors(name, 0.3)
    far, near = (np.abs(np.array(_ratios(name, step, factors, (-2, -1, 1, 2))) - 1).max() for step in (0.02, 0.002))
    assert near < 0.5 * far and near < 0.08


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: criticality.logistic(-1.0, 0.1, 0.2, 0.5), "depth"),
        (lambda: criticality.logistic(1.0, 0.1, 0.0, 0.5), "curvature"),
        (lambda: criticality.logistic(1.0, 0.1, 0.2, -0.5), "rho0"),
        (lambda: criticality.logistic(1.0, 0.1, 0.2, 0.5, 1.0), "power"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()
