"""Noise floors of training under random masks, measured and predicted, for *Bias, rate and noise floor*.

Family: 100 random unit vectors in dimension 20 with random labels, width 2000, three seeds, 300 rounds, mean over the last
hundred; one knob moves at a time, the others stand at S = 4, one local step, keep 1/2, lr 0.1 (for keep, lr = keep/5; for the
width, keep 1/4 and lr 0.05). Four minutes on one core:

    .venv/bin/python book/results/noise_floor.py

It writes ``noise_floor.nc`` beside itself.
"""

from __future__ import annotations

from pathlib import Path

import torch
import xarray as xr

from deeplimits import masking

STUDIES = {
    "subnetworks S": [dict(subnetworks=s) for s in (1, 2, 4, 8, 16, 32)],
    "local steps τ": [dict(local_steps=t) for t in (1, 2, 5, 10)],
    "keep ξ": [dict(keep=k, lr=0.2 * k) for k in (0.25, 0.5, 0.75, 0.9)],
    "step size η": [dict(lr=e) for e in (0.05, 0.1, 0.2, 0.3)],
    "width m": [dict(width=m, keep=0.25, lr=0.05) for m in (500, 1000, 2000, 4000)],
    "width m, partition": [dict(width=m, keep=None, lr=0.05, masks="partition") for m in (500, 1000, 2000, 4000)],
    "width m, partition, frozen": [dict(width=m, keep=None, lr=0.05, masks="partition", gates="frozen") for m in (500, 1000, 2000, 4000)],
}
KNOB = {"subnetworks S": "subnetworks", "local steps τ": "local_steps", "keep ξ": "keep", "step size η": "lr"}


def measure(study: str, change: dict) -> dict:
    setting = dict(width=2000, subnetworks=4, local_steps=1, keep=0.5, lr=0.1) | change
    X, y = masking.random_task(100, 20)
    ds = masking.train(X, y, **setting, rounds=300, seed=[0, 1, 2])
    found = masking.floor(ds)
    setting.pop("gates", None)
    C = torch.stack([masking.empirical_covariance(X, torch.as_tensor(w)) for w in ds.weights.values]).mean(0)
    late = float(C.trace()) / 50
    theory = masking.predicted_error(X, **setting, covariance=C, power_ratio=found.power_ratio / late).floor
    bias = 0.0
    if setting["local_steps"] == 1:
        law = masking.mask_law(setting.get("masks", "bernoulli"), setting["subnetworks"], setting["keep"], setting["width"])
        path = masking.mean_dynamics(X, y, *masking.initial_weights(setting["width"], 20, 0), law, setting["lr"], 300)
        bias = float(path.residual[201:].square().sum(-1).mean())
    return {"study": study, "value": float(setting[KNOB.get(study, "width")]), "floor": found.value, "se": found.se, "noise": theory, "bias": bias,
            "power_ratio": found.power_ratio, "provenance": ds.attrs["provenance"]}


def main() -> None:
    rows = [measure(study, change) for study, changes in STUDIES.items() for change in changes]
    result = xr.Dataset({name: ("run", [row[name] for row in rows]) for name in rows[0] if name != "provenance"})
    result.attrs["provenance"] = rows[0]["provenance"]
    result.to_netcdf(Path(__file__).with_suffix(".nc"), engine="h5netcdf")
    print(result.drop_vars("power_ratio").to_dataframe().to_string())


if __name__ == "__main__":
    main()
