"""The order parameter of tanh networks of width 50 to 1600 at the critical point of infinite width, for *Universal scaling of
wide networks* and *Finite width: which noise, which scaling*.

Family: tanh, bias_std 0.3, weight_std 1.395584 (critical at infinite width), two uncorrelated inputs (ρ = 1) whose variance
is at its fixed point 0.763475; depths are numbers of maps applied, on a grid of depth over width from 0.02 to 1 (2 at width
400, 4 at widths 50 to 200); float32, law route, seed 3. About five minutes on one core:

    .venv/bin/python book/results/finite_size.py

It writes ``finite_size.nc`` beside itself. Along the dimension ``step`` stand the recorded depths of each width; what a
width lacks is missing (depth -1, values NaN).

- ``depth`` (width, step): number of maps; ``samples`` (width): number of networks.
- ``log_rho``, ``log_rho_se`` (width, statistic, step): ln E[ρ], E[ln ρ] and median ln ρ over networks, and their standard errors.
- ``replicates`` (width, replicate, statistic, step): the same for 60 resamplings of the networks, rounded to 0.0005:
  error bars of whatever is computed from the curves come from these.
- ``quantiles`` (width, quantile, step): quantiles .05, .25, .75, .95 of ln ρ over networks; ``variance`` (width, step): its variance.

``member(ds, width)`` below gives one width in the form of ``criticality.summarize``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import xarray as xr

import deeplimits as dl

BIAS_STD, SEED, BOOTSTRAP = 0.3, 3, 60
RUNS = {50: (16_000, 4), 100: (16_000, 4), 200: (8000, 4), 400: (4000, 2), 800: (2500, 1), 1600: (1200, 1)}  # networks, deepest l/N
GRID = np.unique(np.concatenate([np.geomspace(0.02, 1, 24), np.geomspace(1, 4, 9), [0.1, 0.28]]))
QUANTILES = [0.05, 0.25, 0.75, 0.95]


def member(ds: xr.Dataset, width: int) -> xr.Dataset:
    """One width as ``criticality.summarize`` returns it."""
    one = ds.sel(width=width)
    one = one.isel(step=np.flatnonzero(one.depth.values > 0))
    return one.assign_coords(depth=("step", one.depth.values)).swap_dims(step="depth")


def run(width: int) -> xr.Dataset:
    samples, ratio = RUNS[width]
    layer = dl.Dense(width, "tanh", "critical", BIAS_STD)
    depths = (GRID[GRID <= ratio] * width).round().astype(int)
    record = np.unique([*depths[depths > 0], *(round(t * width) - 1 for t in (0.1, 0.28, 1))])  # the last: counted with the start
    ds = dl.simulate(layer, dl.criticality.input_pair(layer, dtype=torch.float32), int(record[-1]), ["log_rho"], record=record, samples=samples, seed=SEED + width)
    logs = ds.log_rho.isel(input=1, drop=True)
    found = dl.criticality.summarize(ds, bootstrap=BOOTSTRAP, seed=SEED)
    found["quantiles"] = logs.quantile(QUANTILES, "sample").transpose("quantile", "depth").drop_attrs()
    found["variance"] = logs.var("sample", ddof=1)
    found["samples"] = samples
    found = found.rename(depth="step").assign_coords(step=np.arange(record.size))
    found["depth"] = ("step", record)
    return found


def main() -> None:
    torch.set_num_threads(1)
    runs = {}
    for width in RUNS:
        runs[width] = run(width)
        where = {t: int(np.abs(runs[width].depth.values / width - t).argmin()) for t in (0.1, 0.28, 1.0)}
        rows = {t: np.exp(runs[width].log_rho.values[[0, 2], k]) * width for t, k in where.items()}
        print(width, {t: (int(runs[width].depth[where[t]]), *np.round(v, 3)) for t, v in rows.items()}, flush=True)
    result = xr.concat(list(runs.values()), "width", join="outer").assign_coords(width=list(RUNS))
    result["depth"] = result.depth.fillna(-1).astype("int32")
    result.attrs = {"family": "width", "provenance": runs[1600].attrs["provenance"]}
    packed = {"dtype": "int16", "scale_factor": 5e-4, "_FillValue": -32768, "zlib": True}
    encoding = {v: {"dtype": "float32", "zlib": True} for v in ("log_rho", "log_rho_se", "quantiles", "variance")}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf", encoding=encoding | {"replicates": packed})


if __name__ == "__main__":
    main()
