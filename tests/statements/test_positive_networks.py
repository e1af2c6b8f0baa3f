"""Statements of *Positive networks and Birkhoff's theorem* (Part II)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import deeplimits as dl
from deeplimits import metrics
from deeplimits.layers.positive import PositiveMap
from tests.support import assert_within_errors

F64 = torch.float64
PAIR = torch.tensor([[1.0, 2.0, 3.0, 4.0], [4.0, 1.0, 1.0, 2.0]], dtype=F64)
TWO = torch.tensor([[[2.0, 1.0], [1.0, 1.0]], [[3.0, 1.0], [2.0, 1.0]]], dtype=F64)


def coin(generator: torch.Generator, samples: int) -> torch.Tensor:
    """One of two matrices of determinant one."""
    return TWO[(torch.rand(samples, generator=generator) < 0.5).long()]


def mean_step(run, name: str, start: int) -> tuple[float, float]:
    depth = int(run.depth[-1])
    steps = (run[name].isel(depth=-1) - run[name].isel(depth=start)) / (depth - start)
    return float(steps.mean()), float(steps.std(ddof=1)) / math.sqrt(steps.size)


@pytest.mark.statement("thm-birkhoff")
@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0])
def test_no_pair_beats_the_coefficient_and_some_pair_attains_it(spread):
    g = torch.Generator().manual_seed(1)
    w = torch.exp(spread * torch.randn(4, 3, generator=g, dtype=F64))
    x, y = torch.exp(2 * torch.randn(2, 4000, 3, generator=g, dtype=F64))
    ratio = metrics.hilbert(x @ w.mT, y @ w.mT) / metrics.hilbert(x, y)
    assert float(ratio.max()) <= metrics.birkhoff(w) * (1 + 1e-9)
    # The extreme pair of the proof: two columns, mass a = 1/(1 + exp(Delta/2)), the others next to nothing.
    logs, best = w.log(), 0.0
    for i in range(4):
        for k in range(4):
            for j in range(3):
                for l in range(3):
                    if i == k or j == l:
                        continue
                    at = torch.full((3,), 1e-9, dtype=F64)
                    at[j], at[l] = torch.exp(-logs[[i, k], j].sum() / 2), torch.exp(-logs[[i, k], l].sum() / 2)
                    moved = at.clone()
                    moved[j] *= 1 + 1e-4
                    best = max(best, float(metrics.hilbert(w @ at, w @ moved) / math.log(1 + 1e-4)))
    assert best == pytest.approx(metrics.birkhoff(w), rel=1e-4)


@pytest.mark.statement("thm-birkhoff")
def test_the_diameter_is_that_of_the_image():
    g = torch.Generator().manual_seed(2)
    w = torch.rand(3, 3, generator=g, dtype=F64) + 0.1
    x, y = torch.exp(8 * torch.randn(2, 4000, 3, generator=g, dtype=F64))
    reached = metrics.hilbert(x @ w.mT, y @ w.mT)
    delta = metrics.projective_diameter(w)
    assert float(reached.max()) <= delta + 1e-9
    assert float(reached.max()) > 0.99 * delta
    columns = max(float(metrics.hilbert(w[:, j], w[:, k])) for j in range(3) for k in range(3))
    assert columns == pytest.approx(delta, rel=1e-12)


@pytest.mark.statement("thm-birkhoff")
def test_orbits_keep_the_guarantee_layer_by_layer():
    run = dl.ergodic.cone_distances(dl.Positive(4), PAIR, 60, samples=50, seed=3)
    assert bool((run.log_hilbert <= run.log_guarantee + 1e-9).all())
    assert bool((run.log_hilbert.diff("depth") <= run.log_guarantee.diff("depth") + 1e-9).all())


@pytest.mark.statement("prop-positive-gap")
def test_the_gap_of_two_matrices_of_determinant_one():
    run = dl.ergodic.cone_distances(coin, PAIR[:, [0, 1]], 300, samples=200, seed=4)
    assert_within_errors(*mean_step(run, "log_hilbert", 10), -2 * dl.ergodic.furstenberg_exponent(TWO))
    exact = sum(math.log(metrics.birkhoff(m)) for m in TWO) / 2
    assert_within_errors(*mean_step(run, "log_guarantee", 0), exact)
    assert -2 * dl.ergodic.furstenberg_exponent(TWO) < exact < 0


@pytest.mark.statement("prop-positive-gap")
@pytest.mark.parametrize("entries", [("uniform", 0.5, 1.5), ("lognormal", 1.5)])
def test_orbits_and_exponents_give_the_same_gap(entries):
    layer = dl.Positive(4, entries=entries)
    found = dl.ergodic.lyapunov_spectrum(layer, depth=150, samples=100, count=2)
    run = dl.ergodic.cone_distances(layer, PAIR, 160, samples=100, seed=5)
    value, se = mean_step(run, "log_hilbert", 10)
    assert_within_errors(value, se, found.values[1] - found.values[0], math.hypot(*found.se))
    assert value < mean_step(run, "log_guarantee", 10)[0]


def test_distances_agree_with_plain_ones_and_do_not_underflow():
    """The carried difference against the metric itself where both have digits, and one matrix at any depth."""
    one = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=F64)
    run = dl.ergodic.cone_distances(lambda generator, samples: one.expand(samples, 2, 2), PAIR[:, [0, 3]], 400, samples=1)
    x, y = PAIR[0, [0, 3]], PAIR[1, [0, 3]]
    for l in range(5):
        assert float(run.log_hilbert[0, l]) == pytest.approx(float(metrics.hilbert(x, y).log()), abs=1e-7)
        assert float(run.log_thompson[0, l]) == pytest.approx(float(metrics.thompson(x, y).log()), abs=1e-9)
        x, y = one @ x, one @ y
    root = math.sqrt(33)
    assert float(run.log_hilbert.diff("depth")[0, -1]) == pytest.approx(math.log((root - 5) / (root + 5)), rel=1e-12)
    assert np.isfinite(run.log_hilbert).all() and float(run.log_hilbert[0, -1]) < -1000


@pytest.mark.statement("prop-thompson-contraction")
@pytest.mark.parametrize("activation", ["tanh", "erf", "hardtanh"])
def test_no_pair_of_the_box_beats_kappa(activation):
    g = torch.Generator().manual_seed(6)
    w, c = torch.rand(4, 4, generator=g, dtype=F64), 0.2 + torch.rand(4, generator=g, dtype=F64)
    x, y = torch.exp(-3 * torch.rand(2, 4000, 4, generator=g, dtype=F64))
    f = PositiveMap(w, c, activation)
    rows = w.sum(1)
    kappa = float((rows / (rows + c)).max())
    assert float((metrics.thompson(f(x), f(y)) / metrics.thompson(x, y)).max()) <= kappa


@pytest.mark.statement("prop-thompson-contraction")
def test_all_orbits_of_one_layer_meet_at_the_rate_kappa():
    g = torch.Generator().manual_seed(7)
    w, c = 0.3 * torch.rand(4, 4, generator=g, dtype=F64), 0.1 + torch.rand(4, generator=g, dtype=F64)
    f = PositiveMap(w, c, "tanh")
    x = torch.exp(3 * torch.randn(50, 4, generator=g, dtype=F64))
    for _ in range(200):
        x = f(x)
    rows = w.sum(1)
    assert float(metrics.thompson(x[:1], x).max()) < 1e-12
    s = torch.linspace(1e-4, 1, 2000, dtype=F64) * rows[:, None]
    u = s + c[:, None]
    sharp = float((s * (1 - u.tanh() ** 2) / u.tanh()).max())
    assert sharp <= float((rows / (rows + c)).max()) < 1
    one, two = f(torch.full((4,), 1e-3, dtype=F64)), f(torch.full((4,), 1e3, dtype=F64))
    for _ in range(6):
        before = float(metrics.thompson(one, two))
        one, two = f(one), f(two)
        assert float(metrics.thompson(one, two)) <= sharp * before * (1 + 1e-9)


@pytest.mark.statement("prop-thompson-contraction")
def test_backward_orbits_converge_and_forget_their_start():
    layer = dl.Positive(4, "tanh", entries=("uniform", 0.2, 0.5), bias=0.3)
    maps = [layer.sample(torch.Generator().manual_seed(l), samples=50, dtype=F64) for l in range(60)]

    def backward(depth, start):
        x = torch.full((50, 1, 4), start, dtype=F64)
        for l in range(depth - 1, -1, -1):
            x = maps[l](x)
        return x

    limit = backward(60, 1.0)
    assert float(metrics.thompson(backward(59, 1.0), limit).max()) < 1e-9
    assert float(metrics.thompson(backward(60, 100.0), limit).max()) < 1e-9
    merged = dl.ergodic.cone_distances(layer, PAIR, 60, samples=50, seed=8)
    assert float(merged.log_thompson.isel(depth=-1).max()) < math.log(1e-9)
    # Without a bounded activation the lengths are kept: the distance levels off.
    kept = dl.ergodic.cone_distances(dl.Positive(4, entries=("uniform", 0.2, 0.5), bias=0.3), PAIR, 60, samples=50, seed=8)
    assert float(kept.log_thompson.isel(depth=-1).min()) > math.log(1e-3)


@pytest.mark.parametrize(
    ("x0", "error"),
    [(torch.ones(2, 4), "two different points"), (torch.tensor([[1.0, 0.0], [1.0, 1.0]]), "positive coordinates"), (torch.ones(4), "shape")],
)
def test_bad_points(x0, error):
    with pytest.raises(ValueError, match=error):
        dl.ergodic.cone_distances(dl.Positive(4), x0, 3)
