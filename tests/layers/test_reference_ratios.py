"""The table of layers and the distances they do not increase: every row by sampling, with its counterexample."""

from __future__ import annotations

import math

import pytest
import torch

import deeplimits.layers as L
from deeplimits import metrics
from deeplimits.layers._maps import operator_norm
from deeplimits.layers.dense import DenseMap
from deeplimits.layers.residual import CombinationMap, GradientStepMap
from tests.layers.catalogue import F64, cone, rng, spd, vectors
from tests.support import assert_within_errors


def tensor(values):
    return torch.tensor(values, dtype=F64, device="cpu")


def eye(n: int) -> torch.Tensor:
    return torch.eye(n, dtype=F64, device="cpu")


def worst(layer, metric, n: int, points, pairs: int = 2000, near: float = 0.3, seed: int = 0) -> float:
    """Largest ratio d(Tx, Ty)/d(x, y) over random pairs, half of them near each other, each with its own map."""
    g = rng(seed)
    x, far = points((pairs, 1), n, g), points((pairs, 1), n, g)
    share = torch.where(torch.arange(pairs, device="cpu") % 2 == 0, 1.0, near).to(F64).reshape(-1, *(1,) * (x.ndim - 1))
    y = x + share * (far - x)
    T = layer.sample(g, samples=pairs, dtype=F64)
    return float((metric(T(x), T(y)) / metric(x, y)).max())


@pytest.mark.parametrize("activation", ["relu", "tanh", "leaky_relu", "hardtanh", "softplus", "identity"])
def test_gradient_step_is_safe_up_to_the_bound(activation):
    layer = L.GradientStep(8, activation, bias_std=0.3, step=2.0)
    assert layer.metrics == ("lp(2)",)
    assert worst(layer, metrics.lp(2), 8, vectors) <= 1 + 1e-9


def test_gradient_step_bound_is_sharp():
    for activation in ("relu", "leaky_relu"):
        layer = L.GradientStep(8, activation, step=2.3)
        assert layer.metrics == ()
        found = metrics.check_semi_invariance(layer, metrics.lp(2), samples=600, maps=2, seed=1)
        assert found.ratio > 1.02 and not found.semi_invariant
        assert found.ratio <= 1.3 + 1e-9  # |1 - h| is the most that a direction can be stretched
    one = GradientStepMap(L.Dense(1).activation, tensor([[1.0]]), step=2.5)
    x, y = tensor([1.0]), tensor([2.0])
    assert abs(one(x) - one(y)).item() == pytest.approx(1.5, rel=1e-12)


def test_gradient_step_with_orthogonal_weights_knows_its_norm():
    layer = L.GradientStep(6, "tanh", weight_std=1.2, weights="orthogonal", norm=None, hidden=9, step=0.9)
    assert layer.metrics == ("lp(2)",)  # 0.9 * 1.44 * 9/6 = 1.944 is still below 2
    T = layer.sample(rng(), dtype=F64)
    assert torch.linalg.matrix_norm(T.weight, 2).item() == pytest.approx(layer.largest_norm, rel=1e-12)
    assert L.GradientStep(6, weight_std=1.2, weights="orthogonal", norm=None, hidden=9, step=0.93).metrics == ()
    assert L.GradientStep(6, norm=None).metrics == ()
    assert L.GradientStep(6, "erf", step=1.9).metrics == ()  # erf has Lipschitz constant 2/sqrt(pi)
    assert L.GradientStep(6, "sin").metrics == ()  # not monotone


def test_residual_layers_have_no_guarantee_but_a_negative_identity_does():
    assert L.Residual(8, "tanh", 0.2).metrics == ()
    assert metrics.check_semi_invariance(L.Residual(8, "relu", 0.5), metrics.lp(2), samples=200, maps=2, steps=10).ratio > 1.05
    relu = L.Dense(4).activation
    for c, most in ((1.0, 1.0), (2.0, 1.0), (2.5, 1.5)):
        T = CombinationMap(DenseMap(relu, -c * eye(4)), 1.0, 1.0)
        found = metrics.check_semi_invariance(T, metrics.lp(2), samples=200, steps=20, dim=4)
        assert found.ratio == pytest.approx(most, abs=1e-6)


@pytest.mark.parametrize("p", [1, 2, math.inf])
def test_contractions_have_their_norm_exactly(p):
    layer = L.Contraction(8, "abs", p=p, norm=0.8, fan_in=5)
    T = layer.sample(rng(), samples=7, dtype=F64)
    norms = torch.linalg.matrix_norm(T.weight, {1: 1, 2: 2, math.inf: math.inf}[p])
    assert torch.allclose(norms, torch.full_like(norms, 0.8), rtol=1e-12)
    assert torch.allclose(operator_norm(T.weight, p), norms, rtol=1e-12)
    assert worst(layer, metrics.lp(p), 5, vectors) <= 0.8 + 1e-9
    assert layer.resized(3).fan_in == 3


def test_spectral_norm_trap():
    """Gaussian weights of scale 1 stretch some direction by nearly 2: a sure bound needs half that."""
    T = L.Dense(400, "identity", 1.0).sample(rng(), dtype=F64)
    assert torch.linalg.matrix_norm(T.weight, 2).item() == pytest.approx(2.0, abs=0.06)


def test_orthogonal_layers():
    layer = L.Dense(8, "abs", 1.0, weights="orthogonal")
    T, x = layer.sample(rng(), dtype=F64), vectors((9,), 8, rng(1))
    assert torch.allclose(T(x).norm(dim=-1), x.norm(dim=-1), rtol=1e-12)
    assert worst(layer, metrics.lp(2), 8, vectors) <= 1 + 1e-9


def test_averaged_of_an_isometry():
    T = L.Averaged(L.Dense(4, "identity", 1.0, weights="orthogonal"), t=0.5)
    assert worst(T, metrics.lp(2), 4, vectors) <= 1 + 1e-9
    assert L.Averaged(L.Positive(4)).metrics == ("thompson",)  # a multiple of x is the same point for Hilbert's distance, until it is averaged


def test_averaged_layers_of_matrices():
    for inner in (L.Congruence(3), L.MatrixPower(3, 0.5), L.MatrixPower(3, -1.0)):
        T = L.Averaged(inner, t=0.4)
        assert T.metrics == ("spd_thompson",)
        assert metrics.check_semi_invariance(T, metrics.spd_thompson, samples=600, maps=2, steps=30).semi_invariant
    root = L.Averaged(L.MatrixPower(3, 0.5), t=0.4)
    assert metrics.check_semi_invariance(root, metrics.spd_hilbert, samples=600, steps=30).ratio > 1.01  # as for vectors


def test_dropout_ratios():
    mask, inverted = L.Dropout(8, keep=0.7, inverted=False), L.Dropout(8, keep=0.7)
    for p in (1, 2, math.inf):
        assert worst(mask, metrics.lp(p), 8, vectors) <= 1 + 1e-12
    assert inverted.metrics == () and worst(inverted, metrics.lp(math.inf), 8, vectors) == pytest.approx(1 / 0.7, rel=1e-9)
    x = vectors((20_000, 1), 8, rng(1))
    growth = inverted.sample(rng(2), samples=20_000, dtype=F64)(x).square().sum(-1) / x.square().sum(-1)
    # The root mean square of the stretch is (1 - p)^(-1/2) = 1.195229.
    assert_within_errors(growth.mean(), growth.std() / len(growth) ** 0.5, 1 / 0.7)
    assert math.sqrt(1 / 0.7) == pytest.approx(1.195229, abs=1e-6)


def test_dropout_mask_is_shared_by_the_inputs_of_a_network():
    y = L.Dropout(50, keep=0.5).sample(rng(), samples=3, dtype=F64)(torch.ones(3, 4, 50, dtype=F64, device="cpu"))
    assert (y == y[:, :1]).all() and (y[0, 0] != y[1, 0]).any()


def test_positive_layers():
    linear = L.Positive(8)
    for metric in (metrics.hilbert, metrics.thompson):
        assert worst(linear, metric, 8, cone) <= 1 + 1e-9
    assert worst(L.Positive(8, bias=1.0), metrics.thompson, 8, cone) < 1
    for r in (2.0, -1.5, 0.5):
        for metric in (metrics.hilbert, metrics.thompson):
            x, y = cone((50,), 3, rng(1)), cone((50,), 3, rng(2))
            power = L.Positive(3).sample(rng(), dtype=F64)
            power.weight, power.power = eye(3), r
            assert torch.allclose(metric(power(x), power(y)), abs(r) * metric(x, y), rtol=1e-9)
    assert L.Positive(8, power=2.0).metrics == () and L.Positive(8, power=-0.5).metrics == ("hilbert", "thompson")


def test_power_ratios_come_close_to_the_exponent():
    near = {r: metrics.check_semi_invariance(L.Positive(8, power=r), metrics.thompson, samples=400, maps=2).ratio for r in (2.0, 0.5)}
    assert 1.99 < near[2.0] <= 2 + 1e-6 and 0.497 < near[0.5] <= 0.5 + 1e-6


def test_a_bias_breaks_the_hilbert_distance():
    x, y = tensor([1.0, 1.0]), tensor([2.0, 2.0])
    T = L.Positive(2).sample(rng(), dtype=F64)
    T.weight, T.bias = eye(2), tensor([1.0, 0.0])
    assert metrics.hilbert(x, y).item() == pytest.approx(0.0, abs=1e-15)
    assert metrics.hilbert(T(x), T(y)).item() == pytest.approx(math.log(4 / 3), rel=1e-12)
    assert metrics.thompson(T(x), T(y)).item() <= metrics.thompson(x, y).item()


def test_birkhoff_bound_of_positive_layers():
    layer = L.Positive(6, entries=("lognormal", 0.7))
    T = layer.sample(rng(), dtype=F64)
    tau = float(metrics.birkhoff(T.weight))
    x, y = cone((4000,), 6, rng(1)), cone((4000,), 6, rng(2))
    assert (metrics.hilbert(T(x), T(y)) / metrics.hilbert(x, y)).max() <= tau + 1e-9
    reference = L.Positive(2).sample(rng(), dtype=F64)
    reference.weight = tensor([[1.0, 2.0], [3.0, 4.0]])
    # The bound is attained in the limit at log(x_1/x_2) = log(8/3)/2: (sqrt 6 - 2)/(sqrt 6 + 2).
    x = tensor([math.exp(0.5 * math.log(8 / 3)), 1.0])
    _, d = reference.pair(x.reshape(1, 1, 2), (x * tensor([1.0, 0.0])).reshape(1, 1, 2), tensor([[-50.0]]))
    change = (d / reference(x)).flatten()
    assert (change.max() - change.min()).item() == pytest.approx((math.sqrt(6) - 2) / (math.sqrt(6) + 2), rel=1e-12)


def test_logarithmic_action_of_positive_layers():
    for layer in (L.Positive(5), L.Positive(5, "tanh", bias=0.5, power=0.5), L.Positive(5, "softplus", fan_in=3)):
        T, x = layer.sample(rng(), samples=2, dtype=F64), cone((2, 4), layer.fan_in, rng(1))
        assert torch.allclose(T.log_action(x.log()), T(x).log(), rtol=1e-11, atol=1e-13)
    far = L.Positive(5).sample(rng(), dtype=F64).log_action(torch.full((5,), -5000.0, dtype=F64, device="cpu"))
    assert torch.isfinite(far).all() and (far + 5000).abs().max() < 3


def test_dirichlet_rows():
    T = L.Positive(6, entries=("dirichlet", 2.0)).sample(rng(), samples=2000, dtype=F64)
    assert torch.allclose(T.weight.sum(-1), torch.ones(2000, 6, dtype=F64, device="cpu"), rtol=1e-12)
    entry = T.weight[:, 0, 0]
    assert_within_errors(entry.mean(), entry.std() / 2000**0.5, 1 / 6)
    exact = 2 * 10 / (12**2 * 13)
    square = (entry - 1 / 6).square()
    assert_within_errors(square.mean(), square.std() / 2000**0.5, exact)
    assert L.Positive(4, entries="dirichlet").metrics == ("hilbert", "thompson", "funk", "lp(inf)", "span")


@pytest.mark.parametrize("entries", [("gaussian", 2.0), ("bernoulli", 0.3)])
def test_max_plus_is_topical(entries):
    layer = L.MaxPlus(6, entries)
    assert worst(layer, metrics.lp(math.inf), 6, vectors) <= 1 + 1e-12
    assert worst(layer, metrics.span, 6, vectors) <= 1 + 1e-12
    T, x = layer.sample(rng(), dtype=F64), vectors((5,), 6, rng(1))
    assert torch.allclose(T(x + 3.5), T(x) + 3.5, rtol=1e-12)


def test_max_plus_drift_of_coins():
    """Two by two, entries Bernoulli(p): the exact drift is r pi_0 + (p + 1/2)(1 - pi_0); 6/7 at p = 1/2."""
    for p in (0.5, 0.2):
        q = 1 - p
        r, a = 1 - q * q, p * p + q * q
        b = r * r + (1 - r) ** 2
        pi = a / (1 - b + a)
        exact = r * pi + (p + 0.5) * (1 - pi)
        layer, g = L.MaxPlus(2, ("bernoulli", p)), rng(4)
        x = torch.zeros(4000, 1, 2, dtype=F64, device="cpu")
        for depth in range(120):
            if depth == 20:
                start = x[:, 0, 0].clone()
            x = layer.sample(g, samples=4000, dtype=F64)(x)
        speed = (x[:, 0, 0] - start) / 100
        assert_within_errors(speed.mean(), speed.std() / 4000**0.5, exact)
    assert exact == pytest.approx(0.4973352, abs=1e-7)


def test_spd_congruence_and_bimap():
    square = L.Congruence(4)
    for metric in (metrics.affine_invariant, metrics.spd_thompson, metrics.spd_hilbert):
        g = rng()
        a, b = spd((500, 1), 4, g), spd((500, 1), 4, g)
        T = square.sample(g, samples=500, dtype=F64)
        assert ((metric(T(a), T(b)) / metric(a, b) - 1).abs()).median() < 1e-9
        assert worst(L.BiMap(2, 4), metric, 4, spd) <= 1 + 1e-7
    assert worst(square, metrics.log_euclidean, 4, spd, 6000) > 1.1
    assert metrics.check_semi_invariance(L.BiMap(3, 4), metrics.log_euclidean, samples=300, maps=2, steps=30).ratio > 1.1
    assert worst(L.Congruence(4, weights="orthogonal"), metrics.log_euclidean, 4, spd) == pytest.approx(1, abs=1e-7)


def test_congruence_on_factors_keeps_what_products_lose():
    T = L.Congruence(3).sample(rng(), samples=2, dtype=F64)
    a = spd((2, 1), 3, rng(1))
    root = T.factor(torch.linalg.cholesky(a))
    assert torch.allclose(root @ root.mT, T(a), rtol=1e-12)


def test_spd_translation_powers_and_rectifier():
    for metric in (metrics.affine_invariant, metrics.spd_thompson):
        assert worst(L.Translation(4), metric, 4, spd) < 1
        assert worst(L.Translation(4, rank=1), metric, 4, spd) <= 1 + 1e-9
        assert worst(L.MatrixPower(4, 0.5), metric, 4, spd) <= 0.5 + 1e-7
    a, b = spd((200,), 4, rng()), spd((200,), 4, rng(1))
    for r in (0.5, -0.3, 2.0):
        T = L.MatrixPower(4, r).sample()
        assert torch.allclose(metrics.log_euclidean(T(a), T(b)), abs(r) * metrics.log_euclidean(a, b), rtol=1e-9)
    rectify = L.ReEig(4, floor=1.0)
    frobenius = torch.linalg.matrix_norm
    T = rectify.sample()
    assert (frobenius(T(a) - T(b)) <= frobenius(a - b) * (1 + 1e-12)).all()
    for metric in (metrics.log_euclidean, metrics.affine_invariant):
        assert worst(rectify, metric, 4, spd) <= 1 + 1e-7


def test_rectifier_may_increase_the_thompson_distance():
    found = metrics.check_semi_invariance(L.ReEig(4, floor=1.0).sample(), metrics.spd_thompson, samples=600, steps=30, dim=4)
    assert found.ratio > 1.01 and not found.semi_invariant


def test_klein_affine_maps():
    layer = L.KleinAffine(5, norm=0.99)
    T = layer.sample(rng(), samples=200, dtype=F64)
    sums = torch.linalg.matrix_norm(T.weight, 2) + T.bias.norm(dim=-1)
    assert torch.allclose(sums, torch.full_like(sums, 0.99), rtol=1e-12)

    def rim(shape, n, g):
        x = vectors(shape, n, g)
        return x / x.norm(dim=-1, keepdim=True) * (1 - 10 ** (-3 * torch.rand(*shape, 1, generator=g, dtype=F64, device="cpu")))

    assert worst(layer, metrics.klein, 5, rim) < 1


def test_softmax_constants():
    T = L.Softmax(2).sample()
    x, d = tensor([[[0.0, 0.0]]]), tensor([[[1.0, -1.0]]])
    _, slope = T.pair(x, d, tensor([[-60.0]]))
    assert (slope.norm() / d.norm()).item() == pytest.approx(0.5, rel=1e-12)
    assert (slope.abs().sum() / d.abs().max()).item() == pytest.approx(1.0, rel=1e-12)
    x, y = vectors((100,), 5, rng()), vectors((100,), 5, rng(1))
    T = L.Softmax(5).sample()
    assert torch.allclose(metrics.hilbert(T(x), T(y)), metrics.span(x, y), rtol=1e-10)
    assert L.Softmax(5, 2.5).metrics == () and worst(L.Softmax(5, 2.0), metrics.lp(2), 5, vectors) <= 1


def test_frozen_attention_shrinks_spans_by_the_dobrushin_coefficient():
    T = L.Attention(6, 4, weight_std=2.0).sample(rng(), dtype=F64)
    tau = float(metrics.dobrushin(T.attention()))
    x = vectors((300,), 24, rng(1))
    before, after = x.unflatten(-1, (6, 4)), T(x).unflatten(-1, (6, 4))
    span = lambda m: m.amax(-2) - m.amin(-2)
    assert (span(after) <= tau * span(before) * (1 + 1e-12)).all()
    assert worst(L.Attention(4, 2), metrics.hilbert, 8, cone) <= 1 + 1e-9


def test_live_attention_shrinks_the_hull_but_is_not_lipschitz():
    layer = L.Attention(6, 4, frozen=False, weight_std=3.0)
    T, x = layer.sample(rng(), dtype=F64), vectors((50,), 24, rng(1))
    before, after = x.unflatten(-1, (6, 4)), T(x).unflatten(-1, (6, 4))
    assert (after.amax(-2) <= before.amax(-2) + 1e-12).all() and (after.amin(-2) >= before.amin(-2) - 1e-12).all()
    assert (torch.cdist(after, after).amax((-1, -2)) <= torch.cdist(before, before).amax((-1, -2)) + 1e-12).all()
    assert torch.allclose(T.freeze(x[0])(x[0]), T(x[0]), rtol=1e-12)
    # Tokens 0, r, -r in one channel: the derivative at the first token is 1/3 + QK 2r^2/3.
    T = L.Attention(3, 1, frozen=False).sample(rng(), dtype=F64)
    for r in (1.0, 10.0, 1000.0):
        x, d = tensor([[[0.0, r, -r]]]), tensor([[[1.0, 0.0, 0.0]]])
        _, slope = T.pair(x, d, tensor([[-100.0]]))
        assert slope[0, 0, 0].item() == pytest.approx(1 / 3 + T.weight.item() * 2 * r * r / 3, rel=1e-12)
