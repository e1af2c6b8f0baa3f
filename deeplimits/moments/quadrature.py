"""Quadrature rules for Gaussian expectations on the line and in the plane (Part IV, *The edge of chaos*).

On the line: Gauss-Legendre panels, cut where the integrand has a kink, never Gauss-Hermite across one. In the plane,
for functions analytic in a strip: the trapezoidal rule, whose error falls exponentially with the number of nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

Array = np.ndarray

_REACH = 14.0  # standard deviations: the density beyond is below 1e-43
_PLANE_REACH = 9.0
_PANEL = 20
_MOST = 16_000  # nodes per axis of the plane


@lru_cache(maxsize=64)
def legendre(count: int = _PANEL) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(count)
    return 0.5 * (x + 1), 0.5 * w


def panels(edges: Array, count: int = _PANEL) -> tuple[Array, Array]:
    """Nodes and weights of a Gauss-Legendre rule on each interval between neighbouring edges."""
    x, w = legendre(count)
    length = np.diff(edges)[:, None]
    return (edges[:-1, None] + length * x).ravel(), (length * w).ravel()


@lru_cache(maxsize=256)
def _half_edges(level: int) -> Array:
    """Edges on [0, 14]: panels of length 2**-level near zero, growing from 64 panels on, never longer than one."""
    fine = 2.0**-level
    edges = list(np.arange(0, min(65, int(_REACH / fine) + 1)) * fine)
    while edges[-1] < _REACH:
        edges.append(min(_REACH, edges[-1] + min(1.0, max(fine, 0.5 * edges[-1]))))
    return np.array(edges)


@lru_cache(maxsize=512)
def line(level: int, cuts: tuple[float, ...] = ()) -> tuple[Array, Array]:
    """Nodes z and weights of E f(z) for a standard normal z, with panel edges at the cuts as well."""
    half = _half_edges(level)
    inside = [c for c in cuts if abs(c) < _REACH]
    edges = np.unique(np.concatenate([-half, half, inside]))
    z, w = panels(edges)
    weights = w * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    z.flags.writeable = weights.flags.writeable = False
    return z, weights


def on_line(f: Callable[[Array], Array], variance: float, breaks: tuple[float, ...] = ()) -> float:
    """E f(h) for a centred normal h, f smooth at scale one between the breaks."""
    std = math.sqrt(variance)
    level = max(0, math.ceil(math.log2(std))) if std > 0 else 0
    z, w = line(level, tuple(b / std for b in breaks) if std > 0 else ())
    return float(w @ np.asarray(f(std * z), dtype=float))


def _step(variance: float) -> float:
    """Step of the trapezoidal rule for functions of std * z that are analytic in a strip of half-width pi/2."""
    return min(0.5, 0.2 / math.sqrt(variance)) if variance > 0 else 0.5


def resolved(variance: float) -> bool:
    """Whether the rule in the plane reaches its precision with the nodes it may use."""
    return 2 * _PLANE_REACH / _step(variance) <= _MOST


def grid(variance: float, half: bool = False) -> tuple[Array, Array]:
    """Nodes and weights of the trapezoidal rule for E f(z), f even in z if ``half``."""
    h = _step(variance)
    count = math.ceil(_PLANE_REACH / h)
    z = h * np.arange(0 if half else -count, count + 1)
    w = h * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    if half:
        w[1:] *= 2
    return z, w


def on_plane(f: Callable[[Array, Array], Array], variance: float, half_first: bool = False, half_second: bool = False) -> float:
    """E f(z1, z2) for independent standard normals; f broadcasts a column against a row.

    Args:
        f: the integrand; analytic in each variable in a strip of half-width (pi/2)/std.
        variance: the larger variance among the arguments that f makes of its normals.
        half_first: f is even in z1.
        half_second: f is even in z2.
    """
    z1, w1 = grid(variance, half_first)
    z2, w2 = grid(variance, half_second)
    rows = max(1, 1_000_000 // len(z2))
    return float(sum(w1[i : i + rows] @ (f(z1[i : i + rows, None], z2[None, :]) @ w2) for i in range(0, len(z1), rows)))
