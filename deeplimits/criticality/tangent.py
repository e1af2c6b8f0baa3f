r"""Small differences at finite width, and inputs to start from (Part IV, *Finite width: which noise, which scaling*)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from deeplimits import _checks
from deeplimits.engine import simulate
from deeplimits.layers import Dense
from deeplimits.meanfield import fixed_point


def input_pair(layer: Dense, rho: float = 1.0, variance: float | None = None, *, log_rho: float | None = None,
               dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> torch.Tensor:
    r"""Two inputs whose first pre-activations have a given variance and order parameter.

    Only the Gram matrix of the inputs matters to a Gaussian layer, so two coordinates suffice:
    :math:`|x|^2 = N(q-\sigma_b^2)/\sigma_w^2` for both, and the angle between them :math:`2\arcsin\sqrt{q\rho/(2(q-\sigma_b^2))}`.

    Args:
        layer: a Gaussian dense layer with a finite, positive fixed variance.
        rho: the order parameter :math:`\rho_0` at depth 0.
        variance: the variance q; the fixed point :math:`q^*` if None.
        log_rho: its logarithm instead, for differences far below rounding.
        dtype: float32 or float64.
        device: where to put them.

    Returns:
        Tensor of shape ``(2, fan_in)``, for :func:`deeplimits.simulate`.

    Raises:
        TypeError: a layer that is not :class:`deeplimits.Dense`.
        ValueError: a variance not above that of the biases, or a :math:`\rho` that no pair of inputs has.

    Example:
        >>> from deeplimits import Dense, simulate
        >>> layer = Dense(50, "tanh", 1.4, 0.3)
        >>> ds = simulate(layer, input_pair(layer, 0.25), 1, ["rho", "variance"], samples=2)
        >>> round(float(ds.rho[0, 0, 1]), 12)
        0.25
    """
    if not isinstance(layer, Dense):
        raise TypeError(f"layer must be a dl.Dense; got {type(layer).__name__}")
    q = fixed_point(layer.activation, layer.weight_std, layer.bias_std).variance if variance is None else _checks.positive("variance", variance)
    free = q - layer.bias_std**2
    if not (math.isfinite(q) and free > 0):
        raise ValueError(f"variance must be finite and above bias_std**2 = {layer.bias_std**2:.6g}; got {q!r}")
    log_rho = math.log(_checks.positive("rho", rho)) if log_rho is None else _checks.number("log_rho", log_rho)
    log_sine = 0.5 * (log_rho + math.log(q / (2 * free)))
    if log_sine > 0:
        raise ValueError(f"rho must not exceed {2 * free / q:.6g}, where the inputs are opposite; got {math.exp(log_rho):.6g}")
    half = math.asin(math.exp(log_sine))
    length = math.sqrt(layer.fan_in * free) / layer.weight_std
    pair = torch.zeros(2, layer.fan_in, dtype=dtype, device=device)
    pair[:, 0] = length
    pair[1, :2] = torch.tensor([length * math.cos(2 * half), length * math.sin(2 * half)], dtype=dtype, device=device)
    return pair


@dataclass(frozen=True)
class TangentExponent:
    r"""Growth of small differences per layer, measured (see :func:`tangent_exponent`).

    Attributes:
        value: the exponent :math:`\lambda_N` of :math:`\log\rho`, per layer.
        se: its standard error.
        variance: the variance of :math:`\log\rho` per layer.
        variance_se: its standard error.
    """

    value: float
    se: float
    variance: float
    variance_se: float


def tangent_exponent(layer: Dense, depth: int = 200, samples: int = 100, seed: int = 0, burn_in: int = 30) -> TangentExponent:
    r"""Measure the exponent of infinitesimal differences, :math:`\lambda_N = \lim_{l\to\infty} \tfrac1l\log(\rho_l/\rho_0)`.

    Each network carries a difference of 1e-150, which grows and shrinks but never feels the curvature of the map. The
    transition of a finite network is where the exponent is zero; no fit is involved.

    Args:
        layer: a Gaussian dense layer with biases.
        depth: layers over which the growth is measured.
        samples: independent networks.
        seed: key of the random streams.
        burn_in: layers before, in which lengths and directions settle.

    Returns:
        A :class:`TangentExponent`; N times its ``variance`` tends to :math:`s^2` for long depths.

    Raises:
        TypeError: a layer that is not :class:`deeplimits.Dense`.
        ValueError: fewer than two samples; a fixed variance that is zero or infinite; a network that loses the difference altogether, as
            narrow ReLU layers do.

    Example:
        >>> from deeplimits import Dense
        >>> found = tangent_exponent(Dense(50, "tanh", 1.2, 0.3), depth=50, samples=50)
        >>> -0.2 < found.value < -0.1
        True
    """
    samples, depth = _checks.integer("samples", samples, minimum=2), _checks.integer("depth", depth)
    x0 = input_pair(layer, log_rho=-690.0)
    burn_in = _checks.integer("burn_in", burn_in, minimum=0)
    ds = simulate(layer, x0, depth + burn_in, ["log_rho"], record=[burn_in, burn_in + depth], samples=samples, seed=seed, progress=False)
    before, after = torch.from_numpy(ds.log_rho.values[:, :, 1]).unbind(1)
    growth = after - before
    if not growth.isfinite().all():
        raise ValueError(f"layer must keep small differences above zero; in {int((~growth.isfinite()).sum())} of {samples} networks one is lost, since "
                         f"all units that tell the inputs apart lie on a flat piece of {layer.activation.name!r}: widen the layer (width {layer.width}), "
                         "or take an activation without one")
    mean, spread = float(growth.mean()) / depth, float(growth.var()) / depth
    fourth = float(((growth - growth.mean()) ** 4).mean()) / depth**2
    return TangentExponent(mean, math.sqrt(spread / depth / samples), spread, math.sqrt(max(fourth - spread**2, 0.0) / samples))
