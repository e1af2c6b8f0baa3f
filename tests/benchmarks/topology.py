"""The success-rate study as one batch, against a loop over networks with autograd."""

from __future__ import annotations

import torch

import deeplimits as dl

from .harness import Aim, Timed, Workload

HIDDEN, SEEDS, TIME, LR = 6, 200, 10.0, 0.05
LOOP_RUNS = 2


def study() -> Workload:
    def run() -> object:
        return dl.topology.frozen_sign_study((HIDDEN,), SEEDS, frozen=(0, HIDDEN), time=TIME, lr=LR)

    return Workload(run, units=2 * SEEDS)


def loop() -> Workload:
    """One network after the other, the closed loss differentiated by autograd."""
    weights, outputs = dl.topology.random_starts(HIDDEN, LOOP_RUNS)

    def run() -> None:
        for start in zip(weights, outputs, strict=True):
            w, a = (x.clone().requires_grad_() for x in start)
            optimizer = torch.optim.SGD([w, a], lr=LR)
            for _ in range(round(TIME / LR)):
                optimizer.zero_grad()
                dl.topology.population_loss(w, a, "T1").backward()
                optimizer.step()

    return Workload(run, units=LOOP_RUNS)


CASES = [Timed(f"frozen signs: one batch / loop with autograd, m={HIDDEN}, per run", lambda: (study(), loop()), Aim(at_least=20))]
