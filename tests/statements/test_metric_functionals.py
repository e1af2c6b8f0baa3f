"""Statements of *Metric functionals and the ergodic theorem* (Part II)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import gammaln

import deeplimits as dl
from deeplimits import functionals
from deeplimits.engine.streams import stream
from tests.support import assert_within_errors

F64 = torch.float64
CPU = torch.device("cpu")


def backward_orbit(turns: torch.Tensor, depth: int) -> torch.Tensor:
    """The orbit of 0 under x -> |Ox| + 1 after ``depth`` layers, the first one outermost."""
    x = torch.zeros(*turns.shape[1:-1], 1, dtype=F64)
    for turn in turns[:depth].flip(0):
        x = (turn @ x).abs() + 1
    return x[..., 0]


@pytest.fixture(scope="module")
def turns():
    return torch.linalg.qr(torch.randn(600, 200, 3, 3, generator=torch.Generator().manual_seed(1), dtype=F64)).Q


@pytest.mark.statement("cor-linear-functional", "thm-metric-functional")
def test_one_linear_functional_sees_the_drift_of_a_nonlinear_network(turns):
    n = 3
    drift = n * math.exp(gammaln(n / 2) - gammaln((n + 1) / 2)) / math.sqrt(math.pi)
    far = backward_orbit(turns, 600)
    v = far / far.norm(dim=-1, keepdim=True)
    for depth in (100, 300):
        x = backward_orbit(turns, depth)
        seen = -functionals.lp(2, v[0])(x[:1]), (x * v).sum(-1) / depth
        assert float(seen[0][0]) == pytest.approx(float((x[0] * v[0]).sum()), rel=1e-12)
        # Start-up: the norm gains O(1/|x|) a layer beyond the drift, O(log n) in all.
        slack = math.log(depth) / depth
        assert_within_errors(float(seen[1].mean()), float(seen[1].std()) / 200**0.5, drift, slack)
        assert bool(((x.norm(dim=-1) - (x * v).sum(-1)) / depth < 0.05).all())


@pytest.mark.statement("cor-linear-functional")
def test_backward_directions_converge_and_forward_ones_do_not(turns):
    def unit(x):
        return x / x.norm(dim=-1, keepdim=True)

    backward = (unit(backward_orbit(turns, 300)) - unit(backward_orbit(turns, 600))).norm(dim=-1)
    assert float(backward.mean()) < 0.05
    forward = [unit(backward_orbit(turns[:depth].flip(0), depth)) for depth in (599, 600)]
    assert float((forward[0] - forward[1]).norm(dim=-1).mean()) > 0.3


@pytest.fixture(scope="module")
def products():
    layer = dl.Congruence(3, weight_std=3**0.5)
    return dl.ergodic.followed_functional(layer, [6, 60, 240], 150, seed=1, exponents=dl.ergodic.newman_exponents(3))


@pytest.mark.statement("thm-metric-functional")
def test_one_functional_sees_the_drift_of_a_random_product(products):
    drift = dl.ergodic.spd_drift(3)
    for depth in (60, 240):
        rate = products.functional.sel(depth=depth) / depth
        assert_within_errors(float(rate.mean()), float(rate.std()) / 150**0.5, drift, 0.5 / depth)
    gap = (products.distance - products.functional) / products.depth
    assert float(gap.min()) >= -1e-9
    assert float(gap.sel(depth=240).max()) < 0.1
    assert float(gap.sel(depth=240).mean()) < 0.5 * float(gap.sel(depth=60).mean())


@pytest.mark.statement("thm-metric-functional", "prop-spd-functional")
def test_sums_over_layers_are_the_functional_itself(products):
    u = torch.eye(3, dtype=F64).expand(150, 3, 3)
    layer = dl.Congruence(3, weight_std=3**0.5)
    for l in range(1, 7):
        u = u @ layer.sample(stream(1, l, 0, CPU), samples=150, dtype=F64).weight
    for k in range(10):
        h = functionals.spd(torch.as_tensor(products.direction.values[k]))
        assert -float(h(u[k] @ u[k].mT)) == pytest.approx(float(products.functional[k, 0]), rel=1e-7)


@pytest.mark.statement("thm-metric-functional")
def test_the_functional_of_another_network_sees_less(products):
    """Its limit is the opposite pairing of exponents; the orbit moves away from that point at infinity."""
    exponents = dl.ergodic.newman_exponents(3)
    layer, frame, total = dl.Congruence(3, weight_std=3**0.5), torch.eye(3, dtype=F64).expand(150, 3, 3), 0.0
    for l in range(1, 121):
        matrices = layer.sample(stream(1, l, 0, CPU), samples=150, dtype=F64).weight
        frame, r = torch.linalg.qr(matrices.mT @ frame)
        total = total + r.diagonal(dim1=-2, dim2=-1).abs().log()
    rate = (2 * total.numpy()[:, ::-1] / 120) @ (exponents / np.linalg.norm(exponents))
    expected = 2 * exponents @ exponents[::-1] / np.linalg.norm(exponents)
    assert_within_errors(rate.mean(), rate.std() / 150**0.5, expected, 2 / 120)
    assert expected < 0 < dl.ergodic.spd_drift(3)


@pytest.mark.statement("thm-metric-functional")
def test_a_norm_with_corners_has_a_functional_but_no_direction():
    def g(s):
        return s * np.sin(np.log1p(np.abs(s))) / math.sqrt(2)

    rng = np.random.default_rng(0)
    s, t = rng.normal(size=(2, 10_000)) * 100
    assert (np.abs(g(s) - g(t)) <= np.abs(s - t) * (1 + 1e-12)).all()
    x = np.zeros(2)
    h, slopes = functionals.lp("inf", torch.tensor([1.0, 0.0], dtype=F64)), []
    for n in range(1, 20_001):
        x = np.array([x[0] + 1, g(x[0] + 1)])
        if n >= 100:
            slopes.append(x[1] / x[0])
    assert float(h(torch.as_tensor(x))) == -20_000 and np.abs(x).max() == 20_000
    assert max(slopes) > 0.7 and min(slopes) < -0.7


@pytest.mark.parametrize(
    ("change", "error"),
    [({"depths": [5, 5]}, "increasing"), ({"exponents": [1.0, 2.0, 3.0]}, "largest first"), ({"exponents": [0.0, 0.0, 0.0]}, "zero"),
     ({"exponents": [1.0, 0.0]}, "3 numbers")],
)
def test_bad_arguments(change, error):
    with pytest.raises(ValueError, match=error):
        dl.ergodic.followed_functional(dl.Congruence(3), **({"depths": [3], "samples": 2, "extra": 5} | change))


def test_only_congruences():
    with pytest.raises(TypeError, match="square Congruence"):
        dl.ergodic.followed_functional(dl.Dense(3), [3])
