"""Bad input to a metric: the error names the argument, says what came and what would work."""

from __future__ import annotations

import pytest
import torch

from deeplimits import metrics as m

EYE, ONE = torch.eye(2), torch.ones(3)
NAN = torch.tensor([1.0, float("nan"), 1.0])
VECTOR_METRICS = (m.lp(2), m.angle, m.hilbert, m.thompson, m.funk, m.poincare, m.klein, m.span)
SPD_METRICS = (m.affine_invariant, m.log_euclidean, m.spd_thompson, m.spd_hilbert)


def refuse(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("metric", VECTOR_METRICS, ids=repr)
def test_what_no_vector_metric_takes(metric):
    good = ONE / 4
    refuse(lambda: metric([1.0, 2.0], good), TypeError, "x must be a torch tensor")
    refuse(lambda: metric(good, torch.ones(3, dtype=torch.int64)), TypeError, "y must have dtype float32 or float64")
    refuse(lambda: metric(good, good.half()), TypeError, "y must have dtype float32 or float64")
    refuse(lambda: metric(good, NAN / 4), ValueError, "y must be finite")
    refuse(lambda: metric(good * float("inf"), good), ValueError, "x must be finite")
    refuse(lambda: metric(torch.tensor(0.5), good), ValueError, "x must have shape")
    refuse(lambda: metric(good, good[:2]), ValueError, "must agree in their last dimension")
    refuse(lambda: metric(good, good.double()), TypeError, "same dtype")
    refuse(lambda: metric(good.expand(2, 3), good.expand(4, 3)), ValueError, "must broadcast")
    refuse(lambda: metric(torch.ones(0), torch.ones(0)), ValueError, "at least one coordinate")


@pytest.mark.parametrize("metric", SPD_METRICS, ids=repr)
def test_what_no_spd_metric_takes(metric):
    refuse(lambda: metric(torch.ones(2, 3), EYE), ValueError, "x must be a square matrix")
    refuse(lambda: metric(EYE, torch.tensor([[1.0, 0.5], [0.0, 1.0]])), ValueError, "y must be symmetric")
    refuse(lambda: metric(EYE, torch.ones(2, 2)), ValueError, "y must be positive definite")
    refuse(lambda: metric(torch.diag(torch.tensor([1.0, -1.0])), EYE), ValueError, "x must be positive definite")
    refuse(lambda: metric(torch.full((2, 2), 1 / 3.0), EYE), ValueError, "x must be positive definite")
    refuse(lambda: metric(EYE, torch.eye(3)), ValueError, "must agree in their last 2 dimensions")
    refuse(lambda: metric(EYE, EYE * float("nan")), ValueError, "y must be finite")
    refuse(lambda: metric(torch.ones(2), EYE), ValueError, "x must be a square matrix")


@pytest.mark.parametrize("metric", [m.hilbert, m.thompson, m.funk], ids=repr)
def test_outside_the_cone(metric):
    refuse(lambda: metric(torch.tensor([1.0, 0.0]), torch.ones(2)), ValueError, "x must have positive coordinates.*smallest is 0")
    refuse(lambda: metric(torch.ones(2), torch.tensor([1.0, -2.0])), ValueError, "y must have positive coordinates.*-2")


def test_logarithms_of_zeros():
    refuse(lambda: m.hilbert.from_logs(torch.tensor([-float("inf"), 0.0]), torch.zeros(2)), ValueError, "u must be finite")


@pytest.mark.parametrize("metric", [m.poincare, m.klein], ids=repr)
def test_outside_the_ball(metric):
    refuse(lambda: metric(torch.tensor([1.0, 0.0]), torch.zeros(2)), ValueError, "x must lie inside the open unit ball")


def test_gaps_and_models_of_the_ball():
    refuse(lambda: m.to_klein(torch.tensor([2.0])), ValueError, "open unit ball")
    zero, one = torch.zeros(2), torch.tensor(1.0)
    refuse(lambda: m.poincare.with_gaps(zero, zero, one, 0 * one), ValueError, "gap_y must be positive")


def test_zero_vectors_have_no_angle():
    refuse(lambda: m.angle(torch.zeros(2), torch.ones(2)), ValueError, "x must not contain a zero vector")


def test_exponents():
    refuse(lambda: m.lp(0.5), ValueError, "p must be at least 1")
    refuse(lambda: m.lp(float("nan")), ValueError, "p must be at least 1")
    refuse(lambda: m.lp("max"), TypeError, "p must be a number of at least 1 or 'inf'")
    refuse(lambda: m.wasserstein(torch.ones(2, 1), torch.ones(2, 1), p=3), ValueError, "p must be 1 or 2")
    assert m.lp(2) is m.lp(2.0)


def test_clouds_and_laws():
    refuse(lambda: m.wasserstein(torch.ones(2), torch.ones(2, 2)), ValueError, r"\(..., points, N\)")
    refuse(lambda: m.wasserstein(torch.ones(2, 1), torch.ones(2, 2)), ValueError, "same space")
    refuse(lambda: m.kl(torch.tensor([0.5, 0.6]), torch.tensor([0.5, 0.5])), ValueError, "x must sum to 1")
    refuse(lambda: m.total_variation(torch.tensor([1.5, -0.5]), torch.tensor([0.5, 0.5])), ValueError, "none negative")
    normal = (torch.zeros(2), EYE)
    refuse(lambda: m.kl(normal, torch.tensor([0.5, 0.5])), TypeError, "both be discrete or both normal")
    refuse(lambda: m.kl((torch.zeros(2), torch.ones(2, 2)), normal), ValueError, "x.covariance must be positive definite")
    refuse(lambda: m.kl((torch.zeros(3), EYE), normal), ValueError, "x must have a mean")
    refuse(lambda: m.gaussian_wasserstein((torch.zeros(2), -EYE), normal), ValueError, "positive semidefinite")
    refuse(lambda: m.gaussian_wasserstein("normal", normal), TypeError, "x must be a Gaussian")
    refuse(lambda: m.gaussian_wasserstein((torch.zeros(2).double(), EYE), normal), TypeError, "share a dtype")
    refuse(lambda: m.gaussian_wasserstein(torch.eye(3), EYE), ValueError, "same dimension")


def test_decision_functions():
    refuse(lambda: m.sup(torch.ones(3)), ValueError, r"points must have shape \(P, N\)")
    d = m.sup(torch.ones(3, 2))
    refuse(lambda: d(torch.ones(3), torch.sum), TypeError, "x must be a function")
    refuse(lambda: d(lambda x: x, lambda x: x), ValueError, r"x must return values of shape \(P,\); vector=True allows")
    refuse(lambda: d(lambda x: 1.0, lambda x: x), TypeError, "x must return a tensor")
    refuse(lambda: d(lambda x: x[:, 0] * float("nan"), lambda x: x[:, 0]), ValueError, "the values of x must be finite")


def test_factors():
    d = m.affine_invariant
    refuse(lambda: d.from_factors(torch.ones(2, 2), EYE), ValueError, "left must be lower triangular")
    refuse(lambda: d.from_factors(EYE, torch.zeros(2, 2)), ValueError, "right must be invertible")
    refuse(lambda: d.from_factors(torch.zeros(2, 2), EYE), ValueError, "left must be invertible")
    refuse(lambda: d.from_factors(torch.ones(2, 3), EYE), ValueError, "left must be square")


def test_sizes_of_samples():
    refuse(lambda: m.hilbert.sample(3, 0), ValueError, "dim must be a whole number")
    refuse(lambda: m.hilbert.sample(2.5, 3), TypeError, "n must be a whole number")
