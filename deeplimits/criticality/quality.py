r"""How well curves lie on one another: three measures that share no line of code (Part IV, *Universal scaling of wide networks*).

Each takes M curves in logarithms, a list of triples (x, y, error of y) with increasing x.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

#: ln x, ln y, standard error of ln y; x increasing.
Scaled = tuple[np.ndarray, np.ndarray, np.ndarray]


def overlap(curves: Sequence[Scaled]) -> tuple[float, int]:
    r"""Houdayer and Hartmann's S, and the number of points it compares.

    Each point is compared with the straight line fitted, with weights, to the two nearest points of every other curve that reaches that
    far:

    .. math:: S = \frac1n \sum_{i,j} \frac{(y_{ij} - Y_{ij})^2}{\delta y_{ij}^2 + \delta Y_{ij}^2} .

    About one if the curves agree within their errors, much larger if not. Curves that do not overlap give (nan, 0).

    Args:
        curves: the curves.

    Returns:
        S and n.

    Source:
        Houdayer and Hartmann (2004); Melchert (2009).

    Example:
        >>> x, e = np.linspace(0, 1, 9), np.full(9, 0.1)
        >>> s, n = overlap([(x, 2 * x, e), (x + 0.05, 2 * x + 0.1, e)])
        >>> round(s, 12), n
        (0.0, 16)
    """
    total, count = 0.0, 0
    for i, (x, y, error) in enumerate(curves):
        k, kx, ky, kxx, kxy = np.zeros((5, x.size))
        for j, (u, v, noise) in enumerate(curves):
            if j == i or u.size < 2:
                continue
            inside, right = _bracket(x, u)
            for end in (right - 1, right):
                w = inside / noise[end] ** 2
                k, kx, ky, kxx, kxy = k + w, kx + w * u[end], ky + w * v[end], kxx + w * u[end] ** 2, kxy + w * u[end] * v[end]
        seen = k > 0
        k, kx, ky, kxx, kxy = (a[seen] for a in (k, kx, ky, kxx, kxy))
        middle = kx / k  # about the centre of mass nothing cancels
        spread = kxx - kx * middle
        slope = (kxy - middle * ky) / spread
        away = x[seen] - middle
        master, variance = ky / k + slope * away, 1 / k + away**2 / spread
        total += float(((y[seen] - master) ** 2 / (error[seen] ** 2 + variance)).sum())
        count += int(seen.sum())
    return (total / count if count else float("nan")), count


def _bracket(x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which x lie within u, and the index of the point of u to their right."""
    right = np.clip(np.searchsorted(u, x), 1, u.size - 1)
    return ((x >= u[0]) & (x <= u[-1])).astype(float), right


def residual(curves: Sequence[Scaled]) -> tuple[float, int]:
    r"""Bhattacharjee and Seno's residual, and the number of pairs it compares.

    The mean distance of the points of each curve from the interpolation of each other one, without any error bar; in logarithms it
    is a relative deviation.

    .. math:: P = \frac1n \sum_{i \ne j}\ \sum_{\text{overlap}} |y_i(x) - \mathcal E_j(x)| .

    Args:
        curves: the curves.

    Returns:
        P and n; (nan, 0) without overlap.

    Source:
        Bhattacharjee and Seno (2001).

    Example:
        >>> x, e = np.linspace(0, 1, 9), np.zeros(9)
        >>> p, n = residual([(x, x, e), (x, x + 0.03, e)])
        >>> round(p, 12), n
        (0.03, 18)
    """
    gaps = [np.abs(y - np.interp(x, u, v)) for (x, y, _), (u, v, _) in _overlapping(curves)]
    count = sum(g.size for g in gaps)
    return (sum(float(g.sum()) for g in gaps) / count if count else float("nan")), count


def _overlapping(curves: Sequence[Scaled]) -> Iterator[tuple[Scaled, Scaled]]:
    for i, (x, y, e) in enumerate(curves):
        for j, other in enumerate(curves):
            if i != j and other[0].size:
                inside = (x >= other[0][0]) & (x <= other[0][-1])
                yield (x[inside], y[inside], e[inside]), other


def smooth(curves: Sequence[Scaled], degree: int = 3) -> float:
    r"""Reduced :math:`\chi^2` of one weighted polynomial through the points of all curves.

    Args:
        curves: the curves.
        degree: degree of the polynomial in ln x.

    Returns:
        The sum of squared residuals, in units of the errors, per degree of freedom.

    Raises:
        ValueError: no more points than coefficients.

    Example:
        >>> x, e = np.linspace(0, 1, 9), np.full(9, 0.1)
        >>> round(smooth([(x, x**3, e), (x, x**3, e)]), 12)
        0.0
    """
    x, y, error = (np.concatenate(parts) for parts in zip(*curves, strict=True))
    if x.size <= degree + 1:
        raise ValueError(f"window must hold more than {degree + 1} points for a polynomial of degree {degree}; it holds {x.size}")
    basis = np.vander(x - x.mean(), degree + 1) / error[:, None]
    fit = np.linalg.lstsq(basis, y / error, rcond=None)[0]
    return float(((y / error - basis @ fit) ** 2).sum() / (x.size - degree - 1))
