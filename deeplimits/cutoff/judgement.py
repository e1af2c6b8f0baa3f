"""Judging a family of profiles: cut-off, no cut-off, or undecided (Part III, *What a cut-off is*)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Depths below this are too close to the integer grid to be judged.
MINIMUM_DEPTH = 10.0
#: The cut-off depth must grow by this factor along the family before anything is concluded about its limit.
GROWTH = 3.0
#: Standard errors demanded of a conclusion.
SIGMAS = 3.0


@dataclass(frozen=True)
class Trend:
    """How the relative width of one pair of levels moves along the family.

    Attributes:
        pair: the levels; empty if the data have one column without a name.
        decay: exponent b of the fit ``R ~ depth**-b``.
        decay_se: its standard error.
        limit: R extrapolated to infinite depth.
        limit_se: its standard error, including the choice between the rates 1/2 and 1.
        first: R at the first judged member.
        last: R at the last.
        last_se: its standard error.
    """

    pair: str
    decay: float
    decay_se: float
    limit: float
    limit_se: float
    first: float
    last: float
    last_se: float


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer and its grounds; it compares equal to its answer, so ``verdict(f) == "cut-off"`` works.

    Attributes:
        answer: ``"cut-off"``, ``"no cut-off"`` or ``"undecided"``.
        family: the name of the parameter along which the limit is taken.
        evidence: the grounds, in words.
        members: number of members judged.
        growth: factor by which the cut-off depth grows along those deep enough for a trend; nan if there is none.
        trends: one :class:`Trend` per pair of levels.
    """

    answer: str
    family: str
    evidence: str
    members: int
    growth: float
    trends: tuple[Trend, ...] = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.answer == other
        return isinstance(other, Verdict) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.answer)

    def __str__(self) -> str:
        return f"{self.answer} (along {self.family}): {self.evidence}"


@dataclass(frozen=True)
class _Table:
    name: str
    values: np.ndarray
    depth: np.ndarray
    depth_se: np.ndarray
    ratio: np.ndarray  # (member, pair)
    ratio_se: np.ndarray
    pairs: tuple[str, ...]


def _table(family: Any, name: str | None) -> _Table:
    """The columns of a Dataset or a dict, checked."""
    import xarray as xr

    if isinstance(family, xr.Dataset):
        name = name or family.attrs.get("family")
        if "pair" in family.dims:
            family = family.transpose(..., "pair")
        columns = {k: family[k].values for k in family.data_vars}
        if name in family.coords:
            columns["values"] = family[name].values
        pairs = tuple(map(str, family["pair"].values)) if "pair" in family.coords else ()
    elif isinstance(family, Mapping):
        columns = dict(family)
        name, pairs = name or columns.get("name"), tuple(map(str, columns.get("pair", ())))
    else:
        raise TypeError(f"family must be the Dataset of cutoff.family or a dict of columns; got {type(family).__name__}")
    if not name:
        raise ValueError("family must be named: a cut-off is a statement along a parameter; pass name='width' or the like")
    for key in ("depth", "relative_width"):
        if key not in columns:
            raise ValueError(f"family must have the column {key!r}; it has {sorted(map(str, columns))}")
    depth = np.asarray(columns["depth"], dtype=float)
    ratio = np.asarray(columns["relative_width"], dtype=float)
    ratio = ratio[:, None] if ratio.ndim == 1 else ratio
    depth_se = np.asarray(columns.get("depth_se", np.zeros_like(depth)), dtype=float)
    ratio_se = np.asarray(columns.get("relative_width_se", np.zeros_like(ratio)), dtype=float).reshape(ratio.shape)
    if depth.ndim != 1 or ratio.shape[0] != depth.size or depth_se.shape != depth.shape:
        raise ValueError(f"family must have one depth and one row of relative_width per member; got shapes {depth.shape} and {ratio.shape}")
    for key, column in (("depth", depth), ("relative_width", ratio), ("depth_se", depth_se), ("relative_width_se", ratio_se)):
        if not np.isfinite(column).all() or (column < 0).any() or (not key.endswith("_se") and (column == 0).any()):
            raise ValueError(f"{key} must be finite and positive; got {column.tolist()}")
    pairs = pairs or (("",) if ratio.shape[1] == 1 else tuple(f"pair {k + 1}" for k in range(ratio.shape[1])))
    values = np.asarray(columns.get("values", np.arange(depth.size)))
    return _Table(str(name), values, depth, depth_se, ratio, ratio_se, pairs)


def _line(x: np.ndarray, y: np.ndarray, se: np.ndarray) -> tuple[float, float, float, float, float]:
    """Weighted line: intercept, its error, slope, its error, reduced chi-squared (errors widened by a bad fit)."""
    scale = np.abs(y).max()
    se = np.hypot(se, 1e-9 * scale)
    weight = 1 / se**2
    design = np.stack([np.ones_like(x), x], 1)
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    beta = covariance @ (design.T @ (weight * y))
    misfit = float((weight * (y - design @ beta) ** 2).sum() / max(x.size - 2, 1))
    error = np.sqrt(np.diag(covariance) * max(misfit, 1.0))
    return float(beta[0]), float(error[0]), float(beta[1]), float(error[1]), misfit


def _trend(pair: str, depth: np.ndarray, ratio: np.ndarray, se: np.ndarray) -> Trend:
    _, _, slope, slope_se, _ = _line(np.log(depth), np.log(ratio), se / ratio)
    fits = [_line(depth**-rate, ratio, se) for rate in (0.5, 1.0)]
    best = min(fits, key=lambda fit: fit[4])
    spread = abs(fits[0][0] - fits[1][0]) / 2 if all(fit[4] < 4 * max(best[4], 1.0) for fit in fits) else 0.0
    return Trend(pair, -slope, slope_se, best[0], math.hypot(best[1], spread), float(ratio[0]), float(ratio[-1]), float(se[-1]))


def _falls(trend: Trend, depth: np.ndarray, ratio: np.ndarray, se: np.ndarray) -> bool:
    """Whether R falls clearly, keeps falling in the deeper half, and extrapolates to (nearly) nothing."""
    half = max(3, depth.size // 2 + 1)
    late = _trend(trend.pair, depth[-half:], ratio[-half:], se[-half:])
    steady = trend.decay - SIGMAS * trend.decay_se > 0.1 and late.decay - SIGMAS * late.decay_se > 0.05
    vanishing = trend.limit - SIGMAS * trend.limit_se <= 0.25 * trend.last
    return steady and vanishing and trend.last < 0.75 * trend.first


def _stays(depth: np.ndarray, ratio: np.ndarray, se: np.ndarray) -> bool:
    """Whether R falls clearly less than even a decay like 1/sqrt(log depth) would make it."""
    drop = math.log(ratio[0] / ratio[-1])
    drop_se = math.hypot(se[0] / ratio[0], se[-1] / ratio[-1])
    slowest = 0.5 * math.log(math.log(depth[-1]) / math.log(depth[0]))
    return drop + SIGMAS * drop_se < 0.5 * slowest


def _bounded(table: _Table) -> bool:
    """Whether the cut-off depth is the same for every member, within errors small enough to say so."""
    spread = table.depth.max() - table.depth.min()
    error = SIGMAS * table.depth_se.max()
    return spread <= 0.05 * table.depth.mean() + error and error <= 0.05 * table.depth.mean()


def _wide(values: np.ndarray) -> bool:
    """Whether the parameter itself covers at least a factor 16."""
    try:
        numbers = np.abs(values.astype(float))
    except (TypeError, ValueError):
        return False
    return bool(numbers.min() > 0 and numbers.max() / numbers.min() >= 16)


def _numbers(trends: tuple[Trend, ...]) -> str:
    parts = [
        f"{f'R({t.pair})' if t.pair else 'R'} goes from {t.first:.3g} to {t.last:.3g} like depth^{-t.decay:.3f} (± {t.decay_se:.3f}), "
        f"extrapolating to {t.limit:.3g} (± {t.limit_se:.2g})"
        for t in trends
    ]
    return "; ".join(parts)


def verdict(family: Any, name: str | None = None) -> Verdict:
    r"""Say whether a family shows a cut-off, and on what evidence.

    A cut-off means :math:`l^* \to \infty` and :math:`R \to 0` *for every pair of levels*. From finitely many members
    this can only be judged, so the rules are strict and the default is ``"undecided"``:

    - Members with depth below 10 are left out; four must remain.
    - ``"cut-off"``: the depth grows at least threefold; for every pair R falls by a quarter or more, like a power of
      the depth that is positive by three standard errors, also in the deeper half, and extrapolates to zero (to less
      than a quarter of its last value, within three standard errors).
    - ``"no cut-off"``: the depth grows at least threefold, and for some pair R falls by three standard errors less
      than half of what a decay like :math:`1/\sqrt{\log l^*}` would give; or the depth is the same for all members
      within 5 percent while the parameter covers a factor 16 (then :math:`l^* \to \infty` fails).

    A slower decay than :math:`1/\sqrt{\log l^*}` cannot be told from none.

    Args:
        family: Dataset of :func:`family`; or a dict of columns ``depth``, ``relative_width`` (a column per pair
            allowed), ``depth_se``, ``relative_width_se``, and perhaps ``values`` (of the parameter) and ``name``.
            Members stand in the order of the limit.
        name: the name of the family parameter, if the data do not carry it.

    Returns:
        A :class:`Verdict`.

    Raises:
        ValueError: unnamed family, missing columns, values that are not positive.

    Source:
        Aldous and Diaconis (1986); Diaconis (1996); Levin, Peres and Wilmer (2009), chapter 18.

    Example:
        >>> depth = [20.0, 40.0, 80.0, 160.0]
        >>> print(verdict({"name": "threshold", "depth": depth, "relative_width": [l**-0.5 for l in depth]}).answer)
        cut-off
        >>> print(verdict({"name": "width", "depth": depth, "relative_width": [1.585] * 4}).answer)
        no cut-off
    """
    table = _table(family, name)
    keep = table.depth >= MINIMUM_DEPTH
    depth, ratio, se = table.depth[keep], table.ratio[keep], table.ratio_se[keep]
    growth = float(depth[-1] / depth[0]) if depth.size else math.nan

    def answer(word: str, why: str, trends: tuple[Trend, ...] = (), members: int = depth.size) -> Verdict:
        numbers = f" {_numbers(trends)}." if trends else ""
        text = f"{why}{numbers} Judged from {members} of {table.depth.size} members along {table.name}."
        return Verdict(word, table.name, text, int(members), growth, trends)

    if table.depth.size >= 4 and _bounded(table) and _wide(table.values):  # a bounded depth may be small: all members count
        why = f"The depth l(.5) stays at {table.depth.mean():.3g} along the family, so it does not diverge."
        return answer("no cut-off", why, members=table.depth.size)
    if depth.size < 4:
        return answer("undecided", f"Fewer than four members reach depth {MINIMUM_DEPTH:g}.")
    trends = tuple(_trend(p, depth, ratio[:, k], se[:, k]) for k, p in enumerate(table.pairs))
    if growth < GROWTH:
        return answer("undecided", f"The depth grows only by the factor {growth:.3g}; a factor {GROWTH:g} is asked for.", trends)
    if not (np.diff(depth) > -SIGMAS * table.depth_se[keep].max()).all():
        return answer("undecided", "The depth does not grow steadily in the order given.", trends)
    if all(_falls(t, depth, ratio[:, k], se[:, k]) for k, t in enumerate(trends)):
        return answer("cut-off", f"The depth grows by the factor {growth:.3g} and the relative width falls{' for every pair' if trends[0].pair else ''}.", trends)
    for k, t in enumerate(trends):
        if _stays(depth, ratio[:, k], se[:, k]):
            of = f" of {t.pair}" if t.pair else ""
            why = f"The depth grows by the factor {growth:.3g} but the relative width{of} does not fall."
            return answer("no cut-off", why, trends)
    return answer("undecided", f"The depth grows by the factor {growth:.3g}; the relative width neither falls clearly nor stays.", trends)
