"""Explorers of surfaces and paths in space, turned by the reader (*Using this book*)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from deeplimits.explorer import coding, page, picture, space
from deeplimits.explorer.base import Explorer, Summary, identifier, opening, sentences
from deeplimits.explorer.frames import Control, chosen, control_of, label_of, listed, names_of
from deeplimits.explorer.maps import over_of
from deeplimits.explorer.palette import CURVES, DASHES, INK
from deeplimits.explorer.wording import capital, number, spoken

#: The finest grid of a surface that turns within a frame.
FINEST = 2_500


@dataclass(frozen=True)
class Points:
    """Points of a surface or of one path in all frames: shape ``(*sizes of the controls, n, 3)``."""

    label: str
    over: tuple[int, ...]
    values: np.ndarray

    def at(self, state: Sequence[int]) -> np.ndarray:
        """The points of one frame, shape ``(n, 3)``."""
        return self.values[tuple(state[i] for i in self.over)]


class SurfaceExplorer(Explorer):
    """A surface, paths, or both, in a box that turns."""

    kind = "surface"

    def __init__(self, surface: Points | None, columns: int, paths: Sequence[Points], along: tuple[str, np.ndarray],
                 box: space.Box, turn: tuple[int, int], controls: Sequence[Control], **shared: Any) -> None:
        super().__init__(controls=controls, **shared)
        self.surface, self.columns, self.paths, self.along, self.box, self.view = surface, columns, list(paths), along, box, turn

    def _coded(self, points: Points) -> dict[str, Any]:
        frames = points.values.reshape(-1, *points.values.shape[-2:])
        return {"over": list(points.over), "points": [coding.pack(self.box.levels(f)) for f in frames]}

    def drawing(self) -> dict[str, Any]:
        """Points as levels within the box, as text, two letters a coordinate."""
        alone, box = len(self.paths) == 1, self.box
        return {
            "levels": coding.LEVELS, "grain": space.GRAIN, "layers": space.LAYERS, "box": box.described(),
            "surface": self.surface and {"columns": self.columns, **self._coded(self.surface)},
            "paths": [{"label": "" if alone else p.label, **self._coded(p)} for p in self.paths],
            "along": {"label": spoken(self.along[0]), "values": [float(f"{v:.6g}") for v in self.along[1]]}}

    def scales(self) -> dict[str, Any]:
        return {"box": self.box}

    def readers(self) -> list[page.Reader]:
        return [page.Reader("Read at " + spoken(self.along[0]), len(self.along[1]))] if self.paths else []

    def turns(self) -> list[page.Turn]:
        return [page.Turn("azimuth", -180, 180, 2, self.view[0]), page.Turn("elevation", -90, 90, 2, self.view[1])]

    def legend(self) -> str:
        keys = "".join(picture.item('<svg class="dl-key" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true">'
                                    f'<path {_stroke(k)} d="M1 5H29"/></svg>', p.label) for k, p in enumerate(self.paths))
        if self.surface:
            keys += picture.item(f'<span class="dl-band" style="background:{INK}"></span>', self.surface.label)
        ends = picture.item("", "○ begin, ● end") if self.paths else ""
        sides = ", ".join(f"{name} from {number(low)} to {number(high)}" for name, low, high
                          in zip(self.box.names, self.box.low, self.box.high, strict=True))
        return keys + ends + picture.item("", f"Box: {sides}")

    @property
    def svg(self) -> str:
        return space.svg(self.box, self.view, None if self.surface is None else self.surface.at(self.state), self.columns,
                         [p.at(self.state) for p in self.paths], [(CURVES[k], _stroke(k)) for k in range(len(self.paths))],
                         f"{self.alt} {self.summary}")


def _stroke(k: int) -> str:
    dash = f' stroke-dasharray="{DASHES[k]}"' if DASHES[k] else ""
    return f'fill="none" stroke="{CURVES[k]}" stroke-width="3"{dash}'


def explore_surface(ds: xr.Dataset, surface: Sequence[str] | None, paths: Sequence[str] | None, sliders: Sequence[str] | None, *,
                    lines: str | None, turn: tuple[int, int], equal: bool, title: str | None, start: Mapping[str, Any] | None,
                    labels: Mapping[str, str], summary: Summary, alt: str | None, id: str | None, box: space.Box | None = None) -> Explorer:
    """Surface and paths of :func:`deeplimits.explore`."""
    sheet, way = (_three(argument, value, ds) for argument, value in (("surface", surface), ("paths", paths)))
    grid = _last("surface", ds, sheet, 2, None)
    along = _last("paths", ds, way, 1, lines)
    if lines is not None and (not way or lines not in ds[way].dims or lines in along):
        raise ValueError(f"lines must be a dimension of paths other than the one along them, one of "
                         f"{listed(d for d in ds[way].dims if d not in along) if way else '(none)'}; got {lines!r}")
    drawn = {*grid, *along, lines}
    moved = chosen(ds, list(dict.fromkeys(str(d) for name in sheet + way for d in ds[name].dims if d not in drawn)), sliders)
    mesh = _points(ds, sheet, moved, grid, labels.get("surface", "surface")) if sheet else None
    if mesh is not None and mesh.values.shape[-2] > FINEST:
        raise ValueError(f"surface has {' × '.join(str(ds.sizes[d]) for d in grid)} points, more than {FINEST} turn within a frame; "
                         f"thin it: ds.isel({grid[0]}=slice(None, None, 2))")
    walks = _paths(ds, way, moved, along, lines, labels)
    names = [label_of(ds, name, labels) for name in (sheet or way)]
    box = box or space.Box.around([p.values for p in [*([mesh] if mesh else []), *walks]], names, equal)
    controls = tuple(control_of(ds, d, labels) for d in moved)
    title = title or capital(f"{' and '.join(['paths'] * bool(way) + ['surface'] * bool(sheet))} over {', '.join(names)}")
    places = ds[along[0]].values.astype(float) if along and along[0] in ds.coords else np.arange(ds.sizes[along[0]] if along else 0)
    step = (label_of(ds, along[0], labels) if along else "", places)
    said = sentences(ds, controls, summary, lambda state: _journeys(walks, state, step, names))
    view = _view(turn)
    explorer = SurfaceExplorer(mesh, ds.sizes[grid[1]] if grid else 0, walks, step, box, view, controls, id=identifier(id, title),
                               title=title, state=[*opening(ds, controls, start), *view], summaries=said,
                               alt=alt or f"{title}. Picture in space, seen from a side that two sliders choose.")
    return explorer.light(f"{sum(p.values.shape[-2] for p in walks) + (mesh.values.shape[-2] if mesh else 0)} points in space. "
                          f"Thin {(along or grid)[0]!r} (ds.isel({(along or grid)[0]}=slice(None, None, {{stride}})))")


def _three(argument: str, value: Sequence[str] | None, ds: xr.Dataset) -> list[str]:
    if value is None:
        return []
    names = names_of(argument, value, ds)
    if len(names) != 3:
        raise ValueError(f"{argument} must name three variables, the coordinates in space; got {value!r}")
    return names


def _last(argument: str, ds: xr.Dataset, names: list[str], count: int, lines: str | None) -> list[str]:
    """The last dimensions of the variables: those of the grid, or the one along a path."""
    if not names:
        return []
    dims = [str(d) for d in max((ds[n].dims for n in names), key=len) if d != lines]
    if len(dims) < count:
        raise ValueError(f"{argument} needs variables with {count} or more dimensions; '{names[0]}' has {listed(ds[names[0]].dims)}")
    return dims[-count:]


def _points(ds: xr.Dataset, names: Sequence[str], moved: Sequence[str], last: Sequence[str], label: str) -> Points:
    together = xr.broadcast(*(ds[n].drop_vars([c for c in ds[n].coords if c not in ds[n].dims]) for n in names))
    over, values = over_of(xr.concat(together, "axis").rename(names[0]), moved, [*last, "axis"])
    return Points(label, over, values.reshape(*values.shape[: len(over)], -1, 3))


def _paths(ds: xr.Dataset, names: list[str], moved: Sequence[str], along: list[str], lines: str | None,
           labels: Mapping[str, str]) -> list[Points]:
    if not names:
        return []
    if lines is None:
        return [_points(ds[names], names, moved, along, labels.get("paths", "path"))]
    entries = control_of(ds, lines, labels)
    if len(entries.texts) > len(CURVES):
        raise ValueError(f"at most {len(CURVES)} paths can be told apart; '{lines}' has {len(entries.texts)} entries")
    words = [f"{entries.label} = {t}" if entries.numeric else t for t in entries.texts]
    return [_points(ds[names].isel({lines: k}, drop=True), names, moved, along, word) for k, word in enumerate(words)]


def _view(turn: tuple[int, int]) -> tuple[int, int]:
    azimuth, elevation = (round(float(v) / 2) * 2 for v in turn)
    if not (-180 <= azimuth <= 180 and -90 <= elevation <= 90):
        raise ValueError(f"turn must be an azimuth between -180 and 180 and an elevation between -90 and 90 degrees; got {turn!r}")
    return azimuth, elevation


def _journeys(paths: Sequence[Points], state: Sequence[int], along: tuple[str, np.ndarray], names: Sequence[str]) -> str:
    """Where each path begins and ends."""
    parts = []
    for path in paths:
        points = path.at(state)
        known = np.flatnonzero(np.isfinite(points).all(axis=-1))
        if not known.size:
            parts.append(f"{path.label} has no point")
            continue
        length = sum(float(np.linalg.norm(b - a)) for a, b in pairwise(points[known]))
        ends = [f"({', '.join(number(v) for v in points[k])}) at {spoken(along[0])} {number(along[1][k])}" for k in known[[0, -1]]]
        parts.append(f"{path.label} goes from {ends[0]} to {ends[1]}, a way of length {number(length)}")
    return ("; ".join(parts) if parts else f"the surface of {', '.join(names)}") + "."
