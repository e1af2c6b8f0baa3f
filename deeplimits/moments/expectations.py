r"""Gaussian expectations of activations, exact where a closed form exists (Part IV, *The edge of chaos*)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.special import erf, gammainc

from deeplimits import _checks, activations
from deeplimits.moments import quadrature

Unit = str | activations.Activation


def _arrays(function: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """A torch function as a function of numpy arrays."""
    return lambda h: function(torch.from_numpy(np.ascontiguousarray(h, dtype=np.float64))).numpy()


def _at_zero(unit: activations.Activation) -> tuple[float, float, float]:
    """The activation and its first two derivatives at zero (for the smooth ones)."""
    zero = torch.zeros(1, dtype=torch.float64, device="cpu", requires_grad=True)
    slope = unit.derivative(zero)
    bend = torch.autograd.grad(slope.sum(), zero)[0] if slope.requires_grad else torch.zeros(1, device="cpu")
    return float(unit(zero).detach()), float(slope.detach()), float(bend)


def gaussian_expectation(f: Callable[[np.ndarray], np.ndarray], variance: float = 1.0, breaks: Sequence[float] = ()) -> float:
    r"""The expectation :math:`E f(h)` of a function of a centred normal :math:`h \sim N(0, q)`.

    Gauss-Legendre panels of at most unit length in h (and in standard deviations), cut at the ``breaks``. For a
    function that varies on scale one and is smooth between the breaks the error is at rounding level; beyond
    :math:`|h| = 64` the panels grow with the distance, so a function that keeps oscillating there is not resolved.

    Args:
        f: a function of a numpy array, elementwise.
        variance: the variance q.
        breaks: where f, or one of its derivatives, jumps.

    Returns:
        The expectation.

    Raises:
        TypeError: an ``f`` that cannot be called.
        ValueError: a negative variance.

    Example:
        >>> round(gaussian_expectation(lambda h: h**4, variance=2.0), 10)
        12.0
        >>> round(gaussian_expectation(lambda h: (h > 1) * 1.0, breaks=[1.0]), 10)
        0.1586552539
    """
    if not callable(f):
        raise TypeError(f"f must be a function of a numpy array; got {f!r}")
    return quadrature.on_line(f, _checks.nonnegative("variance", variance), tuple(_checks.number("breaks", b) for b in breaks))


def second_moment(activation: Unit, variance: float = 1.0, slope: float | None = None) -> float:
    r"""The second moment :math:`E\,\varphi(\sqrt q z)^2` of an activation of a centred normal.

    Closed forms: :math:`q(1+a^2)/2` for a slope a; :math:`\tfrac{2}{\pi}\arcsin\tfrac{2q}{1+2q}` for erf;
    :math:`(1-e^{-2q})/2` for sin; incomplete gamma and error functions for hardtanh. Otherwise quadrature.

    Args:
        activation: a name or an activation.
        variance: the variance q.
        slope: slope of ``"leaky_relu"``.

    Returns:
        The second moment.

    Raises:
        ValueError: a negative variance or an unknown activation.

    Source:
        Williams (1997) for erf; Poole et al. (2016) for its use.

    Example:
        >>> second_moment("relu", 3.0)
        1.5
        >>> round(second_moment("tanh", 1.0), 10)
        0.3942944904
    """
    unit, q = activations.get(activation, slope), _checks.nonnegative("variance", variance)
    if unit.slope is not None:
        return 0.5 * q * (1 + unit.slope**2)
    if unit.name == "erf":
        return (2 / math.pi) * math.atan2(2 * q, math.sqrt(1 + 4 * q))
    if unit.name == "sin":
        return -0.5 * math.expm1(-2 * q)
    if unit.name == "hardtanh":
        return float(q * gammainc(1.5, 0.5 / q) + 1 - erf(math.sqrt(0.5 / q))) if q > 0 else 0.0
    phi = _arrays(unit)
    return quadrature.on_line(lambda h: phi(h) ** 2, q)


def derivative_moment(activation: Unit, variance: float = 1.0, slope: float | None = None) -> float:
    r"""The mean squared derivative :math:`E\,\varphi'(\sqrt q z)^2`; times :math:`\sigma_w^2` it is :math:`\chi_1`.

    Closed forms: :math:`(1+a^2)/2`; :math:`\tfrac{4}{\pi}(1+4q)^{-1/2}` for erf; :math:`(1+e^{-2q})/2` for sin;
    :math:`\operatorname{erf}(1/\sqrt{2q})` for hardtanh. Otherwise quadrature.

    Args:
        activation: a name or an activation.
        variance: the variance q.
        slope: slope of ``"leaky_relu"``.

    Returns:
        The moment.

    Raises:
        ValueError: a negative variance or an unknown activation.

    Source:
        Schoenholz et al. (2017).

    Example:
        >>> derivative_moment("relu", 3.0), round(derivative_moment("hardtanh", 1.0), 10)
        (0.5, 0.6826894921)
    """
    unit, q = activations.get(activation, slope), _checks.nonnegative("variance", variance)
    if unit.slope is not None:
        return 0.5 * (1 + unit.slope**2)
    if unit.name == "erf":
        return (4 / math.pi) / math.sqrt(1 + 4 * q)
    if unit.name == "sin":
        return 0.5 * (1 + math.exp(-2 * q))
    if unit.name == "hardtanh":
        return float(erf(math.sqrt(0.5 / q))) if q > 0 else 1.0
    prime = _arrays(unit.derivative)
    return quadrature.on_line(lambda h: prime(h) ** 2, q)


def second_moment_slope(activation: Unit, variance: float = 1.0, slope: float | None = None) -> float:
    r"""The derivative of :func:`second_moment` in q, :math:`E[\varphi'^2 + \varphi\varphi''] = E[z\varphi\varphi']/\sqrt q`.

    The second form needs no second derivative, hence holds for kinked activations. Times :math:`\sigma_w^2` it is the
    rate :math:`\chi_q` at which the variance relaxes to its fixed point.

    Args:
        activation: a name or an activation.
        variance: the variance q.
        slope: slope of ``"leaky_relu"``.

    Returns:
        The derivative.

    Raises:
        ValueError: a negative variance or an unknown activation.

    Example:
        >>> second_moment_slope("abs", 2.0), round(second_moment_slope("sin", 0.5), 10)
        (1.0, 0.3678794412)
    """
    unit, q = activations.get(activation, slope), _checks.nonnegative("variance", variance)
    if unit.slope is not None:
        return 0.5 * (1 + unit.slope**2)
    if unit.name == "erf":
        return (4 / math.pi) / ((1 + 2 * q) * math.sqrt(1 + 4 * q))
    if unit.name == "sin":
        return math.exp(-2 * q)
    if unit.name == "hardtanh":
        return float(gammainc(1.5, 0.5 / q)) if q > 0 else 1.0
    if q < 1e-16:
        value, first, second = _at_zero(unit)
        return first**2 + value * second
    phi, prime = _arrays(unit), _arrays(unit.derivative)
    return quadrature.on_line(lambda h: h * phi(h) * prime(h), q) / q


def _covariance(K: np.ndarray) -> tuple[float, float, float, float]:
    """The entries of a 2 x 2 covariance and the root of its determinant."""
    K = _checks.reals("K", K)
    if K.shape != (2, 2):
        raise ValueError(f"K must be a 2 x 2 covariance matrix; got shape {K.shape}")
    if not np.isfinite(K).all():
        raise ValueError(f"K must be finite; got {K.tolist()}")
    q1, q2, k = float(K[0, 0]), float(K[1, 1]), float(K[0, 1])
    root = math.sqrt(max(q1, 0.0)) * math.sqrt(max(q2, 0.0))
    if abs(K[0, 1] - K[1, 0]) > 1e-12 * (root + abs(k)):
        raise ValueError(f"K must be symmetric; got {K.tolist()}")
    if q1 < 0 or q2 < 0 or abs(k) > root * (1 + 1e-12):
        raise ValueError(f"K must be positive semidefinite; got {K.tolist()}")
    k = min(max(k, -root), root)  # rounding in the last place only
    return q1, q2, k, math.sqrt((root - k) * (root + k))


def _in_plane(function: Callable, q1: float, q2: float, k: float, det: float) -> float:
    """E function(u) function(v) for an analytic function of a correlated pair."""
    if not quadrature.resolved(max(q1, q2)):
        raise ValueError(f"K must have variances below 3e4 for an activation without a closed form; got {max(q1, q2):.3g}")
    if q1 < q2:
        q1, q2 = q2, q1
    s = math.sqrt(q1)
    slope, rest = (k / s, det / s) if s > 0 else (0.0, 0.0)
    return quadrature.on_plane(lambda z1, z2: function(s * z1) * function(slope * z1 + rest * z2), q1)


def _corner(q1: float, q2: float, c: float, moment: bool) -> float:
    r"""The corner densities of the square over :math:`t \in [0, \arcsin c]`, weighted by c - sin t if ``moment``."""
    k1, k2 = 1 / math.sqrt(q1), 1 / math.sqrt(q2)
    end = math.asin(abs(c))
    steps = 2.0 ** -np.arange(1, 24)
    t, w = quadrature.panels(end * np.concatenate([[0.0], 1 - steps, [1.0]]))
    # The exponents -(k1^2 + k2^2 -+ 2 k1 k2 sin t) / (2 cos^2 t), written without cancellation near t = pi/2.
    apart, cos2 = 0.5 * (k1 - k2) ** 2 / np.cos(t) ** 2, np.cos(t) ** 2
    near = np.exp(-(apart + k1 * k2 / (1 + np.sin(t))))
    far = np.exp(-(apart + k1 * k2 * (1 + np.sin(t)) / cos2))
    weight = (abs(c) - np.sin(t)) if moment else 1.0
    return float(w @ (weight * (near - far))) / math.pi


def correlated_moment(activation: Unit, K: np.ndarray, slope: float | None = None) -> float:
    r"""The moment :math:`E\,\varphi(u)\varphi(v)` of a centred normal pair with covariance K.

    Closed forms: the arc-cosine kernel for piecewise linear activations, :math:`\tfrac2\pi\arcsin
    \tfrac{2K_{12}}{\sqrt{(1+2K_{11})(1+2K_{22})}}` for erf, :math:`e^{-(K_{11}+K_{22})/2}\sinh K_{12}` for sin; one
    elementary integral for hardtanh; for tanh and softplus the trapezoidal rule in the plane.

    Args:
        activation: a name or an activation.
        K: covariance, shape (2, 2).
        slope: slope of ``"leaky_relu"``.

    Returns:
        The moment.

    Raises:
        TypeError: complex entries, or what is no number.
        ValueError: a matrix that is no covariance, or variances above 3e4 for tanh and softplus.

    Source:
        Cho and Saul (2009); Williams (1997); Plackett's identity for hardtanh.

    Example:
        >>> round(correlated_moment("erf", [[1.3, 0.6], [0.6, 0.8]]), 10)
        0.256594103
        >>> round(correlated_moment("relu", [[1.0, 0.0], [0.0, 1.0]]) * 2 * math.pi, 10)
        1.0
    """
    unit = activations.get(activation, slope)
    q1, q2, k, det = _covariance(K)
    if unit.slope is not None:
        even, odd = 0.25 * (1 - unit.slope) ** 2, 0.25 * (1 + unit.slope) ** 2
        return odd * k + even * (2 / math.pi) * (det + k * math.atan2(k, det))
    if unit.name == "erf":
        return (2 / math.pi) * math.atan2(2 * k, math.sqrt(1 + 2 * q1 + 2 * q2 + 4 * det**2))
    if unit.name == "sin":
        mean = 0.5 * (q1 + q2)
        return 0.5 * (math.exp(k - mean) - math.exp(-k - mean)) if abs(k) > 0.1 else math.exp(-mean) * math.sinh(k)
    if unit.name == "hardtanh":
        if q1 == 0 or q2 == 0:
            return 0.0
        root = math.sqrt(q1) * math.sqrt(q2)
        straight = abs(k) * float(erf(math.sqrt(0.5 / q1)) * erf(math.sqrt(0.5 / q2)))
        return math.copysign(straight + root * _corner(q1, q2, k / root, moment=True), k) if k != 0 else 0.0
    return _in_plane(_arrays(unit), q1, q2, k, det)


def correlated_derivative_moment(activation: Unit, K: np.ndarray, slope: float | None = None) -> float:
    r"""The moment :math:`E\,\varphi'(u)\varphi'(v)` of a centred normal pair with covariance K.

    By Price's theorem it is the derivative of :func:`correlated_moment` in :math:`K_{12}`; times :math:`\sigma_w^2` it
    is the slope of the correlation map.

    Args:
        activation: a name or an activation.
        K: covariance, shape (2, 2).
        slope: slope of ``"leaky_relu"``.

    Returns:
        The moment.

    Raises:
        TypeError: as :func:`correlated_moment`.
        ValueError: as :func:`correlated_moment`; a zero variance for a kinked activation whose kink is at zero.

    Source:
        Cho and Saul (2009); Williams (1997); Plackett's identity for hardtanh.

    Example:
        >>> round(correlated_derivative_moment("erf", [[1.3, 0.6], [0.6, 0.8]]), 10)
        0.4524259717
    """
    unit = activations.get(activation, slope)
    q1, q2, k, det = _covariance(K)
    if unit.slope is not None:
        even, odd = 0.25 * (1 - unit.slope) ** 2, 0.25 * (1 + unit.slope) ** 2
        if even > 0 and (q1 == 0 or q2 == 0):
            raise ValueError(f"K must have positive variances: {unit.name!r} has no derivative at zero; got {q1}, {q2}")
        return odd + even * (2 / math.pi) * math.atan2(k, det)
    if unit.name == "erf":
        return (4 / math.pi) / math.sqrt(1 + 2 * q1 + 2 * q2 + 4 * det**2)
    if unit.name == "sin":
        mean = 0.5 * (q1 + q2)
        return 0.5 * (math.exp(k - mean) + math.exp(-k - mean))
    if unit.name == "hardtanh":
        if q1 == 0 or q2 == 0:
            return derivative_moment(unit, max(q1, q2)) if max(q1, q2) > 0 else 1.0
        root = math.sqrt(q1) * math.sqrt(q2)
        straight = float(erf(math.sqrt(0.5 / q1)) * erf(math.sqrt(0.5 / q2)))
        return straight + _corner(q1, q2, k / root, moment=False)
    return _in_plane(_arrays(unit.derivative), q1, q2, k, det)
