"""Statements of *Metrics on cones, matrices and hyperbolic space* (Part I)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from deeplimits import layers, metrics
from tests.layers.catalogue import F64, ball, cone, rng, spd, vectors

ROUND = 1e-9


def order_funk(inside, x: np.ndarray, y: np.ndarray) -> float:
    """log inf{s : s y - x in K}, by bisection with nothing but the order of the cone."""
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if inside(math.exp(middle) * y - x) else (middle, high)
    return high


CONES = {
    "vectors": (lambda x: (x >= 0).all(), lambda g: cone((), 4, g).numpy()),
    "matrices": (lambda x: np.linalg.eigvalsh(x)[0] >= 0, lambda g: spd((), 3, g).numpy()),
    "round": (lambda x: np.linalg.norm(x[1:]) <= x[0], lambda g: np.concatenate([[1.0], ball((), 3, g).numpy()]) * float(cone((), 1, g))),
}


@pytest.mark.statement("prop-hilbert-projective")
@pytest.mark.parametrize("name", CONES)
def test_distances_made_from_the_order_alone(name):
    inside, sample = CONES[name]
    g = rng(1)
    funk = lambda x, y: order_funk(inside, x, y)
    for _ in range(4):
        x, y, z = sample(g), sample(g), sample(g)
        assert funk(x, z) <= funk(x, y) + funk(y, z) + 1e-8
        hilbert = funk(x, y) + funk(y, x)
        assert hilbert > 1e-3 and max(funk(x, y), funk(y, x)) > 1e-3  # the points are on different rays
        assert funk(3 * x, 7 * y) + funk(7 * y, 3 * x) == pytest.approx(hilbert, abs=1e-8)
        assert abs(funk(x, 5 * x) + funk(5 * x, x)) < 1e-8
        for metric, value in measured(name, x, y).items():
            assert value == pytest.approx({"hilbert": hilbert, "thompson": max(funk(x, y), funk(y, x))}[metric], rel=1e-6)


def measured(name: str, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The package's formulas for the same distances."""
    a, b = torch.as_tensor(x), torch.as_tensor(y)
    if name == "vectors":
        return {"hilbert": float(metrics.hilbert(a, b)), "thompson": float(metrics.thompson(a, b))}
    if name == "matrices":
        return {"hilbert": float(metrics.spd_hilbert(a, b)), "thompson": float(metrics.spd_thompson(a, b))}
    return {"hilbert": 2 * float(metrics.klein(a[1:] / a[0], b[1:] / b[0]))}


@pytest.mark.statement("prop-hilbert-projective")
def test_linear_maps_between_cones_increase_nothing():
    g = rng(2)
    x, y = cone((300,), 4, g), cone((300,), 4, g)
    weight = torch.rand(3, 4, generator=g, dtype=F64, device="cpu") * (torch.rand(3, 4, generator=g, dtype=F64, device="cpu") < 0.6)
    weight[:, 0] += 0.01  # zeros, but no zero row
    for metric in (metrics.funk, metrics.hilbert, metrics.thompson):
        assert (metric(x @ weight.mT, y @ weight.mT) <= metric(x, y) + ROUND).all()
        keep = torch.tensor([[0.0, 2, 0, 0], [0, 0, 0, 0.1], [5, 0, 0, 0], [0, 0, 1, 0]], dtype=F64, device="cpu")  # a bijection of the cone
        assert torch.allclose(metric(x @ keep.mT, y @ keep.mT), metric(x, y), rtol=1e-10, atol=1e-12)
    # From matrices to vectors: A -> (v' A v) for a few v is linear and positive.
    a, b, v = spd((300,), 3, g), spd((300,), 3, g), vectors((4,), 3, g)
    forms = lambda m: torch.einsum("ki,nij,kj->nk", v, m, v)
    assert (metrics.hilbert(forms(a), forms(b)) <= metrics.spd_hilbert(a, b) + ROUND).all()
    assert (metrics.thompson(forms(a), forms(b)) <= metrics.spd_thompson(a, b) + ROUND).all()


@pytest.mark.statement("prop-thompson-scaling")
def test_logarithmic_coordinates():
    g = rng(3)
    u, v, c = vectors((400,), 5, g), vectors((400,), 5, g), cone((1,), 5, g)
    x, y = u.exp(), v.exp()
    span = lambda w: w.amax(-1) - w.amin(-1)
    assert torch.allclose(metrics.thompson(x, y), (u - v).abs().amax(-1), rtol=1e-10)
    assert torch.allclose(metrics.hilbert(x, y), span(u - v), rtol=1e-10)
    for metric in (metrics.thompson, metrics.hilbert):
        d = metric(x, y)
        assert torch.allclose(metric(c * x, c * y), d, rtol=1e-10) and torch.allclose(metric(1 / x, 1 / y), d, rtol=1e-10)
        for r in (2.5, -0.7):
            assert torch.allclose(metric(x**r, y**r), abs(r) * d, rtol=1e-10)
    assert torch.allclose(metrics.thompson(0.3 * x, x), torch.full((400,), -math.log(0.3), dtype=F64, device="cpu"), rtol=1e-10)
    assert (metrics.hilbert(x, y) <= 2 * metrics.thompson(x, y) + ROUND).all()
    p, q = x / x.sum(-1, keepdim=True), y / y.sum(-1, keepdim=True)
    assert (metrics.thompson(p, q) <= metrics.hilbert(p, q) + ROUND).all()
    assert (metrics.thompson(x, y) > metrics.hilbert(x, y)).any()  # the condition on the sums is needed


@pytest.mark.statement("prop-softmax-isometry")
def test_softmax_turns_the_span_into_hilberts_distance():
    g = rng(4)
    x, y = 3 * vectors((500,), 6, g), 3 * vectors((500,), 6, g)
    gaps = x - y
    span = gaps.amax(-1) - gaps.amin(-1)
    p, q = x.log_softmax(-1), y.log_softmax(-1)
    assert torch.allclose(metrics.hilbert(p.exp(), q.exp()), span, rtol=1e-10)
    assert ((p - q).abs().amax(-1) <= span + ROUND).all()
    # and the bound is approached: one class with nearly all the mass, its logit alone moved
    x, y = torch.tensor([[-40.0, 0.0], [-39.0, 0.0]], dtype=F64, device="cpu")
    assert float((x.log_softmax(-1) - y.log_softmax(-1)).abs().max()) == pytest.approx(1.0, rel=1e-9)


def logs(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    return np.log(scipy.linalg.eigh(b.numpy(), a.numpy(), eigvals_only=True))


RIEMANN_THOMPSON_HILBERT = (lambda w: np.linalg.norm(w), lambda w: np.abs(w).max(), lambda w: np.ptp(w))


@pytest.mark.statement("prop-affine-invariant-congruence")
def test_congruences_keep_and_compressions_do_not_increase():
    g = rng(5)
    for _ in range(60):
        a, b, m, w = spd((), 4, g), spd((), 4, g), vectors((4,), 4, g), vectors((2,), 4, g)
        before, kept = logs(a, b), logs(m @ a @ m.mT, m @ b @ m.mT)
        inverse, less = logs(torch.linalg.inv(a), torch.linalg.inv(b)), logs(w @ a @ w.mT, w @ b @ w.mT)
        for distance in RIEMANN_THOMPSON_HILBERT:
            assert distance(kept) == pytest.approx(distance(before), rel=1e-6)
            assert distance(inverse) == pytest.approx(distance(before), rel=1e-6)
            assert distance(less) <= distance(before) * (1 + ROUND)


@pytest.mark.statement("prop-affine-invariant-congruence")
def test_the_log_euclidean_distance_is_kept_by_turns_only():
    g = rng(6)
    a, b = spd((200,), 3, g), spd((200,), 3, g)
    d = metrics.log_euclidean
    turn = torch.linalg.qr(vectors((3,), 3, g)).Q
    for kept in (lambda m: turn @ m @ turn.mT, lambda m: 7 * m, torch.linalg.inv):
        assert torch.allclose(d(kept(a), kept(b)), d(a, b), rtol=1e-7)
    for layer in (layers.Congruence(3), layers.BiMap(2, fan_in=3)):  # BiMap: orthonormal rows
        found = metrics.check_semi_invariance(layer, d, samples=200, maps=2, steps=8)
        T, ratio = found.map, d(found.map(found.x), found.map(found.y)) / d(found.x, found.y)
        assert float(ratio) > 1.1 and float(ratio) == pytest.approx(found.ratio, rel=1e-6)
    assert torch.allclose(T.weight @ T.weight.mT, torch.eye(2, dtype=F64, device="cpu"), atol=1e-12)


@pytest.mark.statement("prop-spd-translation")
def test_noise_brings_covariances_together():
    g = rng(8)
    for _ in range(60):
        a, b = spd((), 3, g), spd((), 3, g)
        v = vectors((), 3, g)
        thin, full = torch.outer(v, v), spd((), 3, g)
        largest = float(torch.linalg.eigvalsh(torch.stack([a, b])).max())
        factor = largest / (largest + float(torch.linalg.eigvalsh(full)[0]))
        for distance in RIEMANN_THOMPSON_HILBERT[:2]:
            before = distance(logs(a, b))
            assert distance(logs(a + thin, b + thin)) <= before * (1 + ROUND)
            assert distance(logs(a + full, b + full)) <= factor * before * (1 + ROUND)


@pytest.mark.statement("prop-spd-translation")
def test_the_factor_of_the_noise_is_sharp():
    eye = torch.eye(2, dtype=F64, device="cpu")
    a, b, c = 4.0 * eye, 4.0 * (1 - 1e-6) * eye, 0.5 * eye
    for distance in RIEMANN_THOMPSON_HILBERT[:2]:
        assert distance(logs(a + c, b + c)) / distance(logs(a, b)) == pytest.approx(4 / 4.5, rel=1e-5)


@pytest.mark.statement("prop-poincare-klein")
def test_two_models_of_hyperbolic_space():
    g = rng(9)
    p, q = ball((300,), 3, g), ball((300,), 3, g)
    square = lambda x: x.square().sum(-1)
    textbook = torch.arccosh(1 + 2 * square(p - q) / ((1 - square(p)) * (1 - square(q))))
    k, m = (2 * x / (1 + square(x)).unsqueeze(-1) for x in (p, q))
    klein = torch.arccosh((1 - (k * m).sum(-1)) / ((1 - square(k)) * (1 - square(m))).sqrt())
    assert torch.allclose(klein, textbook, rtol=1e-6)
    assert torch.allclose(metrics.poincare(p, q), textbook, rtol=1e-6) and torch.allclose(metrics.klein(k, m), textbook, rtol=1e-6)
    # half the logarithm of the cross-ratio: the chord through k and m meets the sphere at k + t (m - k)
    a, b, c = square(m - k), (k * (m - k)).sum(-1), square(k) - 1
    root = (b.square() - a * c).sqrt()
    t0, t1 = (-b - root) / a, (-b + root) / a  # t0 < 0 < 1 < t1
    cross = (1 - t0) * t1 / (-t0 * (t1 - 1))
    assert torch.allclose(cross.log() / 2, klein, rtol=1e-6)


@pytest.mark.statement("prop-poincare-klein")
def test_affine_maps_of_the_ball():
    g = rng(10)
    x, y = ball((400,), 2, g), ball((400,), 2, g)
    for _ in range(20):
        w, b = vectors((2,), 2, g), vectors((), 2, g)
        share = torch.rand((), generator=g, dtype=F64, device="cpu")
        w, b = share * w / torch.linalg.matrix_norm(w, 2), (1 - share) * b / b.norm()
        for metric in (metrics.klein, metrics.poincare):  # Poincare's distance: an exercise of the chapter
            assert (metric(x @ w.mT + b, y @ w.mT + b) <= metric(x, y) * (1 + 1e-7)).all()
    # An affine map of the ball into itself whose norms sum to 1.3: Klein's distance never grows, Poincare's does.
    w, b = torch.diag(torch.tensor([0.0, 0.9], dtype=F64, device="cpu")), torch.tensor([0.4, 0.0], dtype=F64, device="cpu")
    assert (metrics.klein(x @ w + b, y @ w + b) <= metrics.klein(x, y) * (1 + 1e-7)).all()
    zero, near = torch.tensor([[0.0, 0.0], [0.0, 1e-4]], dtype=F64, device="cpu")
    assert float(metrics.poincare(zero @ w + b, near @ w + b) / metrics.poincare(zero, near)) == pytest.approx(0.9 / 0.84, rel=1e-6)
