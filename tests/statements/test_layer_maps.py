"""The statements of the chapter *Layer maps and the distances they do not increase*."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import deeplimits as dl
from deeplimits import metrics
from deeplimits.layers.contraction import DropoutMap
from deeplimits.layers.convolution import spectral_norm, zero_padded_bound
from deeplimits.layers.positive import PositiveMap
from tests.support import assert_within_errors

F64 = torch.float64
L2 = metrics.lp(2)


def rng(seed: int) -> torch.Generator:
    return torch.Generator(device="cpu").manual_seed(seed)


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=F64, device="cpu")


def vector(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F64, device="cpu")


def pairs_of_vectors(count: int, n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs at all distances, from far apart to nearly equal."""
    x, d = normals(2, count, n, seed=seed)
    return x, x + d * 10 ** (-4 * torch.linspace(0, 1, count, dtype=F64, device="cpu")).unsqueeze(-1)


def largest(layer_map, metric: metrics.Metric, x: torch.Tensor, y: torch.Tensor) -> float:
    return float((metric(layer_map(x), layer_map(y)) / metric(x, y)).max())


@pytest.mark.statement("prop-lipschitz-dense")
@pytest.mark.parametrize("p", [1, 2, math.inf])
def test_a_dense_layer_is_as_expansive_as_its_norm(p):
    x, y = pairs_of_vectors(2000, 6)
    for k, name in enumerate(("relu", "leaky_relu", "abs", "tanh", "sin", "hardtanh", "softplus")):
        T = dl.Contraction(6, name, p=p, bias_std=0.7).sample(rng(k), dtype=F64)
        assert largest(T, metrics.lp(p), x, y) <= 1 + 1e-9
    # The norm is the one that the statement names: it is attained by the linear layer.
    W = normals(6, 6, seed=9)
    column, row = W.abs().sum(0), W.abs().sum(1)
    _, sigma, right = torch.linalg.svd(W)
    norm = {1: column.max(), 2: sigma[0], math.inf: row.max()}[p]
    unit = torch.eye(6, dtype=F64, device="cpu")[column.argmax()]
    worst = {1: unit, 2: right[0], math.inf: W[row.argmax()].sign()}[p]
    zero = torch.zeros(6, dtype=F64, device="cpu")
    assert float(metrics.lp(p)(W @ worst, zero) / metrics.lp(p)(worst, zero)) == pytest.approx(float(norm), rel=1e-12)


@pytest.mark.statement("prop-lipschitz-dense")
def test_orthogonal_layers_need_no_condition():
    x, y = pairs_of_vectors(2000, 6)
    for k, name in enumerate(("relu", "abs", "tanh")):
        assert largest(dl.Dense(6, name, 1.0, 0.5, "orthogonal").sample(rng(k), dtype=F64), L2, x, y) <= 1 + 1e-9


@pytest.mark.statement("prop-spectral-norm-trap")
def test_worst_and_typical_stretch_of_a_gaussian_matrix():
    norms = {n: torch.linalg.matrix_norm(normals(12, n, n, seed=n) / n**0.5, 2) for n in (64, 256)}
    gaps = {n: 2 - float(v.mean()) for n, v in norms.items()}
    assert 0 < gaps[256] < gaps[64] < 0.15
    # The gap closes like N^(-2/3), with the mean -1.2065 of the Tracy-Widom law of order 1.
    for n, v in norms.items():
        root = math.sqrt(n - 1) + math.sqrt(n)
        square = root**2 - 1.2065 * root * (1 / math.sqrt(n - 1) + 1 / math.sqrt(n)) ** (1 / 3)
        assert abs(float(v.square().mean()) - square / n) <= 4 * float(v.square().std()) / 12**0.5 + 1 / n
    for n in (4, 64):
        logs = (1.3 * normals(20_000, n, seed=n) / n**0.5).norm(dim=1).log()
        exact = math.log(1.3) + 0.5 * (math.log(2 / n) + float(torch.special.digamma(vector(n / 2))))
        assert_within_errors(logs.mean(), logs.std() / 20_000**0.5, exact)
        assert dl.ergodic.lyapunov_exponent(dl.Dense(n, "identity", 1.3)).value == pytest.approx(exact, rel=1e-10)
    assert math.exp(exact) == pytest.approx(1.3, rel=0.01)


def gradient_step(width: int, activation: str, step: float, norm: float, seed: int = 0):
    return dl.GradientStep(width, activation, bias_std=0.4, step=step, norm=norm).sample(rng(seed), dtype=F64)


@pytest.mark.statement("prop-gradient-step")
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "hardtanh", "softplus"])
def test_gradient_steps_up_to_two_over_the_squared_norm(activation):
    x, y = pairs_of_vectors(2000, 5)
    for norm in (0.5, 1.0, 3.0):
        for share in (0.3, 1.0):
            T = gradient_step(5, activation, share * 2 / norm**2, norm)
            assert largest(T, L2, x, y) <= 1 + 1e-9


@pytest.mark.statement("prop-gradient-step")
@pytest.mark.parametrize("norm", [0.7, 1.0, 2.0])
def test_the_bound_on_the_step_is_sharp(norm):
    for step in (2.3 / norm**2, 3 / norm**2):
        T = gradient_step(12, "relu", step, norm)
        x = torch.linalg.solve(T.weight, 1 - T.bias)  # all units are on
        y = x + 1e-3 * torch.linalg.svd(T.weight).Vh[0]
        assert largest(T, L2, x[None], y[None]) == pytest.approx(step * norm**2 - 1, rel=1e-9)


@pytest.mark.statement("prop-gradient-step")
def test_the_hypotheses_of_the_gradient_step_are_needed():
    """The absolute value is not increasing: with all units off the factor is 1 + h."""
    T = gradient_step(12, "abs", 0.5, 1.0)
    x = torch.linalg.solve(T.weight, -1 - T.bias)
    y = x + 1e-3 * torch.linalg.svd(T.weight).Vh[0]
    assert largest(T, L2, x[None], y[None]) == pytest.approx(1.5, rel=1e-9)


@pytest.mark.statement("prop-positive-hilbert")
def test_non_negative_matrices_and_the_metrics_of_the_cone():
    x, y = (v.exp() for v in pairs_of_vectors(2000, 5))
    for seed in range(6):
        W = normals(4, 5, seed=seed).clamp(min=0)  # about half of the entries vanish
        W[:, seed % 5] += 0.1 * (W.sum(1) == 0)  # but no row
        W = 10.0**seed * W
        f, fx = metrics.funk, (x @ W.T, y @ W.T)
        assert (f(*fx) <= f(x, y) + 1e-12).all()
        assert (metrics.hilbert(*fx) <= metrics.hilbert(x, y) + 1e-12).all()
        assert (metrics.thompson(*fx) <= metrics.thompson(x, y) + 1e-12).all()
    assert torch.allclose(metrics.hilbert(x, y), f(x, y) + f(y, x), rtol=1e-12)
    assert torch.allclose(metrics.thompson(x, y), torch.maximum(f(x, y), f(y, x)), rtol=1e-12)
    mixed = vector(1.0, -0.5, 0.5).diag() + 1.0  # one negative entry: order is lost
    mixed[0, 2] = -0.9
    x, y = (v.exp() for v in pairs_of_vectors(2000, 3, seed=2))
    inside = ((x @ mixed.T > 0) & (y @ mixed.T > 0)).all(-1)
    assert largest(lambda z: z @ mixed.T, metrics.hilbert, x[inside], y[inside]) > 1.05


@pytest.mark.statement("prop-thompson-subhomogeneous")
@pytest.mark.parametrize("activation", ["identity", "tanh", "softplus", "hardtanh"])
def test_monotone_subhomogeneous_layers(activation):
    x, y = (v.exp() for v in pairs_of_vectors(2000, 5))
    for seed in range(3):
        W = normals(5, 5, seed=seed).clamp(min=0) + 0.1 * torch.eye(5, dtype=F64, device="cpu")
        T = PositiveMap(0.3 * W, normals(5, seed=seed + 9).abs(), activation)
        assert largest(T, metrics.thompson, x, y) <= 1 + 1e-7
        assert (T(x) <= T(1.5 * x) + 1e-15).all() and (T(1.5 * x) <= 1.5 * T(x) + 1e-12).all()


@pytest.mark.statement("prop-thompson-subhomogeneous")
def test_hypotheses_of_thompsons_distance_are_needed():
    x, y, c = vector(1.0, 1.0), vector(2.0, 2.0), vector(1.0, 0.0)
    assert float(metrics.hilbert(x, y)) == 0
    assert float(metrics.hilbert(x + c, y + c)) == pytest.approx(math.log(4 / 3), rel=1e-12)
    # Monotone but not subhomogeneous: the square doubles every distance.
    assert float(metrics.thompson(x**2, y**2)) == pytest.approx(2 * math.log(2), rel=1e-12)


@pytest.mark.statement("prop-dropout")
def test_masks_and_inverted_dropout_over_all_masks():
    keep, (x, y) = 0.7, pairs_of_vectors(50, 5)
    mean = torch.zeros(50, dtype=F64, device="cpu")
    for bits in itertools.product((0.0, 1.0), repeat=5):
        mask = vector(*bits)
        for p in (1, 1.5, 2, math.inf):
            assert largest(DropoutMap(mask), metrics.lp(p), x, y) <= 1 + 1e-12
            if any(bits):
                one = torch.eye(5, dtype=F64, device="cpu")[int(mask.argmax())][None]
                assert largest(DropoutMap(mask, 1 / keep), metrics.lp(p), 0 * one, one) == pytest.approx(1 / keep, rel=1e-12)
                assert largest(DropoutMap(mask, 1 / keep), metrics.lp(p), x, y) <= (1 + 1e-12) / keep
        weight = math.prod(keep if bit else 1 - keep for bit in bits)
        inverted = DropoutMap(mask, 1 / keep)
        mean += weight * L2(inverted(x), inverted(y)).square()
    assert torch.allclose(mean, L2(x, y).square() / keep, rtol=1e-10)


def matrix_of(kernel: torch.Tensor, size: int, padding: str) -> torch.Tensor:
    """The convolution of square images as a matrix, by torch's own convolution of the unit images."""
    channels, half = kernel.shape[1], kernel.shape[-1] // 2
    images = torch.eye(channels * size**2, dtype=F64, device="cpu").reshape(-1, channels, size, size)
    images = torch.nn.functional.pad(images, (half,) * 4, mode=padding)
    return torch.nn.functional.conv2d(images, kernel).flatten(1).T


@pytest.mark.statement("prop-convolution-norm")
@pytest.mark.parametrize(("size", "k"), [(4, 3), (5, 3), (5, 5)])
def test_norms_of_convolutions(size, k):
    for seed in range(12):
        kernel = normals(3, 2, k, k, seed=seed)
        circular = torch.linalg.matrix_norm(matrix_of(kernel, size, "circular"), 2)
        assert float(spectral_norm(kernel, (size, size))) == pytest.approx(float(circular), rel=1e-10)
        zeros = torch.linalg.matrix_norm(matrix_of(kernel, size, "constant"), 2)
        grown = torch.linalg.matrix_norm(matrix_of(kernel, size + k // 2, "circular"), 2)
        assert zeros <= grown * (1 + 1e-12)
        assert float(zero_padded_bound(kernel, (size, size))) == pytest.approx(float(grown), rel=1e-10)


@pytest.mark.statement("prop-convolution-norm")
def test_the_zero_padding_trap():
    kernel = vector(1.0, 0.0, -1.0).reshape(1, 1, 3)
    images = torch.eye(2, dtype=F64, device="cpu").unsqueeze(1)
    padded = torch.nn.functional.conv1d(images, kernel, padding=1).flatten(1)
    wrapped = torch.nn.functional.conv1d(torch.nn.functional.pad(images, (1, 1), mode="circular"), kernel).flatten(1)
    assert float(torch.linalg.matrix_norm(padded, 2)) == pytest.approx(1, rel=1e-12)
    assert float(wrapped.abs().max()) == 0 == float(spectral_norm(kernel, 2))
    # The second difference on seven pixels: 2 - 2 cos(7 pi/8) with zeros, 2 - 2 cos(6 pi/7) on a ring.
    second = vector(-1.0, 2.0, -1.0).reshape(1, 1, 3)
    matrix = torch.nn.functional.conv1d(torch.eye(7, dtype=F64, device="cpu").unsqueeze(1), second, padding=1).flatten(1)
    assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(2 - 2 * math.cos(7 * math.pi / 8), rel=1e-12)
    assert float(spectral_norm(second, 7)) == pytest.approx(2 - 2 * math.cos(6 * math.pi / 7), rel=1e-12)


@pytest.mark.statement("prop-compose")
def test_distances_never_rise_along_semi_invariant_layers():
    block = dl.Chain([dl.Dense(8, "tanh", 1.0, 0.2, weights="orthogonal"), dl.Dropout(8, 0.9, inverted=False),
                      dl.GradientStep(8, "relu", bias_std=0.3, step=2.0)])
    ds = dl.simulate(block, normals(2, 8, seed=3), depth=20, observe=["log_distance"], samples=50, progress=False)
    logs = ds["log_distance"].isel(input=1).values
    assert np.isfinite(logs).all() and (np.diff(logs, axis=1) <= 1e-9).all()
    other = dl.simulate(dl.Dense(8), normals(2, 8, seed=3), depth=20, observe=["log_distance"], samples=50, progress=False)
    logs = other["log_distance"].isel(input=1).values[:, :4]
    assert (np.diff(logs[np.isfinite(logs).all(1)], axis=1) > 0.1).any()


@pytest.mark.statement("prop-compose")
def test_averages_for_norms_and_for_thompson_but_not_for_hilbert():
    x, y = pairs_of_vectors(1000, 5)
    isometry = torch.linalg.qr(normals(5, 5)).Q
    for t in (0.2, 0.5, 0.9):
        mixed = lambda z, t=t: (1 - t) * torch.relu(z) + t * (z @ isometry)
        assert largest(mixed, L2, x, y) <= 1 + 1e-9
        inverse = lambda z, t=t: (1 - t) * z + t / z
        assert largest(inverse, metrics.thompson, x.exp(), y.exp()) <= 1 + 1e-7
    # x and 1/x both keep Hilbert's distance; their average moves a ray: log(17/8) from 0.
    x = vector(2.0, 0.5)
    assert float(metrics.hilbert(x, 2 * x)) == pytest.approx(0, abs=1e-15) == float(metrics.hilbert(1 / x, 0.5 / x))
    half = lambda z: (z + 1 / z) / 2
    assert float(metrics.hilbert(half(x), half(2 * x))) == pytest.approx(math.log(17 / 8), rel=1e-12)
