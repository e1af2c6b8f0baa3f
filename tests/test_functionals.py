"""Metric functionals: limits of distances, normalized, 1-Lipschitz; exact values; bad input."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeplimits import functionals, metrics

PROPERTY = settings(
    derandomize=True, deadline=None, max_examples=15, database=None, suppress_health_check=[HealthCheck.too_slow]
)
INF = math.inf


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


# name -> (functional, t at which the ray has come close, how close in absolute terms)
CASES = {
    "l2": (functionals.lp(2, vector(1.0, -2.0, 2.0)), 1e9, 1e-6),
    "l3": (functionals.lp(3, vector(1.0, -2.0, 2.0)), 1e8, 1e-6),
    "l1": (functionals.lp(1, vector(1.0, -3.0, 0.0), vector(9.0, 9.0, 0.7)), 1e6, 1e-8),
    "l1 everywhere": (functionals.lp(1, vector(1.0, -3.0, 2.0)), 1e6, 1e-8),
    "linf": (functionals.lp("inf", vector(1.0, -1.0, 0.5), vector(0.0, 0.4, 3.0)), 1e6, 1e-8),
    "thompson": (functionals.thompson(vector(1.0, -1.0, 0.2), vector(0.3, 0.0, 0.0)), 60.0, 1e-11),
    "hilbert": (functionals.hilbert(vector(-1.0, 1.0, 0.4), vector(0.2, -0.3, 1.0)), 60.0, 1e-11),
    "hilbert two": (functionals.hilbert(vector(0.0, 0.0, 1.0), vector(0.2, -0.3, 0.0)), 60.0, 1e-11),
    "poincare": (functionals.poincare(vector(1.0, -2.0, 2.0)), 14.0, 1e-4),
    "klein": (functionals.klein(vector(1.0, -2.0, 2.0)), 7.0, 1e-4),
    "spd": (functionals.spd(torch.diag(vector(1.0, 0.2, -1.0))), 24.0, 0.9),
    "spd turned": (functionals.spd(torch.tensor([[1.0, 0.3, 0], [0.3, -0.4, 0.5], [0, 0.5, 0.1]]).double()), 24.0, 0.9),
    "spd blocks": (functionals.spd(torch.diag(vector(1.0, 1.0, -1.0))), 24.0, 0.9),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys(), scope="module")
def case(request):
    return request.param


def points(h, n, seed):
    return h.metric.sample(n, 3, torch.Generator().manual_seed(seed))


def test_limits_of_distances(case):
    h, t, tolerance = case
    x = points(h, 20, 0)
    x = x if h.metric.domain not in ("vectors", "ball") else 0.5 * x
    torch.testing.assert_close(h.approximate(x, t), h(x), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["spd", "spd turned", "spd blocks"])
def test_errors_fall_like_one_over_t(name):
    """Where convergence is slow, two points of the ray extrapolate to the value: error O(1/t) becomes O(1/t^2)."""
    h, t, _ = CASES[name]
    x = points(h, 20, 0)
    near, far = h.approximate(x, t / 2), h.approximate(x, t)
    assert ((far - h(x)).abs() < (near - h(x)).abs() + 1e-9).all()
    torch.testing.assert_close(2 * far - near, h(x), rtol=0, atol=0.1)


@pytest.mark.statement("prop-functional-bounds")
@PROPERTY
@given(seed=st.integers(0, 10**6))
def test_no_steeper_than_the_distance(case, seed):
    h = case[0]
    x, y = points(h, 50, seed), points(h, 50, seed + 1)
    assert ((h(x) - h(y)).abs() <= h.metric(x, y) + 1e-9).all()


@pytest.mark.statement("prop-functional-bounds")
def test_zero_at_the_base_and_steepest_along_the_ray(case):
    h = case[0]
    assert float(h(h.base)) == pytest.approx(0, abs=1e-14)
    if not h.parameters[-1].any() or h.name in ("poincare", "klein", "spd") or h.metric.name in ("l2", "l3"):
        assert float(h(h.ray(0.75))) == pytest.approx(-float(h.metric(h.ray(0.75), h.base)), rel=1e-12)


def test_batches_dtypes_and_words(case):
    h = case[0]
    x = points(h, 6, 2)
    grid = h(x.reshape(2, 3, *x.shape[1:]))
    assert grid.shape == (2, 3)
    torch.testing.assert_close(grid.flatten(), torch.stack([h(p) for p in x]))
    single = h(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), h(x), rtol=1e-3, atol=1e-3)
    assert h.formula and h.name in repr(h) and h.metric.name in repr(h)


# --- exact values ---------------------------------------------------------------------------------------------------

A = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)


def finite_spd(t):
    """d(A, exp(tX)) - t for X = diag(1, -1)/sqrt 2 through trace and determinant, good to any t below 900."""
    s = t / math.sqrt(2)
    inverse = torch.linalg.inv(A)
    trace = float(inverse[0, 0]) * math.exp(s) + float(inverse[1, 1]) * math.exp(-s)
    log_det = -math.log(float(torch.linalg.det(A)))
    top = math.log(trace) + math.log((1 + math.sqrt(1 - 4 * math.exp(log_det - 2 * math.log(trace)))) / 2)
    return math.hypot(top, log_det - top) - t


@pytest.mark.statement("prop-spd-functional")
def test_spd_reference():
    h = functionals.spd(torch.diag(vector(1.0, -1.0)))
    assert float(h(A)) == pytest.approx(0.4156279366, abs=6e-11)
    assert float(h(A)) == pytest.approx(-(math.log(5 / 3) - math.log(3)) / math.sqrt(2), rel=1e-13)
    for t, printed in ((10, 0.47762), (100, 0.42208), (600, 0.41671)):
        assert finite_spd(t) == pytest.approx(printed, abs=6e-6)
    assert float(h.approximate(A, 10.0)) == pytest.approx(finite_spd(10.0), abs=1e-10)
    assert 2 * finite_spd(600.0) - finite_spd(300.0) == pytest.approx(float(h(A)), abs=1e-5)


@pytest.mark.statement("prop-spd-functional")
def test_spd_by_trailing_minors():
    """The Cholesky route against determinants, in a turned basis."""
    generator = torch.Generator().manual_seed(3)
    basis = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    x = vector(0.7, 0.1, -0.2, -0.9)
    a = metrics.affine_invariant.sample(1, 4, generator)[0]
    b = basis.T @ a @ basis
    minors = [float(torch.linalg.det(b[i:, i:])) for i in range(4)] + [1.0]
    reference = -sum(float(x[i]) * math.log(minors[i] / minors[i + 1]) for i in range(4)) / float(x.norm())
    assert float(functionals.spd(basis @ torch.diag(x) @ basis.T)(a)) == pytest.approx(reference, rel=1e-10)


@pytest.mark.statement("prop-spd-functional")
def test_spd_with_equal_eigenvalues_is_continuous_and_exact():
    a = metrics.affine_invariant.sample(1, 3, torch.Generator().manual_seed(4))[0]
    exact = functionals.spd(torch.diag(vector(1.0, 1.0, -1.0)))(a)
    minors = torch.linalg.det(a), a[2, 2]
    assert float(exact) == pytest.approx(float(-(minors[0] / minors[1]).log() + minors[1].log()) / math.sqrt(3), rel=1e-12)
    for nudge in (1e-9, -1e-9):
        near = functionals.spd(torch.diag(vector(1.0, 1.0 + nudge, -1.0)))(a)
        assert float(near) == pytest.approx(float(exact), abs=1e-7)
    identity = functionals.spd(torch.eye(3, dtype=torch.float64))(a)
    assert float(identity) == pytest.approx(-float(torch.linalg.det(a).log()) / math.sqrt(3), rel=1e-12)


def test_poincare_far_out():
    """At hyperbolic distance 60 the finite difference is the limit to rounding, once 1 - |y|^2 is carried."""
    xi, t = vector(0.6, 0.8), 60.0
    x = 0.8 * metrics.poincare.sample(20, 2, torch.Generator().manual_seed(5))
    gap_x = 1 - x.square().sum(-1)
    far = metrics.poincare.with_gaps(x, math.tanh(t / 2) * xi, gap_x, vector(math.cosh(t / 2) ** -2)) - t
    torch.testing.assert_close(functionals.poincare(xi)(x), far, rtol=0, atol=1e-12)
    torch.testing.assert_close(functionals.klein(xi)(metrics.to_klein(x)), far, rtol=0, atol=1e-12)


def test_the_drift_of_isometries_with_one_reflection():
    """T x = R x + (1, 1), R = I or diag(1, -1): the functional -x_1 sees the drift exactly, every step."""
    h = functionals.lp(2, vector(1.0, 0.0))
    signs = torch.randint(0, 2, (50,), generator=torch.Generator().manual_seed(6)) * 2.0 - 1
    x = vector(0.0, 0.0)
    for sign in signs:
        x = x * vector(1.0, float(sign)) + 1
    assert float(-h(x)) / 50 == 1.0


def test_thompson_and_hilbert_live_on_logarithms():
    x = metrics.thompson.sample(10, 3, torch.Generator().manual_seed(7))
    v, mu = vector(1.0, -1.0, 0.0), vector(0.0, 0.5, 0.0)
    torch.testing.assert_close(functionals.thompson(v, mu)(x), functionals.lp(INF, v, mu)(x.log()))
    h = functionals.hilbert(v)
    torch.testing.assert_close(h(5 * x), h(x))
    torch.testing.assert_close(h(x), (x[:, 1] / x[:, 0]).log())


# --- bad input ------------------------------------------------------------------------------------------------------


def refuse(call, error, words):
    with pytest.raises(error, match=words):
        call()


def euclidean(direction):
    return functionals.lp(2, direction)


@pytest.mark.parametrize("make", [euclidean, functionals.thompson, functionals.hilbert, functionals.poincare, functionals.klein])
def test_bad_vectors(make):
    refuse(lambda: make(torch.zeros(3)), ValueError, "direction must not be zero")
    refuse(lambda: make(torch.ones(2, 2)), ValueError, "direction must be one vector")
    refuse(lambda: make([1.0]), TypeError, "direction must be a torch tensor")
    refuse(lambda: make(torch.tensor([float("nan"), 1.0])), ValueError, "direction must be finite")


def test_bad_directions():
    refuse(lambda: functionals.hilbert(torch.ones(3)), ValueError, "direction must not be constant")
    refuse(lambda: functionals.spd(torch.zeros(2, 2)), ValueError, "direction must not be zero")
    refuse(lambda: functionals.spd(torch.tensor([[0.0, 1.0], [0.0, 0.0]])), ValueError, "direction must be symmetric")
    refuse(lambda: functionals.spd(torch.ones(2)), ValueError, "direction must be a square matrix")
    refuse(lambda: functionals.lp(0.5, torch.ones(2)), ValueError, "p must be at least 1")


def test_bad_offsets():
    v = vector(1.0, -1.0)
    refuse(lambda: functionals.lp(2, v, v), ValueError, "offset must be absent")
    refuse(lambda: functionals.lp(1, v, vector(1.0)), ValueError, "offset must have the shape")
    refuse(lambda: functionals.lp(INF, v, vector(1.0, 2.0)), ValueError, "offset must be zero or positive, with smallest value 0")
    refuse(lambda: functionals.thompson(v, vector(-1.0, 0.0)), ValueError, "offset must be zero or positive")


def test_points_outside_the_domain():
    refuse(lambda: functionals.thompson(vector(1.0, 0.0))(vector(0.0, 1.0)), ValueError, "x must have positive coordinates")
    refuse(lambda: functionals.poincare(vector(1.0, 0.0))(vector(1.0, 0.0)), ValueError, "open unit ball")
    refuse(lambda: functionals.spd(A)(torch.ones(2, 2)), ValueError, "x must be positive definite")
    refuse(lambda: functionals.spd(A)(torch.eye(3)), ValueError, r"x must end in the shape \(2, 2\)")
    refuse(lambda: functionals.lp(2, vector(1.0, 0.0))(torch.ones(3)), ValueError, r"x must end in the shape \(2,\)")
