"""Success against the number of frozen signs at full size, for *Obstructed training*.

Family: all widths m = 2…10 with teacher T1, m = 2, 4, 6, 8, 10 with teacher B; every number j ≤ m of frozen signs; 200 starts for
each cell, the same functions in all cells of a width. Population loss, gradient descent, learning rate 0.05 to time 200. About
three minutes on one core:

    .venv/bin/python book/results/frozen_signs.py

It writes ``frozen_signs.nc`` beside itself: success rates with their errors, feasible shares and their exact values, successes among
feasible and infeasible starts, and the lowest loss of an infeasible one.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

import deeplimits as dl

SEEDS, SEED = 200, 5
WIDTHS = {"T1": (2, 3, 4, 5, 6, 7, 8, 9, 10), "B": (2, 4, 6, 8, 10)}


def summary(ds: xr.Dataset) -> xr.Dataset:
    """Rates and counts of one study; the single runs are left out."""
    real = np.isfinite(ds.success_rate)
    apart = ~ds.feasible & real
    counts = {
        "successes_feasible": (ds.success & ds.feasible).sum("seed").where(real),
        "successes_infeasible": (ds.success & apart).sum("seed").where(real),
        "infeasible": apart.sum("seed").where(real),
        "lowest_infeasible_loss": ds.loss.where(apart).min("seed"),
    }
    return ds.drop_vars(["loss", "success", "feasible"]).drop_dims("seed").assign(counts)


def main() -> None:
    studies = {name: dl.topology.frozen_sign_study(widths, SEEDS, name, seed=SEED) for name, widths in WIDTHS.items()}
    result = xr.concat([summary(ds) for ds in studies.values()], "teacher", join="outer", combine_attrs="drop")
    result = result.assign_coords(teacher=list(studies))
    provenance = {name: json.loads(ds.attrs["provenance"]) for name, ds in studies.items()}
    result.attrs = {"provenance": json.dumps(provenance), "seeds": SEEDS, "command": "python book/results/frozen_signs.py"}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")
    for name in studies:
        part = result.sel(teacher=name)
        print(name, part.success_rate.round(2).to_pandas().to_string(), float(part.successes_infeasible.sum()), sep="\n")


if __name__ == "__main__":
    main()
