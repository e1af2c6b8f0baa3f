r"""Data collapse with given scales, judged by three measures (Part IV, *Universal scaling of wide networks*)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplimits import _checks
from deeplimits.criticality import quality
from deeplimits.criticality.summaries import Track, track

if TYPE_CHECKING:
    import xarray as xr

Scale = Callable[[Any], float] | Mapping[Any, float] | Sequence[float]


@dataclass(frozen=True)
class Collapse:
    """Rescaled curves and how well they agree.

    Attributes:
        quality: Houdayer and Hartmann's reduced S, about one when the curves agree within their errors; None for curves without errors.
        residual: Bhattacharjee and Seno's mean deviation of ln y, a relative deviation; it needs no errors.
        smooth: reduced chi-square of one cubic through all points; None for curves without errors, or too few points.
        reference_residual: mean deviation of ln y from the reference curve; None without one.
        points: number of points that entered.
        window: limits of the scaled depth.
        curves: Dataset over (member, point) with ``x``, ``y`` and ``y_se``, missing where a member has fewer points.
    """

    quality: float | None
    residual: float
    smooth: float | None
    reference_residual: float | None
    points: int
    window: tuple[float, float]
    curves: xr.Dataset = field(repr=False)


def collapse(family: Any, x: Scale, y: Scale, *, depth_power: float = 0.0, window: tuple[float, float] | None = None, statistic: str = "mean",
             reference: Callable[[np.ndarray], Any] | None = None, tolerance: float = 0.0, bootstrap: int = 200, seed: int = 0) -> Collapse:
    r"""Rescale the curves of a family and say how well they lie on one another.

    .. math:: X = x_p\, l, \qquad Y = y_p\, l^{\kappa}\, \rho_p(l),

    with one factor :math:`x_p` and one :math:`y_p` for each member p, and :math:`\kappa` = ``depth_power``. Everything is done in
    logarithms. A good value of one measure is no proof: show the unscaled curves, the window, and how the result moves with both.

    Args:
        family: mapping from a label (an activation, a width) to a run, a summary or an exact curve, as :func:`effective_exponent` takes
            them; or a Dataset with one further dimension.
        x: factor of the depth for each member: a function of the label, a mapping, or a sequence in the order of the members.
        y: factor of the order parameter, likewise.
        depth_power: power of the depth that multiplies the order parameter.
        window: smallest and largest X that count; all if None.
        statistic: ``"mean"``, ``"typical"`` or ``"median"`` over networks.
        reference: the expected curve Y(X), for comparison.
        tolerance: relative error added in quadrature to every point; curves without noise need one to have an S.
        bootstrap: number of resamplings of the networks.
        seed: seed of the resampling.

    Returns:
        A :class:`Collapse`.

    Raises:
        ValueError: fewer than two members, a factor that is not positive, too few networks, a ``depth_power`` that is not finite, a window
            that is no pair, or one in which fewer than two members have
            two points, or none overlap.

    Source:
        Houdayer and Hartmann (2004); Bhattacharjee and Seno (2001).

    Example:
        >>> import xarray as xr
        >>> depth = np.arange(1, 65)
        >>> family = {n: xr.DataArray(np.exp(-depth / n) / n, {"depth": depth}) for n in (8, 16, 32)}
        >>> f"{collapse(family, x=lambda n: 1 / n, y=lambda n: n).residual:.2f}"
        '0.00'
        >>> f"{collapse(family, x=lambda n: 1 / n, y=lambda n: n**0.5).residual:.2f}"
        '0.45'
    """
    names, members = members_of(family)
    tracks = [read(name, member, statistic, bootstrap, seed + k) for k, (name, member) in enumerate(zip(names, members, strict=True))]
    return scaled(names, tracks, factors("x", x, names), factors("y", y, names), _checks.number("depth_power", depth_power), window, reference,
                  _checks.nonnegative("tolerance", tolerance))


def members_of(family: Any) -> tuple[list[Any], list[Any]]:
    """Labels and members, at least two."""
    import xarray as xr

    if isinstance(family, (xr.Dataset, xr.DataArray)):
        own = {"sample", "depth", "input", "statistic", "replicate"}
        extra = [d for d in family.dims if d not in own]
        if len(extra) != 1:
            raise ValueError(f"family must have one dimension besides {', '.join(sorted(own))}; it has {extra or 'none'}")
        names = np.asarray(family[extra[0]].values).tolist()
        members = [family.isel({extra[0]: k}) for k in range(len(names))]
    elif isinstance(family, Mapping):
        names, members = list(family), list(family.values())
    else:
        raise TypeError(f"family must be a mapping from label to curve, or a Dataset with one further dimension; got {type(family).__name__}")
    if len(names) < 2:
        raise ValueError(f"family must have at least two members to compare; got {len(names)}")
    return names, members


def read(name: Any, member: Any, statistic: str, bootstrap: int, seed: int) -> Track:
    """The curve of a member; errors name it."""
    try:
        return track(member, statistic, bootstrap, seed)
    except ValueError as error:
        raise ValueError(f"member {name!r}: {error}") from None


def factors(argument: str, scale: Scale, names: Sequence[Any]) -> np.ndarray:
    """One positive factor for each member."""
    if callable(scale):
        found = [scale(name) for name in names]
    elif isinstance(scale, Mapping):
        missing = [name for name in names if name not in scale]
        if missing:
            raise ValueError(f"{argument} must have a factor for each member; it lacks {missing}")
        found = [scale[name] for name in names]
    else:
        found = list(scale)
        if len(found) != len(names):
            raise ValueError(f"{argument} must have one factor for each of the {len(names)} members; got {len(found)}")
    for name, value in zip(names, found, strict=True):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{argument} must be positive and finite; for {name!r} it is {value!r} (the two sides of a transition are two collapses)")
    return np.asarray(found, dtype=float)


def scaled(names: Sequence[Any], tracks: Sequence[Track], x: np.ndarray, y: np.ndarray, depth_power: float = 0.0,
           window: tuple[float, float] | None = None, reference: Callable | None = None, tolerance: float = 0.0) -> Collapse:
    """The collapse of curves that have been read."""
    low, high = (0.0, math.inf) if window is None else check_window(window)
    cut = [t.within(low / a, high / a) for t, a in zip(tracks, x, strict=True)]
    curves = [(np.log(t.depth * a), t.log + math.log(b) + depth_power * np.log(t.depth), np.hypot(t.se, tolerance)) for t, a, b in zip(cut, x, y, strict=True)]
    spans = [(t.depth[0] * a, t.depth[-1] * a) if t.depth.size else None for t, a in zip(tracks, x, strict=True)]
    demand_points(names, [c[0].size for c in curves], (low, high), spans)
    full = [c for c in curves if c[0].size]
    gap, pairs = quality.residual(full)
    if not pairs:
        raise ValueError(f"window must hold scaled depths that two members share; in {(low, high)} no two curves overlap")
    noisy = all((c[2] > 0).all() for c in full)
    count = sum(c[0].size for c in full)
    deviation = None
    if reference is not None:
        deviation = float(np.mean(np.concatenate([np.abs(c[1] - np.log(np.asarray(reference(np.exp(c[0])), dtype=float))) for c in full])))
    return Collapse(quality.overlap(full)[0] if noisy else None, gap, quality.smooth(full) if noisy and count > 4 else None, deviation, count,
                    (float(low), float(high)), _table(names, curves))


def check_window(window: Any) -> tuple[float, float]:
    """Two limits, 0 <= low < high."""
    try:
        low, high = map(float, window)
    except (TypeError, ValueError):
        low = high = math.nan  # fails below
    if not 0 <= low < high:
        raise ValueError(f"window must be a pair (low, high) with 0 <= low < high; got {window!r}")
    return low, high


def demand_points(names: Sequence[Any], sizes: Sequence[int], window: tuple[float, float], spans: Sequence[tuple[float, float] | None]) -> None:
    """Two members with two points each, or an error that says where the points are."""
    if sum(size >= 2 for size in sizes) < 2:
        where = "; ".join(f"{name!r}: " + (f"{span[0]:.3g} to {span[1]:.3g}" if span else "no points") for name, span in zip(names, spans, strict=True))
        raise ValueError(f"window must hold at least two points of at least two members; {window} holds {dict(zip(names, sizes, strict=True))}. "
                         f"Scaled depths reach from {where}")


def _table(names: Sequence[Any], curves: Sequence[quality.Scaled]) -> xr.Dataset:
    import xarray as xr

    table = np.full((3, len(curves), max(c[0].size for c in curves)), np.nan)
    for k, (u, v, e) in enumerate(curves):
        table[:, k, : u.size] = np.exp(u), np.exp(v), np.exp(v) * e
    dims = ("member", "point")
    return xr.Dataset({"x": (dims, table[0]), "y": (dims, table[1]), "y_se": (dims, table[2])}, {"member": list(names)})
