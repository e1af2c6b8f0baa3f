r"""How often a balance starts negative: Gaussian schemes, the default of torch, Monte Carlo (Part V, *How often, and the cure*)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from deeplimits import _checks

from ._shapes import sizes

#: Standard deviations of incoming and outgoing entries as functions of (dim_in, hidden, dim_out).
_GAUSSIAN = {
    "he": lambda d, m, e: (math.sqrt(2 / d), math.sqrt(2 / m)),
    "lecun": lambda d, m, e: (math.sqrt(1 / d), math.sqrt(1 / m)),
    "he_lecun": lambda d, m, e: (math.sqrt(2 / d), math.sqrt(1 / m)),
    "glorot": lambda d, m, e: (math.sqrt(2 / (d + m)), math.sqrt(2 / (m + e))),
    "xavier": lambda d, m, e: (math.sqrt(2 / (d + m)), math.sqrt(2 / (m + e))),
    "mean_field": lambda d, m, e: (math.sqrt(1 / d), 1.0),
    "ntk": lambda d, m, e: (1.0, 1.0),
}
INITIALIZATIONS = (*_GAUSSIAN, "torch")


@dataclass(frozen=True)
class Share:
    """A share measured by Monte Carlo: ``value`` and its binomial standard error ``se``."""

    value: float
    se: float


def _stds(init: str | tuple[float, float], d: int, m: int, e: int) -> tuple[float, float]:
    if isinstance(init, str):
        return _GAUSSIAN[_checks.choice("init", init, INITIALIZATIONS)](d, m, e)
    if not isinstance(init, tuple) or len(init) != 2:
        raise TypeError(f"init must be one of {', '.join(map(repr, INITIALIZATIONS))}, or a pair (std of incoming, std of outgoing weights); got {init!r}")
    return _checks.positive("init[0]", init[0]), _checks.positive("init[1]", init[1])


def negative_balance_probability(init: str | tuple[float, float], dim_in: int, hidden: int, dim_out: int, bias: bool = False) -> float:
    r"""Probability that a neuron starts with a negative balance, for any number of outputs.

    Gaussian weights, :math:`\rho` the ratio of the variances of outgoing and incoming entries, :math:`I` the regularised incomplete
    beta function:

    .. math:: P(c_k < 0) = I_{\rho/(1+\rho)}\bigl(\tfrac D2, \tfrac e2\bigr) .

    ``"torch"``, the default of ``torch.nn.Linear``, is uniform on :math:`\pm 1/\sqrt{\text{fan-in}}`. For one output and :math:`m \ge d`

    .. math:: P = \frac{\pi^{D/2}}{\Gamma(D/2+1)}\,\frac{(d/4m)^{D/2}}{D + 1},

    a ball inside a cube; otherwise the probability is computed from the characteristic function of the balance by quadrature
    (absolute error below 1e-8 while m is at most 1000 d).

    Args:
        init: ``"he"`` (both layers, fan-in), ``"lecun"``, ``"he_lecun"`` (He hidden, LeCun output), ``"glorot"`` = ``"xavier"``,
            ``"mean_field"`` (incoming variance 1/d, outgoing 1), ``"ntk"`` (all entries of variance 1), ``"torch"``, or a pair of
            standard deviations for incoming and outgoing Gaussian entries.
        dim_in: number d of inputs.
        hidden: number m of hidden neurons.
        dim_out: number e of outputs.
        bias: whether biases are drawn like the incoming weights. Leave it False for biases that start at zero: they change nothing.

    Returns:
        The probability; neurons are independent, so their number is binomial (m, P) for one output.

    Raises:
        ValueError: unknown scheme, sizes below one.

    Source:
        Derived in the chapter.

    Example:
        >>> round(negative_balance_probability("he", 2, 10, 1), 6), round(negative_balance_probability("torch", 2, 10, 1, bias=True), 5)
        (0.087129, 0.01171)
        >>> round(negative_balance_probability("xavier", 10, 100, 10), 3)
        0.5
    """
    D, e = sizes(dim_in, dim_out, bias)
    m = _checks.integer("hidden", hidden)
    if isinstance(init, str) and init == "torch":
        return _uniform_probability(dim_in, m, D, e)
    incoming, outgoing = _stds(init, dim_in, m, e)
    rho = (outgoing / incoming) ** 2
    return float(special.betainc(D / 2, e / 2, rho / (1 + rho)))


def obstructed_probability(init: str | tuple[float, float], dim_in: int, hidden: int, dim_out: int, bias: bool = False) -> float:
    r"""Probability that a neuron of a network with one output starts with a frozen sign: a negative balance.

    The closed forms of :func:`negative_balance_probability`; with several outputs a negative balance obstructs nothing.

    Args:
        init: as in :func:`negative_balance_probability`.
        dim_in: number d of inputs.
        hidden: number m of hidden neurons.
        dim_out: must be 1.
        bias: whether biases are drawn like the incoming weights; False for biases that start at zero.

    Returns:
        The probability for one neuron.

    Raises:
        ValueError: more than one output, unknown scheme, sizes below one.

    Source:
        Derived in the chapter.

    Example:
        >>> round(obstructed_probability("he", 2, 2, 1), 4), round(obstructed_probability("xavier", 2, 2, 1), 4)
        (0.2929, 0.3453)
    """
    if _checks.integer("dim_out", dim_out) > 1:
        raise ValueError(
            f"dim_out must be 1: with {dim_out} outputs the quadrics are connected and a negative balance freezes no sign. "
            "negative_balance_probability gives the number, which is geometry only"
        )
    return negative_balance_probability(init, dim_in, hidden, 1, bias)


def _uniform_probability(d: int, m: int, D: int, e: int) -> float:
    if e == 1 and m >= d:
        log_ball = D / 2 * math.log(math.pi * d / (4 * m)) - special.gammaln(D / 2 + 1)
        return math.exp(log_ball) / (D + 1)
    return characteristic_probability(d / m, D, e)


def characteristic_probability(ratio: float, incoming: int, outgoing: int) -> float:
    r"""P(balance < 0) for uniform weights by inverting a characteristic function.

    .. math:: P\Bigl(\sum_{i\le D} U_i^2 < s\sum_{j\le e} V_j^2\Bigr) = \frac12 - \frac1\pi\int_0^\infty
              \operatorname{Im}\bigl[\phi(t)^D\,\phi(-st)^e\bigr]\frac{dt}t, \qquad \phi(t) = \int_0^1 e^{itu^2}du,

    :math:`U, V` uniform on [0, 1]; :math:`\phi` is a Fresnel integral.

    Args:
        ratio: s, here d/m.
        incoming: number D of incoming weights.
        outgoing: number e of outgoing weights.

    Returns:
        The probability (absolute error below 1e-8 while m is at most 1000 d).

    Source:
        Gil-Pelaez (1951) for the inversion.

    Example:
        >>> round(characteristic_probability(1.0, 2, 1), 5)
        0.2618
    """
    s = _checks.positive("ratio", ratio)
    D, e = _checks.integer("incoming", incoming), _checks.integer("outgoing", outgoing)
    end = max(60.0 / min(s, 1.0), (1e10 * s ** (-e / 2) * min(s, 1.0) ** -1.5) ** (2 / (D + e + 3)))
    step = max(6.0 / (D + e * s), end / 1e6)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = np.arange(0.0, end, step)
    t = edges[:, None] + step * (nodes + 1) / 2
    value = _square_characteristic(t) ** D * np.conj(_square_characteristic(s * t)) ** e
    total = float(((value.imag / t) @ weights).sum()) * step / 2
    # Beyond: phi(t) = (sqrt(pi / t) / 2) exp(i pi / 4) and terms that oscillate and all but cancel.
    log_tail = (D + e) * math.log(math.sqrt(math.pi) / 2) - e / 2 * math.log(s) - (D + e) / 2 * math.log(edges[-1] + step)
    total += math.sin(math.pi * (D - e) / 4) * math.exp(log_tail) * 2 / (D + e)
    return max(0.0, 0.5 - total / math.pi)  # rounding may leave -1e-16


def _square_characteristic(t: np.ndarray) -> np.ndarray:
    """E exp(i t U^2), U uniform on [0, 1], for t > 0."""
    scale = np.sqrt(2 * t / math.pi)
    sine, cosine = special.fresnel(scale)
    return (cosine + 1j * sine) / scale


def initial_balances(
    init: str | tuple[float, float], dim_in: int, hidden: int, dim_out: int, bias: bool = False, samples: int = 10_000, seed: int = 0
) -> np.ndarray:
    """Balances of independent neurons drawn at an initialization: the Monte-Carlo twin of the closed forms.

    Args:
        init: as in :func:`negative_balance_probability`.
        dim_in: number d of inputs.
        hidden: number m of hidden neurons (it sets the scale of the outgoing weights).
        dim_out: number e of outputs.
        bias: whether biases are drawn like the incoming weights.
        samples: number of neurons.
        seed: of the generator.

    Returns:
        Array (samples,).

    Raises:
        ValueError: unknown scheme, sizes below one.

    Example:
        >>> bool((initial_balances("he", 2, 10, 1, samples=4) > -1).all())
        True
    """
    D, e = sizes(dim_in, dim_out, bias)
    m, count = _checks.integer("hidden", hidden), _checks.integer("samples", samples)
    rng = np.random.default_rng(_checks.integer("seed", seed, minimum=0))
    if isinstance(init, str) and init == "torch":
        w, a = rng.uniform(-1, 1, (count, D)) / math.sqrt(dim_in), rng.uniform(-1, 1, (count, e)) / math.sqrt(m)
    else:
        incoming, outgoing = _stds(init, dim_in, m, e)
        w, a = incoming * rng.standard_normal((count, D)), outgoing * rng.standard_normal((count, e))
    return (w**2).sum(1) - (a**2).sum(1)


def negative_balance_share(
    init: str | tuple[float, float], dim_in: int, hidden: int, dim_out: int, bias: bool = False, samples: int = 100_000, seed: int = 0
) -> Share:
    """Share of neurons drawn with a negative balance.

    Args:
        init: as in :func:`negative_balance_probability`.
        dim_in: number d of inputs.
        hidden: number m of hidden neurons.
        dim_out: number e of outputs.
        bias: whether biases are drawn like the incoming weights.
        samples: number of neurons.
        seed: of the generator.

    Returns:
        :class:`Share` with ``.value`` and ``.se``.

    Raises:
        ValueError: no samples; the errors of :func:`initial_balances`.

    Example:
        >>> share = negative_balance_share("he", 2, 10, 1, samples=20_000)
        >>> abs(share.value - negative_balance_probability("he", 2, 10, 1)) < 4 * share.se
        True
    """
    samples, seed = _checks.integer("samples", samples), _checks.integer("seed", seed, minimum=0)
    block = max(1, min(samples, 4_000_000 // (sum(sizes(dim_in, dim_out, False)) + 1)))
    hits, done = 0, 0
    while done < samples:
        size = min(block, samples - done)
        hits += int((initial_balances(init, dim_in, hidden, dim_out, bias, size, seed + 7919 * done) < 0).sum())
        done += size
    share = hits / samples
    return Share(share, math.sqrt(share * (1 - share) / samples))
