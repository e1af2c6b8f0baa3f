r"""Hyperbolic distance in the unit ball, two models (Part I, *Metrics on cones, matrices and hyperbolic space*).

Example:
    >>> import torch
    >>> from deeplimits.metrics import klein, poincare, to_klein
    >>> x, y = torch.tensor([0.3, 0.2], dtype=torch.float64), torch.tensor([-0.5, 0.4], dtype=torch.float64)
    >>> round(float(poincare(x, y)), 10), round(float(klein(to_klein(x), to_klein(y))), 10)
    (1.9684217458, 1.9684217458)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from deeplimits import _checks
from deeplimits.metrics.base import Metric, broadcastable
from deeplimits.metrics.domains import Ball, Vectors

BALL = Ball()
VECTORS = Vectors()


def gap(x: torch.Tensor) -> torch.Tensor:
    """1 - |x|^2 for x in the ball."""
    r = torch.linalg.vector_norm(x, dim=-1)
    return (1 - r) * (1 + r)


def to_klein(x: torch.Tensor) -> torch.Tensor:
    r"""Carry points from the Poincare model to the Klein model, isometrically.

    .. math:: p \mapsto \frac{2p}{1 + \|p\|^2}.

    Args:
        x: Points of the open ball, ``(..., N)``.

    Returns:
        Their Klein images, same shape.

    Raises:
        ValueError: If a point lies outside the ball.

    Example:
        >>> import torch
        >>> to_klein(torch.tensor([0.5, 0.0]))
        tensor([0.8000, 0.0000])
    """
    BALL.check("x", x)
    return 2 * x / (1 + x.square().sum(-1, keepdim=True))


def from_klein(x: torch.Tensor) -> torch.Tensor:
    r"""Carry points from the Klein model to the Poincare model: the inverse of :func:`to_klein`.

    .. math:: k \mapsto \frac{k}{1 + \sqrt{1 - \|k\|^2}}.

    Args:
        x: Points of the open ball, ``(..., N)``.

    Returns:
        Their Poincare images, same shape.

    Raises:
        ValueError: If a point lies outside the ball.

    Example:
        >>> import torch
        >>> from_klein(torch.tensor([0.8, 0.0]))
        tensor([0.5000, 0.0000])
    """
    BALL.check("x", x)
    return x / (1 + gap(x).sqrt()).unsqueeze(-1)


def _poincare(x: torch.Tensor, y: torch.Tensor, gap_x: torch.Tensor | None = None, gap_y: torch.Tensor | None = None):
    gap_x = gap(x) if gap_x is None else gap_x
    gap_y = gap(y) if gap_y is None else gap_y
    return 2 * torch.asinh(torch.linalg.vector_norm(x - y, dim=-1) / (gap_x.sqrt() * gap_y.sqrt()))


def _klein(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    delta = y - x
    inner = (x * delta).sum(-1)
    sinh2 = delta.square().sum(-1) * gap(x) + inner.square()
    return torch.asinh(torch.sqrt(sinh2) / (gap(x).sqrt() * gap(y).sqrt()))


@dataclass(frozen=True, eq=False, repr=False)
class PoincareMetric(Metric):
    """The Poincare distance, with a form for points too near the rim for their own coordinates."""

    def with_gaps(self, x: torch.Tensor, y: torch.Tensor, gap_x: torch.Tensor, gap_y: torch.Tensor) -> torch.Tensor:
        r"""The distance when :math:`1 - \|x\|^2` and :math:`1 - \|y\|^2` are known more precisely than x and y show.

        Args:
            x: Points of the closed ball, ``(..., N)``.
            y: Likewise.
            gap_x: Positive numbers :math:`1 - \|x\|^2`, of the leading shape of x.
            gap_y: Likewise for y.

        Returns:
            The distances, of the broadcast leading shape.

        Raises:
            TypeError: If an argument is not a floating tensor, or dtypes differ.
            ValueError: If a gap is not positive, the points are not finite, or the shapes do not fit.

        Example:
            >>> import torch
            >>> from deeplimits.metrics import poincare
            >>> rim, centre = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
            >>> tiny, one = torch.tensor(1e-40, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
            >>> round(float(poincare.with_gaps(rim, centre, tiny, one)), 4)
            93.4897
        """
        for name, value in (("x", x), ("y", y), ("gap_x", gap_x), ("gap_y", gap_y)):
            _checks.finite(name, value)
            if name.startswith("gap") and (value <= 0).any():
                raise ValueError(f"{name} must be positive (it is 1 - |{name[-1]}|^2 inside the ball)")
        VECTORS.match(VECTORS.check("x", x), VECTORS.check("y", y))
        shape = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1])
        for name, value in (("gap_x", gap_x), ("gap_y", gap_y)):
            broadcastable(value.shape, shape, f"shape of {name} and the leading dimensions")
            shape = torch.broadcast_shapes(shape, value.shape)
            if value.dtype != x.dtype:
                raise TypeError(f"{name} must have the dtype of x and y, {x.dtype}; got {value.dtype}")
        return _poincare(x, y, gap_x, gap_y)


poincare = PoincareMetric(
    "poincare",
    r"2\,\mathrm{arsinh}\frac{\|x - y\|}{\sqrt{(1 - \|x\|^2)(1 - \|y\|^2)}}",
    _poincare,
    BALL,
    doc=r"""Hyperbolic distance (curvature -1) in the Poincare ball.

    .. math:: d(x, y) = 2\,\mathrm{arsinh}\frac{\|x - y\|}{\sqrt{(1 - \|x\|^2)(1 - \|y\|^2)}}.

    Invariant under Moebius maps of the ball. Points on or outside the rim raise.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import poincare
        >>> round(float(poincare(torch.tensor([0.0, 0.0]), torch.tensor([0.5, 0.0])).exp()), 4)
        3.0
    """,
)

klein = Metric(
    "klein",
    r"\mathrm{arcosh}\frac{1 - x\cdot y}{\sqrt{(1 - \|x\|^2)(1 - \|y\|^2)}}",
    _klein,
    BALL,
    doc=r"""Hyperbolic distance in the Klein ball, half the logarithm of the cross-ratio.

    .. math:: d(x, y) = \mathrm{arcosh}\frac{1 - x\cdot y}{\sqrt{(1 - \|x\|^2)(1 - \|y\|^2)}}.

    Computed through the equal form
    :math:`\mathrm{arsinh}\sqrt{(\|\delta\|^2(1 - \|x\|^2) + (x\cdot\delta)^2) / ((1 - \|x\|^2)(1 - \|y\|^2))}`,
    :math:`\delta = y - x`, which keeps small distances. Affine maps of the ball into itself do not increase it.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import klein
        >>> round(float(klein(torch.tensor([0.0, 0.0]), torch.tensor([0.8, 0.0])).exp()), 4)
        3.0
    """,
)

__test__ = {"poincare": poincare.__doc__, "klein": klein.__doc__}
