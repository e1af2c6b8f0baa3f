"""Two ends of the engine: a width of 100 000 and a depth of 100 000, for Part III.

``wide``: ReLU networks with He weights, two inputs at a right angle, widths 100 to 100 000 on the law route; the angle
after 100 layers, beside its limit at infinite width (*ReLU at finite width: depth over width*).
``deep``: linear networks of width 16, weight standard deviation 0.9, 100 000 layers; the cut-off at precisions down to
10^-5500, far below the range of doubles (*The cut-off in contracting random layers*). Seed 11, two minutes on two cores:

    .venv/bin/python book/results/far.py

It writes ``far.nc`` beside itself.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import deeplimits as dl

WIDTHS, LAYERS, NETWORKS = (100, 1_000, 10_000, 100_000), 100, {100: 4000, 1_000: 1000, 10_000: 200, 100_000: 40}
DIGITS, DEPTH, SAMPLES, SEED = (50, 150, 500, 1500, 5500), 100_000, 500, 11


def wide() -> xr.Dataset:
    rows = []
    for width in WIDTHS:
        ds = dl.simulate(dl.Dense(width), torch.eye(2, width), LAYERS, ["angle"], record=[LAYERS], samples=NETWORKS[width], seed=SEED)
        angle = ds.angle.isel(input=1, depth=0).values
        se = angle.std(ddof=1) / math.sqrt(angle.size)
        rows.append({"angle": angle.mean(), "angle_se": se, "angle_std": angle.std(ddof=1), "networks": angle.size})
    return xr.Dataset({k: ("width", np.array([r[k] for r in rows])) for k in rows[0]}, {"width": list(WIDTHS)})


def deep() -> xr.Dataset:
    layer = dl.Dense(16, "identity", 0.9)
    ds = dl.simulate(layer, torch.eye(2, 16) / 2**0.5, DEPTH, ["log_distance"], record=range(0, DEPTH + 1, 20), samples=SAMPLES, seed=SEED)
    rows = []
    for digits in DIGITS:
        found = dl.cutoff.locate(dl.cutoff.survival(ds, "log_distance", log_threshold=-digits * math.log(10)))
        rows.append({k: getattr(found, k) for k in ("depth", "depth_se", "relative_width", "relative_width_se")})
    table = {k: ("digits", np.array([r[k] for r in rows])) for k in rows[0]}
    return xr.Dataset(table, {"digits": list(DIGITS)}, {"provenance": ds.attrs["provenance"]})


def main() -> None:
    result = xr.merge([wide(), deep()], combine_attrs="drop_conflicts")
    result.attrs |= {"command": "python book/results/far.py", "layers": LAYERS}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")
    print(result)


if __name__ == "__main__":
    main()
