r"""Local slopes, the honest estimator of an exponent (Part IV, *Universal scaling of wide networks*)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplimits import _checks
from deeplimits.criticality.collapses import check_window
from deeplimits.criticality.summaries import Track, track

if TYPE_CHECKING:
    import xarray as xr


def effective_exponent(ds: Any, statistic: str | Sequence[str] = "mean", ratio: float = 4.0, *, window: tuple[float, float] | None = None,
                       bootstrap: int = 200, seed: int = 0) -> xr.Dataset:
    r"""The local slope of the order parameter between depth l and depth ml.

    .. math:: \delta(l) = -\frac{\ln\bigl(\rho(ml)/\rho(l)\bigr)}{\ln m} .

    At criticality it tends to the decay exponent as l grows; above and below it bends away. Depths between recorded ones are
    interpolated, linearly in the logarithms. The error bars resample networks, never depths: neighbouring slopes share
    their networks, so their errors are strongly correlated.

    Args:
        ds: result of :func:`deeplimits.simulate` with ``log_rho`` (or ``rho``) of two inputs, or of :func:`summarize`; or a curve without
            noise: :func:`deeplimits.meanfield.profile`, or a DataArray over ``depth``, whose standard errors are 0.
        statistic: ``"mean"``, ``"typical"`` (exponential of the mean logarithm), ``"median"``, or a list of them, which adds a dimension.
        ratio: the factor m between the two depths, above one; 4 to 10 is a fair choice.
        window: smallest and largest depth l to report.
        bootstrap: number of resamplings.
        seed: seed of the resampling.

    Returns:
        Dataset over ``depth`` (the smaller depth l) with ``exponent``, ``exponent_se``, ``inverse_depth`` 1/l, and
        ``replicates`` (replicate, depth) where there are networks.

    Raises:
        ValueError: too few networks for a bootstrap, a window that is no pair or holds no depths, or a run that is not ``ratio`` times as deep as it
            starts.

    Source:
        Jensen (1999) for local slopes in directed percolation.

    Example:
        >>> import xarray as xr
        >>> depths = 2 ** np.arange(8)
        >>> power = xr.DataArray(3.0 * depths**-0.5, {"depth": depths})
        >>> effective_exponent(power).exponent.values.round(12).tolist()
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    import xarray as xr

    if _checks.positive("ratio", ratio) <= 1:
        raise ValueError(f"ratio must be above 1, the factor between the two depths; got {ratio!r}")
    if not isinstance(statistic, str):
        members = [effective_exponent(ds, s, ratio, window=window, bootstrap=bootstrap, seed=seed) for s in statistic]
        if not members:
            raise ValueError("statistic must name at least one of 'mean', 'typical', 'median'; got an empty list")
        return xr.concat(members, "statistic").assign_coords(statistic=list(statistic))
    return _slopes(track(ds, statistic, bootstrap, seed), float(ratio), window)


def _slopes(curve: Track, ratio: float, window: tuple[float, float] | None) -> xr.Dataset:
    import xarray as xr

    near = curve.depth[curve.depth * ratio <= curve.depth[-1] * (1 + 1e-9)] if curve.depth.size else curve.depth
    if near.size == 0:
        span = f"{curve.depth[0]:g} to {curve.depth[-1]:g}" if curve.depth.size else "none that is positive"
        raise ValueError(f"ratio must fit between the recorded depths ({span}); got {ratio:g}: run deeper or choose a smaller ratio")
    if window is not None:
        low, high = check_window(window)
        inside = near[(near >= low) & (near <= high)]
        if inside.size == 0:
            raise ValueError(f"window must hold a depth l with both l and {ratio:g} l recorded; these go from {near[0]:g} to {near[-1]:g}, got {window!r}")
        near = inside
    exponent = _slope(curve.log[None], curve.depth, near, ratio)[0]
    coords = {"depth": ("depth", near, {"long_name": "depth", "units": "layers"})}
    data = {"exponent": ("depth", exponent, {"long_name": "effective exponent", "units": "1"}),
            "inverse_depth": ("depth", 1 / near, {"long_name": "one over depth", "units": "1/layers"})}
    if curve.replicates is None:
        data["exponent_se"] = ("depth", np.zeros_like(exponent), {"long_name": "standard error", "units": "1"})
    else:
        drawn = _slope(curve.replicates, curve.depth, near, ratio)
        data["exponent_se"] = ("depth", drawn.std(0, ddof=1), {"long_name": "standard error", "units": "1"})
        data["replicates"] = (("replicate", "depth"), drawn, {"long_name": "effective exponent of resampled networks", "units": "1"})
    return xr.Dataset(data, coords, attrs={"ratio": ratio})


def _slope(logs: np.ndarray, depth: np.ndarray, near: np.ndarray, ratio: float) -> np.ndarray:
    """Slopes of curves (R, D) at the depths ``near``."""
    x = np.log(depth)
    far = np.minimum(np.log(near * ratio), x[-1])
    right = np.clip(np.searchsorted(x, far * (1 - 1e-12) - 1e-12), 1, x.size - 1)
    share = (far - x[right - 1]) / (x[right] - x[right - 1])
    ends = logs[:, right - 1] * (1 - share) + logs[:, right] * share
    starts = logs[:, np.searchsorted(depth, near)]
    return (starts - ends) / math.log(ratio)
