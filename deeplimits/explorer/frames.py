"""From a labelled result to the curves of every frame of an explorer (*Using this book*)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from deeplimits.explorer.palette import CURVES
from deeplimits.explorer.wording import distinct

#: A band: none, the name of a standard error (``*_se``, drawn twice) or of a half-width, or the names of its two edges.
Band = str | tuple[str, str] | bool | None

#: A predicted curve: names of variables, the curve itself, or a function of the values of x.
Prediction = str | Sequence[str] | xr.DataArray | Callable[[np.ndarray], Any] | None


@dataclass(frozen=True)
class Control:
    """A dimension that the reader moves: a slider through numbers, or a choice among names."""

    name: str
    label: str
    texts: tuple[str, ...]
    numeric: bool


@dataclass(frozen=True)
class Curve:
    """One drawn curve in all frames: arrays of shape ``(*sizes of the controls it depends on, n)``."""

    label: str
    color: int
    predicted: bool
    over: tuple[int, ...]
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def at(self, state: Sequence[int]) -> np.ndarray:
        """The values of one frame, shape ``(n,)``."""
        return self.y[tuple(state[i] for i in self.over)]


@dataclass(frozen=True)
class Frames:
    """All that an explorer draws: the axis values, the controls and the curves."""

    x: np.ndarray
    dim: str
    controls: tuple[Control, ...]
    curves: tuple[Curve, ...]
    bands: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(c.texts) for c in self.controls)

    def word(self, curve: Curve) -> str:
        """The curve in the legend: a single curve with standard errors is what was measured."""
        single = sum(not c.predicted for c in self.curves) == 1
        return "measured" if single and not curve.predicted and any("standard" in b for b in self.bands) else curve.label


def names_of(argument: str, value: Any, ds: xr.Dataset) -> list[str]:
    """Names of data variables, checked."""
    names = [value] if isinstance(value, str) else list(value)
    for name in names:
        if name not in ds.data_vars:
            raise ValueError(f"{argument} must name a variable of the dataset, one of {listed(ds.data_vars)}; got {name!r}")
    if not names:
        raise ValueError(f"{argument} must name at least one variable of the dataset, one of {listed(ds.data_vars)}")
    return names


def with_prediction(ds: Any, x: str, predicted: Prediction) -> tuple[Any, Any]:
    """The dataset with a predicted curve that is not yet a variable of it, and that variable's name."""
    if not isinstance(ds, xr.Dataset) or predicted is None or isinstance(predicted, str):
        return ds, predicted
    if callable(predicted) and not isinstance(predicted, xr.DataArray):
        dim, values = horizontal(ds, x)
        curve = np.asarray(predicted(values), dtype=float)
        if curve.shape != values.shape:
            raise ValueError(f"predicted must give one value for each of the {len(values)} values of '{x}'; got shape {curve.shape}")
        predicted = xr.DataArray(curve, dims=dim)
    if isinstance(predicted, xr.DataArray):
        return ds.assign(_predicted=predicted), "_predicted"
    return ds, predicted


def label_of(ds: xr.Dataset, name: str, labels: Mapping[str, str]) -> str:
    """The words for a variable or dimension: given, or its ``long_name`` and units, or its name."""
    if name in labels:
        return labels[name]
    attrs = ds[name].attrs if name in ds.variables else {}
    units = str(attrs.get("units", "1"))
    return str(attrs.get("long_name", name.replace("_", " "))) + ("" if units in ("1", "") else f" ({units})")


def horizontal(ds: xr.Dataset, x: str, argument: str = "x", falling: bool = False) -> tuple[str, np.ndarray]:
    """The dimension along an axis (the horizontal one) and its values, which must increase (or all decrease, if that is allowed)."""
    if x not in ds.dims and not (x in ds.coords and ds[x].ndim == 1):
        raise ValueError(f"{argument} must be a dimension of the dataset, one of {listed(ds.dims)}; got {x!r}")
    dim = x if x in ds.dims else str(ds[x].dims[0])
    values = np.asarray(ds[x].values)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{argument} must have a numeric coordinate; '{x}' holds {values.dtype}")
    values = values.astype(float)
    steps = np.diff(values[::-1] if falling and values[0] > values[-1] else values)
    if len(values) < 2 or not np.isfinite(values).all() or (steps <= 0).any():
        raise ValueError(f"{argument} must have at least two finite, increasing{' or decreasing' if falling else ''} values; those of '{x}' are not "
                         f"(ds.sortby('{x}') sorts)")
    return dim, values


def control_of(ds: xr.Dataset, dim: str, labels: Mapping[str, str]) -> Control:
    """The slider or choice for one dimension."""
    values = np.asarray(ds[dim].values)
    label = label_of(ds, dim, labels)
    if values.dtype.kind not in "iuf":
        return Control(dim, label, tuple(str(v) for v in values), numeric=False)
    steps = np.diff(values.astype(float))
    if not np.isfinite(values.astype(float)).all() or not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(f"a slider needs ordered values; those of '{dim}' are not (ds.sortby('{dim}') sorts)")
    return Control(dim, label, tuple(distinct(values)), numeric=True)


def collect(ds: xr.Dataset, x: str, y: str | Sequence[str], sliders: Sequence[str] | None, lines: str | None,
            band: Band | Mapping[str, Band], predicted: str | Sequence[str] | None,
            labels: Mapping[str, str]) -> Frames:
    """Check the arguments of :func:`deeplimits.explore` and gather the curves of all frames."""
    ys = names_of("y", y, ds)
    theory = [] if predicted is None else names_of("predicted", predicted, ds)
    if theory and len(theory) != len(ys):
        raise ValueError(f"predicted must give one variable for each y ({len(ys)}); got {len(theory)}")
    dim, values = horizontal(ds, x)
    for name in ys + theory:
        if dim not in ds[name].dims:
            raise ValueError(f"x must be a dimension of every drawn variable; '{name}' has {listed(ds[name].dims)}, not {dim!r}")
    if lines is not None and (lines == dim or lines not in ds[ys].dims):
        others = listed(d for d in ds[ys].dims if d != dim)
        raise ValueError(f"lines must be a dimension of y other than x, one of {others}; got {lines!r}")
    moved = _moved(ds, ys, theory, dim, sliders, lines)
    controls = tuple(control_of(ds, d, labels) for d in moved)
    entries = control_of(ds, lines, labels) if lines else None
    count = len(ys) * (len(entries.texts) if entries else 1)
    if count > len(CURVES):
        raise ValueError(f"at most {len(CURVES)} curves can be told apart; y and lines ask for {count} "
                         f"(select some of them, or make '{lines or 'a dimension'}' a slider)")
    curves, bands = [], []
    for color, (name, entry) in enumerate(product(ys, range(len(entries.texts)) if entries else [None])):
        here = ds if entry is None else ds.isel({lines: entry})
        low, high, note = _band(here, name, band.get(name) if isinstance(band, Mapping) else band)
        curves.append(_curve(here, name, moved, dim, _legend(ds, name, entries, entry, len(ys), labels), color, low, high))
        bands += [note] if note and note not in bands else []
        if theory and (entry is None or lines in ds[theory[ys.index(name)]].dims or entry == 0):
            exact = theory[ys.index(name)]
            curves.append(_curve(here, exact, moved, dim, labels.get(exact, labels.get("predicted", "predicted")), -1))
    return Frames(values, dim, controls, tuple(curves), tuple(bands))


def _moved(ds: xr.Dataset, ys: list[str], theory: list[str], dim: str, sliders: Sequence[str] | None,
           lines: str | None) -> list[str]:
    """The dimensions of the curves that become controls."""
    return chosen(ds, list(dict.fromkeys(str(d) for name in ys + theory for d in ds[name].dims if d not in (dim, lines))), sliders)


def chosen(ds: xr.Dataset, rest: list[str], sliders: Sequence[str] | None) -> list[str]:
    """The dimensions that become controls, in order; those of one entry need none."""
    wanted = rest if sliders is None else [sliders] if isinstance(sliders, str) else list(sliders)
    for name in wanted:
        if name not in rest:
            raise ValueError(f"sliders must be dimensions that are not drawn, some of {listed(rest)}; got {name!r}")
    for name in rest:
        if name not in wanted and ds.sizes[name] > 1:
            raise ValueError(f"dimension '{name}' is neither drawn nor in sliders: draw it, add it to sliders, "
                             f"or reduce it first (ds.mean('{name}'), ds.isel({name}=0))")
    return [d for d in wanted if ds.sizes[d] > 1]


def _legend(ds: xr.Dataset, name: str, entries: Control | None, entry: int | None, variables: int,
            labels: Mapping[str, str]) -> str:
    if entries is None or entry is None:
        return label_of(ds, name, labels)
    text = f"{entries.label} = {entries.texts[entry]}" if entries.numeric else entries.texts[entry]
    return text if variables == 1 else f"{label_of(ds, name, labels)}, {text}"


def _band(ds: xr.Dataset, name: str, band: Band) -> tuple[xr.DataArray | None, xr.DataArray | None, str]:
    """Lower and upper edge, and the words that say what the band is."""
    if band is None and f"{name}_se" in ds.data_vars:
        band = f"{name}_se"
    if band is None or band is False:
        return None, None, ""
    if band is True or not isinstance(band, str | tuple | list):
        raise TypeError(f"band must be None, False, the name of a variable or of two; got {band!r}")
    edges = names_of("band", band, ds)
    if len(edges) == 2:
        return ds[edges[0]], ds[edges[1]], f"{edges[0]} to {edges[1]}".replace("_", " ")
    if len(edges) != 1:
        raise ValueError(f"band must name one variable (a half-width) or two (the edges); got {band!r}")
    factor, note = (2, "± 2 standard errors (about 95 %)") if edges[0].endswith("_se") else (1, "± " + edges[0].replace("_", " "))
    return ds[name] - factor * ds[edges[0]], ds[name] + factor * ds[edges[0]], note


def _curve(ds: xr.Dataset, name: str, moved: list[str], dim: str, label: str, color: int,
           low: xr.DataArray | None = None, high: xr.DataArray | None = None) -> Curve:
    own = [d for d in moved if d in ds[name].dims]
    like = ds[name]

    def array(a: xr.DataArray) -> np.ndarray:
        a = a.broadcast_like(like).squeeze([d for d in a.broadcast_like(like).dims if d not in (*own, dim)])
        values = a.transpose(*own, dim).values
        if values.dtype.kind not in "iufb":
            raise TypeError(f"'{name}' must hold numbers; got {values.dtype}")
        return values.astype(float)

    edges = (array(low), array(high)) if low is not None and high is not None else (None, None)
    return Curve(label, color, color < 0, tuple(moved.index(d) for d in own), array(like), *edges)


def listed(names: Any) -> str:
    """Names for a message."""
    return ", ".join(repr(str(n)) for n in names) or "(none)"


def setting(control: Control, i: int) -> str:
    """A control and its value in words.

    Example:
        >>> setting(Control("width", "width", ("16", "64"), True), 1)
        'width = 64'
    """
    return f"{control.label} {'= ' if control.numeric else ''}{control.texts[i]}"


__all__ = ["Band", "Control", "Curve", "Frames", "Prediction", "collect", "control_of", "horizontal", "label_of", "listed", "names_of",
           "setting", "with_prediction"]
