"""Tests of deeplimits.meanfield: reference tables, exact boundary cases, stability near c = 1, simulated wide layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deeplimits import activations, meanfield, moments

# weight_std, bias_std: q*, chi_1, c*, chi at c*, depth scale, depth scale of the variance
TANH = [
    (0.5, 0.3, 0.113409, 0.208537, 1, 0.208537, 0.6379, 0.5689),
    (0.9, 0.05, 0.011975, 0.791373, 1, 0.791373, 4.2738, 3.8852),
    (0.9, 0.3, 0.216525, 0.600371, 1, 0.600371, 1.9600, 1.1986),
    (1.3, 0.3, 0.607047, 0.939807, 1, 0.939807, 16.1082, 1.3377),
    (1.5, 0.3, 0.960844, 1.060981, 0.766753, 0.951030, 19.9163, 1.1675),
    (2, 0.3, 2.253753, 1.327070, 0.263895, 0.860351, 6.6483, 0.8508),
    (1.5, 0, 0.793354, 1.139323, 0, 0.943030, 17.0482, 1.4623),
    (2, 0, 2.121474, 1.362673, 0, 0.882215, 7.9796, 0.9044),
]
ERF = [
    (0.7, 0.3, 0.170039, 0.481317, 1, 0.481317, 1.3676),
    (1, 0.3, 0.369353, 0.808930, 1, 0.808930, 4.7160),
    (1.5, 0.3, 1.219169, 1.181753, 0.497070, 0.890340, 8.6094),
    (2, 0.3, 2.631001, 1.500267, 0.186602, 0.823498, 5.1495),
    (3, 0.3, 6.983743, 2.130302, 0.055059, 0.766616, 3.7627),
]
ALL = ["relu", "leaky_relu", "abs", "tanh", "erf", "sin", "hardtanh", "identity", "softplus"]
UNITS = {name: activations.get(name, 0.3 if name == "leaky_relu" else None) for name in ALL}
HOMOGENEOUS = [UNITS[name] for name in ("relu", "leaky_relu", "abs", "identity")]
SATURATING = ["tanh", "erf", "sin", "hardtanh"]
DIGITS = [5.1e-7, 5.1e-7, 5.1e-7, 5.1e-7, 5.1e-5, 5.1e-5]  # half a unit of the last printed digit


@pytest.mark.parametrize(
    ("name", "row"), [*(("tanh", r) for r in TANH), *(("erf", r) for r in ERF)], ids=lambda v: v if isinstance(v, str) else f"{v[0]},{v[1]}"
)
def test_reference_fixed_points(name, row):
    weight, bias, *expected = row
    p = meanfield.fixed_point(name, weight, bias)
    got = [p.variance, p.chi, p.correlation, p.chi_star, p.depth_scale, p.variance_depth_scale]
    for value, reference, digits in zip(got, expected, DIGITS, strict=False):
        assert abs(value - reference) <= digits
    assert p.phase == ("ordered" if p.chi < 1 else "chaotic")


def test_strong_weights_need_more_than_gauss_hermite():
    """At tanh (4, 0.3) 201 Gauss-Hermite nodes are wrong in the third digit; two other rules agree with each other."""
    p = meanfield.fixed_point("tanh", 4, 0.3)
    z = np.arange(-12, 12, 0.005)
    w = 0.005 * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    q = p.variance
    assert 16 * (w @ np.tanh(math.sqrt(q) * z) ** 2) + 0.09 == pytest.approx(q, rel=1e-12)
    assert 16 * (w @ np.cosh(math.sqrt(q) * z) ** -4) == pytest.approx(p.chi, rel=1e-12)
    x, v = np.polynomial.hermite_e.hermegauss(201)
    q = 1.0
    for _ in range(200):
        q = 16 * (v @ np.tanh(math.sqrt(q) * x) ** 2) / v.sum() + 0.09
    rough = 16 * (v @ np.cosh(math.sqrt(q) * x) ** -4) / v.sum()
    assert q == pytest.approx(12.603360, abs=1e-6)
    assert rough == pytest.approx(2.374917, abs=1e-6)
    assert abs(p.chi - rough) > 5e-3


@pytest.mark.parametrize("name", SATURATING)
@pytest.mark.parametrize(("weight", "bias"), [(0.6, 0.2), (1.1, 0.05), (1.8, 0.4), (3.0, 0.0), (12.0, 1.0)])
@pytest.mark.statement("prop-mean-field-phases")
def test_fixed_points_are_fixed(name, weight, bias):
    p = meanfield.fixed_point(name, weight, bias)
    assert meanfield.variance_map(name, p.variance, weight, bias) == pytest.approx(p.variance, rel=1e-12, abs=1e-300)
    if p.rho > 0:
        assert meanfield.rho_map(name, p.rho, weight, bias) == pytest.approx(p.rho, rel=1e-9)
        h = 1e-5  # the slope of F at c*, by differences
        ends = [meanfield.correlation_map(name, p.correlation + s, weight, bias) for s in (-h, h)]
        assert p.chi_star == pytest.approx((ends[1] - ends[0]) / (2 * h), rel=1e-6, abs=1e-10)
        assert p.chi_star < 1 < p.chi
    # Iteration from variance 1 arrives at the same place.
    q = 1.0
    for _ in range(400):
        q = meanfield.variance_map(name, q, weight, bias)
    assert q == pytest.approx(p.variance, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["tanh", "erf", "hardtanh"])
@pytest.mark.statement("prop-depth-scale")
def test_depth_scales_are_rates_of_convergence(name):
    """Along the trajectories the gaps shrink by exp(-1/depth_scale) a layer."""
    for weight, bias in ((0.9, 0.3), (2.0, 0.3)):
        p = meanfield.fixed_point(name, weight, bias)
        run = meanfield.profile(name, weight, bias, depth=60, rho=1.0)
        layer = 40 if p.phase == "ordered" else int(8 * p.depth_scale / 2)
        gap = np.abs(run.rho - p.rho)
        assert gap[layer + 1] / gap[layer] == pytest.approx(math.exp(-1 / p.depth_scale), rel=3e-2)
        lengths = meanfield.profile(name, weight, bias, depth=20, variance=1.2 * p.variance).variance
        rates = np.diff(np.log(np.abs(lengths[:14] - p.variance)))
        assert rates[int(4 * p.variance_depth_scale)] == pytest.approx(-1 / p.variance_depth_scale, rel=2e-2)


@pytest.mark.parametrize(
    ("name", "chis", "scales"), [("tanh", (0.80446, 0.95659), (4.596, 22.530)), ("erf", (0.79660, 0.95394), (4.398, 21.207))]
)
def test_reference_depth_scales_below_the_critical_point(name, chis, scales):
    critical = meanfield.critical_weight_std(name, 0.3)
    for factor, chi, scale in zip((0.8, 0.95), chis, scales, strict=True):
        p = meanfield.fixed_point(name, factor * critical, 0.3)
        assert p.chi == pytest.approx(chi, abs=5.1e-6)
        assert p.depth_scale == pytest.approx(scale, abs=5.1e-4)
    assert meanfield.fixed_point(name, critical, 0.3).depth_scale > 1e10


@pytest.mark.parametrize(
    ("name", "bias", "rate"),
    [
        *(("tanh", b, r) for b, r in ((0.1, 0.67819), (0.3, 0.45164), (0.5, 0.33290))),
        *(("erf", b, r) for b, r in ((0.1, 0.66383), (0.3, 0.42060), (0.5, 0.29704))),
    ],
)
def test_reference_variance_rates_on_the_critical_line(name, bias, rate):
    p = meanfield.fixed_point(name, meanfield.critical_weight_std(name, bias), bias)
    assert math.exp(-1 / p.variance_depth_scale) == pytest.approx(rate, abs=5.1e-6)


@pytest.mark.parametrize(("name", "bias", "rates"), [("hardtanh", (0.1, 0.3, 0.5), (0.7605, 0.4418, 0.2878))])
def test_reference_variance_rates_of_hardtanh(name, bias, rates):
    for b, rate in zip(bias, rates, strict=True):
        p = meanfield.fixed_point(name, meanfield.critical_weight_std(name, b), b)
        assert math.exp(-1 / p.variance_depth_scale) == pytest.approx(rate, abs=5.1e-5)


@pytest.mark.statement("prop-order-parameter")
def test_order_parameter_above_the_critical_point():
    """rho* = tau/b for smooth, (tau/b)^2 for kinked activations, to leading order; and the reference values."""
    critical = meanfield.critical_weight_std("tanh", 0.3)
    for step, rho in ((0.005, 0.012852), (0.01, 0.025525), (0.02, 0.050338), (0.05, 0.120617), (0.1, 0.224773)):
        assert meanfield.fixed_point("tanh", critical + step, 0.3).rho == pytest.approx(rho, abs=1e-6)
    assert meanfield.fixed_point("erf", meanfield.critical_weight_std("erf", 0.3) + 0.01, 0.3).rho == pytest.approx(0.028347, abs=1e-6)
    hard = meanfield.critical_weight_std("hardtanh", 0.3)
    for step, rho in ((0.02, 0.013454), (0.05, 0.065926), (0.1, 0.182258)):
        assert meanfield.fixed_point("hardtanh", hard + step, 0.3).rho == pytest.approx(rho, abs=1e-6)
    for name, power, start in (("tanh", 1, critical), ("hardtanh", 2, hard)):  # the exponent, from two small steps
        low, high = (meanfield.fixed_point(name, start + s, 0.3).rho for s in (1e-5, 2e-5))
        assert math.log2(high / low) == pytest.approx(power, rel=1e-3)


@pytest.mark.statement("prop-critical-decay")
def test_critical_decay_of_the_order_parameter():
    for name, b, raw in (("tanh", 0.233498, {100: 0.98843, 1000: 1.00569}), ("erf", 0.252674, {100: 0.98220, 1000: 1.00350})):
        run = meanfield.profile(name, meanfield.critical_weight_std(name, 0.3), 0.3, depth=1000, rho=0.5)
        for layer, value in raw.items():
            assert b * layer * run.rho[layer] == pytest.approx(value, abs=1.5e-5)
        if name == "tanh":
            assert run.rho[1000] == pytest.approx(0.00430706, abs=5.1e-9)


# ------------------------------------------------------------------------------------------------ boundary cases


@pytest.mark.statement("prop-critical-line-without-biases")
def test_tanh_without_biases_at_weight_std_one():
    run = meanfield.profile("tanh", 1.0, 0.0, depth=10_000, variance=1.0, rho=0.0)
    for layer, value in ((10, 1.04400), (100, 1.01380), (1000, 1.00233), (10_000, 1.00033)):
        assert 2 * layer * run.variance[layer] == pytest.approx(value, abs=5.1e-6)
    assert (run.rho == 0).all() and (run.correlation == 1).all()
    # Lengths and distances shrink together: the order parameter stays where it is.
    stays = meanfield.profile("tanh", 1.0, 0.0, depth=1000, variance=0.5, rho=0.5)
    np.testing.assert_allclose(stays.rho[[10, 100, 1000]], [0.5332, 0.53816, 0.53870], atol=5.1e-5)
    for layer, value in ((100, 1.0070), (1000, 1.0017)):
        assert 2 * layer * stays.variance[layer] == pytest.approx(value, abs=5.1e-5)


@pytest.mark.parametrize("name", SATURATING)
@pytest.mark.statement("prop-mean-field-phases")
def test_no_biases(name):
    critical = meanfield.critical_weight_std(name, 0.0)
    point = meanfield.fixed_point(name, 0.5 * critical)
    assert (point.variance, point.correlation, point.rho) == (0, 1, 0)
    assert point.chi == pytest.approx(0.25, rel=1e-14) and point.depth_scale == pytest.approx(1 / math.log(4), rel=1e-13)
    assert meanfield.rho_map(name, 0.3, 0.5 * critical) == pytest.approx(0.3, rel=1e-14)
    edge = meanfield.fixed_point(name, critical)
    assert (edge.variance, edge.phase, edge.depth_scale, edge.variance_depth_scale) == (0, "critical", math.inf, math.inf)
    chaos = meanfield.fixed_point(name, 1.4 * critical)
    assert (chaos.correlation, chaos.rho, chaos.phase) == (0, 1, "chaotic")
    # The limit of small biases has the same depth scale.
    near = meanfield.fixed_point(name, 0.5 * critical, 1e-6)
    assert near.depth_scale == pytest.approx(point.depth_scale, rel=1e-9)
    # Opposite inputs stay opposite.
    assert meanfield.rho_map(name, 2.0, 1.4 * critical) == pytest.approx(2.0, rel=1e-13)


@pytest.mark.parametrize("unit", HOMOGENEOUS, ids=lambda u: u.name)
@pytest.mark.statement("prop-mean-field-phases")
def test_homogeneous_activations(unit):
    critical = math.sqrt(2 / (1 + unit.slope**2))
    he = meanfield.fixed_point(unit, critical)
    assert (he.variance, he.correlation, he.depth_scale, he.variance_depth_scale, he.phase) == (1, 1, math.inf, math.inf, "critical")
    assert meanfield.fixed_point(unit, critical, 0.1).variance == math.inf
    above = meanfield.fixed_point(unit, 1.1 * critical)
    assert above.variance == math.inf and above.phase == "chaotic" and above.correlation == 1
    assert above.chi == pytest.approx(1.21, rel=1e-14) and above.depth_scale == math.inf
    below = meanfield.fixed_point(unit, 0.9 * critical, 0.3)
    assert below.variance == pytest.approx(0.09 / 0.19, rel=1e-13)
    assert below.depth_scale == below.variance_depth_scale == pytest.approx(-1 / math.log(0.81), rel=1e-13)
    assert below.distance_exponent == pytest.approx(0.5 * math.log(0.81), rel=1e-13)
    assert meanfield.fixed_point(unit, 0.9 * critical).variance == 0
    # The map of angles, whatever the scale, is the normalized map of rho.
    for theta in (0.01, 0.7, 2.0, 3.1):
        rho = 2 * math.sin(theta / 2) ** 2
        for weight in (0.5, critical, 3.0):
            image = 2 * math.sin(meanfield.angle_map(unit, theta) / 2) ** 2
            assert meanfield.rho_map(unit, rho, weight) == pytest.approx(image, rel=1e-12, abs=1e-15)


def test_softplus_has_a_fixed_point_below_he():
    point = meanfield.fixed_point("softplus", 1.0, 0.2)
    assert meanfield.variance_map("softplus", point.variance, 1.0, 0.2) == pytest.approx(point.variance, rel=1e-12)
    assert point.phase == "ordered" and point.correlation == 1
    assert meanfield.fixed_point("softplus", math.sqrt(2)).variance == math.inf
    assert meanfield.rho_map("softplus", 0.5, 1.0, variance=0.0) == 0.0


# ------------------------------------------------------------------------------------------------ near c = 1


@pytest.mark.parametrize("name", ALL)
def test_rho_map_keeps_its_precision(name):
    """Relative accuracy 1e-9 from rho = 1e-1 to 1e-300, against the expansion and, where that is possible, subtraction."""
    unit, weight, bias = UNITS[name], 0.9, 0.3
    q = 0.7
    image = meanfield.variance_map(unit, q, weight, bias)
    slope = weight**2 * moments.derivative_moment(unit, q) * q / image
    for rho in (1e-20, 1e-100, 1e-300):
        assert meanfield.rho_map(unit, rho, weight, bias, variance=q) / rho == pytest.approx(slope, rel=1e-9)
    for rho in (1e-1, 1e-3):
        K = [[q, q * (1 - rho)], [q * (1 - rho), q]]
        c = (weight**2 * moments.correlated_moment(unit, K) + bias**2) / image
        assert meanfield.rho_map(unit, rho, weight, bias, variance=q) == pytest.approx(1 - c, rel=1e-11)
        assert meanfield.correlation_map(unit, 1 - rho, weight, bias, variance=q) == pytest.approx(c, rel=1e-13)
    # From one decade to the next the ratio rho'/rho moves smoothly: no digits drop out on the way down.
    ratios = [meanfield.rho_map(unit, 10.0**-k, weight, bias, variance=q) * 10.0**k for k in range(4, 40)]
    assert (np.abs(np.diff(ratios)) <= np.abs(slope - np.array(ratios[:-1])) + 1e-12 * slope).all()


@pytest.mark.parametrize("name", ["tanh", "erf", "sin"])
def test_expansion_near_one(name):
    """rho' = chi rho - b rho^2 + O(rho^3) at the fixed point, b = sigma_w^2 q* E phi''^2 / 2, with rate."""
    weight, bias = 1.2, 0.3
    p, unit = meanfield.fixed_point(name, weight, bias), UNITS[name]

    def bend(h):
        x = torch.from_numpy(np.array(h)).requires_grad_()
        (second,) = torch.autograd.grad(unit.derivative(x).sum(), x)
        return second.numpy() ** 2

    b = 0.5 * weight**2 * p.variance * moments.gaussian_expectation(bend, p.variance)
    rest = [abs(p.chi * r - meanfield.rho_map(name, r, weight, bias) - b * r * r) for r in (0.02, 0.01)]
    assert 2.8 < math.log2(rest[0] / rest[1]) < 3.2


def test_one_step_of_hardtanh_near_one():
    weight = meanfield.critical_weight_std("hardtanh", 0.3)
    # Coefficient (2/3) sigma_w^2 sum J^2 p(k) sqrt(q/pi); the next term is of relative order rho.
    for rho, digits in ((1e-3, 1e-5), (1e-5, 1e-6), (1e-8, 1e-6)):
        assert (rho - meanfield.rho_map("hardtanh", rho, weight, 0.3)) / rho**1.5 == pytest.approx(0.162834, abs=digits)


def test_profiles_go_below_the_smallest_float():
    run = meanfield.profile("tanh", 0.9, 0.3, depth=2000)
    chi = meanfield.fixed_point("tanh", 0.9, 0.3).chi
    assert run.log_rho[-1] < -1000 and np.isfinite(run.log_rho).all()
    assert (run.log_rho[-1] - run.log_rho[1000]) / 1000 == pytest.approx(math.log(chi), rel=1e-12)
    assert run.rho[-1] == 0 and run.correlation[-1] == 1


def test_absolute_value_identifies_opposite_inputs():
    assert meanfield.rho_map("abs", 2.0, 1.0) == 0
    assert meanfield.rho_map("abs", 2 - 1e-12, 1.0) == pytest.approx(meanfield.rho_map("abs", 1e-12, 1.0), rel=1e-3)
    assert (meanfield.profile("abs", 1.0, depth=3, rho=2.0).rho[1:] == 0).all()


# ------------------------------------------------------------------------------------------------ angles


@pytest.mark.statement("prop-angle-map")
def test_reference_angles_of_relu():
    angles = meanfield.angle_profile("relu", math.pi / 2, 100_000)
    reference = {1: 1.24685021986, 5: 0.743732928798, 10: 0.512471086587, 100: 0.0846048186042, 1000: 0.00928763076, 100_000: 9.42273704e-5}
    for layer, value in reference.items():
        assert angles[layer] == pytest.approx(value, rel=1e-9)
    for layer, value, digits in ((100, 0.8977, 5.1e-5), (1000, 0.98545, 5.1e-6), (100_000, 0.99978, 5.1e-6)):
        assert layer * angles[layer] / (3 * math.pi) == pytest.approx(value, abs=digits)


def test_order_parameter_of_he_relu():
    rho = meanfield.profile("relu", math.sqrt(2), depth=10_000).rho
    for layer, value in ((100, 35.77), (1000, 43.13), (10_000, 44.25)):
        assert layer**2 * rho[layer] == pytest.approx(value, abs=5.1e-3)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5, -1.0])
@pytest.mark.statement("prop-angle-map")
def test_angle_map_near_zero(slope):
    factor = (1 - slope) ** 2 / (1 + slope**2) / (3 * math.pi)
    for theta in (1e-3, 1e-6):
        lost = (theta - meanfield.angle_map("leaky_relu", theta, slope)) / theta**2
        assert lost == pytest.approx(factor, rel=2 * theta + 1e-9)
    assert meanfield.angle_map("leaky_relu", 1e-250, slope) == pytest.approx(1e-250, rel=1e-14)
    assert meanfield.angle_map("leaky_relu", 0.0, slope) == 0


@pytest.mark.statement("prop-angle-map")
def test_leaky_angles_fall_like_one_over_depth():
    a, depth = 0.5, 20_000
    angle = meanfield.angle_profile("leaky_relu", 1.0, depth, slope=a)[-1]
    assert depth * angle == pytest.approx(3 * math.pi * (1 + a * a) / (1 - a) ** 2, rel=2e-2)


def test_angle_map_against_the_cosine_formula_and_arrays():
    theta = np.linspace(0.2, math.pi, 9).reshape(3, 3)
    for a in (0.0, 0.3, -1.0, 1.0):
        cosine = np.cos(theta) + (1 - a) ** 2 / (1 + a * a) * (np.sin(theta) - theta * np.cos(theta)) / math.pi
        images = meanfield.angle_map("leaky_relu", theta, a)
        assert images.shape == (3, 3)
        np.testing.assert_allclose(np.cos(images), cosine, atol=1e-13)
    assert isinstance(meanfield.angle_map("relu", 1.0), float)
    assert meanfield.angle_map("relu", math.pi) == pytest.approx(math.pi / 2, rel=1e-14)
    assert meanfield.angle_map("identity", math.pi) == pytest.approx(math.pi, rel=1e-14)


# ------------------------------------------------------------------------------------------------ simulation


@pytest.mark.parametrize("name", ALL)
@pytest.mark.statement("prop-mean-field-maps")
def test_wide_layers_follow_the_maps(name):
    """Monte Carlo twin: the rows of a very wide layer are independent pairs, hence one step is a sample mean."""
    K = np.array([[1.1, 0.5], [0.5, 0.7]])
    weight, bias, unit, count = 1.3, 0.2, UNITS[name], 200_000
    h = np.linalg.cholesky(K) @ np.random.default_rng(5).standard_normal((2, count))
    x = unit(torch.from_numpy(h)).numpy()
    products = weight**2 * np.stack([x[0] * x[0], x[0] * x[1], x[1] * x[1]]) + bias**2
    expected = meanfield.gram_map(unit, K, weight, bias)[[0, 0, 1], [0, 1, 1]]
    se = products.std(axis=1) / math.sqrt(count)
    assert (np.abs(products.mean(axis=1) - expected) <= 4 * se).all()


def test_gram_map_of_several_inputs_agrees_with_the_pair_maps():
    q, rho = 0.8, 0.3
    K = q * np.array([[1, 1 - rho, 0], [1 - rho, 1, 0], [0, 0, 1]])
    image = meanfield.gram_map("tanh", K, 1.4, 0.1)
    assert image[0, 0] == pytest.approx(meanfield.variance_map("tanh", q, 1.4, 0.1), rel=1e-14)
    assert image[0, 1] / image[0, 0] == pytest.approx(meanfield.correlation_map("tanh", 1 - rho, 1.4, 0.1, variance=q), rel=1e-12)
    assert image[0, 2] == pytest.approx(0.01, rel=1e-12)  # tanh is odd: only the bias is shared


def test_profile_agrees_with_iterated_gram_maps():
    K = np.array([[2.0, 0.5], [0.5, 2.0]])
    run = meanfield.profile("hardtanh", 1.2, 0.3, depth=12, variance=2.0, rho=0.75)
    for layer in range(13):
        assert run.variance[layer] == pytest.approx(K[0, 0], rel=1e-12)
        assert run.correlation[layer] == pytest.approx(K[0, 1] / K[0, 0], rel=1e-11)
        K = meanfield.gram_map("hardtanh", K, 1.2, 0.3)


def test_phase_diagram():
    weights, biases = [0.8, 1.2, 2.0], [0.05, 0.5]
    diagram = meanfield.phase_diagram("tanh", weights, biases)
    assert dict(diagram.sizes) == {"bias_std": 2, "weight_std": 3}
    for i, bias in enumerate(biases):
        assert float(diagram.critical_weight_std[i]) == meanfield.critical_weight_std("tanh", bias)
        for j, weight in enumerate(weights):
            assert (float(diagram.chi[i, j]) > 1) == (weight > float(diagram.critical_weight_std[i]))
    assert diagram.depth_scale.attrs["units"] == "layer"


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: meanfield.fixed_point("tanh", 0.0, 0.1), "weight_std"),
        (lambda: meanfield.fixed_point("tanh", 1.0, -0.1), "bias_std"),
        (lambda: meanfield.fixed_point("cube", 1.0), "activation"),
        (lambda: meanfield.fixed_point("tanh", 1.0, slope=0.1), "slope"),
        (lambda: meanfield.variance_map("tanh", -1.0, 1.0), "variance"),
        (lambda: meanfield.rho_map("tanh", 2.1, 1.0), "rho"),
        (lambda: meanfield.rho_map("tanh", 0.1, 1.0, variance=-2.0), "variance"),
        (lambda: meanfield.correlation_map("tanh", 1.1, 1.0), "correlation"),
        (lambda: meanfield.angle_map("tanh", 1.0), "activation"),
        (lambda: meanfield.angle_map("relu", -0.1), "theta"),
        (lambda: meanfield.angle_map("relu", math.nan), "theta"),
        (lambda: meanfield.angle_profile("relu", 4.0, 3), "theta"),
        (lambda: meanfield.profile("tanh", 1.0, 0.1, depth=-1), "depth"),
        (lambda: meanfield.profile("tanh", 1.0, 0.1, rho=3.0), "rho"),
        (lambda: meanfield.gram_map("tanh", np.ones((2, 3)), 1.0), "gram"),
        (lambda: meanfield.critical_weight_std("softplus", 0.1), "activation"),
    ],
)
def test_errors_name_the_argument(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_profile_survives_the_underflow_of_the_variance() -> None:
    """The map of ReLU does not depend on the length, so a length too small for a float changes nothing."""
    shrinking, kept = (meanfield.profile("relu", std, 0.0, 1500, variance=1.0, rho=0.5).log_rho for std in (1.0, 2**0.5))
    np.testing.assert_allclose(shrinking, kept, rtol=1e-9)
