"""The search for the worst pair: it finds known constants, repeats by seed, and says what it cannot do."""

from __future__ import annotations

import math

import pytest
import torch

from deeplimits import metrics as m
from deeplimits.layers import Dense
from deeplimits.metrics import check_semi_invariance

N = 8


def weight(seed=0, n=N):
    w = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return w / torch.linalg.matrix_norm(w, 2)


def gradient_step(h):
    w = weight()
    return lambda x: x - h * torch.relu(x @ w.T) @ w


def attained(result, metric):
    """The stored pair and map give the stored ratio."""
    return float(metric(result.map(result.x), result.map(result.y)) / metric(result.x, result.y))


@pytest.mark.parametrize("p", [1, 2, "inf"])
def test_norms_of_matrices_are_found(p):
    w = weight(1)
    exact = float(torch.linalg.matrix_norm(w, {1: 1, 2: 2, "inf": math.inf}[p]))
    result = check_semi_invariance(lambda x: x @ w.T, m.lp(p), samples=1500, dim=N)
    assert 0.99 * exact <= result.ratio <= exact * (1 + 1e-9)
    assert result.ratio >= result.random_ratio
    assert attained(result, m.lp(p)) == pytest.approx(result.ratio, rel=1e-9)


def test_the_gradient_step_is_sharp_at_two():
    """x - h W^T relu(Wx), |W| = 1, has Lipschitz constant max(1, h - 1)."""
    below = check_semi_invariance(gradient_step(2.0), m.lp(2), samples=1500, dim=N)
    assert below.semi_invariant and below.ratio == pytest.approx(1.0, abs=1e-6)
    for h in (2.3, 3.0):
        above = check_semi_invariance(gradient_step(h), m.lp(2), samples=1500, dim=N)
        assert not above.semi_invariant
        assert above.random_ratio < above.ratio <= (h - 1) * (1 + 1e-9)
        assert above.ratio > 1 + 0.8 * (h - 2)


def test_the_residual_counterexample_in_one_dimension():
    result = check_semi_invariance(lambda x: x - 2.5 * torch.relu(x), m.lp(2), samples=100, dim=1)
    assert result.ratio == pytest.approx(1.5, rel=1e-9)


def test_positive_maps():
    w = torch.rand(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1
    c = torch.rand(4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert check_semi_invariance(lambda x: x @ w.T + c, m.thompson, samples=600, dim=4).semi_invariant
    square = check_semi_invariance(lambda x: (x @ w.T) ** 2, m.thompson, samples=600, dim=4)
    assert square.ratio == pytest.approx(2, rel=1e-6) and not square.semi_invariant
    root = check_semi_invariance(lambda x: (x @ w.T).sqrt(), m.thompson, samples=600, dim=4)
    assert root.ratio == pytest.approx(0.5, rel=1e-6)
    bias = check_semi_invariance(lambda x: x + torch.tensor([1.0, 0.0], dtype=torch.float64), m.hilbert, samples=600, dim=2)
    assert bias.ratio <= 1 + 1e-6 or not bias.semi_invariant


def test_softmax_halves_euclidean_distances():
    result = check_semi_invariance(lambda x: x.softmax(-1), m.lp(2), samples=1500, dim=2)
    assert 0.49999 < result.ratio <= 0.5 + 1e-12
    tv = check_semi_invariance(lambda x: x.softmax(-1), m.lp("inf"), samples=200, dim=2)
    assert tv.semi_invariant


def clamp(a):
    values, vectors = torch.linalg.eigh(a)
    return (vectors * values.clamp(min=0.5).unsqueeze(-2)) @ vectors.mT


def test_spd_layers():
    mixing = torch.randn(3, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    congruence = lambda a: mixing @ a @ mixing.mT
    kept = check_semi_invariance(congruence, m.affine_invariant, samples=500, dim=3, steps=18)
    assert kept.semi_invariant and kept.ratio == pytest.approx(1, abs=1e-6)
    broken = check_semi_invariance(congruence, m.log_euclidean, samples=500, dim=3, steps=18)
    assert broken.ratio > 1.1 and attained(broken, m.log_euclidean) == pytest.approx(broken.ratio, rel=1e-6)
    assert not check_semi_invariance(clamp, m.spd_thompson, samples=500, dim=3, steps=18).semi_invariant
    assert check_semi_invariance(clamp, m.log_euclidean, samples=500, dim=3, steps=18).semi_invariant


def test_a_fixed_relu_layer_may_open_angles():
    """A layer under which the angle between two directions grows by more than a hundred."""
    w = torch.tensor([[1.0, 0.0], [0.0, 200.0]], dtype=torch.float64)
    result = check_semi_invariance(lambda x: torch.relu(x @ w.T), m.angle, samples=1500, dim=2)
    assert result.ratio > 150
    assert result.skipped > 100  # pairs whose image is a zero vector


def test_laws_clouds_and_functions():
    w = 0.7 * weight(5, 2)
    clouds = check_semi_invariance(lambda x: x @ w.T, m.wasserstein, samples=100, dim=2, steps=10)
    assert clouds.ratio <= 0.7 + 1e-9
    laws = check_semi_invariance(lambda law: law.push_forward(w), m.gaussian_wasserstein, samples=200, dim=2)
    assert 0.69 <= laws.ratio <= 0.7 + 1e-6
    corners = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]], dtype=torch.float64)
    kept = check_semi_invariance(torch.abs, m.sup(corners), samples=200, dim=2, steps=20)
    assert kept.semi_invariant
    estimate = check_semi_invariance(lambda x: 0.3 * x, m.sup(corners), samples=200, dim=2, steps=20)
    assert not estimate.semi_invariant


def test_a_map_outside_torch_is_searched_without_gradients():
    w = weight(1).numpy()
    result = check_semi_invariance(lambda x: torch.from_numpy(x.numpy() @ w.T), m.lp(2), samples=1500, dim=N)
    assert 0.9 <= result.ratio <= 1 + 1e-9


class Layer:
    """A random layer, as small as can be: an orthogonal map times a random factor."""

    fan_in = 3

    def sample(self, generator=None, *, samples=None, dtype=None, device=None, state=None):
        q = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=dtype)).Q
        factor = torch.rand((), generator=generator, dtype=dtype)
        return _Map(factor * q, factor)


class _Map:
    def __init__(self, weight, factor):
        self.weight, self.factor = weight, float(factor)

    def __call__(self, x):
        return torch.relu(x @ self.weight.T)


def test_several_maps_of_a_layer():
    state = torch.get_rng_state()
    result = check_semi_invariance(Layer(), m.lp(2), samples=400, seed=1, maps=5, steps=30)
    assert torch.equal(state, torch.get_rng_state())
    assert result.maps == 5 and result.samples == 400 and result.searched == 3 * 30 * 48
    assert 0.98 * result.map.factor < result.ratio <= result.map.factor * (1 + 1e-9)
    again = check_semi_invariance(Layer(), m.lp(2), samples=400, seed=1, maps=5, steps=30)
    assert again.ratio == result.ratio and torch.equal(again.x, result.x)
    other = check_semi_invariance(Layer(), m.lp(2), samples=400, seed=2, maps=5, steps=30)
    assert other.ratio != result.ratio


def test_layers_of_the_package():
    dense = Dense(6, activation="relu", weight_std=1.0, weights="orthogonal")
    assert check_semi_invariance(dense, m.lp(2), samples=800, steps=30).semi_invariant
    wide = Dense(6, activation="tanh", weight_std=2.0)
    assert not check_semi_invariance(wide, m.lp(2), samples=800, steps=30).semi_invariant


def test_bad_input():
    identity = lambda x: x
    with pytest.raises(ValueError, match="dim must be given with a callable"):
        check_semi_invariance(identity, m.lp(2))
    with pytest.raises(TypeError, match="layer must be a layer"):
        check_semi_invariance(3, m.lp(2), dim=2)
    with pytest.raises(TypeError, match="metric must be a Metric"):
        check_semi_invariance(identity, m.lp, dim=2)
    with pytest.raises(ValueError, match="samples must be a whole number"):
        check_semi_invariance(identity, m.lp(2), samples=0, dim=2)
    with pytest.raises(ValueError, match="must map the domain 'cone' of thompson into itself"):
        check_semi_invariance(lambda x: -x, m.thompson, samples=50, dim=2)
    constant = check_semi_invariance(lambda x: 0 * x, m.lp(2), samples=50, dim=2, steps=2)
    assert constant.ratio == pytest.approx(0, abs=1e-290) and constant.semi_invariant
