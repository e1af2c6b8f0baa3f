r"""Norms, angles and the span (Part I, *Layer maps and the distances they do not increase*).

Example:
    >>> import torch
    >>> from deeplimits.metrics import angle, lp, span
    >>> x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 1.0, 4.0])
    >>> float(lp(1)(x, y)), float(lp("inf")(x, y)), float(span(x, y))
    (6.0, 4.0, 5.0)
"""

from __future__ import annotations

import math
from functools import cache

import torch

from deeplimits.metrics.base import Metric
from deeplimits.metrics.domains import Directions, Vectors

VECTORS = Vectors()


def norm(x: torch.Tensor, p: float) -> torch.Tensor:
    """The p-norm over the last dimension, safe from overflow: the largest coordinate is taken out first."""
    size = x.detach().abs().amax(dim=-1, keepdim=True)
    if p == math.inf:
        return x.abs().amax(dim=-1)
    scale = torch.where(size > 0, size, 1.0)
    return scale.squeeze(-1) * torch.linalg.vector_norm(x / scale, ord=p, dim=-1)


def lp(p: float | str) -> Metric:
    r"""The distance of the :math:`\ell_p` norm.

    .. math:: d(x, y) = \Big(\sum_i |x_i - y_i|^p\Big)^{1/p}, \qquad \ell_\infty:\ \max_i |x_i - y_i|.

    A map :math:`\varphi(Wx + b)` with a coordinatewise 1-Lipschitz :math:`\varphi` does not increase it when
    :math:`\|W\|_{p\to p} \le 1`.

    Args:
        p: The exponent, at least 1; ``math.inf`` or ``"inf"`` for the largest coordinate.

    Returns:
        The metric, on vectors ``(..., N)``.

    Raises:
        ValueError: If ``p`` is below 1 (the triangle inequality fails there).
        TypeError: If ``p`` is not a number.

    Example:
        >>> import torch
        >>> float(lp(2)(torch.tensor([3e300, 0.0], dtype=torch.float64), torch.tensor([0.0, 4e300], dtype=torch.float64)))
        5e+300
    """
    if isinstance(p, bool) or not isinstance(p, (int, float, str)) or (isinstance(p, str) and p != "inf"):
        raise TypeError(f"p must be a number of at least 1 or 'inf'; got {p!r}")
    if not float(p) >= 1:
        raise ValueError(f"p must be at least 1 (below, the triangle inequality fails); got {p!r}")
    return _lp(float(p))


@cache
def _lp(p: float) -> Metric:
    formula = r"\max_i |x_i - y_i|" if p == math.inf else rf"\Big(\sum_i |x_i - y_i|^{{{p:g}}}\Big)^{{1/{p:g}}}"
    return Metric(f"l{p:g}", formula, lambda x, y: norm(x - y, p), VECTORS, doc=lp.__doc__)


def unit(x: torch.Tensor) -> torch.Tensor:
    """The vector of Euclidean length one in the direction of x."""
    x = x / x.detach().abs().amax(dim=-1, keepdim=True)
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def _angle(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x, y = unit(x), unit(y)
    return 2 * torch.atan2(torch.linalg.vector_norm(x - y, dim=-1), torch.linalg.vector_norm(x + y, dim=-1))


def _span(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    difference = x - y
    return difference.amax(-1) - difference.amin(-1)


angle = Metric(
    "angle",
    r"2\,\mathrm{atan2}(\|\hat x - \hat y\|, \|\hat x + \hat y\|),\quad \hat x = x / \|x\|",
    _angle,
    Directions(),
    separates=False,
    doc=r"""The angle between two vectors, in radians.

    .. math:: d(x, y) = 2\,\mathrm{atan2}(\|\hat x - \hat y\|, \|\hat x + \hat y\|), \qquad \hat x = x / \|x\|.

    This form keeps small angles, which the arc cosine of the inner product loses below 1e-8. Zero vectors are an
    error. Invariant under positive scaling and orthogonal maps. No fixed ReLU layer is bound to shrink it.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import angle
        >>> x = torch.tensor([1.0, 0.0], dtype=torch.float64)
        >>> f"{float(angle(x, torch.tensor([7.0, 7e-100], dtype=torch.float64))):.3e}"
        '1.000e-100'
    """,
)

span = Metric(
    "span",
    r"\max_i (x_i - y_i) - \min_i (x_i - y_i)",
    _span,
    VECTORS,
    separates=False,
    doc=r"""The span of the difference, which is Hilbert's metric in logarithmic coordinates.

    .. math:: d(x, y) = \max_i (x_i - y_i) - \min_i (x_i - y_i).

    Blind to a common constant. Max-pooling and max-plus layers do not increase it, and softmax carries it to
    :data:`hilbert` isometrically.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import hilbert, span
        >>> x, y = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.0, 4.0, 1.0])
        >>> float(span(x, y)), round(float(hilbert(x.softmax(-1), y.softmax(-1))), 5)
        (3.0, 3.0)
    """,
)

__test__ = {"angle": angle.__doc__, "span": span.__doc__}
