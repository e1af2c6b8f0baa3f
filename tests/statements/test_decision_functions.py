"""Statements of *Decision functions and laws of data* (Part I)."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import ot
import pytest
import torch

from deeplimits import layers, metrics
from tests.layers.catalogue import F64, rng, vectors

ROUND = 1e-9


def laws(count: int, states: int, g: torch.Generator, sharp: float = 1.5) -> torch.Tensor:
    return torch.softmax(sharp * vectors((count,), states, g), -1)


@pytest.mark.statement("prop-sup-semi-invariant")
def test_any_map_of_a_finite_set_pulls_functions_together():
    """Every map of 4 points into themselves, by enumeration, with equality for all functions exactly when it is onto."""
    points = torch.eye(4, dtype=F64, device="cpu")
    d = metrics.sup(points)
    f, h = vectors((6,), 4, rng(0)), vectors((6,), 4, rng(1))  # functions by their values
    before = (f - h).abs().amax(1)
    for code in range(4**4):
        image = [code // 4**k % 4 for k in range(4)]
        T = lambda x, image=image: x @ points[image]
        pulled = [metrics.pull_back(lambda x, u=u: x @ u, T) for u in (f[0], h[0])]
        after = (f - h)[:, image].abs().amax(1)
        assert float(d(*pulled)) == pytest.approx(float(after[0]), abs=1e-12)
        assert (after <= before).all()
        if len(set(image)) == 4:
            assert (after == before).all()
        else:  # the indicator of a point outside the image becomes zero
            missed = next(k for k in range(4) if k not in image)
            assert float(points[missed][image].abs().max()) == 0.0


@pytest.mark.statement("prop-sup-semi-invariant")
def test_the_set_must_be_mapped_into_itself():
    grid = torch.linspace(-1, 1, 41, dtype=F64, device="cpu").unsqueeze(-1)
    d, square, zero = metrics.sup(grid), (lambda x: x[:, 0] ** 2), (lambda x: 0 * x[:, 0])
    pulled = lambda a: float(d(metrics.pull_back(square, lambda x: a * x), metrics.pull_back(zero, lambda x: a * x)))
    assert pulled(-1.0) == 1.0 and pulled(0.5) == 0.25 and pulled(2.0) == 4.0


@pytest.mark.statement("prop-wasserstein-pushforward")
def test_fixed_maps_move_clouds_by_their_lipschitz_constant():
    g = rng(2)
    for p in (1, 2):
        for seed in range(5):
            x, y = vectors((24,), 3, g), 1 + vectors((24,), 3, g)
            T = layers.Dense(3, "tanh", 1.5, 0.3).sample(rng(seed), dtype=F64)
            lipschitz = float(torch.linalg.matrix_norm(T.weight, 2))
            before, after = (ot.emd2([], [], ot.dist(a.numpy(), b.numpy()) ** (p / 2)) ** (1 / p) for a, b in ((x, y), (T(x), T(y))))
            assert after <= lipschitz * before * (1 + ROUND)
            assert float(metrics.wasserstein(T(x), T(y), p=p)) == pytest.approx(after, rel=1e-9)


@pytest.mark.statement("prop-wasserstein-pushforward")
@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_random_maps_move_laws_by_their_mean_square_stretch(keep):
    """Inverted dropout: a mean square stretch of 1/keep. Exact laws of two coordinates, all masks enumerated."""
    g, masks = rng(3), torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=F64, device="cpu")] * 2)
    weight = (keep ** masks.sum(1) * (1 - keep) ** (2 - masks.sum(1))).numpy()

    def transport(x, y, a, b):
        return math.sqrt(ot.emd2(a, b, ot.dist(x.numpy(), y.numpy())))

    for _ in range(20):
        x, y = vectors((3,), 2, g), vectors((3,), 2, g)
        mass = np.full(3, 1 / 3)
        wide = lambda z: (masks[:, None] * z / keep).reshape(-1, 2)
        spread = np.outer(weight, mass).ravel()
        assert transport(wide(x), wide(y), spread, spread) <= transport(x, y, mass, mass) / math.sqrt(keep) * (1 + ROUND)
    a, b = torch.tensor([[2.0, 0.0]], dtype=F64, device="cpu"), torch.tensor([[1.0, 0.0]], dtype=F64, device="cpu")
    images = [(masks[:, None] * z / keep).reshape(-1, 2) for z in (a, b)]
    assert transport(*images, weight, weight) == pytest.approx(1 / math.sqrt(keep), rel=1e-9)  # attained


DIVERGENCES = {
    "total variation": lambda t: 0.5 * (t - 1).abs(),
    "relative entropy": lambda t: t * t.log(),
    "chi square": lambda t: (t - 1).square(),
    "hellinger": lambda t: (t.sqrt() - 1).square(),
    "pearson vajda": lambda t: (t - 1).abs() ** 3,
}


@pytest.mark.statement("prop-data-processing")
@pytest.mark.parametrize("name", DIVERGENCES)
def test_no_kernel_increases_a_divergence(name):
    g, phi = rng(4), DIVERGENCES[name]
    divergence = lambda p, q: (phi(p / q) * q).sum(-1)
    p, q = laws(500, 6, g), laws(500, 6, g)
    for states in (2, 6, 9):
        kernel = laws(6, states, g, 3.0)
        assert (divergence(p @ kernel, q @ kernel) <= divergence(p, q) + ROUND).all()
    order = torch.randperm(6, generator=g, device="cpu")
    assert torch.allclose(divergence(p[:, order], q[:, order]), divergence(p, q), rtol=1e-12)  # injective: equality
    if name in ("total variation", "relative entropy"):
        metric = metrics.total_variation if name == "total variation" else metrics.kl
        assert torch.allclose(metric(p, q), divergence(p, q), rtol=1e-9)


@pytest.mark.statement("prop-data-processing")
def test_noisy_layers_on_normal_laws():
    g, eye = rng(5), torch.eye(3, dtype=F64, device="cpu")
    for _ in range(10):
        w, s, t = vectors((3,), 3, g), vectors((3,), 3, g), vectors((3,), 3, g)
        p, q = metrics.Gaussian(vectors((), 3, g), s @ s.mT + 0.1 * eye), metrics.Gaussian(vectors((), 3, g), t @ t.mT + 0.1 * eye)
        for d in (metrics.total_variation, metrics.kl):
            before = float(d(p, q))
            assert float(d(p.push_forward(w), q.push_forward(w))) == pytest.approx(before, rel=1e-6)  # injective
            assert float(d(p.push_forward(w, noise=0.3 * eye), q.push_forward(w, noise=0.3 * eye))) < before
            assert float(d(p.push_forward(w[:2]), q.push_forward(w[:2]))) <= before + 1e-9


@pytest.mark.statement("prop-dobrushin")
def test_dobrushins_coefficient_is_the_best_constant():
    g = rng(6)
    p, q, f = laws(800, 5, g), laws(800, 5, g), vectors((800,), 7, g)
    tv = lambda a, b: 0.5 * (a - b).abs().sum(-1)
    span = lambda v: v.amax(-1) - v.amin(-1)
    for _ in range(5):
        kernel, other = laws(5, 7, g), laws(7, 4, g)
        tau = max(float(tv(a, b)) for a in kernel for b in kernel)
        assert metrics.dobrushin(kernel) == pytest.approx(tau, rel=1e-12)
        assert (tv(p @ kernel, q @ kernel) <= tau * tv(p, q) + ROUND).all()
        assert (span(f @ kernel.mT) <= tau * span(f) + ROUND).all()
        i, j = max(((i, j) for i in range(5) for j in range(5)), key=lambda ij: float(tv(kernel[ij[0]], kernel[ij[1]])))
        attained = (kernel[i] > kernel[j]).to(F64)
        assert float(span(kernel @ attained)) == pytest.approx(tau, rel=1e-12)
        assert metrics.dobrushin(kernel @ other) <= tau * metrics.dobrushin(other) + ROUND


@pytest.mark.statement("prop-attention-span")
def test_attention_brings_tokens_together():
    span = lambda m: m.amax(-2) - m.amin(-2)
    for seed in range(5):
        x = vectors((100,), 24, rng(seed + 50))
        X = x.unflatten(-1, (6, 4))
        T = layers.Attention(6, 4, weight_std=1.5).sample(rng(seed), dtype=F64)
        assert (span(T(x).unflatten(-1, (6, 4))) <= metrics.dobrushin(T.attention()) * span(X) * (1 + ROUND)).all()
        live = layers.Attention(6, 4, frozen=False, weight_std=1.5).sample(rng(seed), dtype=F64)
        Y = live(x).unflatten(-1, (6, 4))
        for k in range(0, 100, 10):
            P = live.attention(x[k])
            assert torch.allclose(P @ X[k], Y[k], rtol=1e-10, atol=1e-12) and (P > 0).all()
            assert (span(Y[k]) <= metrics.dobrushin(P) * span(X[k]) * (1 + ROUND)).all()
        other = vectors((100,), 24, rng(seed + 90))
        for metric in (metrics.lp(math.inf), metrics.span):  # the fixed matrix
            assert (metric(T(x), T(other)) <= metric(x, other) * (1 + ROUND)).all()
        assert (metrics.hilbert(T(x.exp()), T(other.exp())) <= metrics.hilbert(x.exp(), other.exp()) + ROUND).all()


@pytest.mark.statement("prop-attention-span")
def test_live_attention_has_no_lipschitz_constant():
    def first_output(x, q):
        return float((torch.softmax(q * x[0] * x, -1) * x).sum())

    for q in (0.5, -1.0):
        for r in (1.0, 10.0, 100.0):
            step = 1e-4 / r**2
            x = torch.tensor([step, r, -r], dtype=F64, device="cpu")
            rate = (first_output(x, q) - first_output(x * torch.tensor([-1.0, 1, 1], dtype=F64, device="cpu"), q)) / (2 * step)
            assert rate == pytest.approx(1 / 3 + 2 * q * r**2 / 3, rel=1e-5)


def test_two_samples_of_one_law_are_at_a_distance():
    """The chapter's warning: transport between samples is biased up, the more so the higher the dimension."""
    means = []
    for n in (1, 4, 16):
        d = metrics.wasserstein(*vectors((2, 20, 40), n, rng(7)))
        means.append((float(d.mean()), float(d.std()) / 20**0.5))
    assert means[0][0] > 4 * means[0][1]
    for (low, low_se), (high, high_se) in pairwise(means):
        assert high - low > 4 * math.hypot(low_se, high_se)
