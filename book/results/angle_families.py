"""Angles and norms of ReLU networks up to width 512, for *ReLU at finite width: depth over width*.

Family: bias-free ReLU layers at He's initialization, widths 32 to 512, two orthogonal inputs; precision ε = N^(-β) for
β = 0.5, 1, 1.5, 2 and the fixed precision 0.3. The law route is used: no weights are formed. About four minutes on one core:

    .venv/bin/python book/results/angle_families.py

It writes ``angle_families.nc`` beside itself: the located falls (depth, window, relative width, with bootstrap errors), the
profiles against depth / l(.5), and the moments of the logarithms of norm and rescaled angle at four ratios of depth to width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import xarray as xr

import deeplimits as dl

RUNS = {32: (6000, 12), 64: (6000, 13), 128: (3000, 15), 256: (1300, 16), 512: (1000, 6)}  # width: networks, layers / width
SEED = 11
QUESTIONS = {"0.3": lambda n: 0.3} | {f"N^-{b:g}": lambda n, b=b: n**-b for b in (0.5, 1, 1.5, 2)}
SCALED = np.round(np.arange(0, 2.51, 0.05), 3)
TIMES = [0.5, 1.0, 2.0, 4.0]


def run(width: int) -> xr.Dataset:
    """One width: log angle of the pair and log norm of the first input."""
    samples, ratio = RUNS[width]
    last = ratio * width
    record = sorted({*range(min(160, last) + 1), *range(0, last + 1, width // 16)})
    pair = torch.eye(2, width, dtype=torch.float32)
    return dl.simulate(dl.Dense(width, "relu", "he"), pair, last, ["log_angle", "log_norm"], record=record, samples=samples, seed=SEED, route="law")


def fall(ds: xr.Dataset, width: int, name: str) -> xr.Dataset:
    """Located fall and profile for one question; NaN where the run is not deep enough."""
    profile = dl.cutoff.survival(ds, "log_angle", QUESTIONS[name](width))
    found = dl.cutoff.family({width: profile}, along="width").isel(width=0, drop=True)
    at = SCALED * float(found.depth)
    curves = {key: ("scaled_depth", np.interp(at, profile.depth, profile[key]).astype(np.float32)) for key in ("survival", "survival_se")}
    return found.assign(curves).assign_coords(scaled_depth=SCALED)


def empty(like: xr.Dataset) -> xr.Dataset:
    return xr.full_like(like, np.nan)


def moments(ds: xr.Dataset, width: int) -> xr.Dataset:
    """Mean and variance, with errors, of log norm and of log(width * angle) at the ratios TIMES."""
    columns: dict[str, list[float]] = {}
    for t in TIMES:
        at = ds.sel(depth=int(t * width))
        for key, values in (("norm", at.log_norm.isel(input=0)), ("angle", at.log_angle.isel(input=-1) + np.log(width))):
            x = values.values[np.isfinite(values.values)]
            spread = (x - x.mean()) ** 2
            row = {"mean": x.mean(), "mean_se": x.std(ddof=1) / x.size**0.5, "variance": x.var(ddof=1), "variance_se": spread.std() / x.size**0.5}
            for name, value in row.items():
                columns.setdefault(f"{key}_{name}", []).append(float(value))
    return xr.Dataset({k: ("time", v) for k, v in columns.items()}, {"time": TIMES})


def member(width: int) -> xr.Dataset:
    ds = run(width)
    rows: list[xr.Dataset | None] = []
    for name in QUESTIONS:
        try:
            rows.append(fall(ds, width, name))
        except ValueError:  # the fall lies below the last layer of this run
            rows.append(None)
    blank = empty(next(row for row in rows if row is not None))
    falls = xr.concat([blank if row is None else row for row in rows], "question").assign_coords(question=list(QUESTIONS))
    member = xr.merge([falls, moments(ds, width)])
    member.attrs = {"provenance": ds.attrs["provenance"]}
    print(width, falls.depth.values / width, falls.relative_width.isel(pair=0).values, flush=True)
    return member


def main() -> None:
    members = [member(width) for width in RUNS]
    result = xr.concat(members, "width", combine_attrs="drop").assign_coords(width=list(RUNS))
    result["samples"] = ("width", [samples for samples, _ in RUNS.values()])
    result.attrs = {"family": "width", "provenance": members[-1].attrs["provenance"], "command": "python book/results/angle_families.py"}
    result["scaled_depth"].attrs = {"units": "1", "long_name": "depth / l(.5)"}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")
    print(result[["depth", "depth_se"]].to_dataframe().to_string())


if __name__ == "__main__":
    main()
