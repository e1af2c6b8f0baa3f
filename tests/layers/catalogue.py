"""Every layer of the package with points it acts on, for the tests that all of them share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

import deeplimits.layers as L

F64 = torch.float64


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator(device="cpu").manual_seed(seed)


def vectors(shape: tuple[int, ...], n: int, g: torch.Generator) -> torch.Tensor:
    return torch.randn(*shape, n, generator=g, dtype=F64, device="cpu")


def cone(shape: tuple[int, ...], n: int, g: torch.Generator) -> torch.Tensor:
    return torch.exp(vectors(shape, n, g))


def ball(shape: tuple[int, ...], n: int, g: torch.Generator) -> torch.Tensor:
    x = vectors(shape, n, g)
    return 0.9 * x / (1 + x.norm(dim=-1, keepdim=True))


def spd(shape: tuple[int, ...], n: int, g: torch.Generator) -> torch.Tensor:
    m = torch.randn(*shape, n, n, generator=g, dtype=F64, device="cpu")
    return m @ m.mT + 0.1 * torch.eye(n, dtype=F64, device="cpu")


P = [[0.9, 0.1], [0.4, 0.6]]
CATALOGUE: dict[str, tuple[L.Layer, Callable]] = {
    "dense": (L.Dense(6, "tanh", 1.2, 0.3), vectors),
    "dense relu": (L.Dense(6), vectors),
    "dense orthogonal": (L.Dense(6, "leaky_relu", weights="orthogonal", slope=0.2), vectors),
    "dense rectangular": (L.Dense(9, "erf", fan_in=4, bias_std=0.1), vectors),
    "dense torch": (L.Dense(6, "hardtanh", "torch", "torch"), vectors),
    "residual": (L.Residual(6, "sin", 1.0, 0.2, step=0.5), vectors),
    "residual inner": (L.Residual(inner=L.GradientStep(6), step=-0.3), vectors),
    "averaged": (L.Averaged(L.Dense(6, "abs", 1.0, weights="orthogonal"), t=0.3), vectors),
    "gradient": (L.GradientStep(6, "relu", bias_std=0.4, step=2.0), vectors),
    "gradient tanh": (L.GradientStep(6, "tanh", norm=None, hidden=9), vectors),
    "contraction": (L.Contraction(6, "tanh", p=math.inf, bias_std=0.2), vectors),
    "klein": (L.KleinAffine(6), ball),
    "dropout": (L.Dropout(6, keep=0.7), vectors),
    "dropout mask": (L.Dropout(6, keep=0.7, inverted=False), vectors),
    "conv1d": (L.CircularConv1d(5, channels=3, in_channels=2, kernel=3, activation="tanh", bias_std=0.2), vectors),
    "conv2d": (L.CircularConv2d((4, 3), channels=2, kernel=(3, 2), norm=1.0), vectors),
    "conv zeros": (L.CircularConv2d(3, channels=2, padding="zeros", norm=1.0, bias_std=0.1), vectors),
    "conv fresh": (L.CircularConv1d(6, channels=2, kernels="fresh", bias_std=0.1), vectors),
    "positive": (L.Positive(6), cone),
    "positive wide": (L.Positive(6, "tanh", ("lognormal", 0.5), bias=1.0, power=0.5, fan_in=4), cone),
    "positive softplus": (L.Positive(6, "softplus", "dirichlet", power=-2.0), cone),
    "max-plus": (L.MaxPlus(6), vectors),
    "max-plus coins": (L.MaxPlus(6, ("bernoulli", 0.3), fan_in=4), vectors),
    "congruence": (L.Congruence(3), spd),
    "bimap": (L.BiMap(2, 4), spd),
    "translation": (L.Translation(3, rank=2), spd),
    "matrix root": (L.MatrixPower(3, 0.5), spd),
    "matrix inverse": (L.MatrixPower(3, -1.0), spd),
    "reeig": (L.ReEig(3, floor=0.8), spd),
    "softmax": (L.Softmax(6, 1.5), vectors),
    "attention": (L.Attention(3, 2), vectors),
    "live attention": (L.Attention(3, 2, frozen=False, weight_std=2.0), vectors),
    "chain": (L.Chain([L.Dense(8, "tanh", fan_in=5), L.Dropout(8), L.Residual(8, "relu"), L.Softmax(8)]), vectors),
    "stationary": (L.Stationary([L.Dense(6, "relu", bias_std=0.3), L.Residual(6, "tanh")], P), vectors),
}
