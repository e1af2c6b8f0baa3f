r"""Metric functionals: distance seen from infinity (Part II, *Metric functionals and the ergodic theorem*).

A metric functional (horofunction) is a limit of distances, normalized at a base point:

.. math:: h(x) = \lim_{t \to \infty} d(x, y_t) - d(x_0, y_t).

Each function below returns one, for the ray :math:`y_t` that leaves the base point in a given direction. All satisfy
:math:`h(x_0) = 0` and :math:`|h(x) - h(y)| \le d(x, y)`.

Example:
    >>> import torch
    >>> from deeplimits import functionals
    >>> h = functionals.spd(torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64)))
    >>> round(float(h(torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64))), 10)
    0.4156279366
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from deeplimits import _checks, metrics
from deeplimits.metrics.domains import symmetric_matrix

__all__ = ["MetricFunctional", "hilbert", "klein", "lp", "poincare", "spd", "thompson"]

Kernel = Callable[..., torch.Tensor]


@dataclass(frozen=True, eq=False)
class MetricFunctional:
    r"""A metric functional, called on points of its metric's domain.

    Points are batches as for :class:`deeplimits.metrics.Metric`; values have the leading shape, dtype and device of the
    points.

    Attributes:
        name: The name of the function that made it.
        metric: The metric it belongs to.
        formula: LaTeX of :math:`h`.
        base: The base point :math:`x_0`, where h vanishes.
        ray: The points :math:`y_t` as a function of the number t.
        kernel: The unchecked formula: points, then ``parameters`` in the dtype of the points.
        parameters: The tensors the formula uses.

    Example:
        >>> import torch
        >>> from deeplimits import functionals
        >>> h = functionals.lp(2, torch.tensor([3.0, 4.0]))
        >>> float(h(torch.tensor([3.0, 4.0])))
        -5.0
        >>> h
        MetricFunctional('lp' for l2)
    """

    name: str
    metric: metrics.Metric
    formula: str
    base: torch.Tensor
    ray: Callable[[float], torch.Tensor] = field(repr=False)
    kernel: Kernel = field(repr=False)
    parameters: tuple[torch.Tensor, ...] = field(repr=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r} for {self.metric.name})"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return h(x) after checking that x lies in the domain."""
        x = self.metric.space.check("x", x)
        event = self.base.ndim
        if x.shape[-event:] != self.base.shape:
            raise ValueError(f"x must end in the shape {tuple(self.base.shape)} of the direction; got shape {tuple(x.shape)}")
        return self.kernel(x, *(p.to(dtype=x.dtype, device=x.device) for p in self.parameters))

    def approximate(self, x: torch.Tensor, t: float) -> torch.Tensor:
        r"""The finite difference :math:`d(x, y_t) - d(x_0, y_t)`, which tends to h(x).

        Args:
            x: Points of the domain.
            t: How far along the ray; limited by the range of the dtype of x.

        Returns:
            The differences, in the leading shape of x.

        Raises:
            ValueError: If x or y_t is outside the domain in the dtype of x.

        Example:
            >>> import torch
            >>> from deeplimits import functionals
            >>> h = functionals.lp(1, torch.tensor([1.0, 0.0]))
            >>> x = torch.tensor([2.0, -3.0])
            >>> float(h(x)), float(h.approximate(x, 100.0))
            (1.0, 1.0)
        """
        y, x0 = (p.to(dtype=x.dtype, device=x.device) for p in (self.ray(t), self.base))
        return self.metric(x, y) - self.metric(x0, y)


def _direction(direction: Any, ndim: int = 1) -> torch.Tensor:
    _checks.finite("direction", direction)
    if direction.ndim != ndim or direction.numel() == 0:
        raise ValueError(f"direction must be one {'vector' if ndim == 1 else 'matrix'}; got shape {tuple(direction.shape)}")
    direction = direction.detach().to(torch.float64)
    if (direction == 0).all():
        raise ValueError("direction must not be zero")
    return direction


def _offset(offset: Any, direction: torch.Tensor) -> torch.Tensor:
    if offset is None:
        return torch.zeros_like(direction)
    if _checks.finite("offset", offset).shape != direction.shape:
        raise ValueError(f"offset must have the shape {tuple(direction.shape)} of direction; got {tuple(offset.shape)}")
    return offset.detach().to(dtype=torch.float64, device=direction.device)


def _smooth(p: float, v: torch.Tensor) -> tuple[Callable, Kernel, tuple, str]:
    v = v / metrics.lp(p)(v, torch.zeros_like(v))
    dual = v.sign() * v.abs() ** (p - 1)
    formula = r"-\langle x, v\rangle" if p == 2 else rf"-\sum_i x_i\, \mathrm{{sign}}(v_i) |v_i|^{{{p - 1:g}}}"
    return (lambda t: t * v), (lambda x, j: -(x * j).sum(-1)), (dual,), formula


def _l1(v: torch.Tensor, z: torch.Tensor) -> tuple[Callable, Kernel, tuple, str]:
    signs = v.sign()
    z = torch.where(signs == 0, z, 0.0)

    def kernel(x: torch.Tensor, signs: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return torch.where(signs != 0, -signs * x, (x - z).abs() - z.abs()).sum(-1)

    formula = r"-\sum_{i \in I} \varepsilon_i x_i + \sum_{i \notin I} (|x_i - z_i| - |z_i|)"
    return (lambda t: t * signs + z), kernel, (signs, z), formula


def _linf(v: torch.Tensor, mu: torch.Tensor) -> tuple[Callable, Kernel, tuple, str]:
    v = v / v.abs().max()
    lead = v.abs() == 1
    if (mu[lead] < 0).any() or mu[lead].min() != 0:
        raise ValueError(
            "offset must be zero or positive, with smallest value 0, where |direction| is largest; "
            f"got {mu[lead].tolist()} there (subtract the smallest)"
        )

    def kernel(x: torch.Tensor, v: torch.Tensor, mu: torch.Tensor) -> torch.Tensor:
        return torch.where(v.abs() == 1, -v * x - mu, -math.inf).amax(-1)

    formula = r"\max_{i \in I} (-\varepsilon_i x_i - \mu_i)"
    return (lambda t: t * v - v.sign() * mu), kernel, (v, mu), formula


def lp(p: float | str, direction: torch.Tensor, offset: torch.Tensor | None = None) -> MetricFunctional:
    r"""The metric functional of :math:`\ell_p` along the ray that leaves 0 in a direction v.

    .. math::

        \ell_p,\ 1 < p < \infty:&\quad h(x) = -\sum_i x_i\, \mathrm{sign}(v_i)\, |v_i|^{p-1}, \quad \|v\|_p = 1
        \qquad(\ell_2:\ -\langle x, v\rangle)\\
        \ell_1:&\quad h(x) = -\sum_{i \in I} \varepsilon_i x_i + \sum_{i \notin I} \big(|x_i - z_i| - |z_i|\big)\\
        \ell_\infty:&\quad h(x) = \max_{i \in I} (-\varepsilon_i x_i - \mu_i), \quad \min_I \mu_i = 0.

    Here :math:`\varepsilon_i = \mathrm{sign}(v_i)`; for :math:`\ell_1`, I is where v is not zero, and for
    :math:`\ell_\infty` where :math:`|v_i|` is largest.

    Args:
        p: The exponent, at least 1, or ``"inf"``.
        direction: v, a vector ``(N,)``, not zero; its length plays no part.
        offset: z off I for p = 1, :math:`\mu` on I for p = inf (default zero); must be absent for other p.

    Returns:
        The functional, on vectors ``(..., N)``, with base point 0.

    Raises:
        ValueError: If the direction is zero or not a finite vector, or the offset does not fit.

    Source:
        Karlsson, *From linear to metric functional analysis* (2021).

    Example:
        >>> import torch
        >>> h = lp("inf", torch.tensor([1.0, -1.0, 0.0]))
        >>> float(h(torch.tensor([3.0, 2.0, 100.0])))
        2.0
    """
    metric = metrics.lp(p)
    v = _direction(direction)
    p = float(p)
    if p not in (1, math.inf) and offset is not None:
        raise ValueError(f"offset must be absent for 1 < p < inf (the limit does not see it); got p = {p:g}")
    z = _offset(offset, v)
    ray, kernel, parameters, formula = _l1(v, z) if p == 1 else _linf(v, z) if p == math.inf else _smooth(p, v)
    return MetricFunctional("lp", metric, formula, torch.zeros_like(v), ray, kernel, parameters)


def thompson(direction: torch.Tensor, offset: torch.Tensor | None = None) -> MetricFunctional:
    r"""The metric functional of Thompson's metric along the curve exp(t v) in the cone.

    .. math:: h(x) = \max_{i \in I} (-\varepsilon_i \log x_i - \mu_i), \qquad \min_I \mu_i = 0,

    the :math:`\ell_\infty` functional of the logarithms, with I where :math:`|v_i|` is largest and
    :math:`\varepsilon_i = \mathrm{sign}(v_i)`.

    Args:
        direction: v, a vector ``(N,)`` of growth rates, not zero.
        offset: :math:`\mu`, zero or positive on I with smallest value 0; default zero.

    Returns:
        The functional, on positive vectors ``(..., N)``, with base point (1, ..., 1).

    Raises:
        ValueError: If the direction or the offset does not fit.

    Example:
        >>> import torch
        >>> round(float(thompson(torch.tensor([1.0, 0.0]))(torch.tensor([2.0, 7.0])).exp()), 6)
        0.5
    """
    v = _direction(direction)
    ray, kernel, parameters, _ = _linf(v, _offset(offset, v))
    return MetricFunctional(
        "thompson",
        metrics.thompson,
        r"\max_{i \in I} (-\varepsilon_i \log x_i - \mu_i)",
        torch.ones_like(v),
        lambda t: ray(t).exp(),
        lambda x, *rest: kernel(x.log(), *rest),
        parameters,
    )


def hilbert(direction: torch.Tensor, offset: torch.Tensor | None = None) -> MetricFunctional:
    r"""The metric functional of Hilbert's metric along the curve exp(t v + c) in the cone.

    .. math:: h(x) = \max_{i \in I} (\log x_i - c_i) + \max_{j \in J} (c_j - \log x_j) - \max_I(-c_i) - \max_J c_j

    with I where v is smallest and J where it is largest.

    Args:
        direction: v, a vector ``(N,)`` of growth rates, not constant.
        offset: c, a vector ``(N,)``; default zero. Only its values on I and J are seen.

    Returns:
        The functional, on positive vectors ``(..., N)``, blind to positive factors, with base point (1, ..., 1).

    Raises:
        ValueError: If the direction is constant (such a curve stands still among rays) or the offset does not fit.

    Example:
        >>> import torch
        >>> h = hilbert(torch.tensor([-1.0, 1.0, 0.0]))
        >>> round(float(h(torch.tensor([6.0, 2.0, 5.0])).exp()), 6)
        3.0
    """
    v = _direction(direction)
    if (v == v[0]).all():
        raise ValueError("direction must not be constant: exp(t v) would not move among rays")
    c = _offset(offset, v)
    low, high = v == v.min(), v == v.max()
    shift = (-c[low]).max() + c[high].max()

    def kernel(x: torch.Tensor, v: torch.Tensor, c: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        u = x.log() - c
        below = torch.where(v < 0, u, -math.inf).amax(-1)
        return below + torch.where(v > 0, -u, -math.inf).amax(-1) - shift

    side = high.to(v.dtype) - low.to(v.dtype)
    formula = r"\max_{i \in I} (\log x_i - c_i) + \max_{j \in J} (c_j - \log x_j) - \max_I(-c_i) - \max_J c_j"
    ray = lambda t: (t * (v - (v.max() + v.min()) / 2) / ((v.max() - v.min()) / 2) + c).exp()
    return MetricFunctional("hilbert", metrics.hilbert, formula, torch.ones_like(v), ray, kernel, (side, c, shift))


def _rim(direction: torch.Tensor) -> torch.Tensor:
    v = _direction(direction)
    return v / metrics.lp(2)(v, torch.zeros_like(v))


def poincare(direction: torch.Tensor) -> MetricFunctional:
    r"""The Busemann function of the Poincare ball at the point of the rim in a direction.

    .. math:: h(x) = \log\frac{\|\xi - x\|^2}{1 - \|x\|^2}, \qquad \|\xi\| = 1.

    Args:
        direction: A vector ``(N,)``, not zero; :math:`\xi` is its unit vector.

    Returns:
        The functional, on points ``(..., N)`` of the ball, with base point 0 and the ray :math:`\tanh(t/2)\,\xi`.

    Raises:
        ValueError: If the direction is zero or not a finite vector.

    Example:
        >>> import torch
        >>> round(float(poincare(torch.tensor([1.0, 0.0]))(torch.tensor([0.5, 0.0])).exp()), 6)
        0.333333
    """
    xi = _rim(direction)

    def kernel(x: torch.Tensor, xi: torch.Tensor) -> torch.Tensor:
        r = torch.linalg.vector_norm(x, dim=-1)
        return 2 * torch.linalg.vector_norm(xi - x, dim=-1).log() - torch.log1p(-r) - torch.log1p(r)

    formula = r"\log\frac{\|\xi - x\|^2}{1 - \|x\|^2}"
    return MetricFunctional(
        "poincare", metrics.poincare, formula, torch.zeros_like(xi), lambda t: math.tanh(t / 2) * xi, kernel, (xi,)
    )


def klein(direction: torch.Tensor) -> MetricFunctional:
    r"""The Busemann function of the Klein ball at the point of the rim in a direction.

    .. math:: h(x) = \log\frac{1 - x\cdot\xi}{\sqrt{1 - \|x\|^2}}, \qquad \|\xi\| = 1.

    Args:
        direction: A vector ``(N,)``, not zero; :math:`\xi` is its unit vector.

    Returns:
        The functional, on points ``(..., N)`` of the ball, with base point 0 and the ray :math:`\tanh(t)\,\xi`.

    Raises:
        ValueError: If the direction is zero or not a finite vector.

    Example:
        >>> import torch
        >>> round(float(klein(torch.tensor([1.0, 0.0]))(torch.tensor([0.8, 0.0])).exp()), 6)
        0.333333
    """
    xi = _rim(direction)

    def kernel(x: torch.Tensor, xi: torch.Tensor) -> torch.Tensor:
        r = torch.linalg.vector_norm(x, dim=-1)
        return torch.log1p(-(x * xi).sum(-1)) - (torch.log1p(-r) + torch.log1p(r)) / 2

    formula = r"\log\frac{1 - x\cdot\xi}{\sqrt{1 - \|x\|^2}}"
    return MetricFunctional(
        "klein", metrics.klein, formula, torch.zeros_like(xi), lambda t: math.tanh(t) * xi, kernel, (xi,)
    )


def spd(direction: torch.Tensor) -> MetricFunctional:
    r"""The Busemann function of SPD matrices (affine-invariant distance) along the geodesic exp(tX).

    For :math:`X = K\,\mathrm{diag}(x_1 \ge \dots \ge x_n)\,K^\top` with :math:`\|X\|_F = 1` and :math:`B = K^\top A K`,

    .. math:: h(A) = -\sum_i x_i \log\frac{\det B_{\ge i}}{\det B_{> i}},

    where :math:`B_{\ge i}` is the trailing block that starts at i. The ratios are squared pivots of a Cholesky
    factorization of B from its last row upwards, so no determinant is formed. Equal eigenvalues need no special care:
    the sum then depends only on the determinants of the blocks, whichever basis K is chosen inside them.

    Args:
        direction: X, a symmetric matrix ``(n, n)``, not zero; its length plays no part.

    Returns:
        The functional, on SPD matrices ``(..., n, n)``, with base point the identity.

    Raises:
        ValueError: If the direction is zero, not symmetric or not finite.

    Source:
        Karlsson and Ledrappier (2006) for its part in the ergodic theorem; the formula: Bridson and Haefliger (1999).

    Example:
        >>> import torch
        >>> h = spd(torch.eye(2, dtype=torch.float64))
        >>> round(float(h(torch.diag(torch.tensor([2.0, 3.0], dtype=torch.float64)))), 6)  # -log 6 / sqrt 2
        -1.266965
    """
    symmetric_matrix("direction", direction)
    x = _direction(direction, 2)
    x = x / x.abs().max()
    x = (x + x.mT) / 2
    x = x / torch.linalg.matrix_norm(x)
    values, basis = torch.linalg.eigh(x)  # ascending: the order in which the flipped Cholesky meets them

    def kernel(a: torch.Tensor, values: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        b = basis.mT @ a @ basis
        pivots = torch.linalg.cholesky((b + b.mT) / 2).diagonal(dim1=-2, dim2=-1)
        return -2 * (values * pivots.log()).sum(-1)

    formula = r"-\sum_i x_i \log \frac{\det (K^\top A K)_{\ge i}}{\det (K^\top A K)_{> i}}"
    identity = torch.eye(len(x), dtype=x.dtype, device=x.device)
    ray = lambda t: torch.linalg.matrix_exp(t * x)
    return MetricFunctional("spd", metrics.affine_invariant, formula, identity, ray, kernel, (values, basis))
