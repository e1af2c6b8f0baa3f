"""Cones: max-plus drift, positive products, Furstenberg's formula by collocation (Part II, *Positive networks and Birkhoff*)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from deeplimits import _checks
from deeplimits.engine.streams import stream
from deeplimits.layers.base import Layer

from .drifts import Estimate


def maxplus_drift(probability: float) -> float:
    r"""Exact drift of the two-dimensional max-plus layer with independent Bernoulli entries.

    With :math:`q = 1-p`, :math:`r = 1-q^2`, :math:`\alpha = p^2+q^2`, :math:`\beta = r^2+(1-r)^2` the difference
    :math:`x_1 - x_2 \in \{-1, 0, 1\}` is a Markov chain with :math:`\pi_0 = \alpha/(1-\beta+\alpha)`, and

    .. math:: \ell = r\pi_0 + (p + \tfrac12)(1-\pi_0).

    Args:
        probability: chance p of an entry 1 (else 0), strictly between 0 and 1 (0 and 1 give 0 and 1).

    Returns:
        The growth of the maximum per layer.

    Example:
        >>> from fractions import Fraction
        >>> Fraction(maxplus_drift(0.5)).limit_denominator(100)
        Fraction(6, 7)
    """
    p = _checks.between("probability", probability, 0.0, 1.0)
    if p in (0.0, 1.0):
        return p
    q = 1 - p
    r = 1 - q * q
    alpha, beta = p * p + q * q, r * r + (1 - r) ** 2
    rest = alpha / (1 - beta + alpha)
    return r * rest + (p + 0.5) * (1 - rest)


def birkhoff_bound(layer: Any, samples: int = 10_000, seed: int = 0) -> Estimate:
    r"""Birkhoff's guarantee for the exponential rate at which a positive product contracts Hilbert's metric.

    .. math:: \lambda_2 - \lambda_1 \le E\log\tau(W), \qquad \tau = \tanh(\Delta/4), \quad
              \Delta = \max\log\frac{W_{ik}W_{jl}}{W_{jk}W_{il}} .

    Args:
        layer: a layer with positive matrices, or a function ``(generator, samples)`` -> positive matrices.
        samples: number of matrices drawn.
        seed: seed.

    Returns:
        An :class:`Estimate` of :math:`E\log\tau`; minus infinity is impossible unless all matrices have rank one.

    Raises:
        ValueError: a matrix has an entry that is not positive.

    Source:
        Birkhoff (1957).

    Example:
        >>> ones = lambda generator, samples: torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(samples, 2, 2)
        >>> round(math.exp(birkhoff_bound(ones, 2).value), 6)
        0.101021
    """
    samples = _checks.integer("samples", samples, minimum=2)
    generator = stream(seed, 1, 0, torch.device("cpu"))
    if isinstance(layer, Layer):
        state = layer.start(generator, samples)
        matrices = layer.sample(generator, samples=samples, dtype=torch.float64, state=state).weight
    elif callable(layer):
        matrices = layer(generator, samples).double()
    else:
        raise TypeError(f"layer must be a random layer or a function (generator, samples) -> matrices; got {type(layer).__name__}")
    if not bool((matrices > 0).all()):
        raise ValueError("layer must have positive matrices; an entry that is zero or negative came")
    logs = torch.log(matrices)
    difference = logs.unsqueeze(-2) - logs.unsqueeze(-3)  # over (i, j, column)
    diameter = (difference.amax(-1) - difference.amin(-1)).flatten(-2).amax(-1)
    rate = torch.log(torch.tanh(diameter / 4))
    return Estimate(float(rate.mean()), float(rate.std()) / math.sqrt(samples), 1, samples)


def furstenberg_exponent(matrices: Sequence[Any], probabilities: Sequence[float] | None = None, nodes: int = 30) -> float:
    r"""Top Lyapunov exponent of random products of finitely many positive 2 by 2 matrices, to machine precision.

    On the directions :math:`x = x_1/(x_1+x_2) \in [0,1]` solve for a function g and the number :math:`\lambda`

    .. math:: g(x) - \sum_i p_i\, g(T_i x) + \lambda = \sum_i p_i \log\|A_i(x, 1-x)\|_1

    at Chebyshev nodes; integrating against the stationary law of directions gives Furstenberg's formula. The error
    falls exponentially in the number of nodes.

    Args:
        matrices: positive 2 by 2 matrices.
        probabilities: their chances; equal if None.
        nodes: number of Chebyshev nodes.

    Returns:
        The exponent, in nats per factor.

    Raises:
        ValueError: matrices that are not positive or not 2 by 2; probabilities that do not sum to one.

    Source:
        Furstenberg (1963); Pollicott (2010) for the reference value of the example.

    Example:
        >>> round(furstenberg_exponent([[[2, 1], [1, 1]], [[3, 1], [2, 1]]]), 12)
        1.143311035103
    """
    a = np.asarray(matrices, dtype=float)
    if a.ndim != 3 or a.shape[1:] != (2, 2) or not (a > 0).all():
        raise ValueError(f"matrices must be positive and of shape (2, 2); got an array of shape {a.shape}")
    p = np.full(len(a), 1 / len(a)) if probabilities is None else np.asarray(probabilities, dtype=float)
    if p.shape != (len(a),) or (p < 0).any() or abs(p.sum() - 1) > 1e-12:
        raise ValueError(f"probabilities must be {len(a)} chances that sum to one; got {probabilities!r}")
    m = _checks.integer("nodes", nodes, minimum=2)
    angle = (np.arange(m) + 0.5) * np.pi / m
    x = (1 + np.cos(angle)) / 2
    image = np.einsum("kij,jm->kim", a, np.stack([x, 1 - x]))
    size = image.sum(1)
    basis = _chebyshev(m)
    system = basis(x) - np.einsum("k,kmn->mn", p, np.stack([basis(t) for t in image[:, 0] / size]))
    system[:, 0] = 1.0  # g is determined up to a constant: its constant term gives way to the exponent
    return float(np.linalg.solve(system, p @ np.log(size))[0])


def _chebyshev(count: int) -> Callable[[np.ndarray], np.ndarray]:
    """The Chebyshev polynomials on [0, 1] as columns."""
    return lambda x: np.polynomial.chebyshev.chebvander(2 * x - 1, count - 1)
