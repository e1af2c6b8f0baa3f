r"""Circular convolutions and their exact spectral norm (Part I, *Layer maps and the distances they do not increase*).

Images are flattened: a state has :math:`N = C\,n_1 \cdots n_k` coordinates, channels first, so that ``x.reshape(..., C, H, W)``
is the picture.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from deeplimits import _checks, activations
from deeplimits.layers._maps import ActivatedMap, described, point
from deeplimits.layers.base import ActivatedLayer, normal
from deeplimits.layers.dense import resolve_weight_std

Tensor = torch.Tensor

PADDING = ("circular", "zeros")
KERNELS = ("shared", "fresh")


def _sizes(name: str, value: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, (tuple, list, torch.Size)) else (value,) * ndim
    if len(values) != ndim:
        raise ValueError(f"{name} must be a whole number or {ndim} of them; got {value!r}")
    return tuple(_checks.integer(name, v) for v in values)


def _fold(kernel: Tensor, size: tuple[int, ...]) -> Tensor:
    """The kernel as a periodic array of the image's size; what sticks out wraps around."""
    for i, n in enumerate(size):
        axis = i - len(size)
        turns = -(-kernel.shape[axis] // n)
        pad = [0, 0] * (-axis - 1) + [0, turns * n - kernel.shape[axis]]
        kernel = torch.nn.functional.pad(kernel, pad).unflatten(axis, (turns, n)).sum(dim=axis - 1)
    return kernel


def spectral_norm(kernel: Tensor, size: int | tuple[int, ...]) -> Tensor:
    r"""The exact spectral norm of a circular convolution, :math:`\max_\omega \sigma_{\max}(\hat K(\omega))`.

    The Fourier transform turns the convolution into one :math:`C_{out} \times C_{in}` matrix per frequency. For an image
    that is padded with zeros instead, this is **not** a bound; see :func:`zero_padded_bound`.

    Args:
        kernel: shape ``(..., C_out, C_in, k)`` for one dimension, ``(..., C_out, C_in, k_1, k_2)`` with a pair for ``size``.
        size: size of the image, a number or a pair. A kernel larger than the image wraps around.

    Returns:
        The norms, of the leading shape.

    Source:
        Sedghi, Gupta and Long (2019).

    Example:
        >>> kernel = torch.tensor([[[1.0, 0.0, -1.0]]])
        >>> spectral_norm(kernel, 2).item(), round(zero_padded_bound(kernel, 2).item(), 5)
        (0.0, 1.73205)
    """
    size = _sizes("size", size, len(size) if isinstance(size, (tuple, list)) else 1)
    if _checks.finite("kernel", kernel).ndim < 2 + len(size):
        raise ValueError(f"kernel must have shape (..., C_out, C_in, {', '.join(['k'] * len(size))}); got {tuple(kernel.shape)}")
    axes = tuple(range(-len(size), 0))
    blocks = torch.fft.fftn(_fold(kernel, size), dim=axes)
    blocks = blocks.flatten(-len(size)).movedim(-1, -3)  # (..., frequencies, C_out, C_in)
    return torch.linalg.matrix_norm(blocks, 2).amax(dim=-1)


def zero_padded_bound(kernel: Tensor, size: int | tuple[int, ...]) -> Tensor:
    r"""An upper bound for the spectral norm of a convolution whose image is padded with zeros.

    It is a compression of the circular convolution on an image of :math:`n + \lfloor k/2 \rfloor` per axis (centred
    kernel), whose norm is returned. On the n-grid itself the circular norm may be too small: kernel [1, 0, -1] on two
    pixels has circular norm 0 and zero-padded norm 1.

    Args:
        kernel: as for :func:`spectral_norm`.
        size: as for :func:`spectral_norm`.

    Returns:
        The bounds, of the leading shape.

    Source:
        Sedghi, Gupta and Long (2019) for the circular norm.

    Example:
        >>> round(zero_padded_bound(torch.tensor([[[1.0, 2.0, 1.0]]]), 4).item(), 6)
        4.0
    """
    size = _sizes("size", size, len(size) if isinstance(size, (tuple, list)) else 1)
    if _checks.floating("kernel", kernel).ndim < 2 + len(size):
        raise ValueError(f"kernel must have shape (..., C_out, C_in, {', '.join(['k'] * len(size))}); got {tuple(kernel.shape)}")
    grown = tuple(n + k // 2 for n, k in zip(size, kernel.shape[-len(size):], strict=True))
    return spectral_norm(kernel, grown)


@lru_cache(maxsize=64)
def neighbours(size: tuple[int, ...], kernel: tuple[int, ...], padding: str) -> np.ndarray:
    """For every pixel the flat index of each pixel under the centred kernel; the index one past the end means zero."""
    offsets = itertools.product(*(range(-(k // 2), k - k // 2) for k in kernel))
    table = []
    pixels = list(itertools.product(*map(range, size)))
    for offset in offsets:
        column = []
        for pixel in pixels:
            place = [p + o for p, o in zip(pixel, offset, strict=True)]
            inside = all(0 <= q < n for q, n in zip(place, size, strict=True))
            flat = 0
            for q, n in zip(place, size, strict=True):
                flat = flat * n + q % n
            column.append(flat if inside or padding == "circular" else math.prod(size))
        table.append(column)
    return np.array(table, dtype=np.int64).T.copy()


def gather(x: Tensor, pixels: int, table: Tensor, padding: str) -> Tensor:
    """What every pixel sees: flattened images ``(..., C * pixels)`` become ``(..., C * taps, pixels)``."""
    image = x.unflatten(-1, (-1, pixels))
    if padding == "zeros":
        image = torch.nn.functional.pad(image, (0, 1))
    return image.index_select(-1, table.mT.flatten()).unflatten(-1, (-1, pixels)).flatten(-3, -2)


class _Convolution(ActivatedLayer):
    """Convolutions on a periodic grid of any dimension."""

    _ndim: int

    def __init__(self, size: int | tuple[int, ...], channels: int = 1, kernel: int | tuple[int, ...] = 3,
                 activation: str | activations.Activation = "relu", weight_std: float | str = "he", bias_std: float = 0.0, *,
                 in_channels: int | None = None, norm: float | None = None, padding: str = "circular", kernels: str = "shared",
                 slope: float | None = None):
        self.size = _sizes("size", size, self._ndim)
        self.channels = _checks.integer("channels", channels)
        self.in_channels = self.channels if in_channels is None else _checks.integer("in_channels", in_channels)
        self.kernel = _sizes("kernel", kernel, self._ndim)
        self.activation = activations.get(activation, slope)
        self.initialization = weight_std if isinstance(weight_std, str) else None
        self.bias_std = _checks.nonnegative("bias_std", bias_std)
        self._taps = self.in_channels * math.prod(self.kernel)
        self.weight_std = resolve_weight_std(weight_std, activation=self.activation, width=self.channels * math.prod(self.kernel),
                                             fan_in=self._taps, bias_std=self.bias_std)
        self.norm = None if norm is None else _checks.positive("norm", norm)
        self.padding = _checks.choice("padding", padding, PADDING)
        self.kernels = _checks.choice("kernels", kernels, KERNELS)
        if self.norm is not None and self.kernels == "fresh":
            raise ValueError(f"norm needs kernels='shared': only a shared kernel is diagonal in Fourier space; got norm={norm!r}")
        self.pixels = math.prod(self.size)
        self.width, self.fan_in = self.channels * self.pixels, self.in_channels * self.pixels

    @property
    def formula(self) -> str:
        return r"x \mapsto \varphi(K*x+b),\ \varphi(u)=" + self.activation.formula

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("lp(2)",) if self.norm is not None and self.norm * self.activation.lipschitz <= 1 else ()

    def describe(self) -> dict[str, Any]:
        return described(self, super().describe())

    def load(self, inputs: int) -> int:
        patches = inputs * self.pixels * self._taps
        return max(patches, self.pixels * self.channels * self._taps) if self.kernels == "fresh" else patches

    def patches(self, x: Tensor) -> Tensor:
        """What every pixel sees of images of shape ``(..., fan_in)``: ``(..., C_in * taps, pixels)``."""
        table = torch.as_tensor(neighbours(self.size, self.kernel, self.padding), device=x.device)
        return gather(x, self.pixels, table, self.padding)

    def resized(self, fan_in: int) -> _Convolution:
        """The same layer for images with another number of channels."""
        if fan_in == self.fan_in or fan_in % self.pixels:
            return super().resized(fan_in)  # type: ignore[return-value]
        return type(self)(self.size, self.channels, self.kernel, self.activation, self.initialization or self.weight_std, self.bias_std,
                          in_channels=fan_in // self.pixels, norm=self.norm, padding=self.padding, kernels=self.kernels)

    def _sample(self, generator, samples, dtype, device, state) -> ConvolutionMap:
        batch = () if samples is None else (samples,)
        sites = (self.pixels,) if self.kernels == "fresh" else ()
        draw = normal((*batch, *sites, self.channels, self.in_channels, *self.kernel), generator, dtype, device)
        if self.norm is None:
            weight = draw * (self.weight_std / math.sqrt(self._taps))
        else:
            size = self.size
            size_norm = spectral_norm(draw, size) if self.padding == "circular" else zero_padded_bound(draw, size)
            weight = draw * (self.norm / size_norm).reshape(*batch, *(1,) * (2 + self._ndim))
        bias = self.bias_std * normal((*batch, self.channels), generator, dtype, device) if self.bias_std else None
        return ConvolutionMap(self.activation, weight, bias, self.size, self.padding, self.kernels, samples is not None)


class CircularConv1d(_Convolution):
    r"""A circular convolution :math:`x \mapsto \varphi(K * x + b)` on a ring of n pixels.

    A state is the flattened image, channels first. Kernel entries are :math:`N(0, \sigma_w^2/(C_{in}k))`, one bias per
    channel. With ``norm`` every kernel is rescaled so that the linear map has exactly that spectral norm (with zero padding:
    at most that norm); at most 1 makes the layer non-expansive in :math:`\ell_2` for 1-Lipschitz activations.

    Args:
        size: number n of pixels.
        channels: number of output channels.
        kernel: length k of the kernel, centred at k // 2.
        activation: one of :data:`deeplimits.activations.NAMES`.
        weight_std: :math:`\sigma_w` or the name of an initialization.
        bias_std: :math:`\sigma_b`.
        in_channels: number of input channels; ``channels`` if None.
        norm: spectral norm of the linear map, or None to keep the kernel as drawn.
        padding: ``"circular"`` or ``"zeros"``.
        kernels: ``"shared"`` (a convolution) or ``"fresh"``: an independent kernel at each pixel.
        slope: slope of ``"leaky_relu"``.

    Raises:
        ValueError: an argument out of range; the message names it.

    Source:
        Sedghi, Gupta and Long (2019).

    Example:
        >>> layer = CircularConv1d(8, channels=2, norm=1.0)
        >>> layer.width, layer.metrics
        (16, ('lp(2)',))
    """

    _ndim = 1


class CircularConv2d(_Convolution):
    r"""A circular convolution :math:`x \mapsto \varphi(K * x + b)` on a torus of :math:`n_1 \times n_2` pixels.

    A state is the flattened image, ``x.reshape(..., C, n_1, n_2)``. Arguments as for :class:`CircularConv1d`, where
    ``size`` and ``kernel`` may be pairs.

    Example:
        >>> layer = CircularConv2d((4, 5), channels=3, kernel=3)
        >>> T = layer.sample(generator=torch.Generator().manual_seed(0))
        >>> T(torch.ones(2, 60)).shape, T.weight.shape
        (torch.Size([2, 60]), torch.Size([3, 3, 3, 3]))
    """

    _ndim = 2


class ConvolutionMap(ActivatedMap):
    r"""One convolution; ``weight`` has shape ``(..., C_out, C_in, *kernel)``, with a pixel dimension in front if fresh."""

    def __init__(self, activation: activations.Activation, weight: Tensor, bias: Tensor | None, size: tuple[int, ...],
                 padding: str = "circular", kernels: str = "shared", batched: bool = False):
        self.activation, self.weight, self.bias = activation, weight, bias
        self.size, self.padding, self.kernels = size, padding, kernels
        self._batched, self._pixels = batched, math.prod(size)
        table = neighbours(size, tuple(weight.shape[-len(size):]), padding)
        self._table = torch.tensor(table, dtype=torch.int64, device=weight.device)

    def _patches(self, x: Tensor) -> Tensor:
        """What every pixel sees, shape (..., C_in * taps, pixels)."""
        channels = self.weight.shape[-1 - len(self.size)]
        return gather(point(x, (channels * self._pixels,), self.weight), self._pixels, self._table, self.padding)

    def linear(self, x: Tensor) -> Tensor:
        rows = self.weight.flatten(-1 - len(self.size))  # (..., C_out, C_in * taps)
        patches = self._patches(x)
        if self.kernels == "fresh":
            rows = rows.unsqueeze(-4) if self._batched else rows
            return (rows @ patches.mT.unsqueeze(-1)).squeeze(-1).mT.flatten(-2)
        return ((rows.unsqueeze(-3) if self._batched else rows) @ patches).flatten(-2)

    def _add_bias(self, h: Tensor) -> Tensor:
        if self.bias is None:
            return h
        bias = self.bias.repeat_interleave(self._pixels, dim=-1)
        return h + (bias.unsqueeze(-2) if self._batched else bias)

    def spectral_norm(self) -> Tensor:
        r"""The exact spectral norm of the linear part: by Fourier blocks where it is circular, else from the matrix."""
        if self.padding == "circular" and self.kernels == "shared":
            return spectral_norm(self.weight, self.size)
        return torch.linalg.matrix_norm(self.matrix(), 2)

    def matrix(self) -> Tensor:
        """The linear part as a matrix of shape ``(..., N, N_in)`` (for small images)."""
        fan_in = self.weight.shape[-1 - len(self.size)] * self._pixels
        eye = torch.eye(fan_in, dtype=self.weight.dtype, device=self.weight.device)
        return self.linear(eye.expand(self.weight.shape[0], -1, -1) if self._batched else eye).mT
