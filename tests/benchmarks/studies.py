"""Whole studies against what one writes first: spectra one network at a time, and a cut-off by a loop over networks."""

from __future__ import annotations

import math

import numpy as np
import torch

import deeplimits as dl

from .harness import Aim, Timed, Workload

WIDTH, DEPTH = 8, 400
SPECTRA = 64
CUTOFF_WIDTH, CUTOFF_DEPTH, THRESHOLD = 64, 150, 1e-6
CUTOFF_SAMPLES, LOOP_SAMPLES = 1000, 10


def spectra_batched() -> Workload:
    layer = dl.Dense(WIDTH, "identity", 1.0)
    return Workload(lambda: dl.ergodic.lyapunov_spectrum(layer, DEPTH, samples=SPECTRA, seed=0), units=SPECTRA)


def spectra_one_by_one() -> Workload:
    """The textbook algorithm on one product of matrices."""

    def run() -> np.ndarray:
        generator = np.random.default_rng(0)
        q, total = np.eye(WIDTH), np.zeros(WIDTH)
        for _ in range(DEPTH):
            q, r = np.linalg.qr(generator.standard_normal((WIDTH, WIDTH)) / math.sqrt(WIDTH) @ q)
            total += np.log(np.abs(np.diag(r)))
        return total / DEPTH

    return Workload(run, units=1)


def cutoff_study() -> Workload:
    layer = dl.Dense(CUTOFF_WIDTH, "identity", 0.9)
    x0 = torch.eye(2, CUTOFF_WIDTH, dtype=torch.float32, device="cpu")

    def run() -> object:
        ds = dl.simulate(layer, x0, CUTOFF_DEPTH, ["log_distance"], record=range(CUTOFF_DEPTH + 1), samples=CUTOFF_SAMPLES, seed=0, progress=False)
        return dl.cutoff.locate(dl.cutoff.survival(ds, "log_distance", THRESHOLD), bootstrap=100)

    return Workload(run, units=CUTOFF_SAMPLES)


def cutoff_loop() -> Workload:
    """Fresh weights, one network at a time, then the crossing of the survival curve, without an error bar."""
    scale = 0.9 / math.sqrt(CUTOFF_WIDTH)

    def run() -> int:
        alive = np.zeros(CUTOFF_DEPTH + 1)
        for _ in range(LOOP_SAMPLES):
            x = torch.eye(CUTOFF_WIDTH, 2, dtype=torch.float32, device="cpu")
            for depth in range(CUTOFF_DEPTH + 1):
                alive[depth] += float(torch.linalg.vector_norm(x[:, 1] - x[:, 0])) > THRESHOLD
                x = torch.randn(CUTOFF_WIDTH, CUTOFF_WIDTH, device="cpu", dtype=torch.float32) * scale @ x
        return int(np.argmax(alive <= LOOP_SAMPLES / 2))

    return Workload(run, units=LOOP_SAMPLES)


CASES = [
    Timed(f"Lyapunov spectra: batched QR / one at a time, N={WIDTH}, S={SPECTRA}", lambda: (spectra_batched(), spectra_one_by_one()), Aim()),
    Timed(f"cut-off study / plain loop, N={CUTOFF_WIDTH}, per network", lambda: (cutoff_study(), cutoff_loop()), Aim(at_least=20)),
]
