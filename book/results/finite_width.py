"""Exponents, curves and long runs of tanh networks of finite width, for *Finite width: which noise, which scaling*.

Family: tanh, bias_std 0.3, widths 25 to 400; law route; seeds below. Four groups in one file, in all about ten minutes on one core:

    .venv/bin/python book/results/finite_width.py

- ``exponent``, ``exponent_se`` (tangent_width, tangent_weight_std): the exponent of infinitesimal differences per layer, from
  200 layers after 30; ``spread``, ``spread_se``: the variance of their logarithm per layer.
- ``log_rho``, ``log_rho_se`` (width, weight_std, statistic, depth): ln E[ρ], E[ln ρ] and median ln ρ over 300 networks, two inputs with
  ρ = 1 and the variance at its fixed point; ``log_low``, ``log_high`` (width, weight_std, depth): quantiles .05 and .95 of ln ρ.
- ``wide_log_rho`` (weight_std, depth): ln ρ of infinite width.
- ``long_log_rho``, ``long_log_rho_se``, ``long_replicates`` (long_width, ..., ratio): the same at the critical point of *each width*, down
  to a depth of 30 widths, 2000 networks; ``ratio`` is depth over width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import xarray as xr

import deeplimits as dl

BIAS_STD, SEED = 0.3, 17
TANGENT = {25: 1000, 50: 1000, 100: 600, 200: 400}            # width: networks
TANGENT_STDS = [1.36, 1.395584, 1.43, 1.4643, 1.5, 1.54]
WIDTHS, STDS = [50, 100, 200, 400], [1.34, 1.37, 1.395584, 1.42, 1.45, 1.48, 1.52]
DEPTHS = np.unique(np.geomspace(3, 600, 26).round().astype(int))
LONG, RATIOS = {50: 2000, 100: 2000}, np.geomspace(0.2, 30, 27)


def run(width: int, weight_std: float, depths: np.ndarray, samples: int, seed: int) -> xr.Dataset:
    layer = dl.Dense(width, "tanh", weight_std, BIAS_STD)
    x0 = dl.criticality.input_pair(layer, dtype=torch.float32)
    return dl.simulate(layer, x0, int(depths[-1]), ["log_rho"], record=depths, samples=samples, seed=seed, progress=False)


def tangent() -> xr.Dataset:
    found = [[dl.criticality.tangent_exponent(dl.Dense(n, "tanh", w, BIAS_STD), 200, samples, SEED) for w in TANGENT_STDS] for n, samples in TANGENT.items()]
    dims = ("tangent_width", "tangent_weight_std")
    fields = {"exponent": "value", "exponent_se": "se", "spread": "variance", "spread_se": "variance_se"}
    return xr.Dataset({k: (dims, [[getattr(e, v) for e in row] for row in found]) for k, v in fields.items()},
                      {"tangent_width": list(TANGENT), "tangent_weight_std": TANGENT_STDS})


def curves(width: int, weight_std: float) -> xr.Dataset:
    ds = run(width, weight_std, DEPTHS, 300, SEED)
    logs = ds.log_rho.isel(input=1, drop=True)
    found = dl.criticality.summarize(ds, bootstrap=100, seed=SEED)[["log_rho", "log_rho_se"]]
    return found.assign(log_low=logs.quantile(0.05, "sample", keep_attrs=False).drop_vars("quantile"),
                        log_high=logs.quantile(0.95, "sample", keep_attrs=False).drop_vars("quantile"))


def long(width: int) -> xr.Dataset:
    depths = np.unique((RATIOS * width).round().astype(int))
    ds = run(width, dl.criticality.critical_weight_std("tanh", BIAS_STD, width), depths, LONG[width], SEED + width)
    found = dl.criticality.summarize(ds, bootstrap=60, seed=SEED)[["log_rho", "log_rho_se", "replicates"]]
    found = found.rename({name: f"long_{name}" for name in found.data_vars}).rename(depth="ratio")
    return found.assign_coords(ratio=RATIOS)


def main() -> None:
    torch.set_num_threads(1)
    parts = [tangent()]
    print(parts[0].exponent.values, flush=True)
    rows = [xr.concat([curves(n, w) for w in STDS], "weight_std", combine_attrs="drop") for n in WIDTHS]
    parts.append(xr.concat(rows, "width", combine_attrs="drop").assign_coords(width=WIDTHS, weight_std=STDS))
    wide = [dl.meanfield.profile("tanh", w, BIAS_STD, int(DEPTHS[-1]), rho=1.0).log_rho[DEPTHS] for w in STDS]
    parts.append(xr.Dataset({"wide_log_rho": (("weight_std", "depth"), wide)}, {"weight_std": STDS, "depth": DEPTHS}))
    print("curves", flush=True)
    parts.append(xr.concat([long(n) for n in LONG], "long_width", combine_attrs="drop").assign_coords(long_width=list(LONG)))
    result = xr.merge(parts, combine_attrs="drop").drop_attrs()
    provenance = run(50, 1.4, np.array([1]), 1, SEED).attrs["provenance"]
    result.attrs = {"family": "width and weight_std", "provenance": provenance}
    packed = {"dtype": "int16", "scale_factor": 5e-4, "_FillValue": -32768, "zlib": True}
    encoding = {str(v): {"dtype": "float32", "zlib": True} for v in result.data_vars} | {"long_replicates": packed}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf", encoding=encoding)


if __name__ == "__main__":
    main()
