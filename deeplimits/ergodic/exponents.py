"""Lyapunov exponents in closed form (Part II, *Lyapunov spectra*)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special, stats

from deeplimits import _checks, moments
from deeplimits.layers.dense import WEIGHTS, Dense

SPD_METRICS = ("affine_invariant", "spd_thompson", "spd_hilbert")


@dataclass(frozen=True)
class LyapunovExponent:
    """Mean and variance, per layer, of the logarithm of the norm.

    Attributes:
        value: mean change of the log norm per layer, in nats.
        variance: variance of that change, in nats squared; changes are independent from layer to layer.
        death: probability per layer that every unit is off (slope 0). Where it is positive, ``value`` and ``variance``
            are those given survival; without that condition the exponent is minus infinity.
    """

    value: float
    variance: float
    death: float = 0.0


def _closed(layer: Any) -> LyapunovExponent:
    """The exponent of one Dense layer, or of a chain of them."""
    parts = getattr(layer, "layers", None)
    if parts is not None and type(layer).__name__ == "Chain":
        each = [_closed(part) for part in parts]
        death = -math.expm1(sum(math.log1p(-part.death) for part in each))
        return LyapunovExponent(sum(part.value for part in each), sum(part.variance for part in each), death)
    if not isinstance(layer, Dense):
        raise ValueError(f"{type(layer).__name__} layers have no closed form")
    if layer.activation.slope is None:
        raise ValueError(f"the activation {layer.activation.name!r} is not positively homogeneous")
    if layer.bias_std != 0:
        raise ValueError(f"bias_std is {layer.bias_std:g}, not zero")
    if not layer.has_law:
        raise ValueError("the weights are uniform, so not isotropic")
    slope = layer.activation.slope
    value = math.log(layer.gain) + 0.5 * moments.mean_log_square(layer.width, slope)
    variance = 0.25 * moments.variance_log_square(layer.width, slope)
    if layer.weights == "orthogonal":  # the Gaussian vector is its direction times an independent length
        half = max(layer.width, layer.fan_in) / 2
        value -= 0.5 * (math.log(2) + float(special.digamma(half)))
        variance = max(variance - 0.25 * float(special.polygamma(1, half)), 0.0)
    return LyapunovExponent(value, variance, 2.0**-layer.width if slope == 0 else 0.0)


def lyapunov_exponent(layer: Any) -> LyapunovExponent:
    r"""Exact top Lyapunov exponent of a bias-free, positively homogeneous dense layer at finite width.

    For Gaussian weights :math:`\log\|x_l\|` is a sum of independent terms with mean and variance

    .. math:: \lambda = \log\sigma_w - \tfrac12\log N_{in} + \tfrac12 E\log Q, \qquad
              s^2 = \tfrac14\operatorname{Var}\log Q, \qquad Q = \sum_{i\le N}\varphi(g_i)^2 .

    For Haar weights of square shape subtract :math:`\tfrac12(\log 2 + \psi(N/2))` and :math:`\tfrac14\psi_1(N/2)`, and
    add :math:`\tfrac12 \log N_{in}`. Rectangular layers are covered: the value is the mean change of the log norm in
    one passage. A ReLU layer turns off entirely with probability :math:`2^{-N}`; its numbers are those given survival.
    The exponent of a chain of such layers is the sum.

    Args:
        layer: a :class:`deeplimits.Dense` with ``bias_std=0`` and activation relu, leaky_relu, abs or identity, or a
            chain of them.

    Returns:
        A :class:`LyapunovExponent` (``.value``, ``.variance``, ``.death``).

    Raises:
        ValueError: no closed form is known (biases, other activations, other layers); use :func:`lyapunov_spectrum`.

    Source:
        Cohen and Newman (1984) and Newman (1986) for linear layers; Kogler, Schwarz and Kittle (2026) for leaky ReLU,
        with our own formulas.

    Example:
        >>> from deeplimits.layers.dense import Dense
        >>> round(lyapunov_exponent(Dense(width=64, activation="relu", weight_std="he")).value, 8)
        -0.0200543
    """
    try:
        return _closed(layer)
    except ValueError as reason:
        raise ValueError(
            f"layer must be a bias-free Dense layer with a positively homogeneous activation (or a chain of them) for a closed "
            f"form; here {reason}: estimate it with ergodic.lyapunov_spectrum(layer, depth, samples, seed) or ergodic.drift"
        ) from None


def critical_weight_std(layer: Any) -> float:
    r"""Weight standard deviation at which the exponent of this layer is exactly zero, all else kept.

    .. math:: \sigma_{crit} = \sigma_w e^{-\lambda(\sigma_w)} = \sqrt{N_{in}}\; e^{-\frac12 E\log Q}
              \quad\text{for Gaussian weights.}

    Args:
        layer: as for :func:`lyapunov_exponent`; its own ``weight_std`` does not matter.

    Returns:
        The weight standard deviation.

    Raises:
        ValueError: no closed form (for other activations see ``meanfield.critical_weight_std``), or a chain.

    Source:
        Kogler, Schwarz and Kittle (2026) for the idea of the initialization.

    Example:
        >>> from deeplimits.layers.dense import Dense
        >>> round(critical_weight_std(Dense(width=2, activation="relu", weights="orthogonal")) ** 3, 10)
        4.0
    """
    if not isinstance(layer, Dense):
        raise ValueError(f"layer must be one Dense layer to have one weight_std; got {type(layer).__name__}")
    return layer.weight_std * math.exp(-lyapunov_exponent(layer).value)


def angle_collapse_exponent(width: int, slope: float = 0.0, weights: str = "gaussian") -> float:
    r"""Exact rate at which small angles collapse per layer of a bias-free (leaky) ReLU network.

    For two nearly parallel inputs, with K the number of active units,

    .. math:: \gamma_N = E\log\frac{\theta'}{\theta} = \tfrac12 E\bigl[\psi(\tfrac{K-1}2) - \psi(\tfrac K2) \,\big|\, K\ge2\bigr]
              = -\frac1N - \frac4{N^2} + O(N^{-3}) \quad\text{(ReLU)}.

    It does not depend on ``weight_std``. For slope 0 it is conditional on at least two active units (with one unit the
    angle becomes exactly zero). For other slopes the squared ratio is
    :math:`(\chi^2_{K-1} + a^2\chi^2_{N-K-1} + (1-p+pa^2)\chi^2_1)/\|x'\|^2`, p being the share of :math:`\|x'\|^2` on the
    active units, and the expectation of its logarithm is an exact integral (Frullani), evaluated to about ten digits.
    Haar weights take away the linear part :math:`\tfrac12(\psi(\tfrac{N-1}2) - \psi(\tfrac N2))`.

    Args:
        width: number of units N, at least 2.
        slope: slope a of the leaky unit; 0 is ReLU, 1 linear, -1 the absolute value.
        weights: ``"gaussian"`` or ``"orthogonal"``.

    Returns:
        The exponent, in nats per layer.

    Raises:
        ValueError: width below 2, or unknown weights.

    Source:
        Jakub and Nica (2024) study the same collapse; the formula is ours.

    Example:
        >>> round(angle_collapse_exponent(4), 8) == round((-3 * math.log(2) - 3.5) / 11, 8)
        True
    """
    return _angle(width, slope, weights)[0]


def angle_collapse_variance(width: int, slope: float = 0.0, weights: str = "gaussian") -> float:
    r"""Variance per layer of the logarithm of a small angle (companion of :func:`angle_collapse_exponent`).

    .. math:: v = \tfrac14 E[\psi_1(\tfrac{K-1}2) + \psi_1(\tfrac K2)] + \tfrac14\operatorname{Var}[\psi(\tfrac{K-1}2) - \psi(\tfrac K2)]
              \approx \frac2N \quad\text{(ReLU)}.

    Args:
        width: number of units N, at least 2.
        slope: slope of the leaky unit.
        weights: ``"gaussian"`` or ``"orthogonal"``.

    Returns:
        The variance, in nats squared per layer.

    Example:
        >>> round(angle_collapse_variance(16), 8)
        0.1774531
    """
    return _angle(width, slope, weights)[1]


def _angle(width: int, slope: float, weights: str) -> tuple[float, float]:
    _checks.integer("width", width, minimum=2)
    _checks.choice("weights", weights, WEIGHTS)
    square = _checks.number("slope", slope) ** 2
    if square > 1:  # halving both branches changes nothing but the roles of the signs
        square = 1 / square
    if slope != 0 and square < 1e-30:
        raise ValueError(f"slope must be 0, or between 1e-15 and 1e15 in absolute value; got {slope!r}")
    mean, variance = _linear_angle(width)
    if square != 1:
        mean_linear, variance_linear = mean, variance
        mean, variance = _relu_angle(width) if square == 0 else _leaky_angle(width, square)
    else:
        mean_linear, variance_linear = mean, variance
    if weights == "orthogonal":
        return mean - mean_linear, max(variance - variance_linear, 0.0)
    return mean, variance


def _linear_angle(width: int) -> tuple[float, float]:
    a, b = (width - 1) / 2, width / 2
    mean = 0.5 * (special.digamma(a) - special.digamma(b))
    return float(mean), float(0.25 * (special.polygamma(1, a) + special.polygamma(1, b)))


def _relu_angle(width: int) -> tuple[float, float]:
    k = np.arange(2, width + 1)
    weight = stats.binom.pmf(k, width, 0.5)
    weight = weight / weight.sum()
    step = special.digamma((k - 1) / 2) - special.digamma(k / 2)
    mean = weight @ step
    inner = weight @ (special.polygamma(1, (k - 1) / 2) + special.polygamma(1, k / 2))
    return float(0.5 * mean), float(0.25 * (inner + weight @ (step - mean) ** 2))


def _log_odds(active: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the log odds of the share of the squared norm on the active units, a logistic beta law."""
    a, b = active / 2, (width - active) / 2
    mode, sd = math.log(a / b), math.sqrt(1 / a + 1 / b)
    y = np.linspace(mode - 9 * sd - 42 / a, mode + 9 * sd + 42 / b, 401)
    log_density = a * y - (a + b) * np.logaddexp(0, y)
    weight = np.exp(log_density - log_density.max())
    return y, weight / weight.sum()


@lru_cache(maxsize=256)
def _leaky_angle(width: int, square: float) -> tuple[float, float]:
    """Mean and variance of log(angle ratio) for squared slope strictly between 0 and 1."""
    step = 0.25
    log_t = np.arange(-42.0, 84.0 - math.log(square), step)
    t = np.exp(log_t)
    counts = np.arange(width + 1)
    share = stats.binom.pmf(counts, width, 0.5)
    mean = inner = second = 0.0
    for k in counts[share > 1e-18]:
        if 0 < k < width:
            y, weight = _log_odds(int(k), width)
            p = special.expit(y - math.log(square))
            log_size = np.logaddexp(y, math.log(square)) - np.logaddexp(0, y)
        else:
            p, weight = np.array([float(k > 0)]), np.ones(1)
            log_size = np.array([0.0 if k else math.log(square)])
        third = 1 - p + p * square
        centre = max(k - 1, 0) + square * max(width - k - 1, 0) + 1e-3 + float(weight @ third)
        u = t / centre
        log_laplace = -0.5 * ((k - 1) * np.log1p(2 * u) + (width - k - 1) * np.log1p(2 * square * u))
        gap = np.exp(-t) - np.exp(log_laplace - 0.5 * np.log1p(2 * np.outer(third, u)))
        first = step * gap.sum(1)
        square_mean = -2 * (step * (gap @ log_t) + np.euler_gamma * first)
        value = first + math.log(centre) - log_size
        mean += share[k] * (weight @ value)
        second += share[k] * (weight @ value**2)
        inner += share[k] * (weight @ (square_mean - first**2))
    half = width / 2
    variance = 0.25 * (inner + float(special.polygamma(1, half)) + second - mean**2)
    return float(0.5 * (mean - math.log(2) - special.digamma(half))), float(variance)


def newman_exponents(width: int, weight_std: float | None = None) -> np.ndarray:
    r"""Exact Lyapunov spectrum of products of Gaussian matrices, largest first.

    .. math:: \lambda_k = \tfrac12\bigl(\log 2 + \psi(\tfrac{N-k+1}2)\bigr) + \log\tau, \qquad k = 1, \dots, N,

    for independent entries with standard deviation :math:`\tau` (1 if ``weight_std`` is None, else
    :math:`\sigma_w/\sqrt N`).

    Args:
        width: size N of the matrices.
        weight_std: :math:`\sigma_w`, or None for entries of variance one.

    Returns:
        Array of shape (N,), in nats per layer.

    Source:
        Newman (1986).

    Example:
        >>> newman_exponents(3).round(6).tolist()
        [0.364819, 0.057966, -0.635181]
    """
    _checks.integer("width", width)
    shift = 0.0 if weight_std is None else math.log(_checks.positive("weight_std", weight_std)) - 0.5 * math.log(width)
    return 0.5 * (math.log(2) + special.digamma((width - np.arange(width)) / 2)) + shift


def newman_variances(width: int) -> np.ndarray:
    r"""Variances per layer of the terms behind :func:`newman_exponents`, :math:`\tfrac14\psi_1(\tfrac{N-k+1}2)`.

    Example:
        >>> newman_variances(1).round(4).tolist()
        [1.2337]
    """
    _checks.integer("width", width)
    return 0.25 * special.polygamma(1, (width - np.arange(width)) / 2)


def spd_drift(width: int, metric: Any = "affine_invariant", weight_std: float | None = None) -> float:
    r"""Exact drift of :math:`A \mapsto M A M^\top` with Gaussian M on positive definite matrices.

    .. math:: \ell = 2\sqrt{\textstyle\sum_k\lambda_k^2}, \qquad 2\max_k|\lambda_k|, \qquad 2(\lambda_1 - \lambda_N)

    for the affine-invariant, the Thompson and the Hilbert metric; :math:`\lambda_k` from :func:`newman_exponents`.

    Args:
        width: size N of the matrices.
        metric: ``"affine_invariant"``, ``"spd_thompson"`` or ``"spd_hilbert"``, or such a metric.
        weight_std: as for :func:`newman_exponents`.

    Returns:
        The drift per layer.

    Example:
        >>> round(spd_drift(3), 6), round(spd_drift(3, "spd_hilbert"), 6)
        (1.469569, 2.0)
    """
    name = _checks.choice("metric", getattr(metric, "name", metric), SPD_METRICS)
    return float(spd_length(newman_exponents(width, weight_std), name))


def spd_length(log_singular: np.ndarray, metric: str) -> np.ndarray:
    """Distance from I to P P^T given the logarithms of the singular values of P, over the last dimension."""
    if metric == "affine_invariant":
        return 2 * np.sqrt((log_singular**2).sum(-1))
    if metric == "spd_thompson":
        return 2 * np.abs(log_singular).max(-1)
    return 2 * (log_singular.max(-1) - log_singular.min(-1))
