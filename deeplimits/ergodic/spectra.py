"""Lyapunov spectra and singular values of long products, by batched QR (Part II, *Lyapunov spectra*)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deeplimits import _checks, devices
from deeplimits.engine.streams import stream
from deeplimits.layers.base import Layer
from deeplimits.layers.dense import triangular
from deeplimits.layers.spd import Congruence

Tensor = torch.Tensor
#: A logarithmic step so small that the difference quotient of a layer map is its derivative.
INFINITESIMAL = -1e6


@dataclass(frozen=True)
class LyapunovSpectrum:
    """Estimated exponents, largest first, with standard errors over independent networks.

    Attributes:
        values: shape (count,), in nats per layer; minus infinity where the derivative loses that rank.
        se: standard errors, shape (count,); 0.0 beside minus infinity.
        depth: number of layers averaged over.
        samples: number of networks that survived, of those drawn.
        drawn: number of networks drawn.
    """

    values: np.ndarray
    se: np.ndarray
    depth: int
    samples: int
    drawn: int


def factor(rows: Tensor) -> tuple[Tensor, Tensor]:
    """``rows = R^T Q`` with orthonormal rows Q: the logarithms of the diagonal of R, and Q; batched."""
    if rows.shape[-2] <= 12:  # batched Gram-Schmidt beats a loop over small LAPACK calls
        r, q = triangular(rows)
    else:
        q, r = torch.linalg.qr(rows.mT)
        q = q.mT
    return torch.log(torch.diagonal(r, dim1=-2, dim2=-1).abs()), q


Source = Layer | Callable[[torch.Generator, int], Tensor]


def check_source(source: Any) -> None:
    if not isinstance(source, Layer) and not callable(source):
        raise TypeError(
            f"layer must be a random layer or a function (generator, samples) -> matrices; got {type(source).__name__}"
        )


def lyapunov_spectrum(
    layer: Source,
    depth: int,
    samples: int = 64,
    seed: int = 0,
    *,
    count: int | None = None,
    x0: Tensor | None = None,
    burn: int | None = None,
    device: Any = None,
) -> LyapunovSpectrum:
    r"""Estimate Lyapunov exponents by QR along many independent networks at once.

    .. math:: A_l Q_{l-1} = Q_l R_l, \qquad \hat\lambda_k = \frac1n\sum_{l} \log |(R_l)_{kk}|,

    where :math:`A_l` is the derivative of layer l at the orbit of ``x0`` (for a linear layer, its matrix; for a congruence
    :math:`A \mapsto MAM^\top`, the matrix M). Exact
    derivatives are taken through the layer map's own difference form. The orbits of positively homogeneous layers
    are rescaled, so nothing overflows. Runs in float64.

    Args:
        layer: a random layer acting on vectors; or a function ``(generator, samples)`` that returns matrices of
            shape (samples, N, N), drawn on the CPU, for bare products.
        depth: number of layers averaged over, after the burn-in.
        samples: independent networks, at least 2; they give the standard errors.
        seed: the result is a function of the arguments and this seed.
        count: number of exponents, from the top; all if None.
        x0: start of the orbit, shape (N,); ones if None (a point of every domain; irrelevant for linear layers).
        burn: layers passed before averaging; ``depth // 10`` if None. The bias left is of order 1/depth unless the
            layer is isotropic.
        device: where to compute; if None where ``x0`` is, or the default device.

    Returns:
        A :class:`LyapunovSpectrum`. Networks that die (ReLU with every unit off) are left out: the estimate is given
        survival.

    Raises:
        ValueError: depth below 1, fewer than two samples, a rectangular layer, ``x0`` not one finite point, or every network died.

    Source:
        Benettin, Galgani, Giorgilli and Strelcyn (1980); Oseledets (1968).

    Example:
        >>> from deeplimits.layers.dense import Dense
        >>> spectrum = lyapunov_spectrum(Dense(width=3, activation="identity", weight_std=3**0.5), 50, samples=100)
        >>> bool((abs(spectrum.values - [0.364819, 0.057966, -0.635181]) < 4 * spectrum.se).all())
        True
    """
    check_source(layer)
    depth, samples = _checks.integer("depth", depth), _checks.integer("samples", samples, minimum=2)
    burn = depth // 10 if burn is None else _checks.integer("burn", burn, minimum=0)
    x0 = None if x0 is None else _checks.finite("x0", x0)
    device = devices.place(device, x0)
    if isinstance(layer, Congruence):
        layer = _matrices_of(layer)
    run = _orbit(layer, samples, seed, count, x0, device)
    total = torch.zeros(1, dtype=torch.float64, device=device)
    for l in range(1, burn + depth + 1):
        logs, alive = run(l)
        if l > burn:
            total = total + logs
    return _summary((total / depth).cpu().numpy(), alive.cpu().numpy(), depth)


def _matrices_of(layer: Layer) -> Callable[[torch.Generator, int], Tensor]:
    """The matrices of a linear layer, as a function of generator and samples."""
    return lambda generator, samples: layer.sample(generator, samples=samples, dtype=torch.float64).weight


def _on_cpu(seed: int, l: int) -> torch.Generator:
    """What a function of matrices draws from: it need not know about devices."""
    return stream(seed, l, 0, torch.device("cpu"))


def _summary(rates: np.ndarray, alive: np.ndarray, depth: int) -> LyapunovSpectrum:
    kept = rates[alive]
    if kept.shape[0] < 2:
        raise ValueError(
            f"samples must leave at least two living networks; {kept.shape[0]} of {alive.size} survive to this depth: "
            "take more samples or fewer layers"
        )
    lost = np.isneginf(kept).any(0)
    finite = np.where(lost, 0.0, kept)
    values = np.where(lost, -np.inf, finite.mean(0))
    return LyapunovSpectrum(values, finite.std(0, ddof=1) / math.sqrt(kept.shape[0]), depth, kept.shape[0], alive.size)


def _orbit(source: Source, samples: int, seed: int, count: int | None, x0: Tensor | None, device: torch.device) -> Callable:
    """A function of the layer's number that advances the frame and returns the logarithms of the diagonal and who is alive."""
    matrices = None if isinstance(source, Layer) else source(_on_cpu(seed, 1), samples)
    width = source.width if matrices is None else matrices.shape[-1]
    if matrices is None and source.fan_in != width:
        raise ValueError(f"layer must be square to be repeated; got fan_in={source.fan_in} and width={width}")
    if matrices is not None and tuple(matrices.shape) != (samples, width, width):
        raise ValueError(f"layer must return matrices of shape ({samples}, N, N); got {tuple(matrices.shape)}")
    count = width if count is None else _checks.integer("count", count)
    if count > width:
        raise ValueError(f"count must be at most the width {width}; got {count}")
    frame = torch.eye(count, width, dtype=torch.float64, device=device).expand(samples, count, width)
    if count < width:  # a generic frame
        frame = torch.randn(samples, count, width, dtype=torch.float64, generator=stream(seed, 0, 0, device), device=device)
        frame = factor(frame)[1]
    kind = {"dtype": torch.float64, "device": device}
    x = torch.ones(width, **kind) if x0 is None else x0.to(**kind)
    if tuple(x.shape) != (width,):
        raise ValueError(f"x0 must be one point, shape ({width},); got {tuple(x.shape)}")
    held = {"frame": frame, "x": x.expand(samples, 1, width), "state": None,
            "alive": torch.ones(samples, dtype=torch.bool, device=device)}
    small = torch.full((samples, count), INFINITESIMAL, **kind)

    def by_matrix(l: int) -> tuple[Tensor, Tensor]:
        a = source(_on_cpu(seed, l), samples).to(**kind)
        logs, held["frame"] = factor(held["frame"] @ a.mT)
        return logs, held["alive"]

    def by_layer(l: int) -> tuple[Tensor, Tensor]:
        generator = stream(seed, l, 0, device)
        held["state"] = source.start(generator, samples) if l == 1 else source.advance(held["state"], generator)
        layer_map = source.sample(generator, samples=samples, state=held["state"], **kind)
        x, image = layer_map.pair(held["x"], held["frame"], small)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        if source.homogeneous:
            held["alive"] = held["alive"] & (norm[:, 0, 0] > 0)
            x = x / norm.clamp_min(torch.finfo(x.dtype).tiny)
        held["x"] = x
        logs, held["frame"] = factor(image)
        return logs, held["alive"]

    return by_layer if matrices is None else by_matrix


def _scaled_product(left: Tensor, rows: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """``left @ diag(e^scale) @ rows`` for upper triangular ``left``, again with its row scales split off."""
    top = torch.flip(torch.cummax(torch.flip(scale, [-1]), dim=-1).values, [-1])  # largest scale at or below the row
    ratio = torch.exp(scale.unsqueeze(-2) - top.unsqueeze(-1)).clamp_max(1.0)
    product = torch.triu(left * torch.triu(ratio)) @ rows
    size = product.abs().amax(-1)
    safe = torch.where(size > 0, size, torch.ones_like(size))
    return product / safe.unsqueeze(-1), top + torch.log(size)


def _invertible(conjugate: Any, like: Tensor) -> Tensor:
    """The matrix L beside matrices of its size."""
    n = like.shape[-1]
    matrix = _checks.finite("conjugate", conjugate).to(like)
    if tuple(matrix.shape) != (n, n) or int(torch.linalg.inv_ex(matrix).info):
        raise ValueError(f"conjugate must be an invertible matrix of shape ({n}, {n}), as the factors are; got {conjugate.tolist()}")
    return matrix


def product_log_singular_values(
    layer: Source, depth: int, samples: int, seed: int = 0, *, order: str = "backward", conjugate: Tensor | None = None, device: Any = "cpu"
) -> Tensor:
    r"""Logarithms of the singular values of a long product of random matrices, at any depth.

    The product is kept as :math:`Q\,D\,U` with the logarithms of D apart, so it never over- or underflows and small
    singular values keep their relative precision (a plain double-precision product loses them once
    :math:`n(\lambda_1-\lambda_N) > 36`). The last step is the QR iteration on the graded triangular factor.

    Args:
        layer: a linear random layer whose maps have ``weight``, or a function ``(generator, samples)`` -> matrices.
        depth: number of factors n.
        samples: independent products.
        seed: seed.
        order: ``"backward"`` for :math:`M_1\cdots M_n`, ``"forward"`` for :math:`M_n\cdots M_1`; the matrices are the same.
        conjugate: invertible matrix L of shape (N, N); then of :math:`L^{-1}(\cdot)L`.
        device: where to compute.

    Returns:
        Tensor of shape (samples, N), float64, largest first.

    Raises:
        ValueError: depth or samples below 1, an unknown order, or ``conjugate`` singular or of another size.

    Example:
        >>> twice = lambda generator, samples: torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64)).expand(samples, 2, 2)
        >>> (product_log_singular_values(twice, 2000, 1) / 2000).round(decimals=6).tolist()
        [[0.693147, -0.693147]]
    """
    check_source(layer)
    depth, samples = _checks.integer("depth", depth), _checks.integer("samples", samples)
    _checks.choice("order", order, ("forward", "backward"))
    device = torch.device(device)
    frame = rows = scale = None
    state = None
    for l in range(1, depth + 1):
        if isinstance(layer, Layer):
            generator = stream(seed, l, 0, device)
            state = layer.start(generator, samples) if l == 1 else layer.advance(state, generator)
            a = layer.sample(generator, samples=samples, dtype=torch.float64, device=device, state=state).weight
        else:
            a = layer(_on_cpu(seed, l), samples).to(dtype=torch.float64, device=device)
        if conjugate is not None:
            conjugate = _invertible(conjugate, a) if l == 1 else conjugate
            a = torch.linalg.solve(conjugate, a @ conjugate)
        a = a.mT if order == "backward" else a
        if frame is None:
            frame = torch.eye(a.shape[-1], dtype=a.dtype, device=device).expand(a.shape)
            rows, scale = frame, torch.zeros(a.shape[:-1], dtype=a.dtype, device=device)
        frame, r = torch.linalg.qr(a @ frame)
        rows, scale = _scaled_product(r, rows, scale)
    return _graded_singular_values(rows, scale)


def _graded_singular_values(rows: Tensor, scale: Tensor, sweeps: int = 60) -> Tensor:
    """Logarithms of the singular values of diag(e^scale) @ rows, rows upper triangular, scales roughly decreasing."""
    eye = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device).expand(rows.shape)
    for _ in range(sweeps):  # transpose and triangularize: the off-diagonal part shrinks like the ratios of the scales
        _, r = torch.linalg.qr(rows.mT)
        rows, scale = _scaled_product(r, eye, scale)
    graded = scale + torch.log(torch.diagonal(rows, dim1=-2, dim2=-1).abs())
    graded = torch.sort(graded, dim=-1, descending=True).values
    top = scale.amax(-1, keepdim=True)
    direct = torch.log(torch.linalg.svdvals(torch.exp(scale - top).unsqueeze(-1) * rows)) + top
    narrow = (graded.amax(-1, keepdim=True) - graded.amin(-1, keepdim=True)) < 18
    return torch.where(narrow, direct, graded)
