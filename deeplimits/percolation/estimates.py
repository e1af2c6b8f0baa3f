"""Averages over runs, local slopes and fitted exponents (Part IV, *Directed percolation and convolutional networks*).

Errors come from resampling whole runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deeplimits import _checks

if TYPE_CHECKING:
    import xarray

#: Average -> the exponent it shows, and the sign of its power law.
POWERS: Mapping[str, tuple[str, int]] = {"density": ("delta", -1), "active": ("theta", 1), "survival": ("delta", -1), "mean_square": ("two_over_z", 1)}

_LONG_NAMES = {"density": "mean density", "active": "mean number of active sites", "survival": "share of runs that are alive",
               "mean_square": "mean squared distance of active sites from the seed"}


@dataclass(frozen=True)
class Exponents:
    """Fitted exponents with standard errors; those that a run cannot show are None.

    Attributes:
        delta: decay of the density, or of the survival of seeds.
        theta: growth of the number of active sites from a seed.
        two_over_z: growth of the mean squared distance from a seed.
        delta_se: standard error of ``delta``.
        theta_se: standard error of ``theta``.
        two_over_z_se: standard error of ``two_over_z``.
        window: first and last depth that were used.
    """

    delta: float | None
    theta: float | None
    two_over_z: float | None
    delta_se: float | None
    theta_se: float | None
    two_over_z_se: float | None
    window: tuple[int, int]


def _ratios(ds: xarray.Dataset) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each average as a ratio of two sums over runs, both of shape (sample, depth)."""
    wanted = {"sample", "depth"}
    seeds = "spread" in ds and "active" in ds
    if not seeds and "density" not in ds:
        raise ValueError(f"ds must hold 'density', or 'active' and 'spread', over sample and depth; it has {', '.join(map(repr, ds.data_vars))}")
    found = {}
    if seeds:
        active, spread = (ds[name].transpose("sample", "depth").values for name in ("active", "spread"))
        found = {"active": (active, np.ones_like(active)), "survival": ((active > 0) * 1.0, np.ones_like(active)), "mean_square": (spread, active)}
    else:
        if set(ds["density"].dims) != wanted:
            raise ValueError(f"density must have the dimensions sample and depth; it has {ds['density'].dims}")
        density = ds["density"].transpose("sample", "depth").values
        found = {"density": (density, np.ones_like(density))}
    for above, _ in found.values():
        if np.isnan(above).any():
            raise ValueError("ds must not contain NaN: select the complete runs of an interrupted one")
    if ds.sizes["sample"] < 2:
        raise ValueError(f"errors come from resampling runs: at least two are needed; got {ds.sizes['sample']}")
    return found


def _resampled(ds: xarray.Dataset, bootstrap: int, seed: int) -> dict[str, np.ndarray]:
    """Rows: the average itself, then its replicates; columns: depths."""
    bootstrap = _checks.integer("bootstrap", bootstrap, minimum=2)
    ratios, runs = _ratios(ds), ds.sizes["sample"]
    draws = np.random.default_rng(_checks.integer("seed", seed, minimum=0)).multinomial(runs, np.full(runs, 1 / runs), bootstrap)
    weights = np.concatenate([np.ones((1, runs)), draws])
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: (weights @ above) / (weights @ below) for name, (above, below) in ratios.items()}


def averages(ds: xarray.Dataset, *, bootstrap: int = 200, seed: int = 0) -> xarray.Dataset:
    r"""Averages over runs against depth, with standard errors.

    Runs with a density give ``density``. Runs from seeds give ``active``, the mean number of active sites (of all runs, dead
    ones too), ``survival``, and ``mean_square``, the mean over all active sites of the squared distance from the seed.

    Args:
        ds: result of :func:`directed_percolation` or :func:`spreading`, or any dataset with ``density`` over sample and depth.
        bootstrap: number of resamplings of whole runs.
        seed: of the resampling.

    Returns:
        Dataset over depth; each average with its ``_se``.

    Raises:
        ValueError: missing variables, NaN, or fewer than two runs.

    Example:
        >>> from deeplimits.percolation import directed_percolation
        >>> ds = directed_percolation(100, start="seed", samples=400, record=[0, 10, 100], seed=2)
        >>> averages(ds).survival.values[0].item()
        1.0
    """
    import xarray

    found = {}
    for name, rows in _resampled(ds, bootstrap, seed).items():
        found[name] = ("depth", rows[0], {"long_name": _LONG_NAMES[name], "units": "1"})
        found[f"{name}_se"] = ("depth", _spread(rows), {"long_name": "standard error", "units": "1"})
    return xarray.Dataset(found, {"depth": ds.depth}, dict(ds.attrs))


def _spread(rows: np.ndarray) -> np.ndarray:
    """Standard deviation over the replicates in which the quantity exists."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanstd(np.where(np.isfinite(rows[1:]), rows[1:], np.nan), axis=0, ddof=1)


def local_slopes(ds: xarray.Dataset, factor: float = 5.0, *, bootstrap: int = 200, seed: int = 0) -> xarray.Dataset:
    r"""Exponents read off between depth l and depth ``factor`` times l.

    .. math:: \delta(l) = -\frac{\ln\,[\rho(ml)/\rho(l)]}{\ln m} .

    At a critical point the local slope runs straight into the exponent as 1/l tends to zero; off it, it bends away.

    Args:
        ds: as for :func:`averages`.
        factor: the ratio m of the two depths, above one.
        bootstrap: number of resamplings of whole runs.
        seed: of the resampling.

    Returns:
        Dataset over ``depth``, the geometric mean of the two depths: ``delta`` for a density, ``theta``, ``delta`` and
        ``two_over_z`` for seeds, each with its ``_se``; ``inverse_depth`` is a coordinate. The average at the second depth is
        interpolated in the logarithms. Slopes without a value (nothing alive) are left out.

    Raises:
        ValueError: no pair of recorded depths with that ratio.

    Example:
        >>> import xarray as xr
        >>> l = np.array([1, 2, 4, 8, 16])
        >>> ds = xr.Dataset({"density": (("sample", "depth"), [l**-0.5, 2 * l**-0.5])}, {"depth": l})
        >>> local_slopes(ds, 4).delta.values.round(6).tolist()
        [0.5, 0.5, 0.5]
    """
    import xarray

    if _checks.number("factor", factor) <= 1:
        raise ValueError(f"factor must be above 1; got {factor!r}")
    depths = ds.depth.values.astype(float)
    first = np.flatnonzero((depths > 0) & (depths * factor <= depths[-1] * (1 + 1e-12)))
    if first.size == 0:
        raise ValueError(f"factor={factor:g} needs recorded depths with that ratio; got depths {depths[depths > 0][:1]} to {depths[-1:]}")
    found, centre = {}, depths[first] * math.sqrt(factor)
    logs = np.log(np.where(depths > 0, depths, np.nan))
    for name, rows in _resampled(ds, bootstrap, seed).items():
        with np.errstate(divide="ignore", invalid="ignore"):
            heights = np.log(rows)
        known = depths > 0
        ends = np.stack([np.interp(logs[first] + math.log(factor), logs[known], row[known]) for row in heights])
        with np.errstate(invalid="ignore"):
            slope = POWERS[name][1] * (ends - heights[:, first]) / math.log(factor)
        label = POWERS[name][0]
        found[label], found[f"{label}_se"] = ("depth", slope[0]), ("depth", _spread(slope))
    result = xarray.Dataset(found, {"depth": centre}).assign_coords(inverse_depth=("depth", 1 / centre))
    alive = np.all([np.isfinite(v.values) for k, v in result.data_vars.items() if not k.endswith("_se")], axis=0)
    return result.isel(depth=np.flatnonzero(alive)).assign_attrs(factor=float(factor))


def exponents(ds: xarray.Dataset, first: int, last: int | None = None, *, bootstrap: int = 200, seed: int = 0) -> Exponents:
    r"""Power laws fitted over a window of depths, by least squares in the logarithms, one weight for each recorded depth.

    The depths of one run depend on one another, so the errors come from resampling whole runs; record depths evenly in the
    logarithm. A window says nothing about what lies beyond it: look at :func:`local_slopes` first.

    Args:
        ds: as for :func:`averages`.
        first: first depth of the window.
        last: last depth; the last recorded one if None.
        bootstrap: number of resamplings.
        seed: of the resampling.

    Returns:
        :class:`Exponents`.

    Raises:
        ValueError: fewer than three recorded depths in the window, or nothing alive at its end.

    Example:
        >>> from deeplimits.percolation import directed_percolation
        >>> ds = directed_percolation(300, size=500, samples=16, seed=3)
        >>> found = exponents(ds, 20)
        >>> abs(found.delta - 0.159464) < 4 * found.delta_se + 0.01
        True
    """
    last = int(ds.depth.values[-1]) if last is None else _checks.integer("last", last)
    depths = ds.depth.values
    inside = (depths >= _checks.integer("first", first)) & (depths <= last)
    if inside.sum() < 3:
        raise ValueError(f"the window must hold at least three recorded depths; got {int(inside.sum())} between {first} and {last}")
    x = np.log(depths[inside].astype(float))
    x = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    found: dict[str, float | None] = dict.fromkeys(("delta", "theta", "two_over_z", "delta_se", "theta_se", "two_over_z_se"))
    for name, rows in _resampled(ds, bootstrap, seed).items():
        label, sign = POWERS[name]
        if not (rows[0, inside] > 0).all():
            raise ValueError(f"the window must end while something is alive; got {name} = 0 between {first} and {last}")
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = sign * (np.log(rows[:, inside]) @ x)
        found[label], found[f"{label}_se"] = float(slopes[0]), float(_spread(slopes[:, None])[0])
    return Exponents(**found, window=(int(depths[inside][0]), int(depths[inside][-1])))  # type: ignore[arg-type]
