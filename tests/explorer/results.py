"""Labelled results with an exact formula, for the tests of the explorer."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import ndtr


def cutoff_profiles(points: int = 61) -> xr.Dataset:
    """P(random walk with drift above log ε) and its measured counterpart, over precision, rate, kind and depth."""
    depth = np.linspace(0, 600, points)
    precision, rate = 10.0 ** -np.array([1.0, 5.0, 10.0, 20.0]), np.array([0.05, 0.1, 0.2])
    log = -np.log(precision)[:, None, None, None] - rate[:, None, None] * depth
    spread = np.array([0.15, 0.3])[:, None] * np.sqrt(np.maximum(depth, 1e-9))
    exact = ndtr(log / spread)
    measured = np.random.default_rng(0).binomial(400, exact) / 400
    dims = ("precision", "rate", "kind", "depth")
    ds = xr.Dataset(
        {"survival": (dims, measured), "survival_se": (dims, np.sqrt(measured * (1 - measured) / 400)),
         "exact": (dims, exact), "cutoff": (("precision", "rate"), -np.log(precision)[:, None] / rate),
         "indicator": (("sample", "depth"), np.ones((2, points), dtype=bool))},
        {"precision": precision, "rate": rate, "kind": ["quiet", "noisy <b>"], "depth": depth})
    ds["precision"].attrs["long_name"] = "precision ε"
    ds["survival"].attrs["long_name"] = "share above ε"
    return ds


def phase_diagram() -> xr.Dataset:
    """A made-up factor per layer over two standard deviations, its depth scale, and where it is one."""
    strength, bias, weight = np.array([1.0, 2.0, 3.0]), np.linspace(0, 0.5, 11), np.linspace(0.8, 2.4, 17)
    square = weight**2
    slope = 1 / (1 + 2 * bias[:, None])
    chi = slope * square * (1 + 0.1 * strength[:, None, None])
    with np.errstate(divide="ignore"):
        scale = 1 / np.abs(np.log(chi))
    scale[0, :2, :3] = np.nan
    dims = ("strength", "bias", "weight")
    return xr.Dataset(
        {"scale": (dims, scale), "chi": (dims, chi),
         "critical": (("strength", "bias"), np.sqrt((1 + 2 * bias) / (1 + 0.1 * strength[:, None])))},
        {"strength": strength, "bias": bias, "weight": weight})


def hyperboloids() -> xr.Dataset:
    """Quadrics x² + y² = z² + c² with two paths on each, which leave at the height -1 and arrive at 0.7."""
    c, z, angle = np.array([0.2, 0.6, 1.0]), np.linspace(-1.2, 1.2, 15), np.linspace(0, 2 * np.pi, 19)
    radius = np.sqrt(z**2 + c[:, None] ** 2)[..., None]
    step, turn = np.arange(41), np.array([0.5, 2.5])
    height = -1 + 1.7 * step / 40 + 0 * turn[:, None]
    along = np.sqrt(height**2 + c[:, None, None] ** 2)
    grid, ways = ("c", "z", "angle"), ("c", "path", "step")
    return xr.Dataset(
        {"sx": (grid, radius * np.cos(angle)), "sy": (grid, radius * np.sin(angle)), "sz": (("z", "angle"), z[:, None] + 0 * angle),
         "px": (ways, along * np.cos(turn[:, None] + step / 30)), "py": (ways, along * np.sin(turn[:, None] + step / 30)),
         "pz": (("path", "step"), height)},
        {"c": c, "path": ["first", "second"], "step": step})
