r"""Finite-size collapse: exponents of the width, fitted freely (Part IV, *Finite width: which noise, which scaling*)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deeplimits import _checks
from deeplimits.criticality import quality
from deeplimits.criticality.collapses import Collapse, check_window, demand_points, members_of, read, scaled
from deeplimits.criticality.summaries import Track

#: Exponents of the depth that are tried.
RANGE = (-1.0, 3.0)
GRID = np.linspace(*RANGE, 201)
MEASURES = ("smooth", "overlap")


@dataclass(frozen=True)
class FiniteSizeCollapse:
    r"""Free exponents of :math:`\rho = N^{-A} f(l/N^Z)` and their errors.

    Attributes:
        A: exponent of the amplitude.
        Z: exponent of the depth.
        A_se: bootstrap standard error of A.
        Z_se: bootstrap standard error of Z.
        correlation: correlation of the errors of A and Z.
        collapse: the collapse at (A, Z).
        widths: the widths that entered.
        window: limits of l/N, the same points whatever Z.
        replicates: (A, Z) of the resampled networks, shape (R, 2).
    """

    A: float
    Z: float
    A_se: float
    Z_se: float
    correlation: float
    collapse: Collapse
    widths: tuple[int, ...]
    window: tuple[float, float]
    replicates: np.ndarray = field(repr=False)
    tracks: tuple[Track, ...] = field(repr=False)

    def at(self, A: float, Z: float) -> Collapse:
        """The collapse of the same points at other exponents, those of a theory for instance."""
        widths = np.asarray(self.widths, dtype=float)
        return scaled(self.widths, self.tracks, widths**-Z, widths**A)

    def distance(self, A: float, Z: float) -> float:
        r"""How far exponents lie from the fit, in standard errors: :math:`\sqrt{d^\top C^{-1} d}` with the bootstrap covariance C.

        For two exponents 2.45 is exceeded in 5 % of cases, 3.03 in 1 %.
        """
        d = np.array([A - self.A, Z - self.Z])
        return float(math.sqrt(d @ np.linalg.solve(np.cov(self.replicates.T), d)))


def finite_size_collapse(family: Any, *, window: tuple[float, float] = (0.1, 1.0), statistic: str = "mean", smallest: int = 1,
                         measure: str = "smooth", degree: int = 3, bootstrap: int = 200, seed: int = 0) -> FiniteSizeCollapse:
    r"""Fit the exponents of :math:`\rho(l; N) = N^{-A} f(l/N^Z)` to runs of several widths.

    The points with :math:`l/N` in the window are fixed first. ``measure="smooth"`` takes for ln f a polynomial in the logarithm of the scaled depth and
    minimizes the weighted sum of squares: linear in A and the coefficients, so that only Z is searched. ``measure="overlap"`` minimizes
    Houdayer and Hartmann's S, which assumes no form of f and takes longer. Errors come from repeating the fit on resampled networks; the sum of
    squares itself gives none, since the depths of one network are correlated.

    A window in which f is a power :math:`x^{-\delta}` determines :math:`A - \delta Z` only: the errors then grow and their correlation
    tends to one.

    Args:
        family: mapping from width to a run or a summary, or a Dataset with the dimension ``width``.
        window: smallest and largest :math:`l/N`.
        statistic: ``"mean"``, ``"typical"`` or ``"median"`` over networks.
        smallest: widths below it are left out.
        measure: ``"smooth"`` or ``"overlap"``.
        degree: degree of the polynomial.
        bootstrap: number of resamplings of the networks (of a summary: its own replicates are taken).
        seed: seed of the resampling.

    Returns:
        A :class:`FiniteSizeCollapse`.

    Raises:
        TypeError: a width or ``smallest`` that is no number.
        ValueError: too few networks for a bootstrap, curves without networks, a window that is no pair or has no points, or one that leaves Z undetermined.

    Source:
        Melchert (2009) for the procedure; the linear elimination of A is ours.

    Example:
        >>> import xarray as xr
        >>> rng, family = np.random.default_rng(0), {}
        >>> for n in (64, 128, 256):
        ...     depth = np.unique((np.geomspace(0.1, 1, 12) * n).astype(int))
        ...     walks = 0.1 * rng.standard_normal((200, depth.size)).cumsum(1)
        ...     logs = -np.log(n) - np.log(np.expm1(2 * depth / n)) + walks
        ...     family[n] = xr.Dataset({"log_rho": (("sample", "depth"), logs)}, {"depth": depth})
        >>> fit = finite_size_collapse(family, statistic="typical", bootstrap=40)
        >>> fit.distance(1, 1) < 3, fit.distance(0.5, 0.5) > 10
        (True, True)
    """
    low, high = check_window(window)
    _checks.choice("measure", measure, MEASURES)
    degree = _checks.integer("degree", degree, minimum=1)
    names, members = members_of(family)
    smallest = _checks.number("smallest", smallest)
    sized = [(_checks.integer("width", n), m) for n, m in zip(names, members, strict=True)]
    kept = [(n, m) for n, m in sized if n >= smallest]
    if len(kept) < 2:
        raise ValueError(f"smallest must leave at least two of the widths {names}; got {smallest!r}")
    widths = tuple(n for n, _ in kept)
    tracks = [read(n, m, statistic, bootstrap, seed + k) for k, (n, m) in enumerate(kept)]
    for n, t in zip(widths, tracks, strict=True):
        if t.replicates is None:
            raise ValueError(f"family: width {n} is a curve without networks, which has no error bar; give runs, or criticality.summarize of them")
    cut = [t.within(low * n, high * n) for n, t in zip(widths, tracks, strict=True)]
    spans = [(t.depth[0] / n, t.depth[-1] / n) if t.depth.size else None for n, t in zip(widths, tracks, strict=True)]
    demand_points(widths, [t.depth.size for t in cut], (low, high), spans)
    fit = _Fit(widths, cut, degree)
    count = min(t.replicates.shape[0] for t in cut)
    drawn = fit.smooth(np.concatenate([fit.logs[None], np.concatenate([t.replicates[:count] for t in cut], axis=1)]))
    if not np.isfinite(drawn[0]).all():
        raise ValueError(f"window must determine Z: in l/N from {low:g} to {high:g} the best Z lies outside {RANGE}, as happens where the curves are "
                         "close to a pure power, for which only A - δZ is determined; widen the window")
    if measure == "overlap":
        drawn = np.array([fit.slide(logs, drawn[0]) for logs in (fit.logs, *(np.concatenate([t.replicates[r] for t in cut]) for r in range(count)))])
    best, found = drawn[0].tolist(), drawn[1:][np.isfinite(drawn[1:]).all(1)]
    if len(found) < 0.95 * count:
        raise ValueError(f"window must determine Z: in {count - len(found)} of {count} resamplings the best Z lies outside {RANGE}, as happens where the "
                         "curves are close to a pure power, for which only A - δZ is determined; widen the window or simulate more networks")
    covariance = np.cov(found.T)
    se = np.sqrt(np.diag(covariance))
    scale = np.asarray(widths, dtype=float)
    return FiniteSizeCollapse(best[0], best[1], float(se[0]), float(se[1]), float(covariance[0, 1] / (se[0] * se[1])),
                              scaled(widths, cut, scale ** -best[1], scale ** best[0]), widths, (low, high), found, tuple(cut))


class _Fit:
    """The points of a finite-size collapse and the search for its exponents."""

    def __init__(self, widths: Sequence[int], tracks: Sequence[Track], degree: int) -> None:
        self.sizes = [t.depth.size for t in tracks]
        self.width = np.log(np.repeat(np.asarray(widths, dtype=float), self.sizes))
        self.depth = np.log(np.concatenate([t.depth for t in tracks]))
        self.logs = np.concatenate([t.log for t in tracks])
        self.error = np.concatenate([t.se for t in tracks])
        self.degree = degree
        if self.logs.size <= degree + 3:
            raise ValueError(f"window must hold more than {degree + 3} points for {degree + 3} unknowns; it holds {self.logs.size}")
        if not (self.error > 0).all():
            raise ValueError("family: at some depth of the window all networks agree exactly, which leaves no error bar; begin the window later")

    def smooth(self, logs: np.ndarray) -> np.ndarray:
        """The best (A, Z) of each row of ``logs`` (R, points), NaN where Z runs out of its range.

        At a given Z the least squares are linear and the same for all rows; along Z a parabola through the lowest three.
        """
        target = logs / self.error
        sums, amplitudes = np.empty((2, GRID.size, len(logs)))
        for k, Z in enumerate(GRID):
            u = self.depth - Z * self.width
            basis = np.column_stack([np.vander(u - u.mean(), self.degree + 1), -self.width]) / self.error[:, None]
            q, r = np.linalg.qr(basis)
            inside = target @ q
            sums[k] = -(inside**2).sum(1)  # up to |target|^2, the same for all Z
            amplitudes[k] = inside[:, -1] / r[-1, -1]
        k = np.clip(sums.argmin(0), 1, GRID.size - 2)
        rows = np.arange(len(logs))
        low, mid, high = (sums[k + j, rows] for j in (-1, 0, 1))
        shift = 0.5 * (low - high) / (low - 2 * mid + high)  # in steps of the grid
        inner = (mid <= low) & (mid <= high)
        below, here, above = (amplitudes[k + j, rows] for j in (-1, 0, 1))
        A = here + 0.5 * shift * (above - below) + 0.5 * shift**2 * (above - 2 * here + below)
        found = np.column_stack([A, GRID[k] + shift * (GRID[1] - GRID[0])])
        return np.where(inner[:, None], found, np.nan)

    def slide(self, logs: np.ndarray, near: np.ndarray) -> np.ndarray:
        """The (A, Z) with the least S, from a start nearby."""
        from scipy.optimize import minimize

        simplex = near + np.array([[0, 0], [0.05, 0], [0, 0.05]])
        options = {"initial_simplex": simplex, "xatol": 2e-4, "fatol": 1e-4, "maxiter": 200}
        found = minimize(lambda p: self.spread(logs, *p), near, method="Nelder-Mead", options=options)
        return found.x if RANGE[0] < found.x[1] < RANGE[1] else np.full(2, np.nan)

    def spread(self, logs: np.ndarray, A: float, Z: float) -> float:
        """Houdayer and Hartmann's S at (A, Z); curves that slide apart are no collapse."""
        parts = np.cumsum(self.sizes)[:-1]
        curves = list(zip(*(np.split(a, parts) for a in (self.depth - Z * self.width, logs + A * self.width, self.error)), strict=True))
        value, count = quality.overlap(curves)
        return value if count >= 0.5 * logs.size else 1e9 * (2 - count / logs.size)
