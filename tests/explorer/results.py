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
