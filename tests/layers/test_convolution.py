"""Convolutions against torch's, and spectral norms against dense matrices."""

from __future__ import annotations

import math

import pytest
import torch

import deeplimits.layers as L
from deeplimits import metrics
from deeplimits.layers.convolution import spectral_norm, zero_padded_bound
from tests.layers.catalogue import F64, rng, vectors


def kernel(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=F64, device="cpu")


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("samples", [None, 3])
def test_layer_is_torchs_convolution(padding, samples):
    layer = L.CircularConv2d((6, 5), channels=4, in_channels=3, kernel=(3, 5), bias_std=0.3, activation="tanh", padding=padding)
    T = layer.sample(rng(), samples=samples, dtype=F64)
    x = vectors((3, 2), layer.fan_in, rng(1))
    y = T(x)
    for s in range(3):
        weight, bias = (T.weight, T.bias) if samples is None else (T.weight[s], T.bias[s])
        image = torch.nn.functional.pad(x[s].reshape(2, 3, 6, 5), (2, 2, 1, 1), mode="circular" if padding == "circular" else "constant")
        want = torch.tanh(torch.nn.functional.conv2d(image, weight, bias))
        assert torch.allclose(y[s].reshape(2, 4, 6, 5), want, rtol=1e-11, atol=1e-13)


def test_fresh_kernels_are_a_convolution_when_they_agree():
    fresh = L.CircularConv1d(7, channels=2, kernels="fresh").sample(rng(), samples=2, dtype=F64)
    shared = L.CircularConv1d(7, channels=2).sample(rng(), samples=2, dtype=F64)
    assert fresh.weight.shape == (2, 7, 2, 2, 3)
    fresh.weight = shared.weight.unsqueeze(1).expand(2, 7, 2, 2, 3)
    x = vectors((2, 3), 14, rng(1))
    assert torch.allclose(fresh(x), shared(x), rtol=1e-12, atol=1e-14)
    assert torch.allclose(fresh.spectral_norm(), shared.spectral_norm(), rtol=1e-12)


@pytest.mark.parametrize(("size", "width", "c_out", "c_in"), [
    ((8,), (3,), 2, 3), ((5,), (4,), 1, 1), ((4, 6), (3, 3), 3, 2), ((3, 4), (2, 5), 2, 2)])
def test_fourier_norm_is_that_of_the_dense_matrix(size, width, c_out, c_in):
    layer = (L.CircularConv1d if len(size) == 1 else L.CircularConv2d)(size, c_out, width, in_channels=c_in)
    T = layer.sample(rng(), samples=3, dtype=F64)
    assert torch.allclose(T.spectral_norm(), torch.linalg.matrix_norm(T.matrix(), 2), rtol=1e-12)


def test_fourier_norm_against_power_iteration():
    """3 to 4 channels, 5 by 5 kernel, on 8 by 8 pixels, with torch's own convolution and its transpose."""
    k = kernel(4, 3, 5, 5)
    x = vectors((1,), 192, rng(1)).reshape(1, 3, 8, 8)
    pad = lambda z: torch.nn.functional.pad(z, (2, 2, 2, 2), mode="circular")
    reference = spectral_norm(k, (8, 8)).item()
    x = x / x.norm()
    for _ in range(400):
        y, back = torch.func.vjp(lambda z: torch.nn.functional.conv2d(pad(z), k), x)
        x = back(y)[0]
        norm = x.norm().sqrt().item()
        assert norm <= reference * (1 + 1e-12)
        x = x / x.norm()
        if norm > reference * (1 - 1e-8):
            break
    assert norm == pytest.approx(reference, rel=1e-8)


def test_zero_padding_trap():
    """Kernel [1, 0, -1] on two pixels: the circular convolution vanishes, the zero-padded one has norm 1."""
    k = torch.tensor([[[1.0, 0.0, -1.0]]], dtype=F64, device="cpu")
    T = L.CircularConv1d(2, padding="zeros", activation="identity").sample(dtype=F64)
    T.weight = k
    assert spectral_norm(k, 2).item() == pytest.approx(0.0, abs=1e-15)
    assert T.spectral_norm().item() == pytest.approx(1.0, rel=1e-12)
    assert zero_padded_bound(k, 2).item() == pytest.approx(math.sqrt(3), rel=1e-12)


@pytest.mark.parametrize("size", [(4,), (3, 5)])
def test_zero_padded_bound_is_a_bound(size):
    layer = (L.CircularConv1d if len(size) == 1 else L.CircularConv2d)(size, channels=2, kernel=3, padding="zeros")
    T = layer.sample(rng(), samples=40, dtype=F64)
    exact, bound = T.spectral_norm(), zero_padded_bound(T.weight, size)
    assert (exact <= bound * (1 + 1e-12)).all()
    assert (exact > spectral_norm(T.weight, size)).any()  # the n-grid maximum is no bound


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_normalized_kernels_are_non_expansive(padding):
    layer = L.CircularConv2d((4, 3), channels=2, norm=1.0, bias_std=0.2, padding=padding)
    assert layer.metrics == ("lp(2)",) and L.CircularConv2d(4, norm=1.01).metrics == ()
    T = layer.sample(rng(), samples=500, dtype=F64)
    norms = T.spectral_norm()
    assert (norms <= 1 + 1e-12).all()
    assert padding == "zeros" or torch.allclose(norms, torch.ones_like(norms), rtol=1e-12)
    x, y = vectors((500, 1), 24, rng(1)), vectors((500, 1), 24, rng(2))
    assert (metrics.lp(2)(T(x), T(y)) <= metrics.lp(2)(x, y)).all()


def test_scale_of_the_kernel():
    T = L.CircularConv2d(5, channels=3, kernel=3, weight_std=1.5).sample(rng(), samples=2000, dtype=F64)
    square = T.weight[:, 1, 2, 0, 1].square()
    assert abs(square.mean() - 1.5**2 / 27) <= 4 * square.std() / 2000**0.5


def test_norm_of_a_batch_and_bad_kernels():
    k = kernel(6, 2, 3, 4)
    assert spectral_norm(k, 9).shape == (6,)
    with pytest.raises(ValueError, match="kernel"):
        spectral_norm(kernel(2, 3), 4)
    with pytest.raises(ValueError, match="size"):
        spectral_norm(k, 0)
