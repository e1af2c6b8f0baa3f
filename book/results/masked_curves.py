"""Error against rounds under random masks on a grid of settings, for the explorer of *Bias, rate and noise floor*.

Family: 100 random unit vectors in dimension 20 with random labels, width 1000, Bernoulli masks, lr = keep/5, two seeds, 100
rounds; S, the number of local steps and keep on a grid. Three minutes on one core:

    .venv/bin/python book/results/masked_curves.py

It writes ``masked_curves.nc`` beside itself.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from deeplimits import masking

GRID = {"subnetworks": [1, 4, 16], "local_steps": [1, 3, 10], "keep": [0.25, 0.5, 0.75]}
ROUNDS = [0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 30, 36, 43, 50, 58, 66, 75, 85, 100]


def main() -> None:
    X, y = masking.random_task(100, 20)
    shape = [len(v) for v in GRID.values()]
    error, ratio = np.empty((*shape, len(ROUNDS))), np.empty(shape)
    for place, (s, t, k) in zip(np.ndindex(*shape), product(*GRID.values()), strict=True):
        ds = masking.train(X, y, 1000, s, t, k, 0.2 * k, rounds=ROUNDS[-1], seed=[0, 1])
        error[place] = ds.error.mean("seed").sel(round=ROUNDS)
        ratio[place] = masking.floor(ds).power_ratio
    result = xr.Dataset({"error": ((*GRID, "round"), error), "power_ratio": (tuple(GRID), ratio)}, {**GRID, "round": ROUNDS})
    result.attrs["provenance"] = ds.attrs["provenance"]
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")


if __name__ == "__main__":
    main()
