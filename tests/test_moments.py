"""Tests of deeplimits.moments: closed forms against other algorithms and against simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad, quad
from scipy.special import digamma, polygamma, roots_jacobi
from scipy.stats import binom

from deeplimits import activations, moments
from tests.reference import LAYERS

ALL = ["relu", "leaky_relu", "abs", "tanh", "erf", "sin", "hardtanh", "identity", "softplus"]
UNITS = {name: activations.get(name, 0.3 if name == "leaky_relu" else None) for name in ALL}
KINKS = {"relu": [0], "leaky_relu": [0], "abs": [0], "hardtanh": [-1, 1]}
COVARIANCES = [[[1.3, 0.6], [0.6, 0.8]], [[0.2, -0.15], [-0.15, 2.5]], [[4.0, 3.9], [3.9, 4.0]]]


def phi(name):
    return lambda h: UNITS[name](torch.as_tensor(np.asarray(h, dtype=float))).numpy()


def prime(name):
    return lambda h: UNITS[name].derivative(torch.as_tensor(np.asarray(h, dtype=float))).numpy()


# ------------------------------------------------------------------------------------------------ log norm


def exponent(slope, width):
    return 0.5 * (math.log(2 / (1 + slope**2)) - math.log(width) + moments.mean_log_square(width, slope))


@pytest.mark.parametrize("row", LAYERS, ids=lambda r: f"a={r[0]},N={r[1]}")
@pytest.mark.statement("thm-finite-width-exponent")
def test_reference_table_of_exponents(row):
    a, width, lam, var, crit, lam_orth, var_orth, crit_orth = row
    haar = 0.5 * (math.log(width) - math.log(2) - digamma(width / 2))
    spread = moments.variance_log_square(width, a) / 4
    got = [exponent(a, width), spread, moments.lyapunov_weight_std(width, "leaky_relu", a),
           exponent(a, width) + haar, spread - polygamma(1, width / 2) / 4,
           moments.lyapunov_weight_std(width, "leaky_relu", a, weights="orthogonal")]  # fmt: skip
    np.testing.assert_allclose(got, [lam, var, crit, lam_orth, var_orth, crit_orth], rtol=0, atol=5.1e-9)


@pytest.mark.parametrize("width", [1, 2, 3, 8, 50, 256, 10_000, 100_000])
@pytest.mark.statement("thm-finite-width-exponent")
def test_relu_frullani_agrees_with_the_binomial_sums(width):
    k = np.arange(1, width + 1)
    p = binom.pmf(k, width, 0.5)
    p /= p.sum()
    centre = math.log(2) + digamma(width / 4 + 0.25)
    shift = math.log(2) + digamma(k / 2) - centre
    mean = p @ shift
    variance = p @ polygamma(1, k / 2) + p @ (shift - mean) ** 2
    assert moments.mean_log_square(width, 0) == pytest.approx(centre + mean, rel=1e-10, abs=1e-12)
    assert moments.variance_log_square(width, 0) == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("slope", [0.1, 0.5, -0.7])
@pytest.mark.parametrize("width", [2, 5, 16, 64])
@pytest.mark.statement("thm-finite-width-exponent")
def test_leaky_frullani_agrees_with_gauss_jacobi_sums(width, slope):
    square, k = slope**2, np.arange(width + 1)
    first, second = np.empty(width + 1), np.empty(width + 1)
    for j in k:  # Q = S (U + a^2 (1 - U)), S chi-square, U given k Beta(k/2, (N-k)/2)
        if j in (0, width):
            u, w = np.array([j / width]), np.array([1.0])
        else:
            x, w = roots_jacobi(150, (width - j) / 2 - 1, j / 2 - 1)
            u, w = (1 + x) / 2, w / w.sum()
        logs = np.log(square + (1 - square) * u)
        first[j], second[j] = w @ logs, w @ logs**2
    p = binom.pmf(k, width, 0.5)
    mean = p @ first
    assert moments.mean_log_square(width, slope) == pytest.approx(math.log(2) + digamma(width / 2) + mean, abs=1e-10)
    variance = polygamma(1, width / 2) + p @ second - mean**2
    assert moments.variance_log_square(width, slope) == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("width", [1, 2, 7, 100, 100_000, 10**9])
@pytest.mark.parametrize("slope", [1, -1])
def test_linear_and_absolute_value_are_chi_square(width, slope):
    assert moments.mean_log_square(width, slope) == pytest.approx(math.log(2) + digamma(width / 2), rel=1e-12)
    assert moments.variance_log_square(width, slope) == pytest.approx(polygamma(1, width / 2), rel=1e-10)


def test_closed_forms_of_small_widths():
    gamma = np.euler_gamma
    assert exponent(0, 2) == pytest.approx(-gamma / 2 - math.log(2) / 6, abs=1e-12)
    assert moments.lyapunov_weight_std(1) == pytest.approx(math.sqrt(2 * math.exp(gamma)), rel=1e-12)
    assert moments.lyapunov_weight_std(2, weights="orthogonal") == pytest.approx(2 ** (2 / 3), rel=1e-12)


def test_width_one_with_a_tiny_slope():
    for a in (1e-3, 1e-30, 1e-140):  # Q = g^2 or a^2 g^2, each with probability one half
        assert moments.mean_log_square(1, a) == pytest.approx(math.log(2) + digamma(0.5) + math.log(a), rel=1e-12)
        assert moments.variance_log_square(1, a) == pytest.approx(polygamma(1, 0.5) + math.log(a) ** 2, rel=1e-10)


@pytest.mark.parametrize("width", [1, 3, 40])
def test_large_slopes_by_symmetry(width):
    mean, variance = moments.mean_log_square(width, 0.25), moments.variance_log_square(width, 0.25)
    assert moments.mean_log_square(width, -4.0) == pytest.approx(mean + 2 * math.log(4), abs=1e-12)
    assert moments.variance_log_square(width, 4.0) == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize("slope", [0, 0.1, 0.5, 1])
@pytest.mark.statement("prop-large-width-exponent")
def test_large_width_expansion_at_its_order(slope):
    # lambda = -mu2/(4N) + (mu3/6 - 3 mu2^2/8)/N^2 + O(N^-3), with the central moments of 2 phi(g)^2/(1+a^2).
    raw = [0.5 * m * (1 + slope ** (2 * j)) * (2 / (1 + slope**2)) ** j for j, m in ((1, 1), (2, 3), (3, 15))]
    mu2, mu3 = raw[1] - 1, raw[2] - 3 * raw[1] + 2
    rest = [abs(exponent(slope, n) + mu2 / (4 * n) - (mu3 / 6 - 3 * mu2**2 / 8) / n**2) for n in (256, 512)]
    if rest[0] > 1e-10:  # for slope 1 the next term is of order N^-4
        assert 2.7 < math.log2(rest[0] / rest[1]) < 3.3
    assert rest[0] < 30 / 256**3
    if slope == 0:
        assert (mu2, mu3) == pytest.approx((5, 44))
        for n in (1000, 100_000):
            assert moments.variance_log_square(n, 0) / 4 == pytest.approx(5 / (4 * n), rel=20 / n)


@pytest.mark.parametrize("slope", [0, 0.1, -0.5])
@pytest.mark.parametrize("width", [2, 16])
def test_log_norm_against_simulation(width, slope):
    g = np.random.default_rng(1).standard_normal((100_000, width))
    q = (np.where(g > 0, g, slope * g) ** 2).sum(axis=1)
    logs = np.log(q[q > 0])
    n = len(logs)
    assert abs(logs.mean() - moments.mean_log_square(width, slope)) < 4 * logs.std() / math.sqrt(n)
    spread = (logs - logs.mean()) ** 2
    assert abs(spread.mean() - moments.variance_log_square(width, slope)) < 4 * spread.std() / math.sqrt(n)


@pytest.mark.parametrize("fan_in", [4, 6, 9])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.statement("prop-lyapunov-initialization")
def test_lyapunov_weight_std_balances_rectangular_layers(fan_in, weights):
    width, samples, slope = 6, 60_000, 0.2
    rng = np.random.default_rng(fan_in)
    if weights == "gaussian":
        h = rng.standard_normal((samples, width)) / math.sqrt(fan_in)
    else:  # the image of a unit vector: coordinates of a uniform point on a sphere
        point = rng.standard_normal((samples, max(width, fan_in)))
        h = (point / np.linalg.norm(point, axis=1, keepdims=True))[:, :width] * math.sqrt(max(1, width / fan_in))
    h *= moments.lyapunov_weight_std(width, "leaky_relu", slope, weights=weights, fan_in=fan_in)
    logs = 0.5 * np.log((np.where(h > 0, h, slope * h) ** 2).sum(axis=1))
    assert abs(logs.mean()) < 4 * logs.std() / math.sqrt(samples)


@pytest.mark.statement("prop-lyapunov-initialization")
def test_lyapunov_weight_std_tends_to_he():
    gaps = [moments.lyapunov_weight_std(n) / math.sqrt(2) - 1 for n in (1000, 10_000, 100_000)]
    np.testing.assert_allclose(np.array(gaps) * [1000, 10_000, 100_000], 1.25, rtol=5e-3)


# ------------------------------------------------------------------------------------------------ expectations


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("q", [1e-6, 0.3, 1.0, 7.0, 400.0])
def test_one_dimensional_moments_against_quadrature(name, q):
    """Closed forms and panels against SciPy's adaptive rule on the same integrand."""

    def reference(f):
        cuts = sorted({*(k / math.sqrt(q) for k in KINKS.get(name, [])), 0.0, *(s / math.sqrt(q) for s in (-3, 3)), -1, 1})
        edges = [-12.0, *(c for c in cuts if abs(c) < 12), 12.0]
        g = lambda z: f(math.sqrt(q) * z, z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return sum(quad(g, a, b, epsabs=1e-14, epsrel=1e-12, limit=400)[0] for a, b in itertools.pairwise(edges))

    p, d = phi(name), prime(name)
    unit = UNITS[name]
    assert moments.second_moment(unit, q) == pytest.approx(reference(lambda h, z: float(p(h)) ** 2), rel=1e-9)
    assert moments.derivative_moment(unit, q) == pytest.approx(reference(lambda h, z: float(d(h)) ** 2), rel=1e-9)
    slope = reference(lambda h, z: z * float(p(h)) * float(d(h))) / math.sqrt(q)
    assert moments.second_moment_slope(unit, q) == pytest.approx(slope, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_slope_of_the_second_moment_is_its_derivative(name):
    unit, q, h = UNITS[name], 0.7, 1e-4
    step = (moments.second_moment(unit, q + h) - moments.second_moment(unit, q - h)) / (2 * h)
    assert moments.second_moment_slope(unit, q) == pytest.approx(step, rel=1e-6)
    if name not in KINKS:
        near, at = moments.second_moment_slope(unit, 1e-9), moments.second_moment_slope(unit, 0.0)
        assert near == pytest.approx(at, abs=1e-7)


def test_gaussian_expectation_needs_its_breaks():
    step = moments.gaussian_expectation(lambda h: (np.abs(h) < 0.37) * 1.0, 1.0, breaks=[-0.37, 0.37])
    assert step == pytest.approx(math.erf(0.37 / math.sqrt(2)), rel=1e-13)
    assert moments.gaussian_expectation(lambda h: np.cos(h), 30.0) == pytest.approx(math.exp(-15), abs=1e-14)
    assert moments.gaussian_expectation(lambda h: h + 2.0, 0.0) == pytest.approx(2, rel=1e-14)
    # Gauss-Hermite across poles: 201 nodes lose the third digit at variance 12.6, panels do not.
    x, w = np.polynomial.hermite_e.hermegauss(201)
    rough = w @ np.cosh(math.sqrt(12.6) * x) ** -4 / w.sum()
    fine = moments.derivative_moment("tanh", 12.6)
    other = quad(lambda h: math.cosh(h) ** -4 * math.exp(-h * h / 25.2) / math.sqrt(25.2 * math.pi), -30, 30, epsabs=1e-14, points=[0])[0]
    assert fine == pytest.approx(other, rel=1e-11)
    assert abs(rough / fine - 1) > 1e-3


@pytest.mark.parametrize(("name", "K"), [
    *((name, COVARIANCES[1]) for name in ALL), *((name, COVARIANCES[2]) for name in ("leaky_relu", "tanh", "hardtanh"))
])  # fmt: skip
def test_correlated_moments_against_conditional_quadrature(name, K):
    """Second route: panels in u, and v given u by panels of its own, both cut at the kinks."""
    (q1, k), (_, q2) = K
    s = math.sqrt(q2 - k * k / q1)
    kinks = KINKS.get(name, [])

    def route(f):
        def inner(u):
            g = lambda d: f(k / q1 * u + d)
            return moments.gaussian_expectation(g, s * s, breaks=[b - k / q1 * u for b in kinks])

        def outer(us):
            return f(us) * np.array([inner(u) for u in np.atleast_1d(us)])

        bends = [b * q1 / k + j * s for b in kinks for j in (-1, 0, 1)] if kinks else []
        return moments.gaussian_expectation(outer, q1, breaks=[*kinks, *bends])

    unit = UNITS[name]
    assert moments.correlated_moment(unit, K) == pytest.approx(route(phi(name)), rel=1e-9, abs=1e-11)
    assert moments.correlated_derivative_moment(unit, K) == pytest.approx(route(prime(name)), rel=1e-8, abs=1e-10)


PLAIN = {"tanh": math.tanh, "erf": math.erf, "hardtanh": lambda h: max(-1.0, min(1.0, h))}


@pytest.mark.parametrize("name", PLAIN)
def test_correlated_moment_against_dblquad(name):
    q1, q2, k, p = 1.3, 0.8, 0.6, PLAIN[name]
    det = q1 * q2 - k * k

    def integrand(v, u):
        return p(u) * p(v) * math.exp(-0.5 * (q2 * u * u - 2 * k * u * v + q1 * v * v) / det) / (2 * math.pi * math.sqrt(det))

    cuts = [-8, -1, 1, 8] if name == "hardtanh" else [-8, 8]
    boxes = [(*outer, *inner) for outer in itertools.pairwise(cuts) for inner in itertools.pairwise(cuts)]
    total = sum(dblquad(integrand, *box, epsabs=1e-8, epsrel=1e-8)[0] for box in boxes)
    assert moments.correlated_moment(name, [[q1, k], [k, q2]]) == pytest.approx(total, rel=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_correlated_moments_against_simulation(name):
    K = np.array([[1.3, 0.6], [0.6, 0.8]])
    u, v = np.linalg.cholesky(K) @ np.random.default_rng(2).standard_normal((2, 200_000))
    for f, value in ((phi(name), moments.correlated_moment), (prime(name), moments.correlated_derivative_moment)):
        draws = f(u) * f(v)
        assert abs(draws.mean() - value(UNITS[name], K)) <= 4 * draws.std() / math.sqrt(len(draws)) + 1e-12


def test_reference_values_of_erf():
    K = [[1.3, 0.6], [0.6, 0.8]]
    assert moments.correlated_moment("erf", K) == pytest.approx(0.2565941030, abs=5.1e-11)
    assert moments.correlated_derivative_moment("erf", K) == pytest.approx(0.4524259717, abs=5.1e-11)


@pytest.mark.parametrize("name", ALL)
def test_correlated_moments_at_the_ends(name):
    unit = UNITS[name]
    for q in (0.4, 3.0):
        full, opposite, none = ([[q, c * q], [c * q, q]] for c in (1.0, -1.0, 0.0))
        assert moments.correlated_moment(unit, full) == pytest.approx(moments.second_moment(unit, q), rel=1e-11)
        derivative = moments.derivative_moment(unit, q)
        assert moments.correlated_derivative_moment(unit, full) == pytest.approx(derivative, rel=1e-9)
        mean = moments.gaussian_expectation(phi(name), q, breaks=KINKS.get(name, []))
        assert moments.correlated_moment(unit, none) == pytest.approx(mean**2, rel=1e-11, abs=1e-13)
        if unit.odd:
            assert moments.correlated_moment(unit, opposite) == pytest.approx(-moments.second_moment(unit, q), rel=1e-11)
    zero = moments.correlated_moment(unit, [[0.0, 0.0], [0.0, 2.0]])
    value = float(phi(name)(np.zeros(1))[0]) * moments.gaussian_expectation(phi(name), 2.0, breaks=KINKS.get(name, []))
    assert zero == pytest.approx(value, abs=1e-13)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("q", [0.05, 1.0, 30.0])
def test_difference_moment_against_subtraction(name, q):
    unit = UNITS[name]
    for rho in (0.05, 0.4, 1.0, 1.3, 1.999, 2.0):
        K = [[q, q * (1 - rho)], [q * (1 - rho), q]]
        direct = (moments.second_moment(unit, q) - moments.correlated_moment(unit, K)) / (q * rho)
        assert moments.difference_moment(unit, q, rho) == pytest.approx(direct, rel=1e-10, abs=2e-12)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.statement("prop-kink-expansion")
def test_difference_moment_near_zero(name):
    """The limit is the derivative moment; smooth: corrections like rho, kinked: like sqrt(rho), with known factors."""
    unit, q = UNITS[name], 0.8
    limit = moments.derivative_moment(unit, q)
    assert moments.difference_moment(unit, q, log_rho=-5000.0) == pytest.approx(limit, rel=1e-12)
    assert moments.difference_moment(unit, q, 1e-30) == pytest.approx(limit, rel=1e-11)
    if name in KINKS:  # 2/3 of sum of J^2 p(k) sqrt(q/pi), J the jump of slope at k and p the density
        jump = sum((1 if name == "hardtanh" else 1 - unit.slope) ** 2 * math.exp(-k * k / (2 * q)) / math.sqrt(2 * math.pi * q)
                   for k in KINKS[name])  # fmt: skip
        for rho in (1e-8, 1e-12):
            lost = (limit - moments.difference_moment(unit, q, rho)) / math.sqrt(rho)
            assert lost == pytest.approx(2 / 3 * jump * math.sqrt(q / math.pi), rel=1e-3)
    else:  # Price: half of q E phi''^2
        h = 1e-3
        bend = moments.gaussian_expectation(lambda x: ((prime(name)(x + h) - prime(name)(x - h)) / (2 * h)) ** 2, q)
        for rho in (1e-4, 1e-5):
            lost = (limit - moments.difference_moment(unit, q, rho)) / rho
            assert lost == pytest.approx(0.5 * q * bend, rel=1e-3, abs=1e-10)


def test_versine_excess():
    for theta in (1e-3, 0.2, 0.4999, 0.5001, 2.0, math.pi):
        direct = (math.sin(theta) - theta * math.cos(theta)) / (1 - math.cos(theta))
        assert moments.versine_excess(theta) == pytest.approx(direct, rel=1e-15 / theta**3 + 1e-14)
    assert moments.versine_excess(0.0) == 0.0
    assert moments.versine_excess(1e-250) == pytest.approx(2e-250 / 3, rel=1e-14)


# ------------------------------------------------------------------------------------------------ edge of chaos


@pytest.mark.parametrize(
    ("name", "bias", "weight", "variance"),
    [("tanh", 0, 1, 0), ("tanh", 0.05, 1.122539, None), ("tanh", 0.1, 1.193401, 0.273301), ("tanh", 0.3, 1.395584, 0.763475),
     ("tanh", 0.5, 1.549674, 1.317939), ("erf", 0, 0.8862269, 0), ("erf", 0.1, 1.055595, 0.253210), ("erf", 0.3, 1.233673, 0.688771),
     ("erf", 0.5, 1.371330, 1.183272), ("hardtanh", 0.1, 1.025700, 0.259146), ("hardtanh", 0.3, 1.116145, 0.601567),
     ("hardtanh", 0.5, 1.213148, 1.013380)],
)  # fmt: skip
def test_reference_critical_line(name, bias, weight, variance):
    assert moments.critical_weight_std(name, bias) == pytest.approx(weight, abs=5.1e-7)
    if variance is not None:
        assert moments.critical_variance(name, bias) == pytest.approx(variance, abs=5.1e-7)


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "hardtanh"])
@pytest.mark.parametrize("bias", [1e-3, 0.05, 0.7, 5.0])
@pytest.mark.statement("prop-edge-of-chaos")
def test_critical_point_solves_both_equations(name, bias):
    weight, q = moments.critical_weight_std(name, bias), moments.critical_variance(name, bias)
    assert weight**2 * moments.derivative_moment(name, q) == pytest.approx(1, abs=1e-12)
    assert weight**2 * moments.second_moment(name, q) + bias**2 == pytest.approx(q, rel=1e-10)


@pytest.mark.parametrize(("name", "third"), [("tanh", -2), ("sin", -1), ("erf", -2)])
@pytest.mark.statement("prop-edge-of-chaos")
def test_critical_line_near_zero_bias(name, third):
    # sigma_b^2 = q^3 (phi'''/phi')^2 / 3 and sigma_w phi'(0) = 1 - q phi'''/(2 phi')... to first order in q.
    # For erf, phi'''/phi' = -2 as well.
    for bias in (1e-6, 1e-12):
        q = (3 * bias**2 / third**2) ** (1 / 3)
        assert moments.critical_variance(name, bias) == pytest.approx(q, rel=20 * q)
        gain = moments.critical_weight_std(name, bias) / moments.critical_weight_std(name, 0) - 1
        assert gain == pytest.approx(-0.5 * third * q, rel=50 * q + 1e-7)


def test_critical_line_of_homogeneous_activations():
    for bias in (0.0, 0.4):
        assert moments.critical_weight_std("relu", bias) == pytest.approx(math.sqrt(2), rel=1e-15)
        assert moments.critical_weight_std("leaky_relu", bias, 0.5) == pytest.approx(math.sqrt(1.6), rel=1e-15)
        assert moments.critical_weight_std("abs", bias) == moments.critical_weight_std("identity", bias) == 1
    assert moments.critical_variance("relu", 0.4) == math.inf


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: moments.mean_log_square(0, 0), "width"),
        (lambda: moments.variance_log_square(3, math.nan), "slope"),
        (lambda: moments.mean_log_square(3, 1e-200), "slope"),
        (lambda: moments.lyapunov_weight_std(8, "tanh"), "activation"),
        (lambda: moments.lyapunov_weight_std(8, "relu", weights="haar"), "weights"),
        (lambda: moments.lyapunov_weight_std(8, fan_in=0), "fan_in"),
        (lambda: moments.critical_weight_std("softplus"), "activation"),
        (lambda: moments.critical_weight_std("tanh", -0.1), "bias_std"),
        (lambda: moments.second_moment("tanh", -1.0), "variance"),
        (lambda: moments.second_moment("swoosh"), "activation"),
        (lambda: moments.gaussian_expectation(np.cos, -1.0), "variance"),
        (lambda: moments.correlated_moment("tanh", [[1, 2], [2, 1]]), "K"),
        (lambda: moments.correlated_moment("tanh", [[1, 0.2], [0.1, 1]]), "K"),
        (lambda: moments.correlated_moment("tanh", np.eye(3)), "K"),
        (lambda: moments.correlated_moment("tanh", [[1e6, 0], [0, 1e6]]), "K"),
        (lambda: moments.correlated_derivative_moment("relu", [[0, 0], [0, 1]]), "K"),
        (lambda: moments.difference_moment("tanh", 1.0, 2.5), "rho"),
        (lambda: moments.difference_moment("tanh", 1.0), "rho"),
    ],
)
def test_errors_name_the_argument(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_types_are_checked():
    with pytest.raises(TypeError, match="width"):
        moments.mean_log_square(2.5, 0)
    with pytest.raises(TypeError, match="bias_std"):
        moments.critical_weight_std("tanh", "large")
