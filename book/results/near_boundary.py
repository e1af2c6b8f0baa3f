"""Which networks train near the edge of chaos? Digits, width 100, for *Training near the boundary*.

Two runs, all networks of one shape trained at once (``deeplimits.training.train_ensemble``):

- ``train``, ``test``: accuracies over σ_w/σ_c, three settings of activation and σ_b, four depths, three seeds;
- ``critical_train``, ``critical_test``: at σ_w = σ_c, the same settings, two depths, six seeds, in three protocols: as above;
  with a readout of variance 1/width; with three tenths of the learning rate.

Gradient descent, batches of 64, ten epochs. About five minutes of one core, half of that on two:

    .venv/bin/python book/results/near_boundary.py

It writes ``near_boundary.nc`` beside itself, after each run. A network that diverged has NaN in place of its accuracy.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import xarray as xr

import deeplimits as dl

WIDTH, EPOCHS, BATCH = 100, 10, 64
RATIOS = [0.8, 0.9, 1.0, 1.1, 1.3]
SETTINGS = {"tanh, σ_b = 0.1": ("tanh", 0.1), "tanh, σ_b = 0.3": ("tanh", 0.3), "erf, σ_b = 0.3": ("erf", 0.3)}
#: In the first the readout has the σ_w of its network, as every other layer.
PROTOCOLS = {"rate 0.01": {"lr": 0.01, "readout_std": None}, "rate 0.01, readout 1": {"lr": 0.01, "readout_std": 1.0},
             "rate 0.003": {"lr": 0.003, "readout_std": None}}
COMMON = {"width": WIDTH, "epochs": EPOCHS, "batch_size": BATCH, "record": [EPOCHS], "progress": False}


def run(depths: list[int], seeds: int, **grid: object) -> xr.Dataset:
    """One ensemble for each setting, joined along ``setting``."""
    parts = []
    for name, (activation, bias) in SETTINGS.items():
        began = time.process_time()
        part = dl.training.train_ensemble(depths, activation=activation, bias_std=bias, seed=range(seeds), **COMMON, **grid).isel(epoch=0)
        parts.append(part[["train_accuracy", "test_accuracy"]].reset_coords(drop=True))
        print(depths, name, f"{time.process_time() - began:.0f} s", part.test_accuracy.mean("seed").values.round(3).tolist(), file=sys.stderr, flush=True)
    joined = xr.concat(parts, xr.DataArray(list(SETTINGS), dims="setting", name="setting"))
    return joined.rename(train_accuracy="train", test_accuracy="test").assign_attrs(provenance=part.attrs["provenance"])


def over_ratios(depths: list[int]) -> xr.Dataset:
    return run(depths, 3, weight_ratio=RATIOS, **PROTOCOLS["rate 0.01"])


def at_the_edge() -> xr.Dataset:
    parts = [run([20, 60], 6, weight_ratio=1.0, **protocol) for protocol in PROTOCOLS.values()]
    joined = xr.concat(parts, xr.DataArray(list(PROTOCOLS), dims="protocol", name="protocol"), combine_attrs="drop")
    return joined.rename({name: f"critical_{name}" for name in ("train", "test", "depth", "seed")})


def save(*parts: xr.Dataset) -> None:
    result = xr.merge(parts, compat="no_conflicts", join="outer", combine_attrs="drop")
    result.attrs = {"command": "python book/results/near_boundary.py", "provenance": parts[0].attrs["provenance"],
                    "training": f"width {WIDTH}, gradient descent, {EPOCHS} epochs, batches of {BATCH}"}
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")


def main() -> None:
    ratios = over_ratios([20, 60])
    save(ratios)
    edge = at_the_edge()
    save(ratios, edge)
    save(xr.concat([ratios, over_ratios([10, 40])], "depth", combine_attrs="override").sortby("depth"), edge)


if __name__ == "__main__":
    main()
