r"""Curves of the order parameter with resampled networks (Part IV, *Universal scaling of wide networks*)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplimits import _checks

if TYPE_CHECKING:
    import xarray as xr

#: What can be said of the order parameter over networks.
STATISTICS = ("mean", "typical", "median")
#: With fewer networks a bootstrap says nothing about the tail that carries the mean.
FEWEST_NETWORKS = 20
#: Numbers that one batch of resampled medians may hold.
BATCH = 1 << 22


@dataclass(frozen=True)
class Track:
    """One curve of ln(order parameter) against depth; ``replicates`` (R, D) is None for a curve taken as exact."""

    depth: np.ndarray
    log: np.ndarray
    replicates: np.ndarray | None

    @property
    def se(self) -> np.ndarray:
        """Standard error of ``log``, zero for an exact curve."""
        return np.zeros_like(self.log) if self.replicates is None else self.replicates.std(0, ddof=1)

    def within(self, low: float, high: float) -> Track:
        """The part between two depths, both included up to rounding."""
        inside = (self.depth >= low * (1 - 1e-9)) & (self.depth <= high * (1 + 1e-9))
        return Track(self.depth[inside], self.log[inside], None if self.replicates is None else self.replicates[:, inside])


def summarize(ds: xr.Dataset, statistics: Sequence[str] = STATISTICS, *, bootstrap: int = 200, seed: int = 0) -> xr.Dataset:
    r"""Mean, typical value and median of the order parameter over networks, with bootstrap replicates to go on with.

    .. math:: \ln E\rho, \qquad E \ln \rho, \qquad \operatorname{median} \ln\rho .

    The resampling is of networks, all depths of a network together, since the depths of one network are far from independent.
    The result is small, can be stored, and serves wherever the run itself would: in :func:`effective_exponent`,
    :func:`collapse` and :func:`finite_size_collapse`.

    Args:
        ds: result of :func:`deeplimits.simulate` with ``log_rho`` or ``rho`` of two inputs.
        statistics: some of ``"mean"``, ``"typical"``, ``"median"``.
        bootstrap: number of replicates.
        seed: seed of the resampling.

    Returns:
        Dataset with the logarithms ``log_rho`` and standard errors ``log_rho_se`` over (statistic, depth) and
        ``replicates`` over (replicate, statistic, depth).

    Raises:
        ValueError: too few networks for a bootstrap, an unknown statistic, or missing values.

    Source:
        Efron (1979).

    Example:
        >>> import xarray as xr
        >>> draws = np.random.default_rng(0).normal(-2.0, 1.0, (500, 3))
        >>> ds = xr.Dataset({"log_rho": (("sample", "depth"), draws)}, {"depth": [1, 2, 3]})
        >>> dict(summarize(ds, ["mean", "median"], bootstrap=50).replicates.sizes)
        {'replicate': 50, 'statistic': 2, 'depth': 3}
    """
    import xarray as xr

    depth, values = _networks(ds)
    chosen = [statistics] if isinstance(statistics, str) else list(statistics)
    tracks = [_resampled(depth, values, _checks.choice("statistics", s, STATISTICS), bootstrap, seed) for s in chosen]
    data = {
        "log_rho": (("statistic", "depth"), np.stack([t.log for t in tracks]), {"long_name": "logarithm of the order parameter", "units": "nat"}),
        "log_rho_se": (("statistic", "depth"), np.stack([t.se for t in tracks]), {"long_name": "standard error", "units": "nat"}),
        "replicates": (("replicate", "statistic", "depth"), np.stack([t.replicates for t in tracks], 1),
                       {"long_name": "log_rho of resampled networks", "units": "nat"}),
    }
    return xr.Dataset(data, {"statistic": chosen, "depth": depth}, attrs=dict(ds.attrs) | {"samples": len(values)})


def _networks(ds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Depths, and ln(order parameter) of shape (S, D)."""
    name = next((n for n in ("log_rho", "rho") if n in ds), None)
    if name is None:
        raise ValueError(f"ds must hold log_rho or rho (simulate with observe=['log_rho']); it holds {', '.join(map(repr, ds.data_vars))}")
    data = ds[name]
    if not {"sample", "depth"} <= set(data.dims):
        raise ValueError(f"{name} must have the dimensions sample and depth; it has {data.dims}")
    if "input" in data.dims:
        if data.sizes["input"] != 2:
            raise ValueError(f"{name} must be of one pair of inputs; it has {data.sizes['input']} inputs: select two, ds.isel(input=[0, 1])")
        data = data.isel(input=1)
    extra = [d for d in data.dims if d not in ("sample", "depth")]
    if extra:
        raise ValueError(f"{name} must be one run, but it also runs over {extra}: select one member")
    values = np.asarray(data.transpose("sample", "depth").values, dtype=float)
    if name == "rho":
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(values)
    if np.isnan(values).any():
        raise ValueError(f"{name} must be zero or positive and not NaN")
    return np.asarray(data.depth.values, dtype=float), values


def _log_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """ln(weights @ exp(values)), with the largest value of each depth taken out; rows of ``weights`` sum to one."""
    top = values.max(0)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(weights @ np.exp(values - top)) + top


def _resampled(depth: np.ndarray, values: np.ndarray, statistic: str, bootstrap: int, seed: int) -> Track:
    count = len(values)
    if count < FEWEST_NETWORKS:
        raise ValueError(f"samples: a bootstrap over networks needs at least {FEWEST_NETWORKS} of them; got {count}. Depths of one network "
                         "are no substitute, since they are strongly correlated: simulate more networks")
    generator, bootstrap = np.random.default_rng(_checks.integer("seed", seed, minimum=0)), _checks.integer("bootstrap", bootstrap, minimum=20)
    if statistic == "median":
        size = max(1, BATCH // values.size)
        rows = [np.median(values[generator.integers(count, size=(min(size, bootstrap - k), count))], axis=1) for k in range(0, bootstrap, size)]
        return Track(depth, np.median(values, axis=0), np.concatenate(rows))
    weights = generator.multinomial(count, np.full(count, 1 / count), size=bootstrap) / count
    equal = np.full((1, count), 1 / count)
    if statistic == "mean":
        return Track(depth, _log_mean(values, equal)[0], _log_mean(values, weights))
    return Track(depth, (equal @ values)[0], weights @ values)


def track(member: Any, statistic: str = "mean", bootstrap: int = 200, seed: int = 0) -> Track:
    """The curve of a run, of a summary, of a mean-field profile or of a plain DataArray, at positive depths where it is known.

    Args:
        member: result of ``simulate`` or :func:`summarize`; an object with arrays ``depth`` and ``log_rho``, or a DataArray of the order
            parameter over ``depth``, which are taken as exact.
        statistic: what to take over networks.
        bootstrap: number of replicates.
        seed: seed of the resampling.
    """
    import xarray as xr

    _checks.choice("statistic", statistic, STATISTICS)
    if isinstance(member, xr.Dataset) and "replicates" in member:
        known = member.statistic.values.astype(str).tolist()
        if statistic not in known:
            raise ValueError(f"statistic must be one of the summary's, {', '.join(map(repr, known))}; got {statistic!r}")
        one = member.isel(statistic=known.index(statistic))
        found = Track(np.asarray(one.depth.values, dtype=float), np.asarray(one.log_rho.values, dtype=float),
                      np.asarray(one.replicates.transpose("replicate", "depth").values, dtype=float))
    elif isinstance(member, xr.Dataset):
        found = _resampled(*_networks(member), statistic, bootstrap, seed)
    elif isinstance(member, xr.DataArray):
        if member.dims != ("depth",) or "depth" not in member.coords:
            raise ValueError(f"an exact curve must be a DataArray over depth, with its depths as coordinate; it has {member.dims}")
        with np.errstate(divide="ignore", invalid="ignore"):
            found = Track(np.asarray(member.depth.values, dtype=float), np.log(np.asarray(member.values, dtype=float)), None)
    elif hasattr(member, "depth") and hasattr(member, "log_rho"):
        found = Track(np.asarray(member.depth, dtype=float), np.asarray(member.log_rho, dtype=float), None)
    else:
        raise TypeError(f"a curve must come from simulate, criticality.summarize, meanfield.profile or as a DataArray over depth; got {type(member).__name__}")
    kept = (found.depth > 0) & ~np.isnan(found.log)
    found = Track(found.depth[kept], found.log[kept], None if found.replicates is None else found.replicates[:, kept])
    if not np.isfinite(found.log).all():
        raise ValueError("the order parameter must be positive: it is zero at some depth (an underflow, or a network that has lost the difference); "
                         "record log_rho, or end the curve before")
    return found
