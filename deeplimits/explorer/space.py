"""A box in space and its picture from any side, drawn in layers from far to near (*Using this book*).

The script has the same functions: the first frame is drawn here, all others there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplimits.explorer import coding, picture, wording
from deeplimits.explorer.palette import INK, WHITE

GRAIN, LAYERS, BIAS = 1000, 12, 0.12
HEIGHT, SIZE = 424, 420
LEFT, TOP = (picture.WIDTH - SIZE) // 2, (HEIGHT - SIZE) // 2
REACH = 1.1             # how far beyond its corner an axis is named


@dataclass(frozen=True)
class Box:
    """The box that holds everything: its sides, their names, and their half lengths in the picture."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    scale: tuple[float, ...]
    names: tuple[str, ...]

    @classmethod
    def around(cls, clouds: Sequence[np.ndarray], names: Sequence[str], equal: bool) -> Box:
        """The smallest box around all finite points, with its corners on the unit sphere of the picture."""
        points = np.concatenate([c.reshape(-1, 3) for c in clouds])
        points = points[np.isfinite(points).all(axis=-1)]
        if not len(points):
            raise ValueError("nothing to draw: no point has three finite coordinates")
        low, high = points.min(axis=0), points.max(axis=0)
        flat = high - low <= 1e-9 * np.abs(points).max() + 1e-300
        low, high = np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high)
        sides = (high - low) / 2 if equal else np.ones(3)
        return cls(tuple(low.tolist()), tuple(high.tolist()), tuple((sides / np.linalg.norm(sides)).tolist()), tuple(names))

    def levels(self, points: np.ndarray) -> np.ndarray:
        """Levels of the coordinates within the box, shape ``(n, 3)``; -1 for a point without a place."""
        points = np.where(np.isfinite(points).all(axis=-1, keepdims=True), points, np.nan)
        return np.stack([coding.levels(points[:, k], self.low[k], self.high[k]) for k in range(3)], axis=-1)

    def unit(self, points: np.ndarray) -> np.ndarray:
        """The points in the picture's units, as far as their levels tell; NaN where there is none."""
        levels = self.levels(points)
        return np.where(levels < 0, np.nan, (2 * levels / coding.LEVELS - 1) * np.array(self.scale))

    def described(self) -> dict[str, Any]:
        """The box for the script."""
        return {"low": list(self.low), "high": list(self.high), "scale": list(self.scale), "reach": REACH, "size": SIZE, "left": LEFT,
                "top": TOP, "width": picture.WIDTH, "room": [_room(n) for n in self.names]}


def _room(name: str) -> float:
    return 5.5 * len(name) + 4


def view(points: np.ndarray, azimuth: float, elevation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points seen from a side: places to the right and upwards, in steps of the picture, and how near they are (-1 to 1).

    Args:
        points: coordinates, shape ``(n, 3)``.
        azimuth, elevation: the side, in degrees.

    Example:
        >>> [v.tolist() for v in view(np.array([[0.0, 1.0, 0.0]]), 0, 0)]
        [[1000.0], [500.0], [0.0]]
    """
    a, e = math.radians(azimuth), math.radians(elevation)
    x, y, z = np.moveaxis(points, -1, 0)
    toward = math.cos(a) * x + math.sin(a) * y
    right, up = math.cos(a) * y - math.sin(a) * x, math.cos(e) * z - math.sin(e) * toward
    place = [np.floor(GRAIN / 2 * (1 + v) + 0.5) for v in (right, up)]
    return place[0], place[1], math.cos(e) * toward + math.sin(e) * z


def _layer(depth: float) -> int:
    return min(LAYERS - 1, max(0, math.floor((depth + 1) / 2 * LAYERS)))


def quads(points: np.ndarray, columns: int, azimuth: float, elevation: float) -> list[str]:
    """The cells of a grid with so many columns, one outline for each layer."""
    x, y, near = (v.tolist() for v in view(points, azimuth, elevation))
    out = [""] * LAYERS
    for i in range(len(x) - columns):
        four = (i, i + 1, i + columns + 1, i + columns)
        if i % columns == columns - 1 or any(math.isnan(x[k]) for k in four):
            continue
        out[_layer(sum(near[k] for k in four) / 4)] += "M" + "L".join(f"{x[k]:.0f} {y[k]:.0f}" for k in four) + "z"
    return out


def pieces(points: np.ndarray, azimuth: float, elevation: float) -> list[str]:
    """The pieces of a path, one outline for each layer."""
    x, y, near = (v.tolist() for v in view(points, azimuth, elevation))
    out, before = [""] * LAYERS, -1
    for i in range(len(x) - 1):
        if math.isnan(x[i]) or math.isnan(x[i + 1]):
            before = -1
            continue
        layer = _layer((near[i] + near[i + 1]) / 2 + BIAS)
        out[layer] += ("" if layer == before else f"M{x[i]:.0f} {y[i]:.0f}") + f"L{x[i + 1]:.0f} {y[i + 1]:.0f}"
        before = layer
    return out


def edges(box: Box, azimuth: float, elevation: float) -> str:
    """The twelve edges of the box."""
    corners = np.array([[s if i >> k & 1 else -s for k, s in enumerate(box.scale)] for i in range(8)])
    x, y, _ = (v.tolist() for v in view(corners, azimuth, elevation))
    return "".join(f"M{x[i]:.0f} {y[i]:.0f}L{x[i + b]:.0f} {y[i + b]:.0f}" for i in range(8) for b in (1, 2, 4) if not i & b)


def _names(box: Box, azimuth: float, elevation: float) -> str:
    ends = np.array([[REACH * s if j == k else -REACH * s for j, s in enumerate(box.scale)] for k in range(3)])
    x, y, _ = (v.tolist() for v in view(ends, azimuth, elevation))
    out = ""
    for k, name in enumerate(box.names):
        room = _room(name)
        across = min(picture.WIDTH - room, max(room, LEFT + SIZE * x[k] / GRAIN))
        out += (f'<text data-axis="" x="{across:.1f}" y="{TOP + SIZE * (1 - y[k] / GRAIN):.1f}" dy=".35em" '
                f'text-anchor="middle">{wording.svg(name)}</text>')
    return f'<g fill="currentColor" font-size="14" aria-hidden="true">{out}</g>'


def _dot(points: np.ndarray, which: int, turn: tuple[int, int]) -> str:
    known = points[~np.isnan(points).any(axis=-1)]
    if not len(known):
        return ""
    x, y, _ = view(known[[which]], *turn)
    return f"M{x[0]:.0f} {y[0]:.0f}h0"


def svg(box: Box, turn: tuple[int, int], surface: np.ndarray | None, columns: int, paths: Sequence[np.ndarray],
        styles: Sequence[tuple[str, str]], alt: str) -> str:
    """The picture: ``styles`` holds for each path its colour and its stroke."""
    fixed, paths = picture.FIXED, [box.unit(p) for p in paths]
    sheet = [""] * LAYERS if surface is None else quads(box.unit(surface), columns, *turn)
    parts = [pieces(p, *turn) for p in paths]
    drawn = f'<path data-box="" fill="none" stroke="currentColor" stroke-opacity=".3" {fixed} d="{edges(box, *turn)}"/>'
    for layer in range(LAYERS):
        drawn += (f'<path data-quads="" fill="{INK}" fill-opacity="{0.22 + 0.2 * layer / LAYERS:.2f}" stroke="currentColor" '
                  f'stroke-opacity=".2" stroke-width=".6" {fixed} d="{sheet[layer]}"/>')
        drawn += "".join(f'<path data-part="" {style} stroke-linejoin="round" {fixed} d="{part[layer]}"/>'
                         for (_, style), part in zip(styles, parts, strict=True))
    for (color, _), points in zip(styles, paths, strict=True):
        begin, end = _dot(points, 0, turn), _dot(points, -1, turn)
        drawn += "".join(f'<path data-{name}="" fill="none" stroke="{paint}" stroke-width="{width}" stroke-linecap="round" {fixed} d="{d}"/>'
                         for name, paint, width, d in (("begin", color, 12, begin), ("begin", WHITE, 6, begin), ("end", color, 12, end)))
    drawn += f'<path data-points="" fill="none" stroke="currentColor" stroke-width="8" stroke-linecap="round" {fixed} d=""/>'
    plot = picture.plot(f'x="{LEFT}" y="{TOP}" width="{SIZE}" height="{SIZE}" overflow="visible"', drawn, GRAIN)
    return picture.whole(plot + _names(box, *turn), alt, HEIGHT, f' tabindex="0" {picture.KEYS}')
