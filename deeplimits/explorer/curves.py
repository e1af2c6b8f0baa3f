"""Explorers of curves: one axis of the data across, all other dimensions as controls (*Using this book*)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from deeplimits.explorer import page, picture
from deeplimits.explorer.axis import STEPS, Axis
from deeplimits.explorer.base import Explorer, Summary, identifier, opening, sentences
from deeplimits.explorer.frames import Band, Curve, Frames, Prediction, collect, label_of, with_prediction
from deeplimits.explorer.wording import capital, course, number, spoken


class CurveExplorer(Explorer):
    """Curves with bands and predictions; ``frames`` holds them, ``xaxis`` and ``yaxis`` say where they are drawn."""

    kind = "curves"

    def __init__(self, frames: Frames, xaxis: Axis, yaxis: Axis, **shared: Any) -> None:
        super().__init__(controls=frames.controls, **shared)
        self.frames, self.xaxis, self.yaxis = frames, xaxis, yaxis

    def drawing(self) -> dict[str, Any]:
        """Curves in steps of the axes (``steps`` to an axis), each row as differences."""
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
        values = [float(f"{v:.6g}") for v in self.frames.x]
        return {"steps": STEPS, "x": {"label": spoken(x.label), "values": values, "steps": x.steps(self.frames.x)},
                "y": {"low": y.low, "high": y.high, "log": y.log}, "curves": curves}

    def scales(self) -> dict[str, Any]:
        return {"x_y_c": (self.xaxis.limits(), self.yaxis.limits(), None)}

    def readers(self) -> list[page.Reader]:
        return [page.Reader("Read at", len(self.frames.x))]

    def legend(self) -> str:
        shown: dict[str, str] = {}
        for k, curve in enumerate(self.frames.curves):
            shown.setdefault("predicted" if curve.predicted else str(k), picture.key(curve, self.frames.word(curve)))
        keys = "".join(key for _, key in sorted(shown.items(), key=lambda item: item[0] == "predicted"))
        return keys + "".join(picture.item('<span class="dl-band"></span>', b) for b in self.frames.bands)

    @property
    def svg(self) -> str:
        frame = []
        for c, entry in zip(self.frames.curves, self.payload["curves"], strict=True):
            row = self.row(c.over)
            frame.append({"y": _rows(c.y, self.yaxis)[row]} | {k: entry[k][row] for k in ("up", "down") if k in entry})
        return picture.svg(self.xaxis, self.yaxis, self.payload["x"]["steps"], frame, self.frames.curves,
                           f"{self.alt} {self.summary}")


def explore_curves(ds: xr.Dataset, x: str, y: str | Sequence[str], sliders: Sequence[str] | None, *, lines: str | None,
                   band: Band | Mapping[str, Band], predicted: Prediction, start: Mapping[str, Any] | None,
                   scales: tuple[str, str], limits: tuple[Sequence[float] | None, Sequence[float] | None],
                   words: tuple[str | None, str | None, str | None], labels: Mapping[str, str], summary: Summary,
                   alt: str | None, id: str | None) -> Explorer:
    """Curves of :func:`deeplimits.explore`; ``words`` are the title and the labels of the two axes."""
    ds, predicted = with_prediction(ds, x, predicted)
    frames = collect(ds, x, y, sliders, lines, band, predicted, labels)
    ys = [y] if isinstance(y, str) else list(y)
    title, xlabel, ylabel = words
    xaxis = Axis.around(frames.x, limits[0], scales[0] == "log", xlabel or label_of(ds, x, labels), 0)
    if scales[0] == "log" and frames.x[0] <= 0:
        raise ValueError(f"xscale 'log' needs positive values; '{x}' begins at {number(frames.x[0])} (ds.isel({x}=slice(1, None)))")
    default = label_of(ds, ys[0], labels) if len(ys) == 1 else ""
    yaxis = Axis.around(_extent(frames.curves), limits[1], scales[1] == "log", default if ylabel is None else ylabel, 0.03)
    title = title or capital(f"{', '.join(label_of(ds, v, labels) for v in ys)} against {xaxis.label}")
    said = sentences(ds, frames.controls, summary, lambda state: _default(frames, state, xaxis.label, yaxis))
    explorer = CurveExplorer(frames, xaxis, yaxis, id=identifier(id, title), title=title, state=opening(ds, frames.controls, start),
                             alt=alt or _described(title, frames, xaxis, yaxis), summaries=said)
    return explorer.light(f"{len(frames.curves)} curves with {len(frames.x)} points. Thin the axis "
                          f"(ds.isel({frames.dim}=slice(None, None, {{stride}})))")


def _described(title: str, frames: Frames, xaxis: Axis, yaxis: Axis) -> str:
    what = yaxis.label or ", ".join(c.label for c in frames.curves if not c.predicted)
    extra = " with the predicted curve" if any(c.predicted for c in frames.curves) else ""
    return f"{title}. Chart of {what} against {xaxis.label}{extra}."


def _extent(curves: Sequence[Curve]) -> np.ndarray:
    return np.concatenate([c.y.ravel() for c in curves])


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
    """How far the edge lies from the curve, to about a hundredth of itself (which saves up to a quarter of a page's data).

    A lower edge without a logarithm lies below the picture.
    """
    return [[None if v is None else (_coarse(side * (e - v)) if e is not None else (v + 500 if side < 0 else None))
             for v, e in zip(row, edge, strict=True)] for row, edge in zip(rows, edges, strict=True)]


def _coarse(width: int) -> int:
    grain = 1 if abs(width) < 100 else 2 if abs(width) < 200 else 5 if abs(width) < 500 else 10
    return round(width / grain) * grain


def _default(frames: Frames, state: tuple[int, ...], xlabel: str, yaxis: Axis) -> str:
    """What the curves do; of several, where each passes one half or how it runs."""
    measured = [c for c in frames.curves if not c.predicted]
    parts = [f"{c.label} {course(frames.x, c.at(state), xlabel, log=yaxis.log, brief=len(measured) > 1)}" for c in measured]
    return "; ".join(parts) + _agreement(frames, state, yaxis.log) + "."


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
