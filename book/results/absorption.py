"""ReLU networks of width 16 whose angle is absorbed at zero, for *Where there is no cut-off*.

Family: bias-free ReLU layers of width 16, two orthogonal inputs, precision ε of the angle from 1e-1 to 1e-300; 1500
networks, twelve thousand layers, seed 16, law route. About two minutes on one core:

    .venv/bin/python book/results/absorption.py

It writes ``absorption.nc`` beside itself: depth and relative width along ε, with bootstrap errors, once for all networks and
once for those whose angle is still not zero at layer 1500 (these only down to 1e-50).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import xarray as xr

import deeplimits as dl

WIDTH, SAMPLES, DEPTH, SEED, KEPT = 16, 1500, 12_000, 16, 1500
THRESHOLDS = [10.0**-k for k in (1, 2, 5, 10, 20, 50, 100, 200, 300)]


def main() -> None:
    record = sorted({*range(0, KEPT + 1, 2), *range(KEPT, DEPTH + 1, 25)})
    pair = torch.eye(2, WIDTH, dtype=torch.float32)
    ds = dl.simulate(dl.Dense(WIDTH, "relu"), pair, DEPTH, ["log_angle"], record=record, samples=SAMPLES, seed=SEED)
    told = ds.assign(log_angle=ds.log_angle.fillna(-math.inf))  # a dead network tells nothing apart
    kept = told.isel(sample=told.log_angle.isel(input=1).sel(depth=KEPT).values > -math.inf)
    families = {
        "all": dl.cutoff.family(dl.cutoff.survival(told, "log_angle", THRESHOLDS)),
        "kept": dl.cutoff.family(dl.cutoff.survival(kept, "log_angle", THRESHOLDS[:6])),
    }
    result = xr.concat([f.reindex(threshold=THRESHOLDS) for f in families.values()], "networks")
    result = result.assign_coords(networks=list(families))
    result.attrs = {"family": "threshold", "kept": int(kept.sizes["sample"]), "provenance": ds.attrs["provenance"]}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")
    print(result.depth.values, result.relative_width.sel(pair="0.75-0.25").values)


if __name__ == "__main__":
    main()
