"""Training through random subnetworks against a loop over them, as one writes it first and as one writes it with care."""

from __future__ import annotations

import math

import torch

from deeplimits import masking

from .harness import Aim, Timed, Workload

WIDTH, SAMPLES, DIM, SUBNETWORKS, KEEP, LR, ROUNDS = 2000, 100, 20, 16, 0.5, 0.1, 20


def one_pass(rounds: int = ROUNDS) -> Workload:
    X, y = masking.random_task(SAMPLES, DIM)
    return Workload(lambda: masking.train(X, y, WIDTH, SUBNETWORKS, 1, KEEP, LR, rounds=rounds, progress=False), units=rounds)


def setting() -> tuple[torch.Tensor, ...]:
    return *masking.random_task(SAMPLES, DIM), *masking.initial_weights(WIDTH, DIM)


def autograd_loop(rounds: int = 4) -> Workload:
    """One masked network after the other, with autograd."""
    X, y, start, signs = setting()

    def run() -> torch.Tensor:
        W = start
        for _ in range(rounds):
            total, held = torch.zeros_like(W, device=W.device), torch.zeros(WIDTH, device=W.device)
            for _ in range(SUBNETWORKS):
                mask = (torch.rand(WIDTH, device=W.device) < KEEP).float()
                w = W.clone().requires_grad_(True)
                f = torch.relu(X @ w.T) @ (mask * signs) / (KEEP * math.sqrt(WIDTH))
                (0.5 * (f - y).square().sum()).backward()
                total -= LR * w.grad
                held += mask
            W = W + total / held.clamp_min(1)[:, None]
        return W

    return Workload(run, units=rounds)


def gathered_loop(rounds: int = 4) -> Workload:
    """The gradient by hand, on the neurons of the mask alone."""
    X, y, start, signs = setting()
    factor = 1 / (KEEP * math.sqrt(WIDTH))

    def run() -> torch.Tensor:
        W = start
        for _ in range(rounds):
            total, held = torch.zeros_like(W, device=W.device), torch.zeros(WIDTH, device=W.device)
            for _ in range(SUBNETWORKS):
                own = torch.nonzero(torch.rand(WIDTH, device=W.device) < KEEP).squeeze(-1)
                w, a = W[own], signs[own]
                Z = X @ w.T
                residual = torch.relu(Z) @ a * factor - y
                back = (residual[:, None] * (Z > 0)) * (a * factor)
                total[own] -= LR * back.T @ X
                held[own] += 1
            W = W + total / held.clamp_min(1)[:, None]
        return W

    return Workload(run, units=rounds)


CASES = [
    Timed(f"masking: one pass / autograd loop over subnetworks, S={SUBNETWORKS}, m={WIDTH}, n={SAMPLES}", lambda: (one_pass(), autograd_loop()), Aim(at_least=5)),
    Timed(f"masking: one pass / loop by hand on kept neurons, S={SUBNETWORKS}, m={WIDTH}, n={SAMPLES}", lambda: (one_pass(), gathered_loop()), Aim(at_least=5)),
]
