"""The engine against a plain torch loop, against its own random numbers, and against its own memory.

Times are per network-layer, float32, with ``log_norm`` and ``log_distance`` recorded at every layer.
"""

from __future__ import annotations

import math
import textwrap

import torch

import deeplimits as dl

from .harness import Aim, Memory, Timed, Workload

OBSERVE = ["log_norm", "log_distance"]
WIDTHS = {256: (128, 400, 200), 1024: (64, 200, 20), 4096: (64, 40, 3)}  # width: samples, depth, depth of the loop
WEIGHTS = {256: (32, 50, 400), 1024: (4, 20, 40)}


def inputs(batch: int, width: int) -> torch.Tensor:
    generator = torch.Generator(device="cpu").manual_seed(1)
    return torch.randn(batch, width, generator=generator, dtype=torch.float32, device="cpu")


def engine(width: int, batch: int, samples: int, depth: int, route: str) -> Workload:
    layer, x0 = dl.Dense(width=width), inputs(batch, width)

    def run() -> object:
        return dl.simulate(
            layer,
            x0,
            depth=depth,
            observe=OBSERVE,
            record=range(depth + 1),
            samples=samples,
            route=route,
            seed=0,
            progress=False,
        )

    return Workload(run, units=samples * depth)


def plain_loop(width: int, batch: int, depth: int) -> Workload:
    """What one writes first: fresh weights for every layer, one network at a time."""
    x0, scale = inputs(batch, width), math.sqrt(2.0 / width)

    def run() -> object:
        x = x0.T.contiguous()
        log_norm, log_distance = [], []
        for _ in range(depth):
            weight = torch.randn(width, width, device="cpu", dtype=torch.float32) * scale
            x = torch.relu(weight @ x)
            log_norm.append(torch.linalg.vector_norm(x, dim=0).log())
            log_distance.append(torch.linalg.vector_norm(x - x[:, :1], dim=0).log())
        return torch.stack(log_norm), torch.stack(log_distance)

    return Workload(run, units=depth)


def normals(width: int, batch: int, samples: int, depth: int) -> Workload:
    """The random numbers of the law route and nothing else."""

    def run() -> object:
        generator = torch.Generator(device="cpu").manual_seed(0)
        for _ in range(depth):
            drawn = torch.randn(samples, batch, width, generator=generator, dtype=torch.float32, device="cpu")
        return drawn

    return Workload(run, units=samples * depth)


def law_against_loop(width: int, batch: int, aim: Aim) -> Timed:
    samples, depth, loop_depth = WIDTHS[width]
    return Timed(
        f"law route / plain loop, N={width}, B={batch}, S={samples}",
        lambda: (engine(width, batch, samples, depth, "law"), plain_loop(width, batch, loop_depth)),
        aim=aim,
    )


def weights_against_loop(width: int, aim: Aim) -> Timed:
    samples, depth, loop_depth = WEIGHTS[width]
    return Timed(
        f"cost of the weights route / plain loop, N={width}, B=2, S={samples}",
        lambda: (engine(width, 2, samples, depth, "weights"), plain_loop(width, 2, loop_depth)),
        aim=aim,
        speedup=False,
    )


def long_run(depth: int, route: str) -> str:
    return textwrap.dedent(
        f"""
        import torch, deeplimits as dl
        x0 = torch.eye(2, 32, dtype=torch.float32, device="cpu")
        dl.simulate(dl.Dense(width=32), x0, depth={depth}, observe={OBSERVE!r}, samples=16,
                    route={route!r}, seed=0, progress=False)
        """
    )


CASES: list[Timed | Memory] = [
    law_against_loop(256, 2, Aim()),
    law_against_loop(256, 10, Aim()),
    law_against_loop(1024, 2, Aim(at_least=100)),
    law_against_loop(1024, 10, Aim()),
    law_against_loop(4096, 2, Aim(at_least=800)),
    law_against_loop(4096, 10, Aim()),
    Timed(
        "cost of the law route / its normals alone, N=1024, B=2, S=1000",
        lambda: (engine(1024, 2, 1000, 30, "law"), normals(1024, 2, 1000, 30)),
        aim=Aim(at_most=1.6),
        speedup=False,
    ),
    weights_against_loop(256, Aim(at_most=1.15)),
    weights_against_loop(1024, Aim(at_most=1.15)),
    Memory(
        "peak memory, depth 100 000 / depth 1 000, law",
        long_run(100_000, "law"),
        long_run(1_000, "law"),
        Aim(at_most=1.1),
    ),
]
