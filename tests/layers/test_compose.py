"""Chains, stationary sequences, and how both run through the engine."""

from __future__ import annotations

import math

import pytest
import torch

import deeplimits.layers as L
from tests.layers.catalogue import F64, rng, vectors
from tests.support import assert_within_errors

P = [[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.4, 0.0, 0.6]]


def three() -> L.Stationary:
    return L.Stationary([L.Dense(4, "identity", std) for std in (1e-3, 1.0, 1e3)], P)


def test_chain_is_the_composition():
    layers = [L.Dense(5, "tanh", fan_in=3), L.Softmax(5), L.Dense(2, "relu", fan_in=5)]
    T = L.Chain(layers).sample(rng(), samples=4, dtype=F64)
    x = vectors((4, 2), 3, rng(1))
    y = x
    for part in T.maps:
        y = part(y)
    assert torch.equal(T(x), y) and [tuple(w.shape) for w in T.weight if w is not None] == [(4, 5, 3), (4, 2, 5)]
    assert L.Chain(layers).resized(7).fan_in == 7


def test_chain_collects_what_its_layers_keep():
    contraction, mask = L.Contraction(4, "tanh"), L.Dropout(4, inverted=False)
    assert L.Chain([contraction, mask]).metrics == ("lp(2)",)
    assert L.Chain([L.Dense(4), mask]).homogeneous and L.Chain([L.Dense(4), mask]).has_law
    assert not L.Chain([L.Dense(4), L.Softmax(4)]).homogeneous and not L.Chain([contraction, mask]).has_law


def test_stationary_law_of_the_chain():
    layer = three()
    pi = torch.tensor(layer.stationary_law, dtype=F64, device="cpu")
    matrix = torch.tensor(P, dtype=F64, device="cpu")
    assert torch.allclose(pi @ matrix, pi, rtol=1e-12) and pi.sum().item() == pytest.approx(1, rel=1e-14)
    # Kirchhoff: weights of the spanning trees into each state.
    trees = torch.tensor([0.2 * 0.4 + 0.3 * 0.4, 0.1 * 0.4, 0.1 * 0.3], dtype=F64, device="cpu")
    assert torch.allclose(pi, trees / trees.sum(), rtol=1e-12)
    transient = L.Stationary([L.Dense(2), L.Dense(2)], [[1.0, 0.0], [0.5, 0.5]])
    assert transient.stationary_law == pytest.approx((1.0, 0.0), abs=1e-12)


def test_hidden_states_are_stationary_and_move_by_the_transition_matrix():
    layer, g, n = three(), rng(), 20_000
    first = layer.start(g, n)
    second = layer.advance(first, g)
    assert first.shape == (n,) and second.dtype == torch.int64
    for i in range(3):
        p = layer.stationary_law[i]
        for state in (first, second):
            assert_within_errors((state == i).double().mean(), math.sqrt(p * (1 - p) / n), p)
        at = second[first == i]
        for j in range(3):
            share = (at == j).double().mean()
            if P[i][j] == 0:
                assert share == 0
            else:
                assert_within_errors(share, math.sqrt(P[i][j] * (1 - P[i][j]) / len(at)), P[i][j])


def test_every_network_gets_the_layer_of_its_state():
    layer = three()
    state = torch.tensor([2, 0, 1, 1, 0, 2], device="cpu")
    T = layer.sample(rng(), samples=6, dtype=F64, state=state)
    size = T.weight.abs().mean((-1, -2)).log10().round()
    assert size.tolist() in ([3, -3, 0, 0, -3, 3], [3, -3, -0.0, 0, -3, 3])
    x = vectors((6, 2), 4, rng(1))
    assert torch.allclose(T(x), x @ T.weight.mT, rtol=1e-12)
    with pytest.raises(ValueError, match="state"):
        layer.sample(rng(), samples=5, state=state)


def test_equal_rows_are_an_independent_mixture():
    layer, g, n = L.Stationary([L.Dense(3), L.Residual(3)], [[0.3, 0.7], [0.3, 0.7]]), rng(), 8000
    assert layer.stationary_law == pytest.approx((0.3, 0.7), abs=1e-12)
    first = layer.start(g, n)
    second = layer.advance(first, g)
    together = ((first == 0) & (second == 0)).double().mean()
    assert_within_errors(together, math.sqrt(0.09 * 0.91 / n), 0.09)


def test_stationary_refuses_hidden_states_inside():
    inner = L.Stationary([L.Dense(3), L.Dense(3)], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ValueError, match="hidden states"):
        L.Stationary([inner, L.Dense(3)], [[0.5, 0.5], [0.5, 0.5]])
    chain = L.Chain([inner, L.Residual(inner=inner)])
    states = chain.start(rng(), 5)
    assert len(states) == 2 and states[0].shape == (5,)
    assert chain.sample(rng(), samples=5, state=chain.advance(states, rng()))(torch.ones(5, 1, 3)).shape == (5, 1, 3)


def test_exponent_of_a_modulated_linear_network():
    """Linear layers whose scale follows a Markov chain: mean by the stationary law, variance by the sum of covariances."""
    from deeplimits import engine

    stds, matrix = (0.5, 1.5), [[0.9, 0.1], [0.3, 0.7]]
    layer = L.Stationary([L.Dense(8, "identity", s) for s in stds], matrix)
    depth, samples = 60, 1200
    ds = engine.simulate(layer, torch.ones(1, 8, dtype=F64), depth, ["log_norm"], record=[0, depth], samples=samples, seed=5,
                         progress=False)
    growth = torch.as_tensor((ds.log_norm[:, -1, 0] - ds.log_norm[:, 0, 0]).values) / depth
    f = [math.log(s) for s in stds]
    isotropic = 0.5 * (math.log(2) + float(torch.digamma(torch.tensor(4.0, dtype=F64))) - math.log(8))
    mean = 0.75 * f[0] + 0.25 * f[1]
    assert_within_errors(growth.mean(), growth.std() / samples**0.5, mean + isotropic)
    # Second eigenvalue 0.6: variance of the sum per layer is pi_1 pi_2 (f_1 - f_2)^2 (1 + 2 sum_k 0.6^k (1 - k/L)), plus the layers' own.
    scale = 0.75 * 0.25 * (f[0] - f[1]) ** 2
    own = 0.25 * float(torch.polygamma(1, torch.tensor(4.0, dtype=F64)))
    exact = scale * (1 + 2 * sum(0.6**k * (1 - k / depth) for k in range(1, depth))) + own
    square = depth * (growth - growth.mean()).square()
    assert_within_errors(square.mean(), square.std() / samples**0.5, exact)
    assert exact > 2 * (scale + own) > 0  # dependence of neighbouring layers widens the fluctuations


def test_death_inside_a_chain_is_final():
    """Width 1: a ReLU network dies with probability 1/2 a layer, and the linear layer after it must not revive it."""
    from deeplimits import engine

    layer = L.Chain([L.Dense(1, "relu"), L.Dense(1, "identity", 1.0)])
    ds = engine.simulate(layer, torch.tensor([[1.0], [2.0]], dtype=F64), 12, ["alive"], record=[1, 4, 12], samples=4000, seed=1,
                         progress=False)
    alive = torch.as_tensor(ds.alive.values.astype(float))
    for k, depth in enumerate((1, 4)):
        p = 0.5**depth
        for b in range(2):
            assert_within_errors(alive[:, k, b].mean(), math.sqrt(p * (1 - p) / 4000), p)


def test_dropout_after_relu_kills_both_inputs_or_none_of_one_ray():
    layer = L.Chain([L.Dense(3, "relu"), L.Dropout(3, keep=0.5)])
    T = layer.sample(rng(), samples=3000, dtype=F64)
    x = vectors((1,), 3, rng(1)).expand(3000, 1, 3)
    d = vectors((1,), 3, rng(2)).expand(3000, 1, 3)
    y, _ = T.pair(x, d, torch.zeros(3000, 1, dtype=F64, device="cpu"))
    first, other = T.support
    assert torch.equal(first.any(-1), (y != 0).any(-1))
    truth = T(x + d)
    assert torch.equal(other.any(-1), (truth != 0).any(-1))
    # Survival of one input: some unit is active and kept.
    alive = (truth != 0).any(-1).double().mean()
    p = 1 - 0.75**3
    assert_within_errors(alive, math.sqrt(p * (1 - p) / 3000), p)


def test_one_active_unit_puts_two_inputs_on_a_ray():
    T = L.Chain([L.Dense(2, "relu"), L.Dense(2, "identity")]).sample(rng(), samples=2000, dtype=F64)
    x, d = vectors((1,), 2, rng(1)).expand(2000, 1, 2), 0.1 * vectors((1,), 2, rng(2)).expand(2000, 1, 2)
    T.pair(x, d, torch.zeros(2000, 1, dtype=F64, device="cpu"))
    first, other = T.support
    parallel = ((first | other).sum(-1) <= 1) & first.any(-1) & other.any(-1)
    y, z = T.maps[0](x), T.maps[0](x + d)
    truth = ((y > 0) | (z > 0)).sum(-1) == 1
    truth &= (y > 0).any(-1) & (z > 0).any(-1)
    assert torch.equal(parallel, truth) and truth.any()


def test_fixed_maps_alternate_by_the_hidden_chain():
    parts = [L.Fixed(lambda x: x + 1, 2), L.Fixed(lambda x: -x, 2, metrics=("lp(2)",))]
    layer = L.Stationary(parts, [[0.0, 1.0], [1.0, 0.0]])
    state, x = layer.start(rng(), 50), torch.zeros(50, 1, 2, dtype=F64, device="cpu")
    for _ in range(2):
        x = layer.sample(rng(), samples=50, dtype=F64, state=state)(x)
        state = layer.advance(state, rng())
    first = layer.start(rng(), 50) == 0  # +1 then minus, or minus then +1
    assert torch.equal(x[first], -torch.ones_like(x[first])) and torch.equal(x[~first], torch.ones_like(x[~first]))
    _, d = parts[1].sample(samples=1, dtype=F64).pair(x[:1], torch.ones_like(x[:1]), torch.zeros(1, 1, dtype=F64, device="cpu"))
    assert torch.equal(d, -torch.ones_like(d))
    with pytest.raises(TypeError, match="function"):
        L.Fixed(3, 2)
