"""Runs on a device that is not the CPU: every one on an emulated second device, where what was left behind on the CPU is an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import deeplimits as dl
from tests.elsewhere import DEVICE, Machine, second_device
from tests.layers.catalogue import CATALOGUE, rng

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for folder in ("part*", "stories") for path in (ROOT / "book").glob(f"{folder}/*.md"))
F64 = torch.float64


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Machine]]:
    with second_device(monkeypatch, default=False) as found:
        yield found


def points(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=rng(), dtype=F64, device="cpu") + 0.1


def simulated(name: str, **options: Any) -> Callable[..., Any]:
    layer, start = CATALOGUE[name]
    x0 = start((3,), layer.fan_in, rng())
    observe = {"observe": {"largest": lambda x: x.flatten(1).amax(-1)}} if x0.ndim > 2 else {}
    return lambda **where: dl.simulate(layer, x0, 4, samples=5, seed=2, progress=False, **observe, **options, **where)


RUNS: dict[str, Callable[..., Any]] = {
    **{f"simulate {name}": simulated(name) for name, (layer, _) in CATALOGUE.items() if layer.fan_in == layer.width},
    "simulate by weights": simulated("dense relu", route="weights", observe=["log_norm", "angle", "log_angle", "alive"]),
    "simulate pre-activations": simulated("dense", observe=["variance", "correlation", "rho", "log_rho"]),
    "simulate backward": simulated("stationary", order="backward"),
    "simulate sites": simulated("conv fresh", observe=["local_rho", "local_log_rho"]),
    "drift": lambda **where: dl.ergodic.drift(dl.Positive(4), dl.metrics.thompson, points(4), 6, samples=4, **where).value,
    "drift of congruences": lambda **where: dl.ergodic.drift(dl.Congruence(3), dl.metrics.affine_invariant, torch.eye(3, dtype=F64), 6, samples=4, **where).value,
    "drift curve": lambda **where: dl.ergodic.drift_curve(dl.Dense(4, "tanh"), dl.metrics.lp(2), points(4), [2, 5], samples=4, **where),
    "successive distances": lambda **where: dl.ergodic.successive_distances(dl.Dense(4, "tanh", 0.5, 1.0), points(4), [2, 5], samples=4, **where),
    "spectrum": lambda **where: dl.ergodic.lyapunov_spectrum(dl.Dense(4, "abs", 1.0), 20, samples=4, **where).values,
    "spectrum of congruences": lambda **where: dl.ergodic.lyapunov_spectrum(dl.Congruence(3), 20, samples=4, **where).values,
    "training": lambda **where: dl.training.train_ensemble([2, 4], 8, lr=0.1, seed=range(2), epochs=1, progress=False, dtype=F64, **where),
    "masked training": lambda **where: dl.masking.train(*dl.masking.random_task(8, 4), width=20, subnetworks=2, local_steps=2, keep=0.5, lr=0.05,
                                                         rounds=3, progress=False, **where),
    "frozen signs": lambda **where: dl.topology.frozen_sign_study((2, 3), seeds=3, time=2.0, **where),
}


def numbers(result: Any) -> dict[str, np.ndarray]:
    return {name: result[name].values for name in result.data_vars} if hasattr(result, "data_vars") else {"value": np.asarray(result)}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_computes_elsewhere_what_it_computes_here(name: str, machine: type[Machine]) -> None:
    here = numbers(RUNS[name]())
    assert machine.computed == 0, "without a word a run stays on the CPU"
    there = numbers(RUNS[name](device=DEVICE))
    assert machine.computed > 0, "the run took place elsewhere"
    for part, values in here.items():
        np.testing.assert_allclose(there[part], values, rtol=1e-12, atol=1e-12, err_msg=part)


@pytest.mark.parametrize("name", RUNS)
def test_the_default_moves_every_run(name: str, machine: type[Machine]) -> None:
    dl.set_default_device(DEVICE)
    RUNS[name]()
    assert machine.computed > 0
    before = machine.computed
    RUNS[name](device="cpu")
    assert machine.computed == before, "a call that names its device is obeyed"


def test_where_a_moved_run_draws(machine: type[Machine]) -> None:
    dl.set_default_device(DEVICE)
    layer, x0 = dl.Dense(4), points(2, 4)
    told = {key: json.loads(dl.simulate(layer, x0, 2, samples=2, **options).attrs["provenance"])["arguments"]["rng"]
            for key, options in {"moved": {}, "kept": {"rng": "cpu"}, "named": {"device": DEVICE}, "here": {"device": "cpu"}}.items()}
    assert told == {"moved": "device", "kept": "cpu", "named": "cpu", "here": "cpu"}


def test_the_emulated_device_is_strict(machine: type[Machine]) -> None:
    away = torch.ones(3, device=DEVICE)
    with pytest.raises(RuntimeError, match="two devices meet"):
        away + torch.ones(3, device="cpu")
    with pytest.raises((TypeError, RuntimeError), match="numpy"):
        away.numpy()
    with pytest.raises(RuntimeError, match="generator of another device"):
        torch.randn(3, device=DEVICE, generator=torch.Generator(device="cpu"))
    assert (away + torch.tensor(1.0, device="cpu")).cpu().tolist() == [2.0, 2.0, 2.0], "a number may come from anywhere"


@pytest.mark.parametrize("device", ["cuda:99", "abacus", 1.5])
def test_a_device_that_is_not_here_is_refused(device: Any) -> None:
    with pytest.raises(ValueError, match="cannot be used here; pass None for the CPU"):
        dl.set_default_device(device)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_elsewhere(page: str) -> None:
    """As a notebook does on a machine with a GPU, whose set-up cell has chosen it for every run."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "DEEPLIMITS_STATIC": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "tests.elsewhere", page], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
