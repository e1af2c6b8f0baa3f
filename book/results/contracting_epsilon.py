"""The cut-off along ε → 0 down to 1e-300, for *The cut-off in contracting random layers*.

Family: linear layers of width 16, Gaussian weights of standard deviation 0.9, two inputs at distance 1, precision ε from
1e-1 to 1e-300; 20000 networks, seed 7. It takes some minutes on one core and 1 GB of memory:

    .venv/bin/python book/results/contracting_epsilon.py

It writes ``contracting_epsilon.nc`` beside itself: for each ε the located cut-off (depth, window, relative width, with
bootstrap errors) and the profile against the depth in units of the predicted cut-off depth.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import xarray as xr

import deeplimits as dl

EXPONENTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 300)
SAMPLES, SEED, LEVELS = 20_000, 7, (0.9, 0.75, 0.5, 0.25, 0.1)
SCALED = np.round(np.linspace(0, 2, 81), 3)


def depths_for(prediction: dl.cutoff.Prediction) -> np.ndarray:
    """Depths that resolve one profile: an eighth of a standard deviation apart, from one end of the fall to the other."""
    spread = np.sqrt(prediction.variance * prediction.depth) / -prediction.exponent
    return np.unique(np.clip(np.round(prediction.depth + np.arange(-5, 6.01, 0.125) * spread), 0, None)).astype(int)


def row(ds: xr.Dataset, prediction: dl.cutoff.Prediction, threshold: float) -> xr.Dataset:
    """The located cut-off of one member and its profile on the scaled depths."""
    profile = dl.cutoff.survival(ds, "log_distance", threshold)
    found = dl.cutoff.locate(profile, LEVELS)
    quartiles = dl.cutoff.locate(profile)
    at = {name: np.interp(SCALED * prediction.depth, profile.depth, profile[name]) for name in ("survival", "survival_se")}
    gap = float(np.abs(profile.survival - prediction.survival(profile.depth)).max())
    numbers = {k: getattr(quartiles, k) for k in ("depth", "window", "relative_width", "depth_se", "window_se", "relative_width_se")}
    levels = {"crossing": ("level", list(found.quantiles.values())), "crossing_se": ("level", list(found.quantiles_se.values()))}
    curves = {name: ("scaled_depth", values.astype(np.float32)) for name, values in at.items()}
    return xr.Dataset(numbers | levels | curves | {"largest_gap": gap}, {"level": list(LEVELS), "scaled_depth": SCALED})


def main() -> None:
    layer = dl.Dense(width=16, activation="identity", weight_std=0.9)
    thresholds = [10.0**-k for k in EXPONENTS]
    predictions = [dl.cutoff.predict(layer, threshold) for threshold in thresholds]
    wanted = [np.union1d([0], depths_for(p)) for p in predictions]
    depths = np.unique(np.concatenate(wanted)).tolist()
    ds = dl.simulate(layer, torch.eye(2, 16) / 2**0.5, depths[-1], ["log_distance"], record=depths, samples=SAMPLES, seed=SEED)
    rows = [row(ds.sel(depth=w), p, t) for w, p, t in zip(wanted, predictions, thresholds, strict=True)]
    result = xr.concat(rows, "threshold").assign_coords(threshold=thresholds)
    result.attrs = {"family": "threshold", "provenance": ds.attrs["provenance"], "command": "python book/results/contracting_epsilon.py"}
    result["scaled_depth"].attrs = {"units": "1", "long_name": "depth / predicted cut-off depth"}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")
    print(result[["depth", "depth_se", "relative_width", "relative_width_se", "largest_gap"]].to_dataframe().to_string())


if __name__ == "__main__":
    main()
