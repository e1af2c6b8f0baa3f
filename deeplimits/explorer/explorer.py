"""The explorer: curves of a labelled result, with a control for every dimension that is not drawn (*Using this book*)."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from deeplimits.explorer import picture
from deeplimits.explorer.axis import STEPS, Axis
from deeplimits.explorer.frames import Band, Curve, Frames, Prediction, collect, label_of, setting, with_prediction
from deeplimits.explorer.wording import course, number, spoken

#: While this environment variable is set and not empty, explorers make no widget: the book's build sets it.
STATIC = "DEEPLIMITS_STATIC"
#: An explorer may weigh at most this many bytes (style, picture, texts and data).
BUDGET = 150_000

Summary = str | Callable[[xr.Dataset], str] | None


class Explorer:
    """A figure that moves: in a notebook the last value of a cell shows it. :func:`deeplimits.explore` makes it.

    Attributes:
        id: name of the figure in the page's address.
        state: the setting it opens with, an index for each control.
        frames: the curves of all frames.

    Example:
        >>> line = xr.Dataset({"survival": ("depth", [1.0, 0.25])}, {"depth": [0, 3]})
        >>> explore(line).summary
        'Survival falls from 1 to 0.25 between depth 0 and 3 and passes one half at 2.'
    """

    def __init__(self, ds: xr.Dataset, frames: Frames, *, id: str, title: str, state: Sequence[int], xaxis: Axis,
                 yaxis: Axis, summary: Summary, alt: str) -> None:
        self.id, self.title, self.state = id, title, tuple(state)
        self.frames, self.xaxis, self.yaxis = frames, xaxis, yaxis
        self.alt = alt
        self.summaries = [_sentence(ds, frames, s, summary, xaxis.label, yaxis) for s in frames.states()]
        self._widget: Any = None

    @property
    def summary(self) -> str:
        """The text that goes with the opening picture."""
        return self.summaries[self.frames.states().index(self.state)]

    @cached_property
    def payload(self) -> dict[str, Any]:
        """All frames as JSON-able data; curves in steps of the axes (``steps`` to an axis), each row as differences."""
        curves, alone = [], sum(not c.predicted for c in self.frames.curves) == 1
        for c in self.frames.curves:
            rows = _rows(c.y, self.yaxis)
            entry = {"label": "" if alone and not c.predicted else c.label, "over": list(c.over), "y": [_differences(r) for r in rows]}
            if c.low is not None and c.high is not None:
                down = _widths(rows, _rows(c.low, self.yaxis), -1)
                up = _widths(rows, _rows(c.high, self.yaxis), 1)
                entry |= {"up": up} if up == down else {"up": up, "down": down}
            curves.append(entry)
        x, y = self.xaxis, self.yaxis
        return {
            "id": self.id, "alt": self.alt, "state": list(self.state), "sizes": list(self.frames.sizes), "steps": STEPS,
            "controls": [{"name": c.name, "values": list(c.texts)} for c in self.frames.controls],
            "x": {"label": spoken(x.label), "values": [float(f"{v:.6g}") for v in self.frames.x], "steps": x.steps(self.frames.x)},
            "y": {"low": y.low, "high": y.high, "log": y.log},
            "curves": curves, "summaries": self.summaries,
        }

    @cached_property
    def html(self) -> str:
        """The figure as one piece of HTML, complete without script."""
        data = json.dumps(self.payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return picture.figure(self.id, self.title, self.frames, self.state, self.svg, self.summary,
                              max(self.summaries, key=len), data.replace("<", "\\u003c"))

    @cached_property
    def svg(self) -> str:
        """The opening picture."""
        frame = []
        for c, entry in zip(self.frames.curves, self.payload["curves"], strict=True):
            row = 0
            for i in c.over:
                row = row * self.frames.sizes[i] + self.state[i]
            y = _rows(c.y, self.yaxis)[row]
            frame.append({"y": y} | {k: entry[k][row] for k in ("up", "down") if k in entry})
        return picture.svg(self.xaxis, self.yaxis, self.payload["x"]["steps"], frame, self.frames.curves,
                           f"{self.alt} {self.summary}")

    def widget(self) -> Any:
        """The live widget, made once; its trait ``state`` is the list of chosen indices, in both directions."""
        if self._widget is None:
            import anywidget
            import traitlets

            class ExplorerWidget(anywidget.AnyWidget):
                _esm = Path(__file__).with_name("explorer.js").read_text(encoding="utf8")
                html = traitlets.Unicode().tag(sync=True)
                state = traitlets.List(traitlets.Int()).tag(sync=True)

            self._widget = ExplorerWidget(html=self.html, state=list(self.state))
        return self._widget

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"{self.title}: {self.summary}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.html}
        if os.environ.get(STATIC) or not find_spec("anywidget"):
            return bundle, {}
        live = self.widget()._repr_mimebundle_(include=include, exclude=exclude) or {}
        data, meta = live if isinstance(live, tuple) else (live, {})
        return {**data, **bundle}, meta


def explore(ds: xr.Dataset, x: str = "depth", y: str | Sequence[str] = "survival", sliders: Sequence[str] | None = None, *,
            lines: str | None = None, band: Band | Mapping[str, Band] = None,
            predicted: Prediction = None, start: Mapping[str, Any] | None = None,
            xscale: str = "linear", yscale: str = "linear", xlim: Sequence[float] | None = None,
            ylim: Sequence[float] | None = None, title: str | None = None, xlabel: str | None = None,
            ylabel: str | None = None, labels: Mapping[str, str] | None = None, summary: Summary = None,
            alt: str | None = None, id: str | None = None) -> Explorer:
    r"""Draw curves of a labelled result, with a slider or a choice for every other dimension.

    Every dimension of ``y`` other than ``x`` and ``lines`` becomes a control: a slider if its coordinate is numeric and
    ordered, a choice if it is text. A dimension with one entry needs none. The axes stay still while the reader moves.

    Args:
        ds: the result. Variables that are not named here may have any dimensions.
        x: dimension (or one-dimensional coordinate) of the horizontal axis, with increasing values.
        y: variable to draw, or several.
        sliders: order of the controls; None takes all dimensions in the order of the data.
        lines: dimension with one curve for each entry, told apart by colour and dashes (at most six).
        band: None draws twice the standard error ``<y>_se``, about 95 %, where there is one; False draws none. A name
            ending in ``_se`` is a standard error (drawn twice), any other name a half-width, a pair of names two edges.
            A mapping gives one for each ``y``.
        predicted: variable with the predicted curve (one for each ``y``), or the curve itself as a DataArray, or as a
            function of the values of ``x`` (then the same in all frames).
        start: opening value of some dimensions, e.g. ``{"threshold": 1e-10}``. Default: the middle of a slider, the
            first entry of a choice.
        xscale, yscale: ``"linear"`` or ``"log"``. On a log scale values that are not positive are left out.
        xlim, ylim: limits of the axes; default: all values of all frames, [0, 1] for a statistic within [0, 1].
        title, xlabel, ylabel: plain text, with Unicode for symbols.
        labels: words for dimensions and variables, e.g. ``{"threshold": "precision ε"}``; default: the attribute
            ``long_name`` with ``units``.
        summary: the text under the picture. A template is filled for each frame with the variables that do not depend
            on ``x`` and with the settings, e.g. ``"cut-off depth {cutoff:.0f} at ε = {threshold}"``; a function gets the
            frame as a Dataset. Default: what the curves do.
        alt: how the picture is described before the summary; default: its title and axes.
        id: name in the page's address, unique on a page; default: made from the title.

    Returns:
        An :class:`Explorer`: shown by a notebook as a live widget, and as plain HTML while the environment variable
        ``DEEPLIMITS_STATIC`` is set.

    Raises:
        ValueError: a name that is not in the dataset, a dimension without a place, values that are not ordered, or a
            figure above 150 kB.
        TypeError: ``ds`` is not a Dataset, or a variable does not hold numbers.

    Example:
        >>> import numpy as np, xarray as xr
        >>> depth, rate = np.arange(0, 41), np.array([0.05, 0.1, 0.2])
        >>> decay = xr.DataArray(np.exp(-np.outer(rate, depth)), {"rate": rate, "depth": depth})
        >>> explore(decay.to_dataset(name="distance"), y="distance", start={"rate": 0.1}, title="Decay")
        Decay: At rate = 0.1, distance falls from 1 to 0.0183 between depth 0 and 40 and passes one half at 6.93.
    """
    ds, predicted = with_prediction(ds, x, predicted)
    labels = dict(labels or {})
    frames = collect(ds, x, y, sliders, lines, band, predicted, labels)
    for name, scale in (("xscale", xscale), ("yscale", yscale)):
        if scale not in ("linear", "log"):
            raise ValueError(f"{name} must be 'linear' or 'log'; got {scale!r}")
    ys = [y] if isinstance(y, str) else list(y)
    xaxis = Axis.around(frames.x, xlim, xscale == "log", xlabel or label_of(ds, x, labels), 0)
    if xscale == "log" and frames.x[0] <= 0:
        raise ValueError(f"xscale 'log' needs positive values; '{x}' begins at {number(frames.x[0])} (ds.isel({x}=slice(1, None)))")
    default = label_of(ds, ys[0], labels) if len(ys) == 1 else ""
    yaxis = Axis.around(_extent(frames.curves), ylim, yscale == "log", default if ylabel is None else ylabel, 0.03)
    title = title or _capital(f"{', '.join(label_of(ds, v, labels) for v in ys)} against {xaxis.label}")
    explorer = Explorer(ds, frames, id=_identifier(id, title), title=title, state=_opening(ds, frames, start), xaxis=xaxis,
                        yaxis=yaxis, summary=summary, alt=alt or _described(title, frames, xaxis, yaxis))
    weight = len(explorer.html.encode())
    if weight > BUDGET:
        shape = " × ".join(map(str, frames.sizes)) or "1"
        raise ValueError(
            f"explorer {explorer.id!r} would weigh {weight // 1000} kB, above {BUDGET // 1000} kB: {shape} frames of "
            f"{len(frames.curves)} curves with {len(frames.x)} points. Thin the axis (ds.isel({frames.dim}=slice(None, None, "
            f"{math.ceil(weight / BUDGET) + 1}))), thin a slider the same way, or fix one with ds.sel")
    return explorer


def _identifier(id: str | None, title: str) -> str:
    if id is None:
        return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "explorer"
    if not re.fullmatch(r"[A-Za-z][\w-]*", id):
        raise ValueError(f"id must be a letter followed by letters, digits, '-' or '_'; got {id!r}")
    return id


def _described(title: str, frames: Frames, xaxis: Axis, yaxis: Axis) -> str:
    what = yaxis.label or ", ".join(c.label for c in frames.curves if not c.predicted)
    extra = " with the predicted curve" if any(c.predicted for c in frames.curves) else ""
    return f"{title}. Chart of {what} against {xaxis.label}{extra}."


def _extent(curves: Sequence[Curve]) -> np.ndarray:
    return np.concatenate([c.y.ravel() for c in curves])


def _opening(ds: xr.Dataset, frames: Frames, start: Mapping[str, Any] | None) -> list[int]:
    state = [len(c.texts) // 2 if c.numeric else 0 for c in frames.controls]
    names = [c.name for c in frames.controls]
    for name, value in (start or {}).items():
        if name not in names:
            raise ValueError(f"start must name controls, some of {', '.join(map(repr, names)) or '(none)'}; got {name!r}")
        control = frames.controls[names.index(name)]
        values = ds[name].values
        hit = np.flatnonzero(np.isclose(values.astype(float), value, rtol=1e-6, atol=0) if control.numeric
                             else values.astype(str) == str(value))
        if not hit.size:
            raise ValueError(f"start must hold a value of '{name}', one of {', '.join(control.texts)}; got {value!r}")
        state[names.index(name)] = int(hit[0])
    return state


def _rows(values: np.ndarray, axis: Axis) -> list[list[int | None]]:
    return [axis.steps(row) for row in values.reshape(-1, values.shape[-1])]


def _differences(row: Sequence[int | None]) -> list[int | None]:
    """The first value, then what is added to the last value that was not missing."""
    out, last = [], 0
    for v in row:
        out.append(None if v is None else v - last)
        last = last if v is None else v
    return out


def _widths(rows: list[list[int | None]], edges: list[list[int | None]], side: int) -> list[list[int | None]]:
    """How far the edge lies from the curve; a lower edge without a logarithm lies below the picture."""
    return [[None if v is None else (side * (e - v) if e is not None else (v + 500 if side < 0 else None))
             for v, e in zip(row, edge, strict=True)] for row, edge in zip(rows, edges, strict=True)]


class _Spoken(float):
    """A number in a template; where it is not finite a template says so in words."""

    def __format__(self, spec: str) -> str:
        if math.isfinite(self):
            return (format(float(self), spec) if spec else number(self)).replace("-", "−")
        return "not reached" if math.isnan(self) else number(self)


def _sentence(ds: xr.Dataset, frames: Frames, state: tuple[int, ...], summary: Summary, xlabel: str, yaxis: Axis) -> str:
    at = {c.name: i for c, i in zip(frames.controls, state, strict=True)}
    if summary is None:
        return _default(frames, state, xlabel, yaxis)
    frame = ds.isel(at)
    if callable(summary):
        return str(summary(frame))
    values = {str(name): _Spoken(v.item()) if v.dtype.kind in "iufb" else str(v.item())
              for name, v in frame.variables.items() if v.size == 1}
    values |= {c.name: c.texts[i] for c, i in zip(frames.controls, state, strict=True) if c.name not in values}
    try:
        return summary.format_map(values)
    except KeyError as error:
        raise ValueError(f"summary must use variables with one value in each frame, some of "
                         f"{', '.join(map(repr, values)) or '(none)'}; got {error.args[0]!r}") from None


def _default(frames: Frames, state: tuple[int, ...], xlabel: str, yaxis: Axis) -> str:
    """What the curves do; of several, where each passes one half or how it runs."""
    measured = [c for c in frames.curves if not c.predicted]
    parts = []
    for curve in measured:
        does = course(frames.x, curve.at(state), xlabel, log=yaxis.log, brief=len(measured) > 1)
        parts.append(f"{curve.label} {does}")
    given = ", ".join(setting(c, i) for c, i in zip(frames.controls, state, strict=True))
    text = "; ".join(parts) + _agreement(frames, state, yaxis.log) + "."
    return f"At {given}, {text}" if given else _capital(text)


def _agreement(frames: Frames, state: tuple[int, ...], log: bool) -> str:
    """How far the measured curves are from the predicted ones, at worst."""
    gaps, measured = [], None
    for curve in frames.curves:
        if not curve.predicted:
            measured = curve.at(state)
        elif measured is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                gaps.append(np.abs(np.log(measured / curve.at(state))) if log else np.abs(measured - curve.at(state)))
    gap = np.concatenate(gaps) if gaps else np.empty(0)
    gap = gap[np.isfinite(gap)]
    if not gap.size:
        return ""
    worst = float(gap.max())
    return f"; the prediction is within {'a factor ' + number(math.exp(worst)) if log else number(worst, 2)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
