"""Reference values of the metrics, and second routes that share no code with them."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.stats
import torch

from deeplimits import metrics as m

X, Y = (torch.tensor(v, dtype=torch.float64) for v in ((1.0, 2.0, 3.0), (5.0, 1.0, 4.0)))
A, B = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64), torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))
P, Q = (torch.tensor(v, dtype=torch.float64) for v in ((0.3, 0.2), (-0.5, 0.4)))


def matrix(rows):
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("metric", "x", "y", "printed", "exact"),
    [
        (m.funk, X, Y, 0.6931471806, math.log(2)),
        (m.funk, Y, X, 1.6094379124, math.log(5)),
        (m.thompson, X, Y, 1.6094379124, math.log(5)),
        (m.hilbert, X, Y, 2.3025850930, math.log(10)),
        (m.angle, X, Y, 0.6704425144, math.acos(19 / math.sqrt(14 * 42))),
        (m.affine_invariant, A, B, 0.9544842729, None),
        (m.spd_thompson, A, B, 0.7772082022, None),
        (m.spd_hilbert, A, B, 1.3312728533, None),
        (m.log_euclidean, A, B, 0.9231785870, None),
        (m.gaussian_wasserstein, A, B, 0.6480463801, None),
        (m.poincare, P, Q, 1.9684217458, math.acosh(1 + 2 * 0.68 / ((1 - 0.13) * (1 - 0.41)))),
        (m.klein, m.to_klein(P), m.to_klein(Q), 1.9684217458, None),
        (m.poincare, 0 * P, matrix([0.5, 0.0]), math.log(3), math.log(3)),
    ],
)
def test_reference_values(metric, x, y, printed, exact):
    assert float(metric(x, y)) == pytest.approx(printed, rel=1e-9, abs=6e-11)
    if exact is not None:
        assert float(metric(x, y)) == pytest.approx(exact, rel=1e-13)


def test_spd_metrics_against_scipy():
    generator = torch.Generator().manual_seed(0)
    a, b = m.affine_invariant.sample(20, 5, generator), m.affine_invariant.sample(20, 5, generator)
    np.testing.assert_allclose(scipy.linalg.eigh(B, A, eigvals_only=True), [0.45968758, 1.74031242], atol=5e-9)
    for i in range(20):
        logs = np.log(scipy.linalg.eigh(b[i].numpy(), a[i].numpy(), eigvals_only=True))
        assert float(m.affine_invariant(a[i], b[i])) == pytest.approx(np.linalg.norm(logs), rel=1e-9)
        assert float(m.spd_thompson(a[i], b[i])) == pytest.approx(np.abs(logs).max(), rel=1e-9)
        assert float(m.spd_hilbert(a[i], b[i])) == pytest.approx(np.ptp(logs), rel=1e-9)
        difference = scipy.linalg.logm(a[i].numpy()) - scipy.linalg.logm(b[i].numpy())
        assert float(m.log_euclidean(a[i], b[i])) == pytest.approx(np.linalg.norm(difference), rel=1e-9)
        root = scipy.linalg.sqrtm(a[i].numpy())
        bures2 = np.trace(a[i] + b[i]) - 2 * np.trace(scipy.linalg.sqrtm(root @ b[i].numpy() @ root).real)
        assert float(m.gaussian_wasserstein(a[i], b[i])) == pytest.approx(math.sqrt(bures2), rel=1e-9)


def test_factors_resolve_what_matrices_cannot():
    tiny = torch.diag(torch.tensor([1.0, 1e-13], dtype=torch.float64))
    turn = matrix([[0.6, -0.8], [0.8, 0.6]])
    left = torch.linalg.qr((turn @ tiny).mT).R.mT
    assert float(m.spd_thompson.from_factors(left, torch.eye(2, dtype=torch.float64))) == pytest.approx(26 * math.log(10), rel=1e-3)
    with pytest.raises(ValueError, match="positive definite"):
        m.spd_thompson(left @ left.mT, torch.eye(2, dtype=torch.float64))
    assert float(m.affine_invariant.from_factors(torch.linalg.cholesky(A), torch.linalg.cholesky(B))) == pytest.approx(
        float(m.affine_invariant(A, B)), rel=1e-13
    )


def test_small_distances_keep_their_digits():
    """Differences of 1e-12 come out to four digits at least, small angles to full precision."""
    h, one = 1e-12, torch.ones(3, dtype=torch.float64)
    for metric in (m.thompson, m.hilbert):
        assert float(metric(one + h * X, one)) == pytest.approx((3 if metric is m.thompson else 2) * h, rel=1e-3)
    for metric in (m.poincare, m.klein):
        factor = 2 / (1 - 0.13) if metric is m.poincare else math.sqrt(1 / (1 - 0.13) + 0.09 / (1 - 0.13) ** 2)
        assert float(metric(P, P + matrix([h, 0.0]))) == pytest.approx(factor * h, rel=1e-3)
    assert float(m.angle(matrix([1.0, 0.0]), matrix([1.0, 1e-200]))) == pytest.approx(1e-200, rel=1e-14)
    near = (m.gaussian_wasserstein(A, A + h * torch.eye(2, dtype=torch.float64)), m.affine_invariant(A, A * (1 + h)))
    assert 1e-13 < near[0] < 1e-12 and float(near[1]) == pytest.approx(math.sqrt(2) * h, rel=1e-2)


def test_extreme_numbers_do_not_overflow():
    big, small = 1e300 * X, 1e-300 * X
    assert float(m.lp(2)(big, -big)) == pytest.approx(2e300 * math.sqrt(14), rel=1e-14)
    assert float(m.lp(3)(small, 0 * small)) == pytest.approx(1e-300 * 36 ** (1 / 3), rel=1e-14)
    assert float(m.angle(big, 1e-300 * Y)) == pytest.approx(0.6704425144, abs=6e-11)
    assert float(m.thompson(big, small)) == pytest.approx(600 * math.log(10), rel=1e-14)
    assert float(m.hilbert.from_logs(1e4 * X, 1e4 * Y)) == pytest.approx(5e4, rel=1e-14)


def test_hyperbolic_distance_near_the_rim():
    """With 1 - |x|^2 carried beside x, distances far beyond the resolution of the coordinates are right."""
    t = 90.0
    gap = matrix(1 / math.cosh(t / 2) ** 2)
    rim = math.tanh(t / 2) * matrix([1.0, 0.0])
    assert float(rim[0]) == 1.0
    one, centre = matrix(1.0), matrix([0.0, 0.0])
    assert float(m.poincare.with_gaps(rim, centre, gap, one)) == pytest.approx(t, rel=1e-14)


# --- laws ---------------------------------------------------------------------------------------------------------


def test_clouds_against_transport_and_permutations():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, 3, generator=generator, dtype=torch.float64), torch.randn(7, 3, generator=generator, dtype=torch.float64)
    uniform = np.full(7, 1 / 7)
    for p in (1, 2):
        cost = scipy.spatial.distance.cdist(x, y) ** p
        reference = ot.emd2(uniform, uniform, cost) ** (1 / p)
        assert float(m.wasserstein(x, y, p=p)) == pytest.approx(reference, rel=1e-12)
    small = np.full(4, 1 / 4)
    reference = ot.emd2(small, uniform, scipy.spatial.distance.cdist(x[:4], y))
    assert float(m.wasserstein_1(x[:4], y)) == pytest.approx(reference, rel=1e-12)


def test_clouds_on_the_line_by_sorting():
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(5, 9, 1, generator=generator, dtype=torch.float64), torch.randn(5, 9, 1, generator=generator, dtype=torch.float64)
    plane = [torch.cat([z, 0 * z], dim=-1) for z in (x, y)]  # the same clouds, solved as an assignment in the plane
    for metric in (m.wasserstein, m.wasserstein_1):
        torch.testing.assert_close(metric(x, y), metric(*plane), rtol=1e-12, atol=0)
    reference = scipy.stats.wasserstein_distance(x[0, :, 0], y[0, :, 0])
    assert float(m.wasserstein_1(x[0], y[0])) == pytest.approx(reference, rel=1e-12)


def test_gaussian_transport_and_its_push_forward():
    p = m.Gaussian(matrix([0.0, 0.0]), B)
    q = m.Gaussian(matrix([1.0, -1.0]), A)
    w = matrix([[0.6, 0.3], [-0.2, 0.7]])
    assert float(m.gaussian_wasserstein(p, q)) == pytest.approx(1.5556233833, rel=1e-10)
    assert float(torch.linalg.matrix_norm(w, 2)) == pytest.approx(0.7671300920, rel=1e-9)
    after = float(m.gaussian_wasserstein(p.push_forward(w), q.push_forward(w)))
    assert after == pytest.approx(1.0399091063, rel=1e-9)
    assert after <= 0.7671300921 * 1.5556233833


def test_singular_covariances_are_allowed_in_transport():
    line = matrix([[1.0, 0.0], [0.0, 0.0]])
    assert float(m.gaussian_wasserstein(line, 0 * line)) == pytest.approx(1.0, rel=1e-12)
    assert float(m.gaussian_wasserstein(line, line.flip(0, 1))) == pytest.approx(math.sqrt(2), rel=1e-12)


def gaussian(mean, covariance):
    return m.Gaussian(matrix(mean), matrix(covariance))


def test_normal_kl_against_quadrature():
    p, q = gaussian([0.3], [[0.5]]), gaussian([-1.0], [[2.0]])
    f, g = scipy.stats.norm(0.3, math.sqrt(0.5)), scipy.stats.norm(-1.0, math.sqrt(2.0))
    reference = scipy.integrate.quad(lambda x: f.pdf(x) * (f.logpdf(x) - g.logpdf(x)), -8, 8, epsabs=1e-13)[0]
    assert float(m.kl(p, q)) == pytest.approx(reference, rel=1e-9)


@pytest.mark.parametrize(
    ("mean", "variance"), [(0.0, 4.0), (1.0, 4.0), (0.3, 0.01), (2.0, 1.0 + 1e-6), (5.0, 9.0), (0.0, 1e4), (0.1, 1.5)]
)
def test_normal_total_variation_on_the_line(mean, variance):
    """Against the two points where the densities cross and normal distribution functions."""
    a, b, c = (1 - 1 / variance) / 2, mean / variance, -(mean**2) / (2 * variance) - math.log(variance) / 2
    q = -(b + math.copysign(math.sqrt(b * b - 4 * a * c), b)) / 2
    roots = np.sort([q / a, c / q])
    f, g = scipy.stats.norm(mean, math.sqrt(variance)), scipy.stats.norm()
    reference = abs(np.diff(f.cdf(roots))[0] - np.diff(g.cdf(roots))[0])
    value = float(m.total_variation(gaussian([mean], [[variance]]), gaussian([0.0], [[1.0]])))
    assert value == pytest.approx(reference, abs=3e-10)
    swapped = float(m.total_variation(gaussian([0.0], [[1.0]]), gaussian([mean], [[variance]])))
    assert swapped == pytest.approx(value, abs=3e-10)


def test_normal_total_variation_with_equal_covariances():
    shift = matrix([1.0, -2.0])
    mahalanobis = math.sqrt(float(shift @ torch.linalg.solve(A, shift)))
    value = float(m.total_variation((shift, A), (0 * shift, A)))
    assert value == pytest.approx(2 * scipy.stats.norm.cdf(mahalanobis / 2) - 1, rel=1e-12)


def chain(n, rho, depth):
    """The law of x -> rho O x + noise started at a point with |x|^2 = n, and its limit."""
    s = rho ** (2 * depth)
    eye, mean = torch.eye(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    shifted = mean.clone()
    shifted[0] = math.sqrt(s * n)
    return m.Gaussian(shifted, (1 - s) * eye), m.Gaussian(mean, eye)


def noncentral(n, s):
    """Total variation of that chain through the noncentral chi-square law: the likelihood-ratio set is a ball."""
    r2, mean2 = (n - n * math.log(1 - s)) * (1 - s) / s, s * n
    chi = scipy.stats.ncx2
    return chi.cdf(r2 / (1 - s), n, mean2 * (1 - s) / s**2) - chi.cdf(r2, n, mean2 / s**2)


@pytest.mark.parametrize(
    ("n", "depth", "printed"),
    [
        (4, 7, 0.409054),
        (16, 13, 0.400525),
        (64, 20, 0.375807),
        (256, 26, 0.395519),
        (1024, 33, 0.379179),
        (4096, 39, 0.400843),
        (16384, 46, 0.384857),
    ],
)
def test_total_variation_of_the_linear_chain(n, depth, printed):
    s = 0.9 ** (2 * depth)
    mean = np.zeros(n)
    mean[0] = math.sqrt(s * n)
    value = m.normal_total_variation(mean, np.full(n, 1 - s))
    assert value == pytest.approx(noncentral(n, s), abs=1e-8)
    if n <= 64:
        assert float(m.total_variation(*chain(n, 0.9, depth))) == pytest.approx(value, abs=1e-10)
    assert value == pytest.approx(printed, abs=6e-7)


def test_divergences_of_the_linear_chain():
    p, q = chain(256, 0.9, 26)
    assert float(m.kl(p, q)) == pytest.approx(0.535462, abs=6e-7)
    assert float(m.kl(p, q)) == pytest.approx(-128 * math.log1p(-(0.9**52)), rel=1e-10)
    assert float(m.kl(q, p)) == pytest.approx(0.537705, abs=6e-7)
    assert float(m.gaussian_wasserstein(p, q)) == pytest.approx(1.034314, abs=6e-7)


def test_discrete_laws_against_scipy():
    generator = torch.Generator().manual_seed(0)
    p, q = m.kl.sample(10, 6, generator), m.kl.sample(10, 6, generator)
    np.testing.assert_allclose(m.kl(p, q), scipy.stats.entropy(p, q, axis=-1), rtol=1e-10)
    np.testing.assert_allclose(m.total_variation(p, q), torch.relu(p - q).sum(-1), rtol=1e-12)
    edge = matrix([0.0, 1.0])
    assert float(m.kl(edge, matrix([0.5, 0.5]))) == pytest.approx(math.log(2), rel=1e-14)
    assert math.isinf(m.kl(matrix([0.5, 0.5]), edge)) and float(m.kl(edge, edge)) == 0
    assert (m.total_variation(p, q) <= torch.sqrt(m.kl(p, q) / 2)).all()  # Pinsker


def test_vector_valued_decisions():
    points = matrix([[0.0], [1.0]])
    d = m.sup(points, vector=True)
    assert float(d(lambda x: torch.cat([3 * x, 4 * x], -1), lambda x: torch.zeros(2, 2, dtype=torch.float64))) == 5


def test_every_tensor_names_its_device():
    """Neither the kernels, nor the random points, nor the search make a tensor on an implicit device."""
    from tests.support import no_implicit_device

    generator = torch.Generator().manual_seed(0)
    with no_implicit_device():
        for metric in (m.lp(3), m.span, m.angle, m.hilbert, m.affine_invariant, m.log_euclidean, m.klein, m.poincare, m.wasserstein):
            metric(metric.sample(3, 3, generator), metric.sample(3, 3, generator))
        for metric in (m.kl, m.total_variation, m.gaussian_wasserstein):
            p, q = m.gaussian_wasserstein.sample(2, 2, generator), m.gaussian_wasserstein.sample(2, 2, generator)
            metric(p, q)
        m.check_semi_invariance(lambda x: x / 2, m.thompson, samples=30, dim=2, steps=6)
