r"""Total variation and Kullback-Leibler divergence (Part I, *Decision functions and laws of data*).

Both take probability vectors ``(..., n)``, or normal laws: a :class:`Gaussian` or a pair ``(mean, covariance)``.

Example:
    >>> import torch
    >>> from deeplimits.metrics import Gaussian, kl, total_variation
    >>> p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
    >>> float(total_variation(p, q)), round(float(kl(p, q)), 6)
    (0.25, 0.143841)
    >>> P = Gaussian(torch.zeros(1), torch.eye(1)); Q = Gaussian(torch.full((1,), 2.0), torch.eye(1))
    >>> float(kl(P, Q)), round(float(total_variation(P, Q)), 6)
    (2.0, 0.682689)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deeplimits.metrics.base import Metric
from deeplimits.metrics.cones import log_ratio
from deeplimits.metrics.domains import Laws
from deeplimits.metrics.gaussians import Gaussian, Gaussians

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True, eq=False, repr=False)
class LawMetric(Metric):
    """A comparison of probability laws, discrete or normal.

    Attributes:
        gaussian: The unchecked kernel for two :class:`Gaussian` laws.
    """

    gaussian: Callable[[Gaussian, Gaussian], torch.Tensor] | None = None

    def __call__(self, x: Any, y: Any) -> torch.Tensor:
        """Compare two laws of the same kind after checking them."""
        normals = [isinstance(z, (Gaussian, tuple)) for z in (x, y)]
        if not any(normals):
            return super().__call__(x, y)
        if not all(normals):
            raise TypeError(f"x and y must both be discrete or both normal laws; got {type(x).__name__} and {type(y).__name__}")
        space = Gaussians(definite=True)
        x, y = space.check("x", x), space.check("y", y)
        space.match(x, y)
        return self.gaussian(x, y)


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Sum of p log(p/q) - p + q, whose terms are all non-negative (abs: a rounding below zero keeps its size)."""
    p, q = torch.broadcast_tensors(p, q)
    both = (p > 0) & (q > 0)
    one = torch.ones((), dtype=p.dtype, device=p.device)
    safe_p, safe_q = torch.where(both, p, one), torch.where(both, q, one)
    terms = safe_p * log_ratio(safe_p, safe_q) - (safe_p - safe_q)
    edge = torch.where(p > 0, torch.full_like(p, math.inf), q)
    return torch.where(both, terms.abs(), edge).sum(-1)


def _diagonalize(p: Gaussian, q: Gaussian) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates in which q is standard normal and p has independent coordinates: (means, variances) of p."""
    left = torch.linalg.cholesky(q.covariance)
    ratio = torch.linalg.solve_triangular(left, torch.linalg.cholesky(p.covariance), upper=False)
    u, s, _ = torch.linalg.svd(ratio)
    shift = torch.linalg.solve_triangular(left, (p.mean - q.mean).unsqueeze(-1), upper=False)
    return (u.mT @ shift).squeeze(-1), s.square()


def _gaussian_kl(p: Gaussian, q: Gaussian) -> torch.Tensor:
    mean, variance = _diagonalize(p, q)
    return 0.5 * ((variance - 1) - variance.log() + mean.square()).sum(-1)


def _overlap(square: np.ndarray, variance: np.ndarray, count: np.ndarray) -> float:
    r"""The integral of min(p, q) for q = N(0, I) and p normal with independent coordinates.

    Coordinates of equal variance are taken together: ``count`` of them, ``square`` the sum of their squared means.

    With M(s) the integral of p^s q^(1-s), which is elementary, and L = log p/q: min(p, q) = sqrt(pq) exp(-|L|/2), so by
    Fourier inversion of exp(-|L|/2) the overlap is (1/pi) times the integral over t > 0 of Re M(1/2 + it) / (1/4 + t^2).
    """
    log_variance = np.log(variance)
    largest = max(1, min(1024, 40_000 // len(variance)))

    def log_m(s: np.ndarray) -> np.ndarray:
        s = s[:, None]
        mix = s + (1 - s) * variance
        return 0.5 * (count * ((1 - s) * log_variance - np.log(mix)) - s * (1 - s) * square / mix).sum(1)

    def rate(s: complex) -> float:
        mix, slope = s + (1 - s) * variance, 1 - variance
        bend = ((1 - 2 * s) * mix - s * (1 - s) * slope) / mix**2
        return 0.5 * abs((count * (log_variance + slope / mix) + square * bend).sum())

    total, t = 0.0, 0.0
    while True:
        speed, reach = max(rate(0.5 + 1j * t), 1e-300), 0.4 * (0.5 + t)
        panels = min(max(1, math.ceil(reach * speed / 4)), largest)  # at most 4 radians of phase in each
        width = min(reach / panels, 4 / speed)
        nodes = (t + width * (np.arange(panels)[:, None] + (NODES + 1) / 2)).ravel()
        values = np.exp(log_m(0.5 + 1j * nodes)) / (0.25 + nodes**2)
        total += width / 2 * float(values.real.reshape(panels, -1).sum(0) @ WEIGHTS)
        t += width * panels
        if abs(values[-1]) * min(t, 1 / speed) < 1e-12:
            return total / math.pi


def _gaussian_tv(p: Gaussian, q: Gaussian) -> torch.Tensor:
    mean, variance = (z.detach().to("cpu", torch.float64) for z in _diagonalize(p, q))
    mean, variance = torch.broadcast_tensors(mean, variance)
    rows = zip(mean.reshape(-1, mean.shape[-1]).numpy(), variance.reshape(-1, mean.shape[-1]).numpy(), strict=True)
    values = [normal_total_variation(m, v) for m, v in rows]
    return torch.tensor(values, dtype=p.dtype, device=p.device).reshape(mean.shape[:-1])


def normal_total_variation(mean: np.ndarray | torch.Tensor, variance: np.ndarray | torch.Tensor) -> float:
    r"""Total variation of N(mean, diag(variance)) and N(0, I), without forming a matrix.

    .. math:: 1 - \int \min(p, q)
        = 1 - \frac1\pi \int_0^\infty \frac{\mathrm{Re}\, M(\tfrac12 + it)}{\tfrac14 + t^2}\, dt,
        \qquad M(s) = \int p^s q^{1-s}.

    Any pair of normal laws with an invertible covariance takes this form in suitable coordinates.

    Args:
        mean: Means, ``(N,)``.
        variance: Positive variances, ``(N,)``. Equal ones are taken together, so that N = 10^5 costs no more than N = 1.

    Returns:
        The distance, a number in [0, 1], to about 1e-10.

    Raises:
        ValueError: If the shapes differ or a variance is not positive and finite.

    Example:
        >>> import numpy as np
        >>> round(normal_total_variation(np.full(4, 0.5), np.ones(4)), 6)
        0.382925
    """
    mean, variance = np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)
    if mean.ndim != 1 or mean.shape != variance.shape or not len(mean):
        raise ValueError(f"mean and variance must have the same shape (N,); got {mean.shape} and {variance.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance > 0).all()):
        raise ValueError("variance must be positive, and mean and variance finite")
    if np.abs(variance - 1).max() < 1e-13 * len(variance):
        return math.erf(float(np.linalg.norm(mean)) / math.sqrt(8))
    levels, index, count = np.unique(variance, return_inverse=True, return_counts=True)
    square = np.bincount(index, weights=mean**2)
    return min(max(1 - _overlap(square, levels, count), 0.0), 1.0)  # the integral is right to 1e-10 either side


total_variation = LawMetric(
    "total_variation",
    r"\tfrac12 \sum_i |p_i - q_i|",
    lambda p, q: 0.5 * (p - q).abs().sum(-1),
    Laws(),
    doc=r"""The total variation distance of two laws.

    .. math:: d(P, Q) = \sup_A |P(A) - Q(A)| = \tfrac12 \sum_i |p_i - q_i| = 1 - \int \min(p, q).

    Discrete laws are probability vectors ``(..., n)``. Normal laws (:class:`Gaussian` or pairs ``(mean, covariance)``,
    covariances invertible) are compared exactly: :math:`2\Phi(\|\delta\|/2) - 1` for equal covariances and Mahalanobis
    distance :math:`\|\delta\|`, otherwise by a one-dimensional integral accurate to about 1e-10 (not differentiable).
    No Markov kernel increases it.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import total_variation
        >>> wide, narrow = (torch.zeros(1), 4 * torch.eye(1)), (torch.zeros(1), torch.eye(1))
        >>> round(float(total_variation(wide, narrow)), 6)
        0.322675
    """,
    gaussian=_gaussian_tv,
)

kl = LawMetric(
    "kl",
    r"\sum_i p_i \log \frac{p_i}{q_i}",
    _kl,
    Laws(),
    symmetric=False,
    triangle=False,
    doc=r"""The Kullback-Leibler divergence, in nats, neither symmetric nor subject to the triangle inequality.

    .. math:: d(P, Q) = \sum_i p_i \log\frac{p_i}{q_i}, \qquad
        \tfrac12\big(\mathrm{tr}(S_2^{-1}S_1) - N - \log\det(S_2^{-1}S_1) + \|m_1 - m_2\|^2_{S_2^{-1}}\big).

    Discrete laws are probability vectors ``(..., n)``; where q vanishes and p does not the value is infinite. Normal
    laws are :class:`Gaussian` or pairs ``(mean, covariance)`` with invertible covariances. No Markov kernel increases it.

    Source: Csiszar (1967).

    Example:
        >>> import torch
        >>> from deeplimits.metrics import kl
        >>> float(kl(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])))
        inf
    """,
    gaussian=_gaussian_kl,
)

__test__ = {"total_variation": total_variation.__doc__, "kl": kl.__doc__}
