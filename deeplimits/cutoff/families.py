"""Families of profiles: depth and relative width along a named parameter, and collapse (Part III, *What a cut-off is*)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplimits import _checks

from . import curves

if TYPE_CHECKING:
    import xarray as xr

PAIRS = ((0.75, 0.25), (0.9, 0.1))


def _members(profiles: Any, along: str | None) -> tuple[str, list[Any], list[Any]]:
    """Name of the parameter, its values, the profiles."""
    import xarray as xr

    if isinstance(profiles, Mapping) and not isinstance(profiles, xr.Dataset):
        if along is None:
            raise ValueError("along must name the family parameter of a dict of profiles, for instance along='width'")
        if not isinstance(along, str):
            raise TypeError(f"along must be a name such as 'width'; got {along!r}")
        name, values, members = along, list(profiles), list(profiles.values())
    elif isinstance(profiles, (xr.Dataset, xr.DataArray)):
        extra = [d for d in profiles.dims if d not in ("sample", "depth")]
        name = along or (extra[0] if len(extra) == 1 else None)
        if name not in extra:
            raise ValueError(f"along must be one of the dimensions {extra}; got {along!r}")
        values = np.asarray(profiles[name].values).tolist()
        members = [profiles.isel({name: i}) for i in range(len(values))]
    else:
        raise TypeError(f"profiles must be a dict, or the result of cutoff.survival for several thresholds; got {type(profiles).__name__}")
    if not values:
        raise ValueError("profiles must hold at least one member; got none")
    return name, values, members


def _pairs(pairs: Any) -> list[tuple[float, float]]:
    """Pairs of levels, one on either side of 1/2."""
    try:
        found = [(float(p), float(q)) for p, q in pairs]
    except (TypeError, ValueError):
        found = []  # fails below
    if not found or not all(1 > p > 0.5 > q > 0 for p, q in found):
        raise ValueError(f"pairs must be pairs (p, q) of levels with 1 > p > 1/2 > q > 0, such as {PAIRS}; got {pairs!r}")
    return found


def family(
    profiles: Any,
    along: str | None = None,
    pairs: Sequence[tuple[float, float]] = PAIRS,
    bootstrap: int = 200,
    seed: int = 0,
) -> xr.Dataset:
    r"""Locate every profile of a family, for several pairs of levels: what :func:`verdict` judges.

    For each pair :math:`p > q` the relative width is :math:`(l(q) - l(p))/l(1/2)`.

    Args:
        profiles: dict from parameter value to profile (anything :func:`locate` takes), or one Dataset of
            :func:`survival` with a further dimension (a list of thresholds). Members stand in the order of the limit.
        along: the name of the family parameter (``"threshold"``, ``"width"``); needed for a dict.
        pairs: pairs (p, q) of levels, :math:`p > 1/2 > q`.
        bootstrap: resamplings per member.
        seed: seed of the resampling.

    Returns:
        Dataset over (``along``) and (``along``, ``pair``): ``depth``, ``window``, ``relative_width`` and their ``_se``.

    Raises:
        ValueError: as :func:`locate`, naming the member; no members, a dict without ``along``, or pairs that are none.

    Example:
        >>> import numpy as np, xarray as xr
        >>> l = np.arange(60)
        >>> death = lambda n: xr.DataArray((1 - 2.0**-n) ** l, dims="depth", coords={"depth": l})
        >>> family({2: death(2), 3: death(3)}, along="width").sizes["pair"]
        2
    """
    import xarray as xr

    name, values, members = _members(profiles, along)
    pairs = _pairs(pairs)
    levels = sorted({0.5, *(p for pair in pairs for p in pair)}, reverse=True)
    middle = levels.index(0.5)
    columns: dict[str, list[Any]] = {k: [] for k in ("depth", "depth_se", "window", "window_se", "relative_width", "relative_width_se")}
    for value, member in zip(values, members, strict=True):
        try:
            found, replicates = curves.quantiles(member, levels, bootstrap, seed)
        except ValueError as error:
            raise ValueError(f"{name}={value!r}: {error}") from None
        if found[middle] == 0:
            raise ValueError(f"{name}={value!r}: the profile must start above 1/2; at depth 0 it does not: choose a smaller threshold")
        draws = found[None] if replicates is None else replicates
        ends = [(levels.index(p), levels.index(q)) for p, q in pairs]
        windows = [draws[:, j] - draws[:, i] for i, j in ends]
        ratios = [w / draws[:, middle] for w in windows]
        columns["depth"].append(found[middle])
        columns["window"].append([found[j] - found[i] for i, j in ends])
        columns["relative_width"].append([(found[j] - found[i]) / found[middle] for i, j in ends])
        exact = replicates is None
        columns["depth_se"].append(0.0 if exact else draws[:, middle].std(ddof=1))
        columns["window_se"].append([0.0 if exact else w.std(ddof=1) for w in windows])
        columns["relative_width_se"].append([0.0 if exact else r.std(ddof=1) for r in ratios])
    labels = [f"{p:g}-{q:g}" for p, q in pairs]
    data = {k: ((name,), np.asarray(v)) if k.startswith("depth") else ((name, "pair"), np.asarray(v)) for k, v in columns.items()}
    return xr.Dataset(data, coords={name: values, "pair": labels}, attrs={"family": name})


@dataclass(frozen=True)
class Collapse:
    """Profiles drawn against the rescaled depth ``(l - depth)/window``.

    Attributes:
        curves: DataArray over (member, c).
        spread: largest distance between two members at the same c.
        reference_distance: largest distance of each member to the reference curve, None without a reference.
    """

    curves: xr.DataArray
    spread: float
    reference_distance: tuple[float, ...] | None = None


def collapse(
    profiles: Any,
    along: str | None = None,
    *,
    grid: Any = None,
    reference: Callable[[np.ndarray], Any] | None = None,
) -> Collapse:
    r"""Rescale the profiles of a family, :math:`c = (l - l^*)/w`, and measure how well they agree.

    With a cut-off and a limit profile the curves approach one another along the family; the converse fails (a family
    of stretched copies of one curve collapses and has none), so judge by :func:`verdict`.

    Args:
        profiles: as for :func:`family`.
        along: name of the family parameter.
        grid: values of c; 81 from -2 to 2 by default.
        reference: the expected curve as a function of c, for comparison.

    Returns:
        A :class:`Collapse`.

    Raises:
        ValueError: as :func:`locate`, naming the member; no members, or none that reach the grid; a grid that is not finite.

    Example:
        >>> import numpy as np, xarray as xr
        >>> l = np.arange(400)
        >>> line = lambda a: xr.DataArray(np.exp(-l / a), dims="depth", coords={"depth": l})
        >>> collapse({40: line(40), 50: line(50)}, along="scale").spread < 1e-3
        True
    """
    import xarray as xr

    name, values, members = _members(profiles, along)
    c = np.linspace(-2, 2, 81) if grid is None else np.array([_checks.number("grid", v) for v in np.atleast_1d(grid)])
    rows = []
    for value, member in zip(values, members, strict=True):
        try:
            where = curves.locate(member, bootstrap=0)
        except ValueError as error:
            raise ValueError(f"{name}={value!r}: {error}") from None
        depths, curve, _ = curves._indicator(member)
        position = where.depth + c * where.window
        row = np.interp(position, depths, curve)
        rows.append(np.where((position >= depths[0]) & (position <= depths[-1]), row, np.nan))
    table = np.asarray(rows)
    shared = ~np.isnan(table).any(0)
    if not shared.any():
        raise ValueError("profiles must share rescaled depths of the grid; run deeper or give a grid around 0")
    spread = float((table[:, shared].max(0) - table[:, shared].min(0)).max())
    distances = None
    if reference is not None:
        distances = tuple(float(np.nanmax(np.abs(row - np.asarray(reference(c))))) for row in table)
    return Collapse(xr.DataArray(table, dims=(name, "c"), coords={name: values, "c": c}), spread, distances)
