"""Explorers of heat maps: two dimensions of the data as axes, a third quantity as colour (*Using this book*)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from deeplimits.explorer import coding, page, picture
from deeplimits.explorer.axis import STEPS, Axis
from deeplimits.explorer.base import Explorer, Summary, identifier, opening, sentences
from deeplimits.explorer.frames import Control, chosen, control_of, horizontal, label_of, listed, names_of
from deeplimits.explorer.palette import DARK, DIVERGING, SEQUENTIAL, WHITE, ramp
from deeplimits.explorer.wording import capital, number, spoken

#: So many colours are told apart; cells are drawn on a grid of so many steps.
SHADES, GRAIN = 64, 1000
HEIGHT, TOP, BAR = 430, 98, 26
LINE_DASHES = ("", "7 4", "2 4", "10 3 2 3")


@dataclass(frozen=True)
class Line:
    """A line on the map: its words and, for each frame of the controls ``over``, its outline in steps of the axes."""

    label: str
    dash: str
    over: tuple[int, ...]
    outlines: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """The coloured quantity: values of shape ``(*sizes of the controls, ny, nx)`` at ``x`` and ``y``."""

    values: np.ndarray
    x: np.ndarray
    y: np.ndarray
    over: tuple[int, ...]
    controls: tuple[Control, ...]

    def at(self, state: Sequence[int]) -> np.ndarray:
        """The values of one frame, shape ``(ny, nx)``."""
        return self.values[tuple(state[i] for i in self.over)]


class MapExplorer(Explorer):
    """A heat map; ``field`` holds its values, ``caxis`` is the scale of its colours."""

    kind = "map"

    def __init__(self, field: Field, xaxis: Axis, yaxis: Axis, caxis: Axis, colors: Sequence[str], lines: Sequence[Line],
                 **shared: Any) -> None:
        super().__init__(controls=field.controls, **shared)
        self.field, self.xaxis, self.yaxis, self.caxis = field, xaxis, yaxis, caxis
        self.colors, self.lines = list(colors), list(lines)
        self.link: dict[str, Any] | None = None

    def levels(self) -> np.ndarray:
        """The values as levels of the colour scale, shape ``(frames, ny, nx)``."""
        values = self.caxis.places(self.field.values.reshape(-1, len(self.field.y), len(self.field.x)))
        return coding.levels(values, self.caxis.low, self.caxis.high)

    def drawing(self) -> dict[str, Any]:
        """Levels as text, two letters a cell, rows upwards; the lines as outlines."""
        values, places = self.field.values, [_round(a, v) for a, v in ((self.xaxis, self.field.x), (self.yaxis, self.field.y))]
        scaled = self.caxis.places(values[~np.isnan(values)])
        beyond = [bool((scaled < self.caxis.low - 1e-9).any()), bool((scaled > self.caxis.high + 1e-9).any())]
        return {
            "steps": STEPS, "levels": coding.LEVELS, "over": list(self.field.over), "cells": [coding.pack(f) for f in self.levels()],
            "x": {"label": spoken(self.xaxis.label), **places[0]}, "y": {"label": spoken(self.yaxis.label), **places[1]},
            "color": {"label": spoken(self.caxis.label), "low": self.caxis.low, "high": self.caxis.high, "log": self.caxis.log,
                      "colors": self.colors, "beyond": beyond},
            "lines": [{"over": list(line.over), "d": list(line.outlines)} for line in self.lines],
            **({"link": self.link} if self.link else {})}

    def scales(self) -> dict[str, Any]:
        return {"x_y_c": (self.xaxis.limits(), self.yaxis.limits(), self.caxis.limits())}

    def readers(self) -> list[page.Reader]:
        return [page.Reader("Read at " + spoken(axis.label), len(values))
                for axis, values in ((self.xaxis, self.field.x), (self.yaxis, self.field.y))]

    def legend(self) -> str:
        keys = "".join(picture.item('<svg class="dl-key" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true">'
                                    f"{_twice(f'd={chr(34)}M2 5H28{chr(34)}', line.dash)}</svg>", line.label) for line in self.lines)
        below, above = self.payload["color"]["beyond"]
        ends = [("≤", self.caxis.low, self.colors[0])] * below + [("≥", self.caxis.high, self.colors[-1])] * above
        keys += "".join(picture.item(f'<span class="dl-cell" style="background:{color}"></span>',
                                     f"{sign} {number(10**end if self.caxis.log else end)}") for sign, end, color in ends)
        return keys + (picture.item('<span class="dl-cell"></span>', "no value") if np.isnan(self.field.values).any() else "")

    @property
    def svg(self) -> str:
        frame, data = self.levels()[self.row(self.field.over)], self.payload
        drawn = "".join(f'<path data-level="{k}" fill="{c}" d="{d}"/>' for k, (c, d) in enumerate(
            zip(self.colors, cells(frame, data["x"]["edges"], data["y"]["edges"], len(self.colors)), strict=True)))
        lines = "".join(_twice(f'data-line="{k}" {picture.FIXED} d="{line.outlines[self.row(line.over)]}"', line.dash)
                        for k, line in enumerate(self.lines))
        lines += _twice(f'data-cursor="" {picture.FIXED} d=""', "")
        around, place = picture.axes(self.xaxis, self.yaxis, HEIGHT, TOP, TOP - 10)
        fields = (f'<svg {place} viewBox="0 0 {GRAIN} {GRAIN}" preserveAspectRatio="none" shape-rendering="crispEdges">'
                  f'<g transform="matrix(1 0 0 -1 0 {GRAIN})">{drawn}</g></svg>')
        parts = around + fields + picture.plot(place, lines) + _bar(self.caxis, self.colors)
        return picture.whole(parts, f"{self.alt} {self.summary}", HEIGHT)


def cells(levels: np.ndarray, across: Sequence[int], upward: Sequence[int], shades: int) -> list[str]:
    """One outline for each colour: runs of cells of that colour, row by row. The script has the same function.

    Example:
        >>> cells(np.array([[0, 0, 4094]]), [0, 10, 20, 30], [0, 5], 2)
        ['M0 0h20v5h-20z', 'M20 0h10v5h-10z']
    """
    out = [""] * shades
    for j, row in enumerate(levels.tolist()):
        shade = [n * shades // (coding.LEVELS + 1) for n in row]
        i = 0
        while i < len(shade):
            k = i + 1
            while k < len(shade) and shade[k] == shade[i]:
                k += 1
            if shade[i] >= 0:
                w, h = across[k] - across[i], upward[j + 1] - upward[j]
                out[shade[i]] += f"M{across[i]} {upward[j]}h{w}v{h}h-{w}z"
            i = k
    return out


def explore_map(ds: xr.Dataset, x: str, y: str, color: str, sliders: Sequence[str] | None, *, scales: tuple[str, str, str],
                limits: tuple[Sequence[float] | None, ...], center: float | None, overlay: str | Sequence[str] | None,
                contours: Sequence[float] | Mapping[str, Sequence[float]] | None, words: tuple[str | None, ...],
                start: Mapping[str, Any] | None, labels: Mapping[str, str], summary: Summary, alt: str | None,
                id: str | None, link: str | None = None) -> Explorer:
    """Heat map of :func:`deeplimits.explore`; ``words`` are the title and the labels of axes and colours."""
    (color,) = names_of("color", color, ds)
    (xdim, xs), (ydim, ys) = horizontal(ds, x, falling=True), horizontal(ds, y, "y", falling=True)
    for name, dim in ((x, xdim), (y, ydim)):
        if dim not in ds[color].dims:
            raise ValueError(f"color must depend on both axes; '{color}' has {listed(ds[color].dims)}, not {name!r}")
    if xdim == ydim:
        raise ValueError(f"x and y must be two dimensions; both are {xdim!r}")
    moved = chosen(ds, [str(d) for d in ds[color].dims if d not in (xdim, ydim)], sliders)
    field = _field(ds, color, (ydim, xdim), ys, xs, moved, labels)
    title, *given = words
    named = [given[k] or label_of(ds, name, labels) for k, name in enumerate((x, y, color))]
    xaxis, yaxis = (_edges_axis(v, limits[k], scales[k] == "log", named[k], name) for k, (v, name) in enumerate(((xs, x), (ys, y))))
    caxis = _color_axis(field.values, limits[2], scales[2] == "log", center, named[2])
    lines = _overlays(ds, overlay, (xdim, ydim), (xaxis, yaxis), (xs, ys), moved, labels)
    lines += _contours(ds, color, contours, (xdim, ydim), (xaxis, yaxis), (xs, ys), moved, labels, scales[2] == "log")
    if len(lines) > len(LINE_DASHES):
        raise ValueError(f"at most {len(LINE_DASHES)} lines can be told apart on a map; overlay and contours ask for {len(lines)}")
    lines = [Line(line.label, LINE_DASHES[k], line.over, line.outlines) for k, line in enumerate(lines)]
    title = title or capital(f"{named[2]} over {spoken(named[0])} and {spoken(named[1])}")
    said = sentences(ds, field.controls, summary, lambda state: _terrain(field, state, [spoken(n) for n in named]))
    explorer = MapExplorer(field, xaxis, yaxis, caxis, ramp(SEQUENTIAL if center is None else DIVERGING, SHADES), lines,
                           id=identifier(id, title), title=title, state=opening(ds, field.controls, start), summaries=said,
                           alt=alt or f"{title}. Heat map of {named[2]} over {xaxis.label} and {yaxis.label}.")
    explorer.link = {"id": link, "names": [x, y]} if link else None
    return explorer.light(f"{len(xs)} × {len(ys)} cells. Thin an axis (ds.isel({xdim}=slice(None, None, {{stride}})))")


def over_of(array: xr.DataArray, moved: Sequence[str], last: Sequence[str]) -> tuple[tuple[int, ...], np.ndarray]:
    """The controls that a variable depends on, and its values with those first and the dimensions ``last`` at the end."""
    own = [d for d in moved if d in array.dims]
    values = array.squeeze([d for d in array.dims if d not in (*own, *last)]).transpose(*own, *last).values
    if values.dtype.kind not in "iufb":
        raise TypeError(f"'{array.name}' must hold numbers; got {values.dtype}")
    return tuple(list(moved).index(d) for d in own), values.astype(float)


def _field(ds: xr.Dataset, color: str, dims: tuple[str, str], ys: np.ndarray, xs: np.ndarray, moved: list[str],
           labels: Mapping[str, str]) -> Field:
    over, values = over_of(ds[color], moved, dims)
    return Field(values, xs, ys, over, tuple(control_of(ds, d, labels) for d in moved))


def _edges(places: np.ndarray) -> np.ndarray:
    middle = (places[1:] + places[:-1]) / 2
    return np.concatenate([[2 * places[0] - middle[0]], middle, [2 * places[-1] - middle[-1]]])


def _edges_axis(values: np.ndarray, limits: Sequence[float] | None, log: bool, label: str, name: str) -> Axis:
    """The axis from the outer edge of the first cell to that of the last: falling values make it run downwards, as in a picture."""
    if log and values.min() <= 0:
        raise ValueError(f"a log scale needs positive values; '{name}' begins at {number(values.min())}")
    if limits is not None:
        axis = Axis.around(values, limits, log, label, 0)
        return axis if values[0] < values[-1] else replace(axis, low=axis.high, high=axis.low)
    edges = _edges(np.log10(values) if log else values)
    return Axis(float(edges[0]), float(edges[-1]), log, label)


def _round(axis: Axis, values: np.ndarray) -> dict[str, list]:
    """The values, the edges of their cells on the grid of cells, and their places in steps."""
    edges = (_edges(axis.places(values)) - axis.low) / (axis.high - axis.low) * GRAIN
    return {"values": [float(f"{v:.6g}") for v in values], "steps": axis.steps(values),
            "edges": [int(v) for v in np.floor(np.clip(edges, 0, GRAIN) + 0.5)]}


def _color_axis(values: np.ndarray, limits: Sequence[float] | None, log: bool, center: float | None, label: str) -> Axis:
    axis = Axis.around(values, limits, log, label, 0)
    if center is None:
        return axis
    if log and center <= 0:
        raise ValueError(f"center must be positive on a log scale; got {center}")
    middle = math.log10(center) if log else float(center)
    reach = max(abs(axis.high - middle), abs(axis.low - middle))
    return Axis(middle - reach, middle + reach, log, label)


def _twice(what: str, dash: str) -> str:
    """A line that shows on every colour: dark on a light ground."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (f'<path {what} fill="none" stroke="{WHITE}" stroke-width="5" stroke-opacity=".85"/>'
            f'<path {what} fill="none" stroke="{DARK}" stroke-width="2"{dashed}/>')


def _bar(axis: Axis, colors: Sequence[str]) -> str:
    """The scale of colours, above the map."""
    left, width = 46, picture.WIDTH - 46 - picture.RIGHT
    step = width / len(colors)
    bar = "".join(f'<path fill="{c}" d="M{left + k * step:.2f} {BAR}h{step:.2f}v14h-{step:.2f}z"/>' for k, c in enumerate(colors))
    ticks = [(left + width * q / STEPS, t) for q, t in picture.spread([t for t in axis.ticks() if 0 <= t[0] <= STEPS], width)]
    texts = "".join(f'<text x="{v:.1f}" y="{BAR + 31}" text-anchor="middle">{t}</text>' for v, t in ticks)
    notches = "".join(f"M{v:.1f} {BAR + 14}v4" for v, _ in ticks)
    return (f'<g data-bar="" shape-rendering="crispEdges">{bar}</g><path d="{notches}" stroke="currentColor" opacity=".6" fill="none"/>'
            f'<g fill="currentColor" font-size="14" aria-hidden="true">{picture.label(4, 17, axis.label)}{texts}</g>')


def _overlays(ds: xr.Dataset, overlay: str | Sequence[str] | None, dims: tuple[str, str], axes: tuple[Axis, Axis],
              values: tuple[np.ndarray, np.ndarray], moved: list[str], labels: Mapping[str, str]) -> list[Line]:
    out = []
    for name in [] if overlay is None else names_of("overlay", overlay, ds):
        along = [k for k in (0, 1) if dims[k] in ds[name].dims]
        if len(along) != 1:
            raise ValueError(f"overlay must depend on one of {dims[0]!r} and {dims[1]!r}; '{name}' has {listed(ds[name].dims)}")
        k = along[0]
        strange = [d for d in ds[name].dims if d not in (dims[k], *moved) and ds.sizes[d] > 1]
        if strange:
            raise ValueError(f"overlay '{name}' depends on {listed(strange)}, which the map does not")
        over, lines = over_of(ds[name], moved, [dims[k]])
        fixed = axes[k].steps(values[k])
        outlines = [picture.trace(*((fixed, axes[1].steps(line)) if k == 0 else (axes[0].steps(line), fixed)))
                    for line in lines.reshape(-1, lines.shape[-1])]
        out.append(Line(label_of(ds, name, labels), "", over, tuple(outlines)))
    return out


def _contours(ds: xr.Dataset, color: str, contours: Any, dims: tuple[str, str], axes: tuple[Axis, Axis],
              values: tuple[np.ndarray, np.ndarray], moved: list[str], labels: Mapping[str, str], log: bool) -> list[Line]:
    if contours is None:
        return []
    from contourpy import contour_generator

    xs, ys = (axis.places(v) for axis, v in zip(axes, values, strict=True))
    out = []
    for name, wanted in (contours if isinstance(contours, Mapping) else {color: contours}).items():
        names_of("contours", name, ds)
        over, fields = over_of(ds[name], moved, (dims[1], dims[0]))
        logged = log and name == color
        for level in wanted:
            outlines = []
            for field in fields.reshape(-1, *fields.shape[-2:]):
                with np.errstate(divide="ignore", invalid="ignore"):
                    field = np.log(field) if logged else field
                finite = np.where(np.isposinf(field), np.nanmax(field, initial=0.0, where=np.isfinite(field)) * 10 + 1, field)
                found = contour_generator(xs, ys, np.ma.masked_invalid(finite)).lines(math.log(level) if logged else level)
                outlines.append("".join(picture.trace(_steps(axes[0], c[:, 0]), _steps(axes[1], c[:, 1])) for c in found))
            out.append(Line(f"{label_of(ds, name, labels)} = {number(level)}", "", over, tuple(outlines)))
    return out


def _steps(axis: Axis, places: np.ndarray) -> list[int]:
    return [round(float(v)) for v in (places - axis.low) / (axis.high - axis.low) * STEPS]


def _terrain(field: Field, state: Sequence[int], named: Sequence[str]) -> str:
    """From the lowest to the highest value of a frame, and where they are."""
    values = field.at(state)
    if np.isnan(values).all():
        return f"{named[2]} has no value."
    ends = [np.unravel_index(i, values.shape) for i in (np.nanargmin(values), np.nanargmax(values))]
    where = [f"{number(values[e])} ({named[0]} {number(field.x[e[1]])}, {named[1]} {number(field.y[e[0]])})" for e in ends]
    blank = np.isnan(values).sum()
    return (f"{named[2]} goes from {where[0]} to {where[1]}" if values[ends[0]] != values[ends[1]] else
            f"{named[2]} is {number(values[ends[0]])} everywhere") + (f"; {blank} of {values.size} cells have no value." if blank else ".")


__all__ = ["Field", "Line", "MapExplorer", "cells", "chosen", "explore_map", "over_of"]
