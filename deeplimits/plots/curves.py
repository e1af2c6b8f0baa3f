r"""Profiles, families of profiles and their relative width (*Using this book*)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from deeplimits.explorer.frames import Band, Curve, Prediction, collect, label_of, with_prediction
from deeplimits.explorer.palette import CURVES, INK, PREDICTED
from deeplimits.explorer.wording import number
from deeplimits.plots import marks
from deeplimits.plots.page import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def profile(profile: xr.Dataset | xr.DataArray, y: str | None = None, *, x: str = "depth", lines: str | None = None,
            predicted: Prediction = None, band: Band = None,
            family: str | None = None, xscale: str = "linear", yscale: str = "linear",
            labels: Mapping[str, str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw a profile: a statistic against depth, with its error band and the predicted curve.

    Args:
        profile: result of :func:`deeplimits.cutoff.survival`, or any labelled result; a DataArray is one curve.
        y: variable to draw; default ``"survival"``, or the only variable.
        x: dimension of the horizontal axis.
        lines: dimension with one curve for each entry (at most six).
        predicted: variable, DataArray, or function of the values of ``x``, such as the ``survival`` of a prediction.
        band: as for :func:`deeplimits.explore`; by default twice the standard error, about 95 %.
        family: the parameters that are held and the one that is varied, e.g. ``"width 64, ε = 10⁻¹⁰"``; the title.
        xscale, yscale: ``"linear"`` or ``"log"``.
        labels: words for dimensions and variables.
        ax: axes to draw on; default: new ones in the style of the book.

    Returns:
        The axes, ready for :func:`show`.

    Raises:
        ValueError: a name that is not in the data, or a dimension without a place.

    Example:
        >>> from deeplimits.plots import describe
        >>> depth = np.arange(41)
        >>> curve = xr.DataArray(np.exp(-depth / 10), {"depth": depth}, name="distance")
        >>> ax = profile(curve, predicted=lambda depth: np.exp(-depth / 10), family="rate 1/10")
        >>> describe(ax).split(":")[0]
        'rate 1/10. Chart of distance against depth'
    """
    ds = _dataset(profile)
    name = y or _only(ds)
    labels = dict(labels or {})
    ds, theory = with_prediction(ds, x, predicted)
    frames = collect(ds, x, name, [], lines, band, theory, labels)
    ax, own = marks.own(ax)
    for curve in frames.curves:
        if not curve.predicted:
            marks.draw(ax, frames.x, curve, frames.word(curve))
    for k, curve in enumerate(c for c in frames.curves if c.predicted):
        marks.draw(ax, frames.x, curve, "_predicted" if k else "predicted")
    for note in frames.bands:
        ax.fill_between([], [], [], color=INK, alpha=0.3, linewidth=0, label=note)
    ax.set(xlabel=label_of(ds, x, labels), xscale=xscale, yscale=yscale)
    marks.heading(ax, family, label_of(ds, name, labels))
    marks.legend([ax], own)
    return ax


@styled
def family(profiles: Mapping[Any, xr.Dataset | xr.DataArray] | xr.Dataset, along: str | None = None, *, family: str | None = None,
           predicted: Callable[[np.ndarray], Any] | None = None, xscale: str = "linear",
           labels: Mapping[str, str] | None = None) -> Figure:
    r"""Draw the profiles along a family, and below them the same against the rescaled depth :math:`c = (l - l^*)/w`.

    If the family has a cut-off with a limit profile, the curves below approach one curve. The converse fails:
    judge by :func:`deeplimits.cutoff.verdict`.

    Args:
        profiles: as for :func:`deeplimits.cutoff.family`: a dict from parameter value to profile, or one result of
            :func:`deeplimits.cutoff.survival` with several thresholds (at most six members).
        along: name of the family parameter; needed for a dict.
        family: what is held and what is varied; the title.
        predicted: the limit profile as a function of c.
        xscale: scale of the depth axis above.
        labels: words for the family parameter.

    Returns:
        The figure with its two panels, ready for :func:`show`.

    Raises:
        ValueError: no family parameter, or more than six members.

    Example:
        >>> depth = np.arange(400)
        >>> curve = lambda scale: xr.DataArray(np.exp(-depth / scale), {"depth": depth}, name="survival")
        >>> figure = family({40: curve(40), 50: curve(50)}, along="scale", family="exponential profiles")
        >>> len(figure.axes)
        2
    """
    from deeplimits import cutoff

    members, name = _members(profiles, along)
    word = dict(labels or {}).get(name, name.replace("_", " "))
    rescaled = cutoff.collapse(profiles, along=name).curves
    figure, (above, below) = marks.panels(2)
    for k, (value, member) in enumerate(members):
        text = f"{word} = {value if isinstance(value, str) else number(value)}"
        frames = collect(member, "depth", _only(member), [], None, None, None, {})
        for curve in frames.curves:
            marks.draw(above, frames.x, Curve(text, k, False, (), curve.y, curve.low, curve.high), text)
        row = rescaled.isel({rescaled.dims[0]: k})
        marks.line(below, row["c"].values, row.values, k, text)
    if predicted is not None:
        c = rescaled["c"].values
        below.plot(c, np.asarray(predicted(c)), color=PREDICTED, linestyle=marks.dash(-1), linewidth=1.3, label="predicted limit", zorder=4)
    above.set(xlabel="depth", xscale=xscale)
    below.set(xlabel="c")
    what = label_of(member, _only(member), {})
    marks.heading(above, family or f"along {word}", what)
    marks.heading(below, "rescaled: c = (depth − cut-off depth) / window", what)
    marks.legend([below], True)
    return figure


@styled
def relative_width(located: xr.Dataset, x: str | None = None, *, predicted: Callable[[np.ndarray], Any] | Sequence[float] | None = None,
                   family: str | None = None, xscale: str = "log", yscale: str = "log", labels: Mapping[str, str] | None = None,
                   ax: Axes | None = None) -> Axes:
    r"""Draw the relative width :math:`R` = window / cut-off depth along a family, with 95 % error bars and the prediction.

    Args:
        located: result of :func:`deeplimits.cutoff.family`: ``relative_width`` and ``relative_width_se`` along the family
            parameter, perhaps for several pairs of levels.
        x: the horizontal axis: the family parameter (default) or ``"depth"``, the cut-off depth of each member.
        predicted: R as a function of the values of ``x``, or one value for each member.
        family: what is held and what is varied; the title.
        xscale, yscale: ``"linear"`` or ``"log"``.
        labels: words for the family parameter.
        ax: axes to draw on; default: new ones in the style of the book.

    Returns:
        The axes, ready for :func:`show`.

    Raises:
        ValueError: ``relative_width`` or ``x`` is missing.

    Example:
        >>> from deeplimits.plots import describe
        >>> located = xr.Dataset({"relative_width": ("width", [1.0, 0.5]), "relative_width_se": ("width", [0.1, 0.1])},
        ...                      {"width": [16, 64]})
        >>> describe(relative_width(located, predicted=lambda n: 4 / n**0.5))
        'Chart of relative width R against width (log scales): measured falls from 1 to 0.5 between width 16 and 64; ...'
    """
    if not isinstance(located, xr.Dataset) or "relative_width" not in located:
        raise ValueError("located must be a Dataset with a variable 'relative_width', as cutoff.family returns it")
    r = located["relative_width"]
    name = next(str(d) for d in r.dims if d != "pair")
    if x is not None and x not in located.variables:
        raise ValueError(f"x must be a variable or dimension of located, such as {name!r} or 'depth'; got {x!r}")
    along = located[x or name]
    values = along.values.astype(float)
    ax, own = marks.own(ax)
    pairs = [str(p) for p in located["pair"].values] if "pair" in r.dims else [None]
    for k, pair in enumerate(pairs):
        part = r if pair is None else r.sel(pair=pair)
        se = located.get("relative_width_se", xr.zeros_like(r))
        se = se if pair is None else se.sel(pair=pair)
        ax.errorbar(values, part.values, 2 * se.values, color=CURVES[k], linestyle="none", marker="osD^v*"[k], zorder=3,
                    label="measured" if pair is None else f"levels {pair.replace('-', ' to ')}")
    if predicted is not None:
        order = np.argsort(values)
        grid = np.geomspace(values.min(), values.max(), 60) if xscale == "log" else np.linspace(values.min(), values.max(), 60)
        theory = (grid, np.asarray(predicted(grid))) if callable(predicted) else (values[order], np.asarray(predicted)[order])
        ax.plot(*theory, color=PREDICTED, linestyle=marks.dash(-1), label="predicted")
    word = dict(labels or {}).get(x or name, label_of(located, x or name, {}) if x != "depth" else "cut-off depth")
    ax.set(xlabel=word, xscale=xscale, yscale=yscale)
    marks.heading(ax, family, "relative width R")
    marks.plain_ticks(ax)
    marks.legend([ax], own)
    return ax


def _dataset(profile: Any) -> xr.Dataset:
    if isinstance(profile, xr.DataArray):
        return profile.to_dataset(name=profile.name or "survival")
    if not isinstance(profile, xr.Dataset):
        raise TypeError(f"profile must be an xarray Dataset or DataArray, as cutoff.survival returns it; got {type(profile).__name__}")
    return profile


def _only(ds: xr.Dataset) -> str:
    """The variable that is meant when none is named."""
    names = [str(n) for n in ds.data_vars]
    if "survival" in names:
        return "survival"
    if len(names) != 1:
        raise ValueError(f"y must name the variable to draw, one of {', '.join(map(repr, names))}; got None")
    return names[0]


def _members(profiles: Any, along: str | None) -> tuple[list[tuple[Any, xr.Dataset]], str]:
    if isinstance(profiles, Mapping) and not isinstance(profiles, xr.Dataset):
        if along is None:
            raise ValueError("along must name the family parameter of a dict of profiles, for instance along='width'; got None")
        members = [(value, _dataset(member)) for value, member in profiles.items()]
    else:
        ds = _dataset(profiles)
        rest = [str(d) for d in ds[_only(ds)].dims if d != "depth"]
        along = along or (rest[0] if len(rest) == 1 else None)
        if along not in rest:
            raise ValueError(f"along must be a dimension of the profiles other than depth, one of {rest}; got {along!r}")
        members = [(v, ds.isel({along: i})) for i, v in enumerate(ds[along].values.tolist())]
    if len(members) > len(CURVES):
        raise ValueError(f"at most {len(CURVES)} profiles can be told apart; got {len(members)}: select some of them")
    return members, along
