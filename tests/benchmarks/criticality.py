"""A finite-size collapse with error bars against a loop over explicit weights; both columns are for the whole study, in seconds."""

from __future__ import annotations

import math

import numpy as np
import torch

import deeplimits as dl

from .harness import Aim, Timed, Workload

WIDTHS, DEPTHS, SAMPLES, BIAS_STD = (50, 100, 200, 400, 800), 60, 1000, 0.3
LOOP_SAMPLES = 1


def depths(width: int) -> np.ndarray:
    """About 60 of them, evenly spaced in the logarithm, up to the width."""
    return np.unique(np.geomspace(1, width, DEPTHS).round().astype(int))


def collapse_study() -> Workload:
    """Five widths, a thousand networks each, free exponents with bootstrap errors. The aim of the project is 30 seconds."""

    def run() -> object:
        runs = {}
        for width in WIDTHS:
            layer = dl.Dense(width, "tanh", "critical", BIAS_STD)
            pair = dl.criticality.input_pair(layer, dtype=torch.float32)
            runs[width] = dl.simulate(layer, pair, width, ["log_rho"], record=depths(width), samples=SAMPLES, seed=0, progress=False)
        return dl.criticality.finite_size_collapse(runs, statistic="median", bootstrap=200)

    return Workload(run)


def collapse_loop() -> Workload:
    """One network of each width, weight matrix by weight matrix, and no fit; counted as the share of the study that it is."""
    scale = {width: dl.Dense(width, "tanh", "critical", BIAS_STD).weight_std / math.sqrt(width) for width in WIDTHS}

    def run() -> list[float]:
        found = []
        for width in WIDTHS:
            wanted = set(depths(width).tolist())
            for _ in range(LOOP_SAMPLES):
                x = torch.eye(width, 2, dtype=torch.float32, device="cpu") * math.sqrt(width)
                for depth in range(1, width + 1):
                    weight = torch.randn(width, width, dtype=torch.float32, device="cpu") * scale[width]
                    h = weight @ x + BIAS_STD * torch.randn(width, 1, dtype=torch.float32, device="cpu")
                    if depth in wanted:
                        found.append(1 - float(torch.nn.functional.cosine_similarity(h[:, 0], h[:, 1], dim=0)))
                    x = torch.tanh(h)
        return found

    return Workload(run, units=LOOP_SAMPLES / SAMPLES)


CASES = [
    Timed(f"criticality: finite-size collapse / explicit weights, {len(WIDTHS)} widths to {WIDTHS[-1]}, {SAMPLES} networks each",
          lambda: (collapse_study(), collapse_loop()), Aim(at_least=50), rounds=1),
]
