r"""What an activation does to the distance of two correlated normals (Part IV, *The edge of chaos*)."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import erf

from deeplimits import _checks, activations
from deeplimits.moments import quadrature
from deeplimits.moments.expectations import Unit, derivative_moment


def versine_excess(theta: float) -> float:
    r"""The ratio :math:`(\sin\theta - \theta\cos\theta)/(1 - \cos\theta)`, stable near zero (there about :math:`2\theta/3`).

    Args:
        theta: an angle in radians, between 0 and pi.

    Returns:
        The ratio, which the arc-cosine kernel is made of.

    Raises:
        ValueError: an angle outside [0, pi].

    Example:
        >>> round(versine_excess(math.pi), 12) == round(math.pi / 2, 12), versine_excess(3e-200)
        (True, 2e-200)
    """
    theta = _checks.between("theta", theta, 0.0, math.pi)
    if theta > 0.5:
        return (math.sin(theta) - theta * math.cos(theta)) / (2 * math.sin(0.5 * theta) ** 2)
    square, term, total = theta * theta, 1.0 / 3.0, 0.0
    for n in range(1, 12):  # sin - theta cos = theta^3 (1/3 - theta^2/30 + theta^4/840 - ...)
        total += term
        term *= -square * (n + 1) / (n * (2 * n + 2) * (2 * n + 3))
    half = math.sin(0.5 * theta) / (0.5 * theta) if theta > 0 else 1.0
    return 2 * theta * total / half**2


def _hardtanh_quotient(q: float, rho: float, theta: float) -> float:
    steps = 0.5 * 2.0 ** -np.arange(0, 24)
    # Panels shrink towards both ends: the integrand turns on at distance 1/sqrt(q) from 0 and from pi.
    low = min(theta, 0.5 * math.pi)
    edges = np.concatenate([[0.0], 2 * steps[::-1] * low])
    if theta > low:
        far = math.pi - 2 * steps * 0.5 * math.pi
        edges = np.concatenate([edges, far[(far > low) & (far < theta)], [theta]])
    s, w = quadrature.panels(np.unique(edges))
    with np.errstate(over="ignore"):  # exp(-inf) = 0 is meant
        lost = np.exp(-0.5 / (q * np.cos(0.5 * s) ** 2)) - np.exp(-0.5 / (q * np.sin(0.5 * s) ** 2))
    weight = 2 * np.sin(0.5 * (theta + s)) * np.sin(0.5 * (theta - s))
    return float(erf(math.sqrt(0.5 / q))) - float(w @ (weight * lost)) / (math.pi * rho)


def _erf_quotient(q: float, rho: float) -> float:
    x = 2 * q / (1 + 2 * q)
    y = x - x * rho
    fall_x = math.sqrt(1 + 4 * q) / (1 + 2 * q)  # sqrt(1 - x^2)
    fall_y = math.sqrt(fall_x**2 + x * rho * (x + y))
    if rho > 0.5:
        gap = math.atan2(x, fall_x) - math.atan2(y, fall_y)
    else:
        gap = math.atan2(x * rho * (x + y) / (x * fall_y + y * fall_x), fall_x * fall_y + x * y)
    return (2 / math.pi) * gap / (q * rho)


def _smooth_quotient(unit: activations.Activation, q: float, rho: float) -> float:
    if not quadrature.resolved(q):
        raise ValueError(f"variance must be below 3e4 for an activation without a closed form; got {q:.3g}")
    mean, gap = math.sqrt(q * (1 - 0.5 * rho)), math.sqrt(0.5 * q * rho)
    log_scale = torch.tensor(math.log(gap), dtype=torch.float64, device="cpu")

    def square(z1: np.ndarray, z2: np.ndarray) -> np.ndarray:
        low, step = torch.from_numpy(mean * z1 - gap * z2), torch.from_numpy(2 * z2)
        return unit.difference(low, step, log_scale).numpy() ** 2

    return 0.25 * quadrature.on_plane(square, q, half_first=unit.odd, half_second=True)


def difference_moment(
    activation: Unit,
    variance: float,
    rho: float | None = None,
    slope: float | None = None,
    *,
    log_rho: float | None = None,
) -> float:
    r"""The factor by which an activation changes a mean squared difference.

    .. math:: \frac{E(\varphi(u)-\varphi(v))^2}{E(u-v)^2}, \qquad
       \operatorname{Var} u = \operatorname{Var} v = q,\ \operatorname{Corr}(u,v) = 1-\rho,

    with full relative precision for every :math:`\rho \in (0, 2]`, however small; it tends to
    :math:`E\,\varphi'(\sqrt q z)^2` as :math:`\rho \to 0`.

    Args:
        activation: a name or an activation.
        variance: the variance q of both.
        rho: one minus the correlation.
        slope: slope of ``"leaky_relu"``.
        log_rho: its logarithm, instead of ``rho``, for values below 1e-308.

    Returns:
        The factor.

    Raises:
        ValueError: rho outside [0, 2], both or neither of rho and log_rho, or (tanh, softplus) a variance above 3e4.

    Source:
        Derived here: half sum and half difference of the pair are independent.

    Example:
        >>> round(difference_moment("tanh", 1.0, 1e-300), 10) == round(derivative_moment("tanh", 1.0), 10)
        True
        >>> round(difference_moment("relu", 1.0, 2.0), 10)
        0.25
    """
    unit, q = activations.get(activation, slope), _checks.nonnegative("variance", variance)
    if (rho is None) == (log_rho is None):
        raise ValueError(f"rho or log_rho must be given, and not both; got rho={rho!r}, log_rho={log_rho!r}")
    rho = math.exp(min(_checks.number("log_rho", log_rho), 1.0)) if rho is None else rho
    rho = _checks.between("rho", rho, 0.0, 2.0)
    if rho < 1e-34 or (q == 0 and unit.slope is None):  # the correction, at most of order sqrt(rho), is below rounding
        return derivative_moment(unit, q)
    theta = 2 * math.atan2(math.sqrt(rho), math.sqrt(2 - rho))
    if unit.slope is not None:
        if unit.slope == -1 and rho > 1:  # the absolute value does not see signs; at rho = 2 this is exactly 0
            return difference_moment(unit, q, 2 - rho) * (2 - rho) / rho
        even = 0.25 * (1 - unit.slope) ** 2
        return 0.5 * (1 + unit.slope**2) - even * (2 / math.pi) * versine_excess(theta)
    if unit.name == "erf":
        return _erf_quotient(q, rho)
    if unit.name == "sin":
        return (1 + math.exp(-2 * q * (1 - 0.5 * rho))) * -math.expm1(-q * rho) / (2 * q * rho)
    if unit.name == "hardtanh":
        return _hardtanh_quotient(q, rho, theta)
    return _smooth_quotient(unit, q, rho)
