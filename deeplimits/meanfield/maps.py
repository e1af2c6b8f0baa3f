r"""The maps of variance, correlation and Gram matrix, and their trajectories (Part IV, *The edge of chaos*)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deeplimits import _checks, activations, moments
from deeplimits.meanfield.fixedpoints import arguments, limit_variance, quotient, scale
from deeplimits.moments.expectations import Unit


@dataclass(frozen=True)
class Profile:
    r"""Trajectories of the mean-field maps, each an array of length ``depth + 1``; entry 0 is the start.

    Attributes:
        depth: number of maps applied.
        variance: the variance of the pre-activations.
        correlation: the correlation of two inputs.
        rho: one minus the correlation (0 once it underflows).
        log_rho: its logarithm, which does not underflow.
    """

    depth: np.ndarray
    variance: np.ndarray
    correlation: np.ndarray
    rho: np.ndarray
    log_rho: np.ndarray


def variance_map(activation: Unit, variance: float, weight_std: float, bias_std: float = 0.0, slope: float | None = None) -> float:
    r"""The variance of the next pre-activations, :math:`V(q) = \sigma_w^2 E\,\varphi(\sqrt q z)^2 + \sigma_b^2`.

    Args:
        activation: a name or an activation.
        variance: the variance q.
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`.
        slope: slope of ``"leaky_relu"``.

    Returns:
        V(q).

    Raises:
        ValueError: an argument out of range.

    Source:
        Poole et al. (2016).

    Example:
        >>> round(variance_map("relu", 1.0, 2**0.5), 12)
        1.0
    """
    unit, weight, bias = arguments(activation, weight_std, bias_std, slope)
    return weight**2 * moments.second_moment(unit, variance) + bias**2


def _at(unit: activations.Activation, variance: float | None, weight: float, bias: float) -> float:
    if variance is None:
        return limit_variance(unit, weight, bias)
    return variance if variance == math.inf else _checks.nonnegative("variance", variance)


def rho_map(
    activation: Unit,
    rho: float,
    weight_std: float,
    bias_std: float = 0.0,
    slope: float | None = None,
    *,
    variance: float | None = None,
) -> float:
    r"""The map of :math:`\rho = 1 - c`, with full relative precision for every :math:`\rho`, however small.

    .. math:: \rho' = \frac{\sigma_w^2 E(\varphi(m+d) - \varphi(m-d))^2}{2 V(q)}, \qquad
       \operatorname{Var} m = q(1-\rho/2),\ \operatorname{Var} d = q\rho/2 \text{ independent.}

    Args:
        activation: a name or an activation.
        rho: one minus the correlation, between 0 and 2.
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`.
        slope: slope of ``"leaky_relu"``.
        variance: the variance q of both inputs; the fixed point :math:`q^*` if None.

    Returns:
        :math:`\rho'`.

    Raises:
        ValueError: an argument out of range.

    Source:
        Derived here; the map of c is that of Poole et al. (2016).

    Example:
        >>> f"{rho_map('tanh', 1e-200, 0.9, 0.3) / 1e-200:.6f}"
        '0.600371'
    """
    unit, weight, bias = arguments(activation, weight_std, bias_std, slope)
    if _checks.between("rho", rho, 0.0, 2.0) == 0:
        return 0.0
    q = _at(unit, variance, weight, bias)
    image = rho * scale(unit, q, weight, bias) * quotient(unit, q, math.log(rho))
    return min(image, 2.0)  # 2 is reached exactly by odd maps; rounding must not pass it


def correlation_map(
    activation: Unit,
    correlation: float,
    weight_std: float,
    bias_std: float = 0.0,
    slope: float | None = None,
    *,
    variance: float | None = None,
) -> float:
    r"""The map F of the correlation c of two inputs of equal length; near c = 1 use :func:`rho_map`.

    Args:
        activation: a name or an activation.
        correlation: c, between -1 and 1.
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`.
        slope: slope of ``"leaky_relu"``.
        variance: the variance q of both inputs; the fixed point :math:`q^*` if None.

    Returns:
        F(c).

    Raises:
        ValueError: an argument out of range.

    Source:
        Poole et al. (2016).

    Example:
        >>> round(correlation_map("relu", 0.0, 2**0.5) * math.pi, 10)
        1.0
    """
    _checks.between("correlation", correlation, -1.0, 1.0)
    return 1 - rho_map(activation, 1 - correlation, weight_std, bias_std, slope, variance=variance)


def gram_map(activation: Unit, gram: np.ndarray, weight_std: float, bias_std: float = 0.0, slope: float | None = None) -> np.ndarray:
    r"""The covariance of the next layer's pre-activations at several inputs, of any lengths.

    .. math:: K'_{ij} = \sigma_w^2 E\,\varphi(u_i)\varphi(u_j) + \sigma_b^2, \qquad u \sim N(0, K).

    Args:
        activation: a name or an activation.
        gram: covariance K, shape (B, B).
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`.
        slope: slope of ``"leaky_relu"``.

    Returns:
        K', shape (B, B).

    Raises:
        TypeError: complex entries, or what is no number.
        ValueError: a matrix that is no covariance.

    Source:
        Cho and Saul (2009); Poole et al. (2016).

    Example:
        >>> gram_map("identity", np.eye(2), 2.0, 1.0).tolist()
        [[5.0, 1.0], [1.0, 5.0]]
    """
    unit, weight, bias = arguments(activation, weight_std, bias_std, slope)
    K = _checks.reals("gram", gram)
    if K.ndim != 2 or K.shape[0] != K.shape[1]:
        raise ValueError(f"gram must be a square matrix of shape (B, B); got shape {K.shape}")
    image = np.empty_like(K)
    for i in range(len(K)):
        image[i, i] = moments.second_moment(unit, _checks.nonnegative(f"gram[{i}, {i}]", float(K[i, i])))
        for j in range(i):
            try:
                image[i, j] = image[j, i] = moments.correlated_moment(unit, K[np.ix_([j, i], [j, i])])
            except ValueError as error:
                raise ValueError(f"gram, of the inputs {j} and {i}: {error}") from None
    return weight**2 * image + bias**2


def profile(
    activation: Unit,
    weight_std: float,
    bias_std: float = 0.0,
    depth: int = 100,
    *,
    variance: float | None = None,
    rho: float = 1.0,
    slope: float | None = None,
) -> Profile:
    r"""Variance and correlation of two inputs of equal length along the depth, in infinite width.

    Args:
        activation: a name or an activation.
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`.
        depth: number of layers.
        variance: variance of the first pre-activations; the fixed point :math:`q^*` if None.
        rho: one minus their correlation.
        slope: slope of ``"leaky_relu"``.

    Returns:
        A :class:`Profile`; its arrays have length ``depth + 1``.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> p = profile("tanh", 1.0, 0.0, depth=1000, variance=1.0)
        >>> print(f"{2 * 1000 * p.variance[-1]:.5f}")
        1.00233
    """
    unit, weight, bias = arguments(activation, weight_std, bias_std, slope)
    depth = _checks.integer("depth", depth, minimum=0)
    q = _at(unit, variance, weight, bias)
    log_rho = math.log(rho) if _checks.between("rho", rho, 0.0, 2.0) > 0 else -math.inf
    lengths, logs = np.empty(depth + 1), np.empty(depth + 1)
    lengths[0], logs[0] = q, log_rho
    for layer in range(1, depth + 1):
        if log_rho > -math.inf:
            at = 1.0 if unit.homogeneous and bias == 0 else q    # the same at every length, also where q underflows
            gain = scale(unit, at, weight, bias) * quotient(unit, at, log_rho)
            log_rho = min(log_rho + math.log(gain), math.log(2)) if gain > 0 else -math.inf
        if variance is not None and math.isfinite(q):
            q = weight**2 * moments.second_moment(unit, q) + bias**2
        lengths[layer], logs[layer] = q, log_rho
    return Profile(np.arange(depth + 1), lengths, -np.expm1(logs), np.exp(logs), logs)
