"""Survival curves, their monotone envelope and their crossings (Part III, *What a cut-off is*)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplimits import _checks

if TYPE_CHECKING:
    import xarray as xr

#: Observables that compare an input with input 0, for which input 0 itself carries no information.
PAIR_OBSERVABLES = ("log_distance", "angle", "log_angle", "correlation", "rho", "log_rho")


@dataclass(frozen=True)
class Location:
    """Where a profile falls: depth, window and relative width, each with its standard error.

    Attributes:
        depth: cut-off depth, the crossing of the middle level, in layers.
        window: crossing of the lowest level minus crossing of the highest, in layers.
        relative_width: ``window / depth``.
        depth_se: bootstrap standard error of ``depth`` (0.0 for a curve given without samples).
        window_se: bootstrap standard error of ``window``.
        relative_width_se: bootstrap standard error of ``relative_width``.
        quantiles: level to crossing depth.
        quantiles_se: level to standard error.
    """

    depth: float
    window: float
    relative_width: float
    depth_se: float
    window_se: float
    relative_width_se: float
    quantiles: dict[float, float] = field(default_factory=dict)
    quantiles_se: dict[float, float] = field(default_factory=dict)


def _log_levels(threshold: Any, log_threshold: Any) -> tuple[np.ndarray, np.ndarray, str, bool]:
    """Logarithms, coordinate values, coordinate name, and whether one number came."""
    if (threshold is None) == (log_threshold is None):
        raise ValueError(f"give exactly one of threshold and log_threshold; got {threshold!r} and {log_threshold!r}")
    name, given = ("threshold", threshold) if log_threshold is None else ("log_threshold", log_threshold)
    single = np.ndim(given) == 0
    values = np.array([_checks.number(name, v) for v in np.atleast_1d(given)])
    if values.size == 0:
        raise ValueError(f"{name} must be a finite number or a non-empty list of them; got {given!r}")
    if name == "log_threshold":
        return values, values, name, single
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values), values, name, single


def _observable(ds: xr.Dataset, variable: str) -> xr.DataArray:
    """The observable with dimensions (sample, depth, ...), without its trivial reference input."""
    import xarray as xr

    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"ds must be a Dataset, such as the result of simulate; got {type(ds).__name__}")
    if variable not in ds:
        raise ValueError(f"variable must be one of {', '.join(map(repr, ds.data_vars))}; got {variable!r}")
    data = ds[variable]
    missing = {"sample", "depth"} - set(data.dims)
    if missing:
        raise ValueError(f"{variable} must have the dimensions sample and depth; it has {data.dims}")
    if "input" in data.dims:
        if variable in PAIR_OBSERVABLES:
            if data.sizes["input"] < 2:
                raise ValueError(f"{variable} compares inputs with input 0, so at least two inputs are needed; got one")
            data = data.isel(input=slice(1, None))
        if data.sizes["input"] == 1:
            data = data.isel(input=0, drop=True)
    data = data.transpose("sample", "depth", ...)
    if np.isnan(np.asarray(data.values, dtype=float)).any():
        raise ValueError(f"{variable} must not contain NaN; use log observables, which are -inf where a distance is zero")
    return data


def _check_start(indicator: xr.DataArray, variable: str, name: str, given: Any) -> None:
    if indicator.sizes["depth"] and float(indicator.depth[0]) == 0:
        first = indicator.isel(depth=0)
        if not bool(first.any([d for d in first.dims if not str(d).endswith("threshold")]).all()):
            raise ValueError(
                f"{name} must lie below the starting value of {variable} in some network; got {given!r}, "
                "which no network exceeds at depth 0: choose a smaller one"
            )


def survival(
    ds: xr.Dataset, variable: str, threshold: Any = None, *, log_threshold: Any = None
) -> xr.Dataset:
    r"""Share of networks whose observable still exceeds a threshold, against depth.

    .. math:: d(l) = \frac1S \#\{s : D_l^{(s)} > \varepsilon\}, \qquad
              \mathrm{SE} = \sqrt{d(l)\,(1 - d(l))/S}.

    Observables named ``log_...`` are compared with the logarithm of the threshold, so a plain number serves for
    both kinds. A pair observable loses its trivial reference input 0; a single remaining input is squeezed.

    Args:
        ds: result of :func:`deeplimits.simulate`, dimensions ``sample``, ``depth`` and perhaps ``input``.
        variable: name of the observable, for instance ``"log_distance"`` (or the boolean ``"alive"``, without threshold).
        threshold: positive number, or a list, which adds the dimension ``threshold``.
        log_threshold: the natural logarithm instead, for thresholds too small for a float (log observables only).

    Returns:
        Dataset with ``survival`` and ``survival_se`` over (depth[, threshold][, input]) and the boolean
        ``indicator`` over (sample, depth, ...), which the bootstrap of :func:`locate` resamples.

    Raises:
        TypeError: no Dataset, or a threshold that is no number.
        ValueError: unknown variable, NaN, a threshold that is not positive for a log observable, or one that no
            network exceeds at depth 0 (if depth 0 was recorded).

    Source:
        Aldous and Diaconis (1986); Levin, Peres and Wilmer (2009), chapter 18, for the deterministic profile.

    Example:
        >>> import numpy as np, xarray as xr
        >>> walk = np.array([[0.0, -1.0, -2.0], [0.0, -3.0, -4.0]])
        >>> ds = xr.Dataset({"log_distance": (("sample", "depth"), walk)}, {"depth": [0, 1, 2]})
        >>> survival(ds, "log_distance", 0.2).survival.values.tolist()
        [1.0, 0.5, 0.0]
    """
    import xarray as xr

    data = _observable(ds, variable)
    if data.dtype == bool:
        if threshold is not None or log_threshold is not None:
            raise ValueError(f"{variable} is true or false and takes no threshold; got {threshold!r}")
        indicator = data
    else:
        logs, values, name, single = _log_levels(threshold, log_threshold)
        if variable.startswith("log_"):
            if np.isnan(logs).any() or np.isinf(logs).any():
                raise ValueError(f"threshold must be positive for {variable}; got {threshold!r}")
            bounds = logs
        elif log_threshold is not None:
            raise ValueError(f"log_threshold needs a log observable such as 'log_distance'; got {variable!r}")
        else:
            bounds = values
        level = xr.DataArray(bounds, dims="threshold", coords={"threshold": values})
        if name == "log_threshold":
            level = level.rename(threshold="log_threshold")
        indicator = (data > level).transpose("sample", "depth", level.dims[0], ...)
        _check_start(indicator, variable, name, threshold if log_threshold is None else log_threshold)
        if single:
            indicator = indicator.isel({level.dims[0]: 0})
    count = indicator.sizes["sample"]
    mean = indicator.mean("sample")
    spread = np.sqrt(mean * (1 - mean) / count)
    result = xr.Dataset({"survival": mean, "survival_se": spread, "indicator": indicator}, attrs=dict(ds.attrs))
    result["survival"].attrs = {"units": "1", "long_name": f"share of networks with {variable} above the threshold"}
    result["survival_se"].attrs = {"units": "1", "long_name": "binomial standard error"}
    result["indicator"].attrs = {"long_name": f"{variable} above the threshold"}
    return result


def envelope(profile: xr.DataArray) -> xr.DataArray:
    r"""Non-increasing envelope: the running minimum along depth.

    .. math:: \bar d(l) = \min_{k \le l} d(k).

    It is the largest non-increasing curve below the profile, and its crossings are the *first* crossings of the
    profile, which is how :func:`locate` defines them.

    Args:
        profile: DataArray with a dimension ``depth``.

    Returns:
        DataArray of the same shape.

    Raises:
        TypeError: no DataArray.
        ValueError: NaN, or no dimension ``depth``.

    Example:
        >>> import xarray as xr
        >>> envelope(xr.DataArray([1.0, 0.4, 0.5, 0.1], dims="depth")).values.tolist()
        [1.0, 0.4, 0.4, 0.1]
    """
    import xarray as xr

    if not isinstance(profile, xr.DataArray):
        raise TypeError(f"profile must be a DataArray over depth; got {type(profile).__name__}")
    if "depth" not in profile.dims:
        raise ValueError(f"profile must have the dimension depth; it has {profile.dims}")
    if bool(profile.isnull().any()):
        raise ValueError("profile must not contain NaN")
    lowest = np.minimum.accumulate(profile.values, axis=profile.get_axis_num("depth"))
    return profile.copy(data=lowest)


def crossings(depths: np.ndarray, curves: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """First crossings of each level, interpolated linearly; infinite where a level is not reached.

    Args:
        depths: increasing, shape (D,).
        curves: shape (..., D).
        levels: the levels, L of them.

    Returns:
        Array of shape (..., L).
    """
    lowest = np.minimum.accumulate(curves, axis=-1)
    result = np.empty((*curves.shape[:-1], len(levels)))
    for k, level in enumerate(levels):
        below = lowest <= level
        index = np.argmax(below, axis=-1)
        before = np.maximum(index - 1, 0)
        high = np.take_along_axis(lowest, before[..., None], -1)[..., 0]
        low = np.take_along_axis(lowest, index[..., None], -1)[..., 0]
        share = np.where(index > 0, (high - level) / np.where(high > low, high - low, 1.0), 0.0)
        depth = depths[before] + share * (depths[index] - depths[before])
        result[..., k] = np.where(below.any(-1), depth, np.inf)
    return result


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Three or more strictly decreasing levels between zero and one, an odd number of them."""
    values = tuple(float(x) for x in levels)
    decreasing = all(a > b for a, b in pairwise(values))
    if len(values) < 3 or len(values) % 2 == 0 or not decreasing or not 0 < values[-1] or not values[0] < 1:
        raise ValueError(
            f"levels must be an odd number of strictly decreasing values between 0 and 1, such as (.75, .5, .25); got {levels!r}"
        )
    return values


def _indicator(profile: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Depths, mean curve, and the indicators (sample, depth) where there are any."""
    import xarray as xr

    if isinstance(profile, xr.Dataset):
        if "indicator" not in profile:
            raise ValueError(
                "profile must hold the indicators that cutoff.survival returns; for a curve without samples pass the DataArray"
            )
        data = profile["indicator"]
    elif isinstance(profile, xr.DataArray):
        data = profile
    else:
        raise TypeError(f"profile must be the result of cutoff.survival or a DataArray over depth; got {type(profile).__name__}")
    extra = [d for d in data.dims if d not in ("sample", "depth")]
    if "depth" not in data.dims or "depth" not in data.coords:
        raise ValueError(f"profile must have the dimension depth with its depths as coordinate; it has {data.dims}")
    if extra:
        raise ValueError(f"profile must be one curve, but it also runs over {extra}: select one member, or use cutoff.family")
    depths = np.asarray(data.depth.values, dtype=float)
    if depths.size < 2 or not (np.diff(depths) > 0).all():
        raise ValueError(f"profile must have at least two increasing depths; got {depths!r}")
    if "sample" in data.dims:
        values = data.transpose("sample", "depth").values.astype(np.float32)
        return depths, values.mean(0, dtype=float), values
    return depths, np.asarray(data.values, dtype=float), None


def resample(values: np.ndarray, bootstrap: int, seed: int) -> np.ndarray:
    """Bootstrap means over samples of an array (S, D): shape (bootstrap, D)."""
    count = values.shape[0]
    generator = np.random.default_rng(_checks.integer("seed", seed, minimum=0))
    bootstrap = _checks.integer("bootstrap", bootstrap, minimum=2)
    weights = generator.multinomial(count, np.full(count, 1 / count), size=bootstrap).astype(np.float32)
    return (weights @ values).astype(float) / count


def quantiles(
    profile: Any, levels: Sequence[float], bootstrap: int = 200, seed: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Crossings (L,) of a profile and their bootstrap replicates (bootstrap, L), None without samples."""
    depths, curve, values = _indicator(profile)
    if np.isnan(curve).any():
        raise ValueError("profile must not contain NaN")
    found = crossings(depths, curve, levels)
    for level, where in zip(levels, found, strict=True):
        if math.isinf(where):
            raise ValueError(
                f"profile must fall to the level {level:g}; its lowest value is {curve.min():.3g} at depth "
                f"{depths[int(curve.argmin())]:g} of {depths[-1]:g}: run deeper"
            )
        if depths[0] > 0 and curve[0] <= level:
            raise ValueError(
                f"profile must start above the level {level:g}; it is {curve[0]:.3g} at the first recorded depth "
                f"{depths[0]:g}: record smaller depths"
            )
    if values is None or bootstrap == 0:
        return found, None
    replicates = crossings(depths, resample(values, bootstrap, seed), levels)
    if np.isinf(replicates).any():
        raise ValueError(
            f"profile must fall clearly below the level {min(levels):g} for its bootstrap error; it ends at "
            f"{curve[-1]:.3g} with {values.shape[0]} samples: run deeper"
        )
    return found, replicates


def locate(
    profile: Any, levels: Sequence[float] = (0.75, 0.5, 0.25), bootstrap: int = 200, seed: int = 0
) -> Location:
    r"""Cut-off depth, window and relative width of one profile, with bootstrap errors.

    .. math:: l(p) = \min\{l : d(l) \le p\}, \quad \text{depth} = l(.5), \quad
              \text{window} = l(.25) - l(.75), \quad R = \text{window}/\text{depth}.

    Crossings are first crossings, interpolated linearly on the recorded depths (the same as those of
    :func:`envelope`). The bootstrap resamples networks, never depths, so the correlation along depth is kept.
    A level at or above the value at depth 0 is crossed at depth 0 exactly.

    Args:
        profile: result of :func:`survival` for one threshold and one input; or a plain curve (DataArray over
            ``depth``), which is taken as exact: its standard errors are 0.0.
        levels: decreasing levels; the middle one gives the depth, the outer two the window.
        bootstrap: number of resamplings; 0 leaves them out, and the standard errors are then 0.0.
        seed: seed of the resampling.

    Returns:
        A :class:`Location`.

    Raises:
        ValueError: the profile does not reach a level (run deeper), or already starts below the middle one (the
            threshold lies above the starting distance).

    Source:
        Levin, Peres and Wilmer (2009), chapter 18; Efron (1979) for the bootstrap.

    Example:
        >>> import xarray as xr
        >>> line = xr.DataArray([1.0, 0.8, 0.6, 0.4, 0.2, 0.0], dims="depth", coords={"depth": [0, 10, 20, 30, 40, 50]})
        >>> round(locate(line).depth, 6), round(locate(line).window, 6)
        (25.0, 25.0)
    """
    levels = check_levels(levels)
    if bootstrap:
        _checks.integer("bootstrap", bootstrap, minimum=2)
    found, replicates = quantiles(profile, levels, bootstrap, seed)
    middle = len(levels) // 2
    if found[middle] == 0:
        raise ValueError(
            f"profile must start above the level {levels[middle]:g} at depth 0; it does not, so the threshold lies above "
            "the starting distance and the cut-off depth is 0: choose a smaller threshold"
        )
    window = found[-1] - found[0]
    if replicates is None:
        errors, spread = np.zeros(len(levels)), (0.0, 0.0)
    else:
        errors = replicates.std(0, ddof=1)
        windows = replicates[:, -1] - replicates[:, 0]
        ratios = windows / np.maximum(replicates[:, middle], np.finfo(float).tiny)
        spread = (float(windows.std(ddof=1)), float(ratios.std(ddof=1)))
    return Location(
        depth=float(found[middle]),
        window=float(window),
        relative_width=float(window / found[middle]),
        depth_se=float(errors[middle]),
        window_se=spread[0],
        relative_width_se=spread[1],
        quantiles=dict(zip(levels, map(float, found), strict=True)),
        quantiles_se=dict(zip(levels, map(float, errors), strict=True)),
    )
