r"""Universal curves of infinite width (Part IV, *Universal scaling of wide networks*)."""

from __future__ import annotations

from typing import Any

import numpy as np

from deeplimits import _checks


def _shape(value: np.ndarray, like: Any) -> float | np.ndarray:
    return float(value) if np.ndim(like) == 0 else value


def universal_curve(x: Any) -> float | np.ndarray:
    r"""The universal curve of smooth activations, :math:`G(X) = X/(1-e^{-X})`, stable near 0.

    In infinite width :math:`b\,l\,\rho_l \to G(\tau l)` for :math:`l \to \infty` at fixed :math:`\tau l`,
    :math:`\tau = \chi_1 - 1 \approx a\,\Delta\sigma_w`. It is :math:`G(0) = 1` at criticality, :math:`G(X) \sim X` in the chaotic
    and :math:`|X|e^{-|X|}` in the ordered phase.

    Args:
        x: the scaling variable X, any shape.

    Returns:
        G(X): a float for a number, an array for an array.

    Raises:
        TypeError, ValueError: an ``x`` that is no real number.

    Source:
        Solution of the logistic equation; derived here.

    Example:
        >>> [round(universal_curve(x), 5) for x in (-2, 0, 2)]
        [0.31304, 1.0, 2.31304]
    """
    values = _checks.reals("x", x)
    size = np.abs(values)
    with np.errstate(invalid="ignore", over="ignore"):  # exp(-inf) = 0 is meant; 0/0 and inf - inf are replaced
        fall = np.where(size > 0, size / -np.expm1(-size), 1.0)  # G(|X|)
        below = np.where(np.isinf(size), 0.0, fall * np.exp(-size))
    return _shape(np.where(values >= 0, fall, below), x)


def kinked_curve(x: Any) -> float | np.ndarray:
    r"""The universal curve of activations with kinks, :math:`[X/(1-e^{-X/2})]^2 = 4\,G(X/2)^2`.

    In infinite width :math:`(b\,l)^2\rho_l` tends to it, with the b of :math:`\rho' = \chi_1\rho - b\rho^{3/2}`; at criticality
    it is 4, so :math:`\rho\,l^2 \to 4/b^2`.

    Args:
        x: the scaling variable :math:`X = \tau l`, any shape.

    Returns:
        A float for a number, an array for an array.

    Raises:
        TypeError, ValueError: an ``x`` that is no real number.

    Source:
        Derived here: the root of :math:`\rho` obeys the logistic equation.

    Example:
        >>> kinked_curve(0.0), round(kinked_curve(4.0), 4)
        (4.0, 21.4005)
    """
    half = universal_curve(_checks.reals("x", x) / 2)
    return _shape(4 * np.square(half), x)


def logistic(depth: Any, tau: float, curvature: float, rho0: float, power: float = 2.0) -> float | np.ndarray:
    r"""The solution of :math:`d\rho/dl = \tau\rho - b\rho^p` from a finite start.

    .. math:: \rho_l = \Big[\frac{e^{-\kappa\tau l}}{\rho_0^{\kappa}} + \frac{b\,(1-e^{-\kappa\tau l})}{\tau}\Big]^{-1/\kappa}, \qquad \kappa = p - 1 .

    Args:
        depth: depths l, zero, positive or infinite, any shape.
        tau: :math:`\tau`, of either sign or zero.
        curvature: b > 0.
        rho0: :math:`\rho_0 > 0`; infinity for the universal curve.
        power: p, 2 or (with kinks) 3/2.

    Returns:
        A float for a number, an array for an array.

    Raises:
        TypeError: a depth that is no real number.
        ValueError: a depth that is negative or NaN, a curvature or start that is not positive, a power of one or less.

    Source:
        Bernoulli's equation.

    Example:
        >>> round(logistic(100.0, 0.02, 0.25, 0.5), 6), round(logistic(100.0, 0.0, 0.25, 0.5), 6)
        (0.090261, 0.037037)
    """
    l = _checks.reals("depth", depth)
    if (l < 0).any():
        raise ValueError(f"depth must be zero or positive; got {depth!r}")
    tau, b = _checks.number("tau", tau), _checks.positive("curvature", curvature)
    start = 0.0 if rho0 == np.inf else 1 / _checks.positive("rho0", rho0)
    kappa = _checks.number("power", power) - 1
    if kappa <= 0:
        raise ValueError(f"power must be above 1; got {power!r}")
    with np.errstate(invalid="ignore", over="ignore"):
        far = ~np.isfinite(kappa * tau * l)  # infinite depths, and those as good as infinite: there the limit
    x = np.where(far, 0.0, kappa * tau * np.where(far, 0.0, l))
    # rho^-kappa = e^-x rho0^-kappa + b kappa l / G(x), and 1/G(x) = e^-x / G(-x): no overflow on either side.
    with np.errstate(divide="ignore", over="ignore"):
        up, down = universal_curve(np.abs(x)), np.exp(-np.abs(x))
        grown = start**kappa * down + b * kappa * l / up            # x >= 0
        fallen = start**kappa + b * kappa * l / up                  # x < 0, times e^-|x|
        value = np.where(x >= 0, grown ** (-1 / kappa), (down / fallen) ** (1 / kappa))
    return _shape(np.where(far, (max(tau, 0.0) / b) ** (1 / kappa), value), depth)
