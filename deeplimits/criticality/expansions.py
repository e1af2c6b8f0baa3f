r"""The map of the order parameter near its absorbing point (Part IV, *Universal scaling of wide networks*).

Smooth activations: :math:`\rho' = \chi_1\rho - b\rho^2 + e\rho^3 - \dots`; activations with kinks:
:math:`\rho' = \chi_1\rho - b\rho^{3/2} + \dots`. Everything is evaluated at the fixed point :math:`q^*` of the variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deeplimits import _checks, activations, moments
from deeplimits.meanfield import fixed_point
from deeplimits.moments.expectations import Unit

Array = np.ndarray

#: Where the slope of an activation jumps, and by how much.
_KINKS: dict[str, tuple[tuple[float, float], ...]] = {"hardtanh": ((-1.0, 1.0), (1.0, -1.0))}


def _tanh(order: int, h: Array) -> Array:
    t, decay = np.tanh(h), np.exp(-2 * np.abs(h))
    first = 4 * decay / (1 + decay) ** 2
    return (t, first, -2 * t * first, first * (6 * t * t - 2))[order]


def _erf(order: int, h: Array) -> Array:
    from scipy.special import erf

    if order == 0:
        return erf(h)
    return (1, -2 * h, 4 * h * h - 2)[order - 1] * (2 / math.sqrt(math.pi)) * np.exp(-h * h)


def _sin(order: int, h: Array) -> Array:
    return (np.sin(h), np.cos(h), -np.sin(h), -np.cos(h))[order]


def _softplus(order: int, h: Array) -> Array:
    decay = np.exp(-np.abs(h))
    up, both = np.where(h > 0, 1.0, decay) / (1 + decay), decay / (1 + decay) ** 2
    return (np.maximum(h, 0) + np.log1p(decay), up, both, both * (1 - 2 * up))[order]


_DERIVATIVES: dict[str, Callable[[int, Array], Array]] = {"tanh": _tanh, "erf": _erf, "sin": _sin, "softplus": _softplus}


def kinks(unit: activations.Activation) -> tuple[tuple[float, float], ...]:
    """Places and sizes of the jumps of the slope; empty for a smooth activation."""
    if unit.slope is not None:
        return () if unit.slope == 1 else ((0.0, 1 - unit.slope),)
    return _KINKS.get(unit.name, ())


def derivative(activation: Unit, order: int, h: Array) -> Array:
    r"""The derivative :math:`\varphi^{(k)}(h)` of a smooth activation, k = 0, 1, 2 or 3, in closed form.

    Args:
        activation: ``"tanh"``, ``"erf"``, ``"sin"`` or ``"softplus"``, by name or as an object.
        order: the number k of derivatives.
        h: arguments, any shape.

    Returns:
        Array of the shape of ``h``.

    Raises:
        TypeError: an ``h`` that is no real number.
        ValueError: an activation with a kink, an order above 3, or NaN.

    Example:
        >>> derivative("tanh", 3, np.array([0.0])).tolist()
        [-2.0]
    """
    unit = activations.get(activation)
    if unit.name not in _DERIVATIVES:
        raise ValueError(f"activation must be smooth, one of {', '.join(map(repr, _DERIVATIVES))}; got {unit.name!r}")
    if _checks.integer("order", order, minimum=0) > 3:
        raise ValueError(f"order must be 0, 1, 2 or 3; got {order!r}")
    return _DERIVATIVES[unit.name](order, _checks.reals("h", h))


@dataclass(frozen=True)
class Expansion:
    r"""The map of :math:`\rho` near zero, :math:`\rho' = \chi_1\rho - b\rho^p + \dots` (see :func:`expansion`).

    Attributes:
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`.
        variance: :math:`q^*`, where the coefficients are taken.
        chi: :math:`\chi_1`.
        power: p, 2 for smooth activations and 3/2 for those with kinks.
        curvature: the coefficient b.
        cubic: e, the coefficient of :math:`\rho^3`; None with kinks, where the series goes on in half powers.
    """

    weight_std: float
    bias_std: float
    variance: float
    chi: float
    power: float
    curvature: float
    cubic: float | None

    @property
    def log_correction(self) -> float | None:
        r"""The number C in :math:`1/\rho_l = b\,(l + C\log l + O(1))` at :math:`\chi_1 = 1`, which is :math:`(b^2-e)/b^2`; None with kinks."""
        return None if self.cubic is None else 1 - self.cubic / self.curvature**2

    @property
    def exponents(self) -> tuple[float, float, float]:
        r"""The mean-field exponents :math:`\beta = 1/(p-1)`, :math:`\nu_\parallel = 1` and :math:`\delta = \beta/\nu_\parallel`."""
        beta = 1 / (self.power - 1)
        return beta, 1.0, beta


def expansion(activation: Unit, bias_std: float = 0.0, weight_std: float | None = None, slope: float | None = None) -> Expansion:
    r"""The expansion of the map of :math:`\rho` at its absorbing point.

    .. math:: b = \tfrac12\sigma_w^2 q^* E\,\varphi''^2, \qquad e = \tfrac16\sigma_w^2 {q^*}^2 E\,\varphi'''^2

    for a smooth activation (the k-th derivative of the correlation map at 1 is
    :math:`\sigma_w^2 {q^*}^{k-1}E\,(\varphi^{(k)})^2`, by Price's theorem), and for slopes that jump by :math:`J_k` at
    :math:`k`, where the density of :math:`N(0, q^*)` is :math:`p(k)`,

    .. math:: b = \tfrac23\sigma_w^2\sqrt{q^*/\pi}\,\sum_k J_k^2\,p(k).

    Args:
        activation: a name or an activation.
        bias_std: :math:`\sigma_b`.
        weight_std: :math:`\sigma_w`; the critical one if None.
        slope: slope of ``"leaky_relu"``.

    Returns:
        An :class:`Expansion`.

    Raises:
        ValueError: a fixed point of variance zero (no biases and no chaos), where :math:`\rho` does not decay; an infinite
            one (softplus with strong weights); the identity, which has no second term; no critical point (softplus)
            although ``weight_std`` is None.

    Source:
        Smooth: Price (1958). Kinks: derived here; for ReLU it is the expansion of Cho and Saul's (2009) kernel.

    Example:
        >>> at = expansion("tanh", 0.3)
        >>> round(at.curvature, 6), round(at.log_correction, 3), round(expansion("relu").curvature, 5)
        (0.233498, -2.991, 0.30011)
    """
    unit, bias = activations.get(activation, slope), _checks.nonnegative("bias_std", bias_std)
    weight = moments.critical_weight_std(unit, bias) if weight_std is None else _checks.positive("weight_std", weight_std)
    if unit.slope == 1:
        raise ValueError("activation must bend: the identity keeps every correlation")
    point = fixed_point(unit, weight, bias)
    q = point.variance
    if q == 0:
        raise ValueError(f"bias_std must be positive for {unit.name!r} at weight_std={weight:.6g}: without biases the variance goes to zero, "
                         f"lengths and differences shrink together and rho does not decay; got {bias_std!r}")
    if unit.slope is not None:  # the kink sits at zero, where sqrt(q) p(0) does not depend on q
        return Expansion(weight, bias, q, point.chi, 1.5, math.sqrt(2) / (3 * math.pi) * (weight * (1 - unit.slope)) ** 2, None)
    if not math.isfinite(q):
        raise ValueError(f"weight_std must leave {unit.name!r} a finite variance; got {weight!r}")
    if kinks(unit):
        total = sum(jump**2 * math.exp(-0.5 * k * k / q) for k, jump in kinks(unit)) / math.sqrt(2 * math.pi * q)
        return Expansion(weight, bias, q, point.chi, 1.5, 2 / 3 * weight**2 * math.sqrt(q / math.pi) * total, None)
    second, third = (moments.gaussian_expectation(lambda h, k=k: derivative(unit, k, h) ** 2, q) for k in (2, 3))
    return Expansion(weight, bias, q, point.chi, 2.0, 0.5 * weight**2 * q * second, weight**2 * q**2 * third / 6)
