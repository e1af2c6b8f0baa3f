r"""Dropout in a residual network of many thin layers: depth averages the masks (Part VI, *Training random subnetworks*)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from deeplimits import _checks

Tensor = torch.Tensor

UNITS = ("neurons", "layers")


@dataclass(frozen=True)
class DepthNoise:
    r"""How far random masks push the output of a residual network.

    Attributes:
        value: the mean of :math:`\|h_L - x_L\|^2` over the draws of the masks; x follows the mean of each layer.
        se: its standard error.
        bound: the proved bound :math:`\frac{\beta}{L}\|h_0\|^2 e^{2K + \beta/L}`, with :math:`\beta = \lambda_\xi B/m` for masks on neurons and
            :math:`\lambda_\xi K^2` for masks on layers.

    Example:
        >>> DepthNoise(0.1, 0.01, 1.0).value
        0.1
    """

    value: float
    se: float
    bound: float


def dropout_in_depth(depth: int, hidden: int, keep: float, *, dim: int = 4, units: str = "neurons", samples: int = 400, seed: int = 0) -> DepthNoise:
    r"""Dropout in :math:`h_{l+1} = h_l + \frac{1}{Lm}\sum_r \frac{M_{lr}}{\xi} v_{lr}\,\mathrm{relu}(u_{lr} \cdot h_l)`, at fixed random weights.

    Args:
        depth: number L of layers.
        hidden: neurons m of a layer.
        keep: probability :math:`\xi` that a mask keeps a neuron (a layer).
        dim: size of the state h.
        units: ``"neurons"``: each neuron has its mask; ``"layers"``: one mask for all neurons of a layer (stochastic depth).
        samples: number of draws of all masks.
        seed: of the weights, the input (a unit vector) and the masks.

    Returns:
        A :class:`DepthNoise`.

    Raises:
        ValueError: keep outside (0, 1], or other units.

    Source:
        Derived in the book.

    Example:
        >>> dropout_in_depth(8, 16, 1.0).value
        0.0
    """
    L, m, d = _checks.integer("depth", depth), _checks.integer("hidden", hidden), _checks.integer("dim", dim)
    samples = _checks.integer("samples", samples, minimum=2)
    _checks.choice("units", units, UNITS)
    if not 0 < _checks.number("keep", keep) <= 1:
        raise ValueError(f"keep must lie in (0, 1]; got {keep!r}")
    generator = torch.Generator(device="cpu").manual_seed(_checks.integer("seed", seed, minimum=0))
    make = dict(generator=generator, dtype=torch.float64, device="cpu")
    x = torch.randn(d, **make)
    x = (x / torch.linalg.vector_norm(x)).expand(samples + 1, d)  # the last row follows the mean
    B, K = 0.0, 0.0
    for _ in range(L):
        u = torch.randn(m, d, **make)
        v, u = torch.randn(m, d, **make) + u, u / math.sqrt(d)
        B = max(B, float((u.square().sum(-1) * v.square().sum(-1)).mean()))
        K = max(K, float(torch.linalg.matrix_norm(u, 2) * torch.linalg.matrix_norm(v, 2)) / m)
        masks = (torch.rand(samples + 1, m if units == "neurons" else 1, **make) < keep).to(torch.float64) / keep
        masks[-1] = 1.0
        x = x + (masks * torch.relu(x @ u.mT)) @ v / (L * m)
    away = (x[:-1] - x[-1]).square().sum(-1)
    beta = (1 - keep) / keep * (B / m if units == "neurons" else K * K)
    return DepthNoise(float(away.mean()), float(away.std()) / math.sqrt(samples), beta / L * math.exp(2 * K + beta / L))
