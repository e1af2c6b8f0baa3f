r"""The log norm of one random layer, exactly (Part II, *Lyapunov spectra*; Part III, *ReLU at finite width: depth over width*).

A bias-free layer with a positively homogeneous activation multiplies the norm of its input by
:math:`\sigma_w\sqrt{Q/N}`, where :math:`Q = \sum_{i\le N} \varphi(g_i)^2` with independent standard normals. The two
moments of :math:`\log Q` are all that a Lyapunov exponent and its central limit theorem need.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import digamma, polygamma

from deeplimits import _checks, activations

_STEP = 0.125
_WIDE = 300_000_000


def _log_transform(log_t: np.ndarray, width: int, square: float) -> np.ndarray:
    r"""Laplace transform :math:`E e^{-tQ}`, given Q > 0 if ``square`` (squared slope) is 0, at :math:`t = e^{log\_t}`."""
    t = np.exp(np.minimum(log_t, 700.0))

    def root(scale: float) -> np.ndarray:  # (1 + 2 scale t)^(-1/2) - 1, to full relative precision
        return np.expm1(-0.5 * np.log1p(2 * scale * t))

    if square == 0:
        # (M^N - 2^-N) / (1 - 2^-N) with M = (1 + u)/2 and u = (1 + 2t)^(-1/2).
        u = np.exp(-0.5 * np.log1p(2 * t))
        grown = width * np.log1p(0.5 * root(1.0))
        return np.exp(grown) * -np.expm1(-width * np.log1p(u)) / -math.expm1(-width * math.log(2))
    low = 0.5 * (root(1.0) + root(square))
    high = 0.5 * (np.exp(-0.5 * np.log1p(2 * t)) + np.exp(-0.5 * np.log1p(2 * square * t)))
    return np.exp(width * np.where(low > -0.5, np.log1p(np.maximum(low, -0.5)), np.log(high)))


@lru_cache(maxsize=4096)
def _log_moments(width: int, square: float) -> tuple[float, float]:
    """Mean and variance of log Q for a squared slope of at most one.

    Frullani's integral against a Gamma law with the same mean and variance as Q: what is integrated is the difference
    of two nearly equal transforms, so the relative precision does not fall with the width.
    """
    alive = -math.expm1(-width * math.log(2)) if square == 0 else 1.0
    mean = 0.5 * width * (1 + square) / alive
    second = width * 1.5 * (1 + square**2) + width * (width - 1) * 0.25 * (1 + square) ** 2
    variance = second / alive - mean**2 if width < 1000 else 1.5 * width * (1 + square**2) - 0.25 * width * (1 + square) ** 2
    shape, scale = mean**2 / variance, variance / mean
    centre = float(digamma(shape)) + math.log(scale)
    top = 300.0 - (math.log(square) if square > 0 else 0.0)
    y = np.arange(-60.0, top, _STEP)
    reference = np.exp(-shape * np.log1p(scale * np.exp(np.minimum(y - centre, 700.0))))
    excess = _log_transform(y - centre, width, square) - reference
    # With I_k the integral of y^k (E e^{-tQ} - reference) dy, t = e^{y - centre}: the mean is centre - I_0, and the
    # second moment about the centre exceeds the reference's by 2 (I_1 + gamma I_0).
    shift = -_STEP * excess.sum()
    first = _STEP * (y * excess).sum()
    spread = float(polygamma(1, shape))
    if width < _WIDE:  # beyond, the excess (a part 1/width of the spread) is smaller than its own rounding
        spread += 2 * float(first - np.euler_gamma * shift) - float(shift) ** 2
    return centre + float(shift), spread


def _moments(width: int, slope: float) -> tuple[float, float]:
    width = _checks.integer("width", width)
    slope = _checks.number("slope", slope)
    if abs(slope) > 1:  # Q at slope a has the law of a^2 Q at slope 1/a
        mean, variance = _log_moments(width, (1 / slope) ** 2)
        return mean + 2 * math.log(abs(slope)), variance
    square = slope**2
    if slope != 0 and square < 1e-300:
        raise ValueError(f"slope must be 0 or above 1e-150 in absolute value; got {slope!r}")
    return _log_moments(width, square)


def mean_log_square(width: int, slope: float = 0.0) -> float:
    r"""The mean of :math:`\log Q`, :math:`Q = \sum_{i \le N} \varphi(g_i)^2`, for a (leaky) ReLU and standard normals.

    .. math:: E \log Q = \int_0^\infty \bigl(e^{-t} - E e^{-tQ}\bigr)\frac{dt}{t}, \qquad
       E e^{-tQ} = \Bigl(\tfrac12 (1+2t)^{-1/2} + \tfrac12 (1+2a^2t)^{-1/2}\Bigr)^N .

    For slope 0 the sum vanishes with probability :math:`2^{-N}`; the mean is then the one *given survival*, Q > 0.
    The sign of the slope does not matter (slope -1 is the absolute value, slope 1 the linear layer).

    Args:
        width: the number N of units, at least 1.
        slope: the slope a on the negative side.

    Returns:
        The mean, in nats; relative precision about 1e-12 for any width.

    Raises:
        ValueError: a width below 1, or a slope that is not a number.

    Source:
        Frullani's integral; a binomial sum of digamma functions for slope 0; Newman (1986) for slope 1.

    Example:
        >>> round(mean_log_square(2, 0.0), 8)  # -gamma - log(2)/3
        -0.80826473
    """
    return _moments(width, slope)[0]


def variance_log_square(width: int, slope: float = 0.0) -> float:
    r"""The variance of :math:`\log Q` (see :func:`mean_log_square`), given survival for slope 0.

    For slope 1 it is :math:`\psi_1(N/2)`; for slope 0 it is
    :math:`E\,\psi_1(K/2) + \operatorname{Var} \psi(K/2)` with K the number of active units, binomial and at least 1.

    Args:
        width: the number N of units, at least 1.
        slope: the slope on the negative side.

    Returns:
        The variance, in nats squared; relative precision about 1e-8 or better for any width.

    Raises:
        ValueError: a width below 1, or a slope that is not a number.

    Source:
        The derivative at zero of the Mellin transform whose value there is Frullani's integral.

    Example:
        >>> round(variance_log_square(2, 0.0) / 4, 8)
        1.06631221
    """
    return _moments(width, slope)[1]


def homogeneous_slope(activation: str | activations.Activation, slope: float | None = None) -> float:
    r"""The slope of a positively homogeneous activation: ReLU 0, leaky a, absolute value -1, identity 1.

    Args:
        activation: a name or an activation.
        slope: slope of a leaky unit, if the name is ``"leaky_relu"``.

    Returns:
        The slope on the negative side.

    Raises:
        ValueError: an activation that is not positively homogeneous.

    Example:
        >>> homogeneous_slope("abs")
        -1.0
    """
    unit = activations.get(activation, slope)
    if unit.slope is None:
        raise ValueError(
            "activation must be positively homogeneous ('relu', 'leaky_relu', 'abs', 'identity'): only then is the log"
            f" norm a sum of independent terms with a closed form; got {unit.name!r}"
        )
    return unit.slope


def lyapunov_weight_std(
    width: int,
    activation: str | activations.Activation = "relu",
    slope: float | None = None,
    weights: str = "gaussian",
    *,
    fan_in: int | None = None,
) -> float:
    r"""The weight standard deviation at which the Lyapunov exponent of a bias-free layer is exactly zero.

    .. math:: \sigma = \sqrt{N_{in}}\; e^{-\frac12 E\log Q} \quad\text{(Gaussian)},

    .. math:: \sigma = e^{-\frac12 (E\log Q - \log 2 - \psi(N/2))} \quad\text{(orthogonal, square)}.

    With this value the mean log norm neither grows nor falls, at this width and not only for infinite width; for slope
    0 the mean is the one given survival.

    Args:
        width: size N of the output.
        activation: a positively homogeneous activation, by name or as an object.
        slope: slope of ``"leaky_relu"``.
        weights: ``"gaussian"`` (entries of variance :math:`\sigma^2/N_{in}`) or ``"orthogonal"`` (:math:`\sigma` times
            a Haar matrix; a rectangular one has orthonormal rows, or columns of squared norm :math:`N/N_{in}`).
        fan_in: size of the input; ``width`` if None.

    Returns:
        The critical :math:`\sigma_w`.

    Raises:
        ValueError: an activation that is not positively homogeneous, a width below 1, or unknown weights.

    Source:
        Derived here; compare Kogler, Schwarz and Kittle (2026).

    Example:
        >>> round(lyapunov_weight_std(64, "relu"), 6), round(lyapunov_weight_std(2, "relu", weights="orthogonal"), 6)
        (1.442861, 1.587401)
    """
    a = homogeneous_slope(activation, slope)
    fan_in = _checks.integer("width", width) if fan_in is None else _checks.integer("fan_in", fan_in)
    mean = mean_log_square(width, a)
    if _checks.choice("weights", weights, ("gaussian", "orthogonal")) == "gaussian":
        return math.sqrt(fan_in) * math.exp(-0.5 * mean)
    size = max(width, fan_in)  # a unit vector goes to `width` coordinates of a uniform point on a sphere of this dimension
    stretched = math.log(max(1.0, width / fan_in))
    return math.exp(-0.5 * (mean - math.log(2) - float(digamma(size / 2)) + stretched))
