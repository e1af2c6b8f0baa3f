"""Contraction coefficients of matrices (Part I, *Decision functions and laws of data*; Part II, *Positive networks and Birkhoff's theorem*)."""

from __future__ import annotations

import math
from typing import Any

import torch

from deeplimits import _checks


def _matrix(name: str, w: Any) -> torch.Tensor:
    _checks.finite(name, w)
    if w.ndim != 2 or w.numel() == 0:
        raise ValueError(f"{name} must be one matrix of shape (rows, columns); got shape {tuple(w.shape)}")
    if (w < 0).any():
        raise ValueError(f"{name} must have no negative entry; its smallest is {float(w.min()):g}")
    return w


def projective_diameter(weight: torch.Tensor) -> float:
    r"""The Hilbert diameter of the image of the positive cone under a matrix.

    .. math:: \Delta(W) = \max_{i,j,k,l} \log\frac{W_{ik} W_{jl}}{W_{jk} W_{il}}.

    Args:
        weight: A matrix ``(rows, columns)`` with no negative entry and no zero row. Zero columns play no part; any
            other zero makes the diameter infinite when two rows exist.

    Returns:
        The diameter, a number from 0 to infinity.

    Raises:
        ValueError: If an entry is negative or not finite, or a row is zero (it leaves the open cone).

    Example:
        >>> import math, torch
        >>> round(math.exp(projective_diameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))), 4)
        1.5
    """
    weight = _matrix("weight", weight)
    if (weight == 0).all(dim=1).any():
        raise ValueError("weight must have no zero row: such a row sends positive vectors to the boundary of the cone")
    weight = weight[:, (weight > 0).any(dim=0)]
    if weight.shape[0] == 1:
        return 0.0
    if (weight == 0).any():
        return math.inf
    logs = weight.to(torch.float64).log()
    worst = 0.0
    for row in logs:
        gaps = row - logs
        worst = max(worst, float((gaps.amax(1) - gaps.amin(1)).max()))
    return worst


def birkhoff(weight: torch.Tensor) -> float:
    r"""Birkhoff's contraction coefficient of a positive matrix, the exact Lipschitz constant in Hilbert's metric.

    .. math:: \tau(W) = \tanh\frac{\Delta(W)}{4}

    with :math:`\Delta` the :func:`projective_diameter`.

    Args:
        weight: A matrix ``(rows, columns)`` with no negative entry and no zero row.

    Returns:
        A number in [0, 1]; 0 for rank one, 1 where zeros make the diameter infinite.

    Raises:
        ValueError: If an entry is negative or not finite, or a row is zero.

    Source:
        Birkhoff (1957); Bushell (1973).

    Example:
        >>> import torch
        >>> round(birkhoff(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)), 10)
        0.1010205144
    """
    return math.tanh(projective_diameter(weight) / 4)


def dobrushin(kernel: torch.Tensor) -> float:
    r"""Dobrushin's coefficient of a row-stochastic matrix, its exact contraction in total variation.

    .. math:: \tau_D(P) = \max_{i,k} \tfrac12 \sum_j |P_{ij} - P_{kj}|

    It is also the Lipschitz constant of :math:`x \mapsto Px` in the span.

    Args:
        kernel: A matrix ``(states, states')`` whose rows are probability vectors.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: If an entry is negative or a row does not sum to 1.

    Source:
        Dobrushin (1956).

    Example:
        >>> import torch
        >>> dobrushin(torch.tensor([[0.5, 0.5], [0.25, 0.75]]))
        0.25
    """
    kernel = _matrix("kernel", kernel)
    off = float((kernel.sum(1) - 1).abs().max())
    if off > (1e-9 if kernel.dtype == torch.float64 else 1e-4):
        raise ValueError(f"kernel must have rows that sum to 1; one is off by {off:.3g}")
    return max(float((row - kernel).abs().sum(1).max()) / 2 for row in kernel)
