"""The map near its absorbing point, metric factors and width constants: tables, closed forms, differences, simulation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import eval_hermitenorm

from deeplimits import Dense, activations, criticality, meanfield, moments, simulate
from tests.support import assert_within_errors

# activation, bias_std: sigma_w, q*, chi_q, b, a, v_1, s^2, c_lambda
TABLE = [
    ("tanh", 0.1, 1.193401, 0.273301, 0.67819, 0.060099, 0.44112, 4.263, 3.654, -1.3627),
    ("tanh", 0.3, 1.395584, 0.763475, 0.45164, 0.233498, 0.60441, 4.906, 4.250, -1.8543),
    ("tanh", 0.5, 1.549674, 1.317939, 0.33290, 0.446012, 0.65441, 5.587, 4.968, -2.2850),
    ("erf", 0.1, 1.055595, 0.253210, 0.66383, 0.063706, 0.53269, 4.257, 3.620, -1.3722),
    ("erf", 0.3, 1.233673, 0.688771, 0.42060, 0.252674, 0.72885, 4.904, 4.238, -1.8853),
    ("erf", 0.5, 1.371330, 1.183272, 0.29704, 0.488439, 0.78297, 5.612, 5.000, -2.3365),
]
HARD = [(0.1, 1.025700, 0.259146, 0.045854, 1.0126), (0.3, 1.116145, 0.601567, 0.162834, 1.0300), (0.5, 1.213148, 1.013380, 0.269663, 1.0277)]
DIGITS = (5.1e-7, 5.1e-7, 5.1e-6, 5.1e-7, 5.1e-6, 5.1e-4, 5.1e-4, 5.1e-5)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}{row[1]}")
def test_table_of_smooth_activations(row):
    name, bias, *expected = row
    f = criticality.metric_factors(name, bias)
    got = (f.weight_std, f.variance, f.variance_rate, f.curvature, f.gain, f.one_step_variance, f.width_variance, f.width_shift)
    for value, reference, digits in zip(got, expected, DIGITS, strict=True):
        assert abs(value - reference) <= digits
    assert f.power == 2.0 and criticality.expansion(name, bias).chi == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("row", HARD, ids=lambda row: f"hardtanh{row[0]}")
def test_table_of_hardtanh(row):
    bias, weight, q, b, gain = row
    f = criticality.metric_factors("hardtanh", bias)
    assert f.weight_std == pytest.approx(weight, abs=5.1e-7) and f.variance == pytest.approx(q, abs=5.1e-7)
    assert f.curvature == pytest.approx(b, abs=5.1e-7) and f.gain == pytest.approx(gain, abs=5.1e-5)
    assert f.power == 1.5 and criticality.expansion("hardtanh", bias).exponents == (2.0, 1.0, 2.0)


@pytest.mark.parametrize(("name", "bias", "value"), [("tanh", 0.3, -2.991), ("erf", 0.3, -2.319), ("tanh", 0.1, -7.309), ("erf", 0.5, -1.682)])
def test_log_correction(name, bias, value):
    assert criticality.expansion(name, bias).log_correction == pytest.approx(value, abs=5.1e-4)


def closed(name: str, q: float) -> tuple[float, float]:
    """E phi''^2 and E phi'''^2 where elementary."""
    if name == "sin":
        return -0.5 * math.expm1(-2 * q), 0.5 * (1 + math.exp(-2 * q))
    v = q / (1 + 4 * q)
    root = 4 / math.pi / math.sqrt(1 + 4 * q)
    return root * 4 * v, root * (48 * v * v - 16 * v + 4)


@pytest.mark.parametrize("name", ["erf", "sin"])
@pytest.mark.parametrize(("weight", "bias"), [(1.0, 0.05), (1.2, 0.3), (1.7, 0.0), (2.0, 0.8)])
def test_coefficients_against_closed_forms(name, weight, bias):
    if name == "erf" or weight < 1.9:
        at = criticality.expansion(name, bias, weight)
        second, third = closed(name, at.variance)
        assert at.curvature == pytest.approx(0.5 * weight**2 * at.variance * second, rel=1e-10)
        assert at.cubic == pytest.approx(weight**2 * at.variance**2 * third / 6, rel=1e-10)


@pytest.mark.parametrize("name", ["tanh", "softplus", "erf", "sin"])
def test_coefficients_by_hermite_series(name):
    """With normalized Hermite coefficients c_n of phi(sqrt(q) z), q^k E(phi^(k))^2 = sum n!/(n-k)! c_n^2."""
    at = criticality.expansion(name, 0.4, 1.1)
    std = math.sqrt(at.variance)

    def coefficient(n: int) -> float:
        phi = lambda z: criticality.derivative(name, 0, std * z) * eval_hermitenorm(n, z)
        return moments.gaussian_expectation(phi) / math.sqrt(math.factorial(n))

    squares = np.array([coefficient(n) ** 2 for n in range(60)])
    n = np.arange(60)
    falling = [n * 1.0, n * (n - 1.0), n * (n - 1.0) * (n - 2.0)]
    scale = 1.1**2 / at.variance
    sums = [scale * float(f @ squares) for f in falling]
    assert (at.chi, 2 * at.curvature, 6 * at.cubic) == pytest.approx(sums, rel=1e-7)  # the series stops at order 60


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "softplus"])
def test_derivatives_by_differences(name):
    h, step = np.linspace(-4, 4, 41), 1e-5
    for k in range(3):
        slope = (criticality.derivative(name, k, h + step) - criticality.derivative(name, k, h - step)) / (2 * step)
        np.testing.assert_allclose(criticality.derivative(name, k + 1, h), slope, atol=1e-9)
    far = criticality.derivative(name, 3, np.array([-800.0, 800.0]))
    assert np.isfinite(far).all()


@pytest.mark.statement("prop-critical-decay")
@pytest.mark.parametrize(("name", "bias", "weight"), [("tanh", 0.3, None), ("erf", 0.1, None), ("sin", 0.5, None), ("tanh", 0.2, 1.8), ("softplus", 0.3, 1.0)])
def test_coefficients_are_those_of_the_map(name, bias, weight):
    at = criticality.expansion(name, bias, weight)
    gaps = []
    for rho in (4e-3, 2e-3):
        image = meanfield.rho_map(name, rho, at.weight_std, bias)
        gaps.append((image - at.chi * rho + at.curvature * rho**2) / (at.cubic * rho**3))
    assert gaps[1] == pytest.approx(1, abs=0.02)
    assert abs(2 * gaps[1] - gaps[0] - 1) < 1e-3  # what is left is of fourth order


@pytest.mark.statement("prop-critical-decay")
@pytest.mark.parametrize(("name", "bias"), [("sin", 0.2), ("erf", 0.5)])
def test_logarithmic_correction_of_the_decay(name, bias):
    """1/rho_l - b l grows by b C log 10 over each decade of depth."""
    at = criticality.expansion(name, bias)
    run = meanfield.profile(name, at.weight_std, bias, depth=10_000, rho=0.5)
    rest = [1 / run.rho[l] - at.curvature * l for l in (100, 1000, 10_000)]
    steps = np.diff(rest) / (at.curvature * math.log(10))
    assert steps[1] == pytest.approx(at.log_correction, rel=0.03)
    assert abs(steps[1] - at.log_correction) < abs(steps[0] - at.log_correction)


@pytest.mark.statement("prop-critical-decay")
def test_table_of_the_critical_decay():
    table = {("tanh", 0.3): (0.98843, 1.00569), ("erf", 0.3): (0.98220, 1.00350, 1.00088), ("tanh", 0.1): (0.81266, 0.99256)}
    for (name, bias), row in table.items():  # tanh goes on to 1.00126 and 1.00093 at 10^4 layers
        at, depths = criticality.expansion(name, bias), (100, 1000, 10_000)[: len(row)]
        run = meanfield.profile(name, at.weight_std, bias, depth=depths[-1], rho=0.5)
        assert [at.curvature * l * run.rho[l] for l in depths] == pytest.approx(row, abs=5.1e-6)


@pytest.mark.statement("prop-kink-expansion")
@pytest.mark.parametrize(("name", "slope", "bias", "weight"), [("hardtanh", None, 0.3, None), ("hardtanh", None, 0.2, 1.5), ("relu", None, 0.0, None),
                                                               ("leaky_relu", 0.2, 0.0, None), ("abs", None, 0.4, 0.8)])
def test_kinks_give_the_power_three_halves(name, slope, bias, weight):
    at = criticality.expansion(name, bias, weight, slope)
    ratios = [(at.chi - meanfield.rho_map(name, rho, at.weight_std, bias, slope, variance=at.variance) / rho) / math.sqrt(rho) / at.curvature
              for rho in (4e-6, 1e-6)]
    assert ratios[1] == pytest.approx(1, abs=2e-3)
    assert abs(ratios[1] - 1) < 0.6 * abs(ratios[0] - 1) + 1e-5
    assert at.cubic is None and at.log_correction is None


@pytest.mark.statement("prop-kink-expansion")
def test_kinked_values():
    assert criticality.expansion("relu").curvature == pytest.approx(2 * math.sqrt(2) / (3 * math.pi), rel=1e-14)
    leaky = criticality.expansion("leaky_relu", slope=0.2).curvature
    assert leaky == pytest.approx(0.8**2 / 1.04 * 2 * math.sqrt(2) / (3 * math.pi), rel=1e-14)
    at = criticality.expansion("hardtanh", 0.3)
    image = meanfield.rho_map("hardtanh", 1e-3, at.weight_std, 0.3)
    assert (1e-3 - image) / 1e-3**1.5 == pytest.approx(0.16284, abs=1.5e-5)
    run = meanfield.profile("relu", math.sqrt(2), depth=10_000, variance=1.0, rho=1.0)
    for depth, value in ((100, 35.77), (1000, 43.13), (10_000, 44.25)):  # on the way to 9 pi^2/2 = 44.413
        assert run.rho[depth] * depth**2 == pytest.approx(value, abs=5.1e-3)


@pytest.mark.statement("prop-order-parameter")
def test_order_parameter_above_the_transition():
    """rho* = tau/b for smooth and (tau/b)^2 for kinked activations, b at the actual weight_std; and the table."""
    for name, rows in {
        "tanh": ((0.005, 0.012852, 0.012699), (0.01, 0.025525, 0.024924), (0.02, 0.050338, 0.048023), (0.05, 0.120617, 0.107657)),
        "hardtanh": ((0.02, 0.013454, 0.013443), (0.05, 0.065926, 0.065722), (0.1, 0.182258, 0.181198)),
    }.items():
        critical = meanfield.critical_weight_std(name, 0.3)
        for step, star, leading in rows:
            at = criticality.expansion(name, 0.3, critical + step)
            assert meanfield.fixed_point(name, critical + step, 0.3).rho == pytest.approx(star, abs=1e-6)
            assert ((at.chi - 1) / at.curvature) ** at.exponents[0] == pytest.approx(leading, abs=1e-6)
        at = criticality.expansion(name, 0.3, critical + 1e-4)
        star = meanfield.fixed_point(name, critical + 1e-4, 0.3).rho
        assert ((at.chi - 1) / at.curvature) ** at.exponents[0] == pytest.approx(star, rel=2e-3)


# ---------------------------------------------------------------------------------------- factors


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "hardtanh"])
def test_gain_by_differences(name):
    f, h = criticality.metric_factors(name, 0.3), 1e-5
    high, low = (meanfield.fixed_point(name, f.weight_std + s, 0.3).chi for s in (h, -h))
    assert f.gain == pytest.approx((high - low) / (2 * h), rel=1e-7)


def _by_quad(name: str, weight: float, q: float) -> tuple[float, float, float]:
    """v_1, s^2, c_lambda at chi_1 = 1 by adaptive quadrature between kinks, derivatives in q by central differences."""
    unit = activations.get(name)
    phi = lambda h: float(unit(torch.tensor(h, dtype=torch.float64)))
    prime = lambda h: float(unit.derivative(torch.tensor(h, dtype=torch.float64)))

    def mean(f, at=q):
        density = lambda h: f(h) * math.exp(-0.5 * h * h / at) / math.sqrt(2 * math.pi * at)
        edges = [0.0, 1.0, 10.0] if name == "hardtanh" else [0.0, 2.0, 10.0]
        return 2 * sum(quad(density, a, b, epsabs=1e-13, epsrel=1e-12)[0] for a, b in pairwise(edges))

    w2, d = weight**2, 1e-3
    logs = [math.log(moments.derivative_moment(name, q + s * d)) for s in (-1, 0, 1)]
    second = [moments.second_moment(name, q + s * d) for s in (-1, 0, 1)]
    m = math.exp(logs[1])
    g, g_slope = (logs[2] - logs[0]) / (2 * d), (logs[2] - 2 * logs[1] + logs[0]) / d**2
    relax, bend = w2 * (second[2] - second[0]) / (2 * d), w2 * (second[2] - 2 * second[1] + second[0]) / d**2
    v_q = w2**2 * (mean(lambda h: phi(h) ** 4) - second[1] ** 2)
    both = mean(lambda h: (phi(h) * prime(h)) ** 2)
    c, v_d = w2 * (both - m * second[1]) / m, 3 * mean(lambda h: prime(h) ** 4) / m**2 - 1
    kappa = w2 * mean(lambda h: (prime(h) * h) ** 2) / q
    shift = (-v_d / 2 + g * bend / 2 * v_q / ((1 - relax**2) * (1 - relax)) + g_slope / 2 * v_q / (1 - relax**2)
             + w2**2 * both / (q * (1 - relax**2)) * (kappa - 1))
    return v_d + v_q / q**2 - 2 * c / q, v_d + 2 * g * c / (1 - relax) + g * g * v_q / (1 - relax) ** 2, shift


@pytest.mark.parametrize("name", ["tanh", "hardtanh"])
def test_width_constants_by_another_quadrature(name):
    f = criticality.metric_factors(name, 0.3)
    by_quad = _by_quad(name, f.weight_std, f.variance)
    assert (f.one_step_variance, f.width_variance, f.width_shift) == pytest.approx(by_quad, rel=2e-5)


@pytest.mark.statement("prop-width-shift")
@pytest.mark.parametrize(("name", "weight"), [("tanh", 1.395584), ("hardtanh", 1.116145), ("tanh", 1.7), ("tanh", 1.2)])
def test_exponent_and_variance_of_small_differences(name, weight):
    """On and off the critical line, at width 50, to the 2 % that terms of order 1/N^2 may take."""
    width, k = 50, criticality.width_constants(name, weight, 0.3)
    found = criticality.tangent_exponent(Dense(width, name, weight, 0.3), depth=200, samples=400, seed=2)
    shift = width * (found.value - math.log(meanfield.fixed_point(name, weight, 0.3).chi))
    assert_within_errors(shift, width * found.se, k.width_shift, 0.02 * abs(k.width_shift))
    assert_within_errors(width * found.variance, width * found.variance_se, k.width_variance, 0.02 * k.width_variance)
    assert abs(shift) > 8 * width * found.se  # the shift itself is far from zero


@pytest.mark.statement("prop-width-shift")
def test_finite_networks_are_critical_at_the_shifted_point():
    assert criticality.critical_weight_std("tanh", 0.3, 200) == pytest.approx(1.4109, abs=5e-5)
    assert criticality.critical_weight_std("tanh", 0.3) == pytest.approx(1.395584, abs=5.1e-7)
    width = 100
    found = criticality.tangent_exponent(Dense(width, "tanh", criticality.critical_weight_std("tanh", 0.3, width), 0.3), depth=200, samples=400)
    assert abs(width * found.value) < 4 * width * found.se + 0.1  # of order 1/N^2, it is left over


@pytest.mark.statement("prop-multiplicative-noise")
def test_one_layer_of_noise():
    """N Var[log rho'] does not depend on rho: the noise of rho is proportional to rho, not to its root."""
    for width in (100, 400):
        layer = Dense(width, "tanh", 1.395584, 0.3)
        for rho, reference, error in ((1e-2, 4.85, 0.15), (1e-6, 4.906, 0.06)):
            x0 = criticality.input_pair(layer, rho)
            ds = simulate(layer, x0, 1, ["log_rho"], record=[0, 1], samples=4000, seed=3, progress=False)
            steps = ds.log_rho.values[:, 1, 1] - ds.log_rho.values[:, 0, 1]
            fourth = ((steps - steps.mean()) ** 4).mean()
            se = width * math.sqrt((fourth - steps.var() ** 2) / 4000)
            assert_within_errors(width * steps.var(), se, reference, error + 10 / width)


def test_input_pair():
    layer = Dense(30, "erf", 1.2, 0.2)
    ds = simulate(layer, criticality.input_pair(layer, log_rho=-600.0), 1, ["log_rho", "variance"], samples=1, record=[0])
    assert float(ds.log_rho[0, 0, 1]) == pytest.approx(-600, rel=1e-12)
    q = meanfield.fixed_point("erf", 1.2, 0.2).variance
    np.testing.assert_allclose(ds.variance.values, q, rtol=1e-12)
    ds = simulate(layer, criticality.input_pair(layer, 1.3, variance=2.0), 1, ["rho", "variance"], samples=1, record=[0])
    assert float(ds.rho[0, 0, 1]) == pytest.approx(1.3, rel=1e-12) and float(ds.variance[0, 0, 0]) == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: criticality.metric_factors("tanh", 0.0), "bias_std must be positive"),
        (lambda: criticality.metric_factors("tanh", -0.1), "bias_std"),
        (lambda: criticality.metric_factors("relu", 0.1), "chaotic phase"),
        (lambda: criticality.metric_factors("softplus", 0.3), "odd or positively homogeneous"),
        (lambda: criticality.expansion("tanh"), "bias_std must be positive"),
        (lambda: criticality.expansion("tanh", 0.0, 0.9), "bias_std must be positive"),
        (lambda: criticality.expansion("identity", 0.3, 0.9), "identity"),
        (lambda: criticality.expansion("softplus", 0.3, 2.0), "finite variance"),
        (lambda: criticality.width_constants("tanh", 1.0, 0.0), "bias_std must be positive"),
        (lambda: criticality.critical_weight_std("tanh", 0.3, 0), "width"),
        (lambda: criticality.derivative("relu", 1, 0.0), "smooth"),
        (lambda: criticality.derivative("tanh", 4, 0.0), "order"),
        (lambda: criticality.input_pair(Dense(4, "tanh", 1.4, 0.3), 2.0), "rho must not exceed"),
        (lambda: criticality.input_pair(Dense(4, "tanh", 0.5, 0.0)), "variance"),
        (lambda: criticality.tangent_exponent(Dense(4, "tanh", 1.4, 0.3), samples=1), "samples"),
    ],
)
def test_bad_arguments(call, error):
    with pytest.raises(ValueError, match=error):
        call()


def test_expansion_without_biases_in_the_chaotic_phase():
    at = criticality.expansion("tanh", 0.0, 1.5)
    assert at.chi > 1 and at.variance > 0 and at.curvature > 0
