"""Bond directed percolation against a plain loop over sets of occupied sites, and convolutional networks against torch's own."""

from __future__ import annotations

import math
import random

import torch

import deeplimits as dl

from .harness import Aim, Timed, Workload

SEEDS, LOOPED, DEPTH = 2000, 10, 1000
SIZE, CHANNELS, NETWORKS, LAYERS = 300, 4, 64, 40


def seeds() -> Workload:
    run = lambda: dl.percolation.directed_percolation(DEPTH, start="seed", samples=SEEDS, record=[DEPTH], seed=0, progress=False)
    return Workload(run, units=SEEDS)


def seeds_by_sets() -> Workload:
    """What one writes first."""

    def run() -> int:
        rng, alive = random.Random(0), 0
        for _ in range(LOOPED):
            occupied = {0}
            for _ in range(DEPTH):
                occupied = {x + step for x in occupied for step in (0, 1) if rng.random() < dl.percolation.CRITICAL_PROBABILITY}
            alive += bool(occupied)
        return alive

    return Workload(run, units=LOOPED)


def networks() -> Workload:
    layer = dl.CircularConv1d(SIZE, CHANNELS, 3, "tanh", 1.96, 0.3)
    x0 = dl.percolation.input_pair(SIZE, CHANNELS, dtype=torch.float32)
    run = lambda: dl.simulate(layer, x0, LAYERS, ["rho"], record=[LAYERS], samples=NETWORKS, seed=0, progress=False)
    return Workload(run, units=NETWORKS * LAYERS)


def networks_by_modules() -> Workload:
    """One network at a time, a fresh torch.nn.Conv1d for each layer; differences below rounding are lost."""
    x0 = dl.percolation.input_pair(SIZE, CHANNELS, dtype=torch.float32).reshape(2, CHANNELS, SIZE)

    def run() -> object:
        with torch.no_grad():
            for _ in range(4):
                x = x0
                for _ in range(LAYERS):
                    convolution = torch.nn.Conv1d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="circular", device="cpu")
                    torch.nn.init.normal_(convolution.weight, std=1.96 / math.sqrt(3 * CHANNELS))
                    torch.nn.init.normal_(convolution.bias, std=0.3)
                    x = torch.tanh(convolution(x))
        return x

    return Workload(run, units=4 * LAYERS)


CASES = [
    Timed(f"percolation: seeds / plain sets, depth {DEPTH}, per seed", lambda: (seeds(), seeds_by_sets()), Aim(at_least=10)),
    Timed(f"percolation: networks / torch modules, L={SIZE}, C={CHANNELS}, per network-layer", lambda: (networks(), networks_by_modules()), Aim()),
]
