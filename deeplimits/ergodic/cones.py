"""Cones: max-plus drift, positive products, Furstenberg's formula by collocation (Part II, *Positive networks and Birkhoff's theorem*)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks
from deeplimits.engine.streams import stream
from deeplimits.layers.base import Layer
from deeplimits.layers.positive import PositiveMap

from .drifts import Estimate, _unit

if TYPE_CHECKING:
    import xarray as xr

Tensor = torch.Tensor


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

    A power r after the matrix multiplies Hilbert's metric by :math:`|r|`, so the guarantee for :math:`(Wx)^r` is
    :math:`E\log\tau(W) + \log|r|`.

    Args:
        layer: a layer with positive matrices, linear up to a power, or a function ``(generator, samples)`` -> positive matrices.
        samples: number of matrices drawn.
        seed: seed.

    Returns:
        An :class:`Estimate`, in nats per layer; minus infinity with ``se`` 0.0 if a matrix of rank one was drawn, which
        forgets the direction at once.

    Raises:
        ValueError: a matrix has an entry that is not positive; the layer has a bias or an activation, which Birkhoff's
            theorem does not cover.

    Source:
        Birkhoff (1957).

    Example:
        >>> ones = lambda generator, samples: torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(samples, 2, 2)
        >>> round(math.exp(birkhoff_bound(ones, 2).value), 6)
        0.101021
    """
    samples = _checks.integer("samples", samples, minimum=2)
    generator = stream(seed, 1, 0, torch.device("cpu"))
    state = layer.start(generator, samples) if isinstance(layer, Layer) else None
    drawn = _positive_map(layer, generator, samples, state)
    if not _linear(drawn):
        raise ValueError(
            "layer must be linear up to a power: with a bias or an activation Hilbert's metric may grow, and Birkhoff's theorem "
            f"says nothing; got {layer!r} (cone_distances measures Thompson's metric)"
        )
    rate = _log_coefficient(drawn.weight) + math.log(abs(drawn.power))
    if bool(torch.isneginf(rate).any()):
        return Estimate(-math.inf, 0.0, 1, samples)
    return Estimate(float(rate.mean()), float(rate.std()) / math.sqrt(samples), 1, samples)


def _linear(drawn: PositiveMap) -> bool:
    """Whether the maps are positive matrices followed by nothing but a power."""
    return drawn.bias is None and drawn.activation.homogeneous


def _positive_map(layer: Any, generator: torch.Generator, samples: int, state: Tensor | None) -> PositiveMap:
    """A batch of maps of a positive layer, or of a function that draws positive matrices, in float64."""
    if isinstance(layer, Layer):
        drawn = layer.sample(generator, samples=samples, dtype=torch.float64, state=state)
    elif callable(layer):
        drawn = PositiveMap(layer(generator, samples).double())
    else:
        raise TypeError(f"layer must be a random layer or a function (generator, samples) -> matrices; got {type(layer).__name__}")
    if not isinstance(getattr(drawn, "weight", None), Tensor) or not bool((drawn.weight > 0).all()):
        raise ValueError("layer must have positive matrices; an entry that is zero or negative came")
    return drawn


def _log_coefficient(matrices: Tensor) -> Tensor:
    """log tanh(Delta/4) of a batch of positive matrices."""
    logs = torch.log(matrices)
    difference = logs.unsqueeze(-2) - logs.unsqueeze(-3)  # over (i, j, column)
    diameter = (difference.amax(-1) - difference.amin(-1)).flatten(-2).amax(-1)
    return torch.log(torch.tanh(diameter / 4))


def cone_distances(layer: Any, x0: Tensor, depth: int, samples: int = 100, seed: int = 0) -> xr.Dataset:
    r"""Logarithms of the Hilbert and Thompson distances of two forward orbits in the cone, far below rounding.

    The difference of the orbits is carried apart from the orbit, and for homogeneous layers the two scales apart from the
    directions, so that both distances keep their digits however small they are. (With a bias, Hilbert's distance is
    resolved down to 1e-16 of Thompson's.) For linear layers the guarantee of Birkhoff's theorem stands beside it:

    .. math:: \log d_H(x_n, y_n) \le \log d_H(x_0, y_0) + \sum_{l \le n} \log\tau(W_l).

    Args:
        layer: a :class:`deeplimits.Positive` layer, or a function ``(generator, samples)`` -> positive matrices.
        x0: two points with positive coordinates, shape ``(2, N)``.
        depth: number of layers.
        samples: independent networks.
        seed: seed.

    Returns:
        Dataset over (``sample``, ``depth``) with ``log_hilbert``, ``log_thompson`` and, for layers that are linear up to a
        power, ``log_guarantee``.

    Raises:
        ValueError: ``x0`` is not a pair of different positive points; a matrix has an entry that is not positive; the orbit
            leaves the range of floats.

    Source:
        Birkhoff (1957); Bushell (1973).

    Example:
        >>> ones = lambda generator, samples: torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(samples, 2, 2)
        >>> found = cone_distances(ones, torch.tensor([[1.0, 9.0], [9.0, 1.0]]), depth=300, samples=1)
        >>> round(float(found.log_hilbert[0, 300] - found.log_hilbert[0, 299]), 6)  # log of the ratio of the eigenvalues
        -2.669358
    """
    import xarray as xr

    depth, samples = _checks.integer("depth", depth), _checks.integer("samples", samples)
    x, d, scale = _pair_of_points(x0, samples)
    ahead = torch.zeros(samples, 1, dtype=torch.float64, device="cpu")  # log of the size of the second point over that of the first
    state, logs, guarantee = None, [_log_lengths(x, d, scale, ahead)], [torch.zeros(samples, dtype=torch.float64, device="cpu")]
    for l in range(1, depth + 1):
        generator = stream(seed, l, 0, torch.device("cpu"))
        if isinstance(layer, Layer):
            state = layer.start(generator, samples) if l == 1 else layer.advance(state, generator)
        drawn = _positive_map(layer, generator, samples, state)
        linear = _linear(drawn)
        x, d = drawn.pair(x, d, scale)
        if linear:
            x, d, gain = _on_the_simplex(x, d, scale)
            ahead = drawn.power * ahead + gain
        d, scale = _unit(d, scale)
        if not bool((torch.isfinite(x) & (x > 0)).all()):
            raise ValueError(f"the orbit must stay positive and finite; it left the range of floats at depth {l}: take fewer layers")
        logs.append(_log_lengths(x, d, scale, ahead))
        step = _log_coefficient(drawn.weight) + math.log(abs(drawn.power)) if linear else torch.full((samples,), math.nan, device="cpu")
        guarantee.append(guarantee[-1] + step)
    hilbert, thompson = (torch.stack(part, 1) for part in zip(*logs, strict=True))
    data = {"log_hilbert": (hilbert, "log Hilbert distance"), "log_thompson": (thompson, "log Thompson distance")}
    if linear:
        data["log_guarantee"] = (hilbert[:, :1] + torch.stack(guarantee, 1), "log of Birkhoff's bound")
    data = {k: (("sample", "depth"), v.numpy(), {"units": "nat", "long_name": name}) for k, (v, name) in data.items()}
    return xr.Dataset(data, coords={"depth": range(depth + 1)}, attrs={"seed": seed, "samples": samples})


def _pair_of_points(x0: Any, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """One point, the unit direction to the other and the logarithm of its length, for each sample."""
    x0 = _checks.finite("x0", x0).detach().to(device="cpu", dtype=torch.float64)
    if x0.ndim != 2 or len(x0) != 2 or not bool((x0 > 0).all()) or bool((x0[0] == x0[1]).all()):
        raise ValueError(f"x0 must be two different points with positive coordinates, shape (2, N); got {x0.tolist()}")
    x = x0[0].expand(samples, 1, -1)
    d, scale = _unit((x0[1] - x0[0]).expand(samples, 1, -1), torch.zeros(samples, 1, dtype=torch.float64, device="cpu"))
    return x, d, scale


def _on_the_simplex(x: Tensor, d: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x and x + e^s d divided by their sums: the new x, the new d, and the log of the ratio of the sums."""
    size = x.sum(-1, keepdim=True)
    x, d = x / size, d / size
    excess = d.sum(-1, keepdim=True)
    gain = torch.log1p(torch.exp(scale) * excess[..., 0])
    return x, (d - excess * x) * torch.exp(-gain).unsqueeze(-1), gain


def _log_lengths(x: Tensor, d: Tensor, scale: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of the Hilbert and Thompson distances of x and e^ahead (x + e^s d)."""
    relative, s = d / x, scale.unsqueeze(-1)
    small = s + torch.log(relative.abs().amax(-1, keepdim=True)) < -20  # then log(1 + r) is r
    bare = torch.where(small, relative, torch.log1p(torch.where(small, 0.0, torch.exp(s)) * relative))
    hilbert = torch.log(bare.amax(-1) - bare.amin(-1)) + torch.where(small, s, 0.0)[..., 0]
    ratios = torch.where(small, torch.exp(s) * relative, bare) + ahead.unsqueeze(-1)
    thompson = torch.log(torch.where((ahead == 0) & small[..., 0], bare.abs().amax(-1), ratios.abs().amax(-1)))
    thompson = thompson + torch.where((ahead == 0) & small[..., 0], scale, 0.0)
    return hilbert[:, 0], thompson[:, 0]


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
