"""Many small networks at once against a Python loop of ordinary torch training."""

from __future__ import annotations

from itertools import pairwise

import torch

import deeplimits as dl

from .harness import Aim, Timed, Workload

NETWORKS, LOOPED, DEPTH, WIDTH, BATCH, EPOCHS = 32, 2, 20, 32, 64, 3


def batched() -> Workload:
    def run() -> object:
        return dl.training.train_ensemble(DEPTH, WIDTH, seed=range(NETWORKS), epochs=EPOCHS, batch_size=BATCH, record=[EPOCHS], progress=False)

    return Workload(run, units=NETWORKS)


def one_by_one() -> Workload:
    """What one writes first: nn.Sequential, autograd, an optimizer, one network after another."""
    train, test = (dl.datasets.digits(split, dtype=torch.float32) for split in ("train", "test"))

    def run() -> float:
        right = 0.0
        for seed in range(LOOPED):
            torch.manual_seed(seed)
            sizes = [64] + [WIDTH] * DEPTH
            hidden = [m for a, b in pairwise(sizes) for m in (torch.nn.Linear(a, b, device="cpu"), torch.nn.Tanh())]
            net = torch.nn.Sequential(*hidden, torch.nn.Linear(WIDTH, 10, device="cpu"))
            optimizer, loss = torch.optim.SGD(net.parameters(), lr=0.01), torch.nn.CrossEntropyLoss()
            for _ in range(EPOCHS):
                for picked in torch.randperm(len(train), device="cpu").split(BATCH):
                    optimizer.zero_grad()
                    loss(net(train.images[picked]), train.labels[picked]).backward()
                    optimizer.step()
            with torch.no_grad():
                right += float((net(train.images).argmax(1) == train.labels).float().mean())
                right += float((net(test.images).argmax(1) == test.labels).float().mean())
        return right

    return Workload(run, units=LOOPED)


CASES = [
    Timed(f"train_ensemble / torch loop, {NETWORKS} networks, N={WIDTH}, depth {DEPTH}, per network", lambda: (batched(), one_by_one()), Aim(at_least=8)),
]
