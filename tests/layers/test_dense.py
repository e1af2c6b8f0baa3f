"""Dense layers: initializations, laws of the weights, Haar measure, and the law route against the weights."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

import deeplimits.layers as L
from deeplimits import moments
from deeplimits.layers.dense import haar, resolve_weight_std, triangular
from tests.layers.catalogue import F64, rng, vectors
from tests.support import assert_within_errors, no_implicit_device


def mean_and_error(values: torch.Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def test_table_of_initializations():
    assert resolve_weight_std("he", width=64) == pytest.approx(math.sqrt(2), rel=1e-14)
    assert resolve_weight_std("he", activation="leaky_relu", slope=0.5, width=64) == pytest.approx(math.sqrt(2 / 1.25), rel=1e-14)
    assert resolve_weight_std("he", activation="tanh", width=64) == pytest.approx(math.sqrt(2), rel=1e-14)
    for name in ("glorot", "xavier"):
        assert resolve_weight_std(name, width=30, fan_in=10) == pytest.approx(math.sqrt(20 / 40), rel=1e-14)
        assert resolve_weight_std(name, width=30) == 1.0
    assert resolve_weight_std("lecun", width=9) == 1.0
    assert resolve_weight_std("torch", width=9) == pytest.approx(1 / math.sqrt(3), rel=1e-14)
    assert resolve_weight_std("critical", activation="tanh", bias_std=0.3, width=9) == pytest.approx(1.395584, abs=1e-6)
    assert resolve_weight_std("critical", activation="relu", width=9) == pytest.approx(math.sqrt(2), rel=1e-10)
    assert resolve_weight_std(1.7, width=3) == 1.7


@pytest.mark.parametrize(("slope", "width", "gaussian", "orthogonal"), [
    (0.0, 2, 2.11849505, 1.58740105), (0.0, 64, 1.44286092, 1.43157424),
    (0.1, 8, 1.69772963, 1.59074665), (0.5, 256, 1.26872255, 1.26624377)])
def test_lyapunov_initialization(slope, width, gaussian, orthogonal):
    activation, a = ("relu", None) if slope == 0 else ("leaky_relu", slope)
    for weights, value in (("gaussian", gaussian), ("orthogonal", orthogonal)):
        layer = L.Dense(width, activation, "lyapunov", weights=weights, slope=a)
        assert layer.weight_std == pytest.approx(value, abs=6e-9) and layer.initialization == "lyapunov"


@pytest.mark.parametrize("layer", [L.Dense(6, "identity", 1.3, fan_in=4), L.Dense(6, "identity", 1.3, weights="orthogonal", fan_in=4),
                                   L.Dense(4, "identity", 1.3, weights="orthogonal", fan_in=6), L.Dense(6, "identity", "torch", fan_in=4)])
def test_entries_have_the_variance_of_their_scale(layer):
    w = layer.sample(rng(), samples=4000, dtype=F64).weight
    for i, j in ((0, 0), (3, 2)):
        assert_within_errors(*mean_and_error(w[:, i, j]), 0.0)
        assert_within_errors(*mean_and_error(w[:, i, j].square()), layer.weight_std**2 / layer.fan_in)
    assert_within_errors(*mean_and_error(w[:, 0, 0] * w[:, 1, 0]), 0.0)


def test_orthogonal_weights_are_orthogonal():
    for width, fan_in in ((5, 5), (4, 7), (7, 4)):
        layer = L.Dense(width, "identity", 0.8, weights="orthogonal", fan_in=fan_in)
        w = layer.sample(rng(), samples=3, dtype=F64).weight
        gram = w @ w.mT if width <= fan_in else w.mT @ w
        assert torch.allclose(gram, layer.gain**2 * torch.eye(min(width, fan_in), dtype=F64, device="cpu").expand_as(gram), atol=1e-12)


def test_haar_matrices_are_uniform_on_the_orthogonal_group():
    """Without the sign fix, QR would favour one sign of the diagonal; with it traces have the moments of Haar measure."""
    q = haar((20_000, 3, 3), rng(), F64, torch.device("cpu"))
    trace = q.diagonal(dim1=-2, dim2=-1).sum(-1)
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0)):
        assert_within_errors(*mean_and_error(trace**power), moment)
    assert_within_errors(*mean_and_error(torch.linalg.det(q)), 0.0)
    # A column is uniform on the sphere: in three dimensions each coordinate is uniform on [-1, 1].
    for i, j in ((0, 0), (2, 1), (2, 2)):
        assert stats.kstest(q[:4000, i, j].numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3
    # Invariance: multiplying by a fixed rotation leaves the law of an entry as it was.
    turn = torch.linalg.qr(vectors((3,), 3, rng(9)))[0]
    assert stats.kstest((turn @ q[:4000])[:, 1, 2].numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3


def test_triangular_factor():
    rows = vectors((5, 3), 7, rng())
    r, q = triangular(rows)
    assert torch.allclose(r.mT @ q, rows, rtol=1e-12, atol=1e-13)
    assert torch.allclose(q @ q.mT, torch.eye(3, dtype=F64, device="cpu").expand(5, 3, 3), atol=1e-12)
    assert torch.equal(r, r.triu())
    near = rows.clone()
    near[:, 1] = near[:, 0] + 1e-10 * near[:, 1]
    across = rows[:, 1] - (rows[:, 1] * rows[:, 0]).sum(-1, keepdim=True) / rows[:, 0].square().sum(-1, keepdim=True) * rows[:, 0]
    assert torch.allclose(triangular(near)[0][:, 1, 1], 1e-10 * across.norm(dim=-1), rtol=1e-4)


LAYERS = {
    "gaussian": L.Dense(8, "leaky_relu", 1.5, 0.2, slope=0.3),
    "orthogonal": L.Dense(8, "tanh", 1.3, 0.2, weights="orthogonal"),
    "wide to narrow": L.Dense(5, "tanh", 1.2, weights="orthogonal", fan_in=8),
    "narrow to wide": L.Dense(12, "relu", 1.2, weights="orthogonal", fan_in=8),
    "rectangular": L.Dense(12, "relu", fan_in=8),
    "chain": L.Chain([L.Dense(10, "relu", fan_in=8), L.Dropout(10, keep=0.8), L.Residual(10, "tanh", 1.0, 0.1),
                      L.Dense(4, "abs", fan_in=10)]),
    "averaged": L.Averaged(L.Dense(8, "sin", 1.4), t=0.6),
    "stationary": L.Stationary([L.Dense(8, "relu"), L.Dense(8, "tanh", 0.7, 0.3)], [[0.6, 0.4], [0.2, 0.8]]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_law_route_and_weights_agree_in_law(name):
    layer, samples = LAYERS[name], 8000
    assert layer.has_law
    x0 = vectors((3,), 8, rng(7)).expand(samples, 3, 8)
    by_law = layer.law(rng(1), samples=samples, dtype=F64)(x0)
    by_weights = layer.sample(rng(2), samples=samples, dtype=F64)(x0)

    def watch(y):
        return torch.stack([y[:, 0, 0], y[:, 0].square().sum(-1), (y[:, 0] * y[:, 1]).sum(-1), (y[:, 1] - y[:, 2]).norm(dim=-1),
                            y[:, 0, 0] * y[:, 1, 0] * y[:, 2, 0], y[:, 2, 0] * y[:, 2, 1]], dim=1)

    for a, b in zip(watch(by_law).T, watch(by_weights).T, strict=True):
        (first, error), (second, other) = mean_and_error(a), mean_and_error(b)
        assert_within_errors(first, error, second, other)


@pytest.mark.parametrize("name", ["gaussian", "orthogonal", "chain", "stationary"])
def test_law_route_carries_differences(name):
    layer, samples = LAYERS[name], 6000
    g = rng(7)
    x, d = vectors((1,), 8, g).expand(samples, 1, 8), vectors((2,), 8, g).expand(samples, 2, 8)
    for log_scale in (-1.0, -600.0):
        s = torch.full((samples, 2), log_scale, dtype=F64, device="cpu")
        logs = []
        for maker, seed in ((layer.law, 1), (layer.sample, 2)):
            y, quotient = maker(rng(seed), samples=samples, dtype=F64).pair(x, d, s)
            logs.append(torch.cat([(quotient.norm(dim=-1) + 1e-3).log(), (quotient * y).sum(-1)], dim=1))
        for a, b in zip(logs[0].T, logs[1].T, strict=True):
            (first, error), (second, other) = mean_and_error(a), mean_and_error(b)
            assert_within_errors(first, error, second, other)


def test_law_route_gives_the_exact_mean_log_norm():
    layer = L.Dense(16, "leaky_relu", "he", slope=0.1)
    x = vectors((1,), 16, rng(3)).expand(20_000, 1, 16)
    step = (layer.law(rng(), samples=20_000, dtype=F64)(x).norm(dim=-1) / x.norm(dim=-1)).log().squeeze(-1)
    assert_within_errors(*mean_and_error(step), -0.08466821)
    square = (step + 0.08466821).square()
    assert_within_errors(*mean_and_error(square), 0.09820364)
    assert -0.08466821 == pytest.approx(0.5 * (moments.mean_log_square(16, 0.1) - math.log(16)) + math.log(layer.weight_std), abs=1e-8)


def test_law_route_limits():
    orthogonal = L.Dense(3, weights="orthogonal")
    with pytest.raises(ValueError, match="at most fan_in=3"):
        orthogonal.law(rng(), samples=2, dtype=F64)(vectors((2, 4), 3, rng()))
    with pytest.raises(ValueError, match="no law route"):
        L.GradientStep(3).law(rng(), samples=2)
    with pytest.raises(ValueError, match="no law route"):
        L.Dense(3, weight_std="torch").law(rng(), samples=2)
    many = L.Dense(3, "identity", 1.0).law(rng(), samples=4, dtype=F64)(vectors((4, 6), 3, rng()))
    assert torch.linalg.matrix_rank(many).tolist() == [3] * 4  # six inputs of three coordinates stay in three dimensions
    with no_implicit_device():
        L.Dense(4, weights="orthogonal", bias_std=0.1).law(rng(), samples=2, dtype=F64)(vectors((2, 3), 4, rng()))


def test_resized_keeps_the_initialization():
    layer = L.Dense(8, "tanh", "glorot", 0.1)
    first = layer.resized(64)
    assert (first.fan_in, first.width, first.initialization) == (64, 8, "glorot")
    assert first.weight_std == pytest.approx(math.sqrt(2 * 64 / 72), rel=1e-14) and layer.resized(8) is layer
    leaky = L.Dense(8, "leaky_relu", slope=0.3).resized(3)
    assert leaky.activation.slope == 0.3


@pytest.mark.parametrize(("make", "message"), [
    (lambda: L.Dense(0), "width must be a whole number of at least 1; got 0"),
    (lambda: L.Dense(2.5), "width"),
    (lambda: L.Dense(4, fan_in=-1), "fan_in"),
    (lambda: L.Dense(4, weight_std=-1), "weight_std must be positive or one of 'he'.*got -1"),
    (lambda: L.Dense(4, weight_std=0), "weight_std"),
    (lambda: L.Dense(4, weight_std=math.nan), "weight_std"),
    (lambda: L.Dense(4, weight_std="kaiming"), "weight_std must be one of .*'kaiming'"),
    (lambda: L.Dense(4, bias_std=-0.1), "bias_std"),
    (lambda: L.Dense(4, "gelu"), "activation must be one of .*'gelu'"),
    (lambda: L.Dense(4, weights="uniform"), "weights"),
    (lambda: L.Dense(4, "relu", slope=0.1), "slope"),
    (lambda: L.Dense(4, "leaky_relu", slope=math.inf), "slope"),
    (lambda: L.Dense(4, weight_std="lyapunov", bias_std=0.1), "bias_std"),
    (lambda: L.Dense(4, weight_std="torch", weights="orthogonal"), "weight_std='torch'"),
    (lambda: L.Residual(), "width or inner"),
    (lambda: L.Residual(4, inner=L.Dense(4)), "width or inner"),
    (lambda: L.Residual(4, step=math.nan), "step"),
    (lambda: L.Residual(inner=L.Dense(4, fan_in=3)), "inner"),
    (lambda: L.Residual(inner=4), "inner must be a layer"),
    (lambda: L.Averaged(L.Dense(4), t=1.2), "t must lie between 0 and 1"),
    (lambda: L.GradientStep(4, step=-1), "step"),
    (lambda: L.GradientStep(4, norm=0), "norm"),
    (lambda: L.GradientStep(4, hidden=0), "hidden"),
    (lambda: L.Contraction(4, p=3), "p must be 1, 2 or math.inf"),
    (lambda: L.Contraction(4, norm=-2), "norm"),
    (lambda: L.KleinAffine(4, norm=1.5), "norm"),
    (lambda: L.Dropout(4, keep=0), "keep"),
    (lambda: L.Dropout(4, keep=1.5), "keep"),
    (lambda: L.Dropout(4, inverted=1), "inverted"),
    (lambda: L.CircularConv1d(0), "size"),
    (lambda: L.CircularConv2d((4, 4, 4)), "size"),
    (lambda: L.CircularConv1d(4, channels=0), "channels"),
    (lambda: L.CircularConv1d(4, kernel=0), "kernel"),
    (lambda: L.CircularConv1d(4, padding="reflect"), "padding"),
    (lambda: L.CircularConv1d(4, kernels="mine"), "kernels"),
    (lambda: L.CircularConv1d(4, kernels="fresh", norm=1.0), "norm"),
    (lambda: L.Positive(4, "sin"), "activation"),
    (lambda: L.Positive(4, entries="gaussian"), "entries"),
    (lambda: L.Positive(4, entries=("uniform", 2.0, 1.0)), "entries"),
    (lambda: L.Positive(4, entries=("uniform", 2.0)), "entries"),
    (lambda: L.Positive(4, entries=("lognormal", -1.0)), "entries"),
    (lambda: L.Positive(4, bias=-1.0), "bias"),
    (lambda: L.Positive(4, power=0), "power"),
    (lambda: L.MaxPlus(4, ("bernoulli", 1.5)), "entries"),
    (lambda: L.MaxPlus(0), "width"),
    (lambda: L.Congruence(3, weight_std=0), "weight_std"),
    (lambda: L.BiMap(4, 3), "fan_in"),
    (lambda: L.Translation(3, rank=0), "rank"),
    (lambda: L.MatrixPower(3, 0), "power"),
    (lambda: L.ReEig(3, floor=0), "floor"),
    (lambda: L.Softmax(3, 0), "sharpness"),
    (lambda: L.Attention(0, 2), "tokens"),
    (lambda: L.Attention(2, 2, frozen="yes"), "frozen"),
    (lambda: L.Chain([]), "layers"),
    (lambda: L.Chain(L.Dense(3)), "layers"),
    (lambda: L.Chain([L.Dense(3), L.Dense(4)]), "layers must fit together"),
    (lambda: L.Chain([L.Dense(3), "relu"]), "layers"),
    (lambda: L.Stationary([L.Dense(3), L.Dense(4)], [[1, 0], [0, 1]]), "same sizes"),
    (lambda: L.Stationary([L.Dense(3), L.Dense(3)], [[0.5, 0.5]]), "transition"),
    (lambda: L.Stationary([L.Dense(3), L.Dense(3)], [[0.5, 0.6], [0, 1]]), "transition"),
    (lambda: L.Stationary([L.Dense(3), L.Dense(3)], [[1.5, -0.5], [0, 1]]), "transition"),
    (lambda: L.Stationary([L.Dense(3), L.Dense(3)], [[1, 0], [0, 1]]), "single stationary law"),
])
def test_bad_arguments_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
