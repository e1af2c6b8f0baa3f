r"""Hilbert, Thompson and Funk on the cone of positive vectors (Part I, *Metrics on cones, matrices and hyperbolic space*).

All three are read off the vector of log-ratios :math:`\log(x_i / y_i)`, formed without cancellation for near points.
``from_logs`` takes logarithms instead of points, for vectors that would underflow.

Example:
    >>> import torch
    >>> from deeplimits.metrics import funk, hilbert, thompson
    >>> x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 1.0, 4.0])
    >>> [round(float(d(x, y).exp()), 4) for d in (funk, thompson, hilbert)]
    [2.0, 5.0, 10.0]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from deeplimits import _checks
from deeplimits.metrics.base import Metric, broadcastable, same_kind
from deeplimits.metrics.domains import Cone


def log_ratio(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """log(x / y) for positive numbers (NaN outside), to full relative accuracy when x is near y."""
    t = (x - y) / y
    near = (t.abs() < 0.5) & (y > 0)
    return torch.where(near, torch.log1p(torch.where(near, t, 0.0)), x.log() - y.log())


@dataclass(frozen=True, eq=False, repr=False)
class ConeMetric(Metric):
    """A metric on positive vectors that is a function of the log-ratios.

    Attributes:
        of_ratios: The distance as a function of the tensor of log-ratios ``(..., N)``.
    """

    of_ratios: Callable[[torch.Tensor], torch.Tensor] | None = None

    def from_logs(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The distance of exp(u) and exp(v), without forming them.

        Args:
            u: Logarithms of the first vector, ``(..., N)``.
            v: Logarithms of the second.

        Returns:
            The distances, of the broadcast leading shape.

        Raises:
            ValueError: If a logarithm is not finite or the shapes do not fit.

        Example:
            >>> import torch
            >>> from deeplimits.metrics import thompson
            >>> float(thompson.from_logs(torch.tensor([-5000.0, 1.0]), torch.tensor([-5002.0, 1.0])))
            2.0
        """
        _checks.finite("u", u), _checks.finite("v", v)
        same_kind(u, v)
        broadcastable(u.shape, v.shape, "shapes")
        return self.of_ratios(u - v)


def _make(name: str, formula: str, of_ratios: Callable, word: str, doc: str, **flags: bool) -> ConeMetric:
    return ConeMetric(
        name, formula, lambda x, y: of_ratios(log_ratio(x, y)), Cone(word), doc=doc, of_ratios=of_ratios, **flags
    )


hilbert = _make(
    "hilbert",
    r"\log \max_{i,j} \frac{x_i\, y_j}{y_i\, x_j}",
    lambda r: r.amax(-1) - r.amin(-1),
    "rays",
    r"""Hilbert's projective metric.

    .. math:: d_H(x, y) = \max_i \log\frac{x_i}{y_i} - \min_i \log\frac{x_i}{y_i}.

    Blind to positive factors, hence a pseudo-metric on the cone and a metric on its rays. Positive matrices without
    a zero row do not increase it, and contract it by :func:`birkhoff`; adding a bias breaks this.
    Vectors with zeros raise: on different faces of the cone the distance is infinite.

    Source: Birkhoff (1957); Bushell (1973).

    Example:
        >>> import torch
        >>> from deeplimits.metrics import hilbert
        >>> x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 1.0, 4.0])
        >>> round(float(hilbert(7 * x, y).exp()), 4)
        10.0
    """,
    separates=False,
)

thompson = _make(
    "thompson",
    r"\max_i \Big|\log\frac{x_i}{y_i}\Big|",
    lambda r: r.abs().amax(-1),
    "cone",
    r"""Thompson's metric on the cone, the sup-distance of the logarithms.

    .. math:: d_T(x, y) = \max_i \Big|\log\frac{x_i}{y_i}\Big|.

    Monotone subhomogeneous maps (positive matrices, with a non-negative bias, followed by increasing concave
    activations) do not increase it. Invariant under diagonal scaling and inversion.

    Source: Thompson (1963); Nussbaum (1988).

    Example:
        >>> import torch
        >>> from deeplimits.metrics import thompson
        >>> round(float(thompson(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 0.25])).exp()), 4)
        4.0
    """,
)

funk = _make(
    "funk",
    r"\max_i \log\frac{x_i}{y_i}",
    lambda r: r.amax(-1),
    "cone",
    r"""Funk's weak metric, one half of Hilbert's, asymmetric.

    .. math:: F(x, y) = \max_i \log\frac{x_i}{y_i}, \qquad F(x, y) + F(y, x) = d_H(x, y).

    It obeys the triangle inequality and :math:`F(x, x) = 0`, but is neither symmetric nor non-negative
    (:math:`F(x, \lambda x) = -\log\lambda`); on a section such as the simplex it is non-negative.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import funk
        >>> x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 1.0, 4.0])
        >>> round(float(funk(x, y).exp()), 4), round(float(funk(y, x).exp()), 4)
        (2.0, 5.0)
    """,
    symmetric=False,
    separates=False,
    nonnegative=False,
)

__test__ = {metric.name: metric.__doc__ for metric in (hilbert, thompson, funk)}
