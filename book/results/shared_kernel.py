"""Is the transition of a convolutional random network with a shared kernel directed percolation? One attempt to decide.

Family: one-dimensional convolutions, kernel 3, circular padding, tanh, σ_b = 0.3, fresh independent layers; 4 channels (8
in some tangent exponents); σ_w across the transition; rings of 125, 500 and 2000 sites. About seven minutes on one core:

    .venv/bin/python book/results/shared_kernel.py

A whole number after the command multiplies the number of networks.

It writes ``shared_kernel.nc`` beside itself, in groups:

- ``tangent``: growth per layer of ln ρ for an infinitesimal difference at every site, on a homogeneous and on an inhomogeneous
  background (the latter over networks whose background is still inhomogeneous at the end of the window, and over all);
- ``seeds``: one site differs on a homogeneous background; averages over networks and their local slopes;
- ``density``: inputs that differ everywhere; mean, median and standard deviation over networks of the order parameter, its
  local slopes, and the correlation over networks of two distant quarters of the ring;
- ``controls``: the same statistics for bond directed percolation at its critical point and for kernels drawn afresh at every
  site, where networks of different sites have nothing in common but the bias.

Every error comes from resampling whole networks.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import deeplimits as dl
from deeplimits import _runs

OUT = Path(__file__).with_suffix(".nc")
BIAS, SEED, FACTOR, THRESHOLD = 0.3, 17, 5.0, 1e-2
GRID = (1.90, 1.96, 2.02, 2.08)
TANGENT = {4: (1.6, 1.7, 1.8, 1.9, 1.96, 2.02, 2.2, 2.6), 8: (1.4, 1.5, 1.55, 1.61, 1.7, 1.8)}
TIMES = int(sys.argv[1]) if len(sys.argv) > 1 else 1
RINGS = {125: 192 * TIMES, 500: 96 * TIMES, 2000: 32 * TIMES}  # sites: networks
DEPTH = 1000


def layer(size: int, channels: int, weight_std: float, kernels: str = "shared") -> dl.CircularConv1d:
    return dl.CircularConv1d(size, channels, 3, "tanh", weight_std, BIAS, kernels=kernels)


def bootstrap(values: np.ndarray, statistic, draws: int = 200) -> float:
    """Standard error of a statistic over the first axis, by resampling networks."""
    rng = np.random.default_rng(0)
    rows = [statistic(values[rng.integers(0, len(values), len(values))]) for _ in range(draws)]
    return np.nanstd(rows, axis=0, ddof=1)


# --- tangent exponents -----------------------------------------------------------------------------


def roughness(channels: int):
    """Standard deviation over the sites of the reference, mean over channels."""
    return lambda x: x[:, 0].unflatten(-1, (channels, -1)).std(-1).mean(-1)


def growth(channels: int, weight_std: float, background: str) -> dict[str, float]:
    size, samples, window = (30, 96 * TIMES, (50, 400)) if background == "homogeneous" else (300, 32 * TIMES, (100, 300))
    x0 = dl.percolation.input_pair(size, channels, background, amplitude=1e-300)
    ds = dl.simulate(layer(size, channels, weight_std), x0, window[1], {"log_rho": "log_rho", "roughness": roughness(channels)},
                     record=window, samples=samples, seed=SEED, progress=False)
    rate = ds.log_rho.isel(input=1).diff("depth").values.ravel() / (window[1] - window[0])
    rough = ds.roughness.isel(depth=-1).values > THRESHOLD
    mean = lambda v: (v.mean(), v.std(ddof=1) / v.size**0.5) if v.size > 3 else (np.nan, np.nan)
    (all_, all_se), (kept, kept_se) = mean(rate), mean(rate[rough])
    return {"growth": all_, "growth_se": all_se, "growth_rough": kept, "growth_rough_se": kept_se, "rough": rough.mean()}


def tangent() -> xr.Dataset:
    members = []
    for channels, grid in TANGENT.items():
        rows = [[xr.Dataset(growth(channels, w, b)) for w in grid] for b in ("homogeneous", "inhomogeneous")]
        table = xr.concat([xr.concat(row, "weight_std") for row in rows], "background")
        members.append(table.assign_coords(weight_std=list(grid), background=["homogeneous", "inhomogeneous"]))
        print("tangent", channels, table.growth.values.round(3).tolist(), flush=True)
    return xr.concat(members, "channels", join="outer").assign_coords(channels=list(TANGENT))


# --- seeds -----------------------------------------------------------------------------------------


def seeds_at(weight_std: float, channels: int = 4, size: int = 400, depth: int = 300, samples: int = 400 * TIMES) -> xr.Dataset:
    x0 = dl.percolation.input_pair(size, channels, "homogeneous", 1, dtype=torch.float32)
    record = dl.percolation.lattice.log_depths(depth, 10)
    ds = dl.simulate(layer(size, channels, weight_std), x0, depth, ["local_rho"], record=record, samples=samples, seed=SEED, progress=False)
    found = dl.percolation.spreading(ds.local_rho.isel(input=1), THRESHOLD)
    found = found.drop_vars("input", errors="ignore")
    print("seeds", weight_std, dl.percolation.exponents(found, 20), flush=True)
    return both(dl.percolation.averages(found), dl.percolation.local_slopes(found, FACTOR))


def both(average: xr.Dataset, slopes: xr.Dataset) -> xr.Dataset:
    """Averages over ``depth`` and slopes over ``slope_depth``, in single precision."""
    slopes = slopes.rename(depth="slope_depth").drop_vars("inverse_depth")
    return xr.merge([average.drop_attrs(), slopes.drop_attrs()]).astype(np.float32)


def seeds() -> xr.Dataset:
    return xr.concat([seeds_at(w) for w in GRID], "weight_std", join="outer").assign_coords(weight_std=list(GRID))


# --- density ---------------------------------------------------------------------------------------


def statistics(field: xr.DataArray) -> xr.Dataset:
    """Over (sample, depth, site): how the mean over the sites varies from network to network."""
    field = field.transpose("sample", "depth", "site")
    values, depth = field.values.astype(float), field.depth.values
    quarter = values.shape[2] // 4
    total, left, right = values.mean(2), values[..., :quarter].mean(2), values[..., 2 * quarter : 3 * quarter].mean(2)
    deviation = lambda v: v.std(0, ddof=1) / v.mean(0)
    pair = lambda v: np.array([np.corrcoef(v[:, k, 0], v[:, k, 1])[0, 1] for k in range(v.shape[1])])
    found = {"relative_sd": (deviation(total), bootstrap(total, deviation)),
             "median": (np.median(total, 0), bootstrap(total, lambda v: np.median(v, 0))),
             "far_correlation": (pair(np.stack([left, right], -1)), bootstrap(np.stack([left, right], -1), pair)),
             "alive": ((total > 1e-6).mean(0), bootstrap(total > 1e-6, lambda v: v.mean(0)))}
    ds = xr.Dataset({key: ("depth", v[k]) for name, v in found.items() for k, key in enumerate((name, f"{name}_se"))}, {"depth": depth})
    density = xr.Dataset({"density": (("sample", "depth"), total)}, {"depth": depth})
    return both(xr.merge([ds, dl.percolation.averages(density).drop_attrs()]), dl.percolation.local_slopes(density, FACTOR))


def density_at(channels: int, weight_std: float, size: int, samples: int, depth: int, kernels: str = "shared") -> xr.Dataset:
    x0 = dl.percolation.input_pair(size, channels, dtype=torch.float32)
    record = dl.percolation.lattice.log_depths(depth, 10)
    with np.errstate(invalid="ignore", divide="ignore"):
        ds = dl.simulate(layer(size, channels, weight_std, kernels), x0, depth, ["local_rho"], record=record, samples=samples, seed=SEED, progress=False)
        found = statistics(ds.local_rho.isel(input=1, drop=True))
    last = found.isel(depth=-1)
    print(kernels, channels, weight_std, size, *(round(float(last[k]), 3) for k in ("density", "relative_sd", "far_correlation", "alive")), flush=True)
    return found


def density() -> xr.Dataset:
    rows = [xr.concat([density_at(4, w, size, samples, DEPTH) for size, samples in RINGS.items()], "size", join="outer") for w in GRID]
    return xr.concat(rows, "weight_std", join="outer").assign_coords(weight_std=list(GRID), size=list(RINGS))


# --- controls --------------------------------------------------------------------------------------


def lattice_at(size: int, samples: int, depth: int = DEPTH) -> xr.Dataset:
    record = dl.percolation.lattice.log_depths(depth, 10)
    ds = dl.percolation.directed_percolation(depth, size=size, samples=samples, record=record, sites=True, seed=SEED, progress=False)
    return statistics(ds.occupied)


def controls() -> xr.Dataset:
    members = {"bond directed percolation": [lattice_at(size, 2 * samples) for size, samples in RINGS.items()],
               "fresh kernels": [density_at(4, 1.429, size, samples // 3, 400, "fresh") for size, samples in RINGS.items() if size <= 500]}
    rows = [xr.concat(row, "size", join="outer").assign_coords(size=list(RINGS)[: len(row)]) for row in members.values()]
    return xr.concat(rows, "system", join="outer").assign_coords(system=list(members))


def sections() -> Iterator[tuple[str, xr.Dataset]]:
    for part in (density, seeds, controls, tangent):
        start = time.process_time()
        yield part.__name__, part()
        print(part.__name__, round(time.process_time() - start), "s", flush=True)


def main() -> None:
    attrs = {"command": "python book/results/shared_kernel.py", "times": TIMES, "seed": SEED, "bias_std": BIAS, "activation": "tanh", "factor": FACTOR,
             "threshold": THRESHOLD, "versions": str(_runs.versions())}
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / OUT.name
        for name, ds in sections():
            encoding = {key: {"zlib": True, "complevel": 9} for key in ds.data_vars}
            ds.assign_attrs(attrs).to_netcdf(new, mode="a" if new.exists() else "w", group=name, engine="h5netcdf", encoding=encoding)
        shutil.copy(new, OUT)


if __name__ == "__main__":
    main()
