r"""Metric factors and the constants of finite width (Part IV, *Finite width: which noise, which scaling*)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deeplimits import _checks, activations, moments
from deeplimits.criticality.expansions import expansion, kinks
from deeplimits.meanfield import fixed_point
from deeplimits.moments.expectations import Unit, _arrays


@dataclass(frozen=True)
class WidthConstants:
    r"""How a width N moves and spreads small differences (see :func:`width_constants`).

    Attributes:
        one_step_variance: :math:`v_1`, N times the variance of :math:`\log\rho` after one layer, given :math:`\rho\to0` and
            the Gram matrix.
        width_variance: :math:`s^2`, N times the variance of :math:`\log\rho` per layer over many layers.
        width_shift: :math:`c_\lambda`, N times the change of the exponent of :math:`\log\rho`.
    """

    one_step_variance: float
    width_variance: float
    width_shift: float


@dataclass(frozen=True)
class MetricFactors:
    r"""What distinguishes one activation from another at the edge of chaos (see :func:`metric_factors`).

    Attributes:
        gain: :math:`a = d\chi_1/d\sigma_w` along the fixed points.
        curvature: b of :math:`\rho' = \chi_1\rho - b\rho^p`.
        width_variance: :math:`s^2`, N times the variance of :math:`\log\rho` per layer.
        width_shift: :math:`c_\lambda`, N times the change of the exponent of :math:`\log\rho`.
        one_step_variance: :math:`v_1`, N times the variance of :math:`\log\rho` after a single layer.
        power: p, 2 or (with kinks) 3/2.
        weight_std: the critical :math:`\sigma_w` of infinite width.
        bias_std: :math:`\sigma_b`.
        variance: :math:`q^*` there.
        variance_rate: :math:`\chi_q = V'(q^*)`.
        activation: name of the activation.
    """

    gain: float
    curvature: float
    width_variance: float
    width_shift: float
    one_step_variance: float
    power: float
    weight_std: float
    bias_std: float
    variance: float
    variance_rate: float
    activation: str

    def critical_weight_std(self, width: int) -> float:
        r"""The critical point at width N to first order, :math:`\sigma_{w,c} - c_\lambda/(aN)`.

        Example:
            >>> round(metric_factors("tanh", 0.3).critical_weight_std(200), 4)
            1.4109
        """
        return self.weight_std - self.width_shift / (self.gain * _checks.integer("width", width))


class _Moments:
    """Expectations at variance q; derivatives in q by the score of the normal law, which asks no derivative of f."""

    def __init__(self, unit: activations.Activation, q: float) -> None:
        self.q, self.breaks = q, tuple(k for k, _ in kinks(unit))
        self.value, self.prime = _arrays(unit), _arrays(unit.derivative)

    def mean(self, power: int, prime_power: int, weight: int = 0) -> float:
        r"""E phi^power phi'^prime_power He_weight(z), z of unit variance."""

        def integrand(h: np.ndarray) -> np.ndarray:
            z2 = h * h / self.q
            score = {0: 1.0, 2: z2 - 1, 4: z2 * z2 - 6 * z2 + 3}[weight]
            return self.value(h) ** power * self.prime(h) ** prime_power * score

        return moments.gaussian_expectation(integrand, self.q, self.breaks)


def _point(unit: activations.Activation, weight: float, bias: float) -> float:
    """The finite, positive fixed variance that the constants need."""
    if unit.slope is not None:
        raise ValueError(f"activation must saturate: for {unit.name!r} small differences grow with the lengths and there is no chaotic phase; "
                         "see expansion() for its curvature and ergodic.angle_collapse_exponent for its finite width")
    q = fixed_point(unit, weight, bias).variance
    if q == 0:
        raise ValueError(f"bias_std must be positive for {unit.name!r} at weight_std={weight:.6g}: without biases the variance goes to zero; got {bias!r}")
    if not math.isfinite(q):
        raise ValueError(f"weight_std must leave {unit.name!r} a finite variance; got {weight!r}")
    return q


def width_constants(activation: Unit, weight_std: float, bias_std: float) -> WidthConstants:
    r"""Noise and shift of small differences in a network of finite width, to leading order in 1/N.

    With :math:`m = E\varphi'^2`, :math:`g = \partial_q\log m`, :math:`v_q = \sigma_w^4\operatorname{Var}\varphi^2`,
    :math:`C = \sigma_w^2\operatorname{Cov}(\varphi'^2,\varphi^2)/m`, :math:`v_D = 3E\varphi'^4/m^2 - 1` and
    :math:`\chi_q = V'(q^*)`:

    .. math::

       v_1 &= v_D + v_q/q^2 - 2C/q, \qquad
       s^2 = v_D + \frac{2gC}{1-\chi_q} + \frac{g^2 v_q}{(1-\chi_q)^2},\\
       c_\lambda &= -\frac{v_D}{2} + \frac{g\,V''v_q}{2(1-\chi_q^2)(1-\chi_q)} + \frac{g'v_q}{2(1-\chi_q^2)}
       + \frac{\sigma_w^4E\varphi^2\varphi'^2}{q\,(\chi_1-\chi_q^2)}\Big(\frac{E\varphi'^2h^2}{mq}-1\Big).

    The exponent of :math:`\log\rho` is :math:`\log\chi_1 + c_\lambda/N`, its variance per layer :math:`s^2/N`.

    Args:
        activation: a saturating activation.
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`.

    Returns:
        :class:`WidthConstants`.

    Raises:
        ValueError: a piecewise linear activation, or a fixed point of variance zero or infinity; :math:`\chi_1 \le \chi_q^2`.

    Source:
        Derived here; checked by simulation of small differences.

    Example:
        >>> at = width_constants("tanh", 1.395584, 0.3)
        >>> round(at.one_step_variance, 3), round(at.width_variance, 3), round(at.width_shift, 3)
        (4.906, 4.25, -1.854)
    """
    unit = activations.get(activation)
    weight, bias = _checks.positive("weight_std", weight_std), _checks.nonnegative("bias_std", bias_std)
    q = _point(unit, weight, bias)
    at, w2 = _Moments(unit, q), weight * weight
    m, second = at.mean(0, 2), at.mean(2, 0)
    chi, relax = w2 * m, w2 * moments.second_moment_slope(unit, q)
    if chi <= relax**2:
        raise ValueError(f"weight_std must leave chi_1 above chi_q squared; got {weight!r} with {chi:.4g} and {relax**2:.4g}")
    g = at.mean(0, 2, 2) / (2 * q * m)
    g_slope = at.mean(0, 2, 4) / (4 * q * q * m) - g * g
    bend = w2 * at.mean(2, 0, 4) / (4 * q * q)
    v_q = w2 * w2 * (at.mean(4, 0) - second**2)
    mixed = w2 * (at.mean(2, 2) - m * second) / m
    v_d = 3 * at.mean(0, 4) / m**2 - 1
    along = w2 * w2 * at.mean(2, 2) / (q * (chi - relax**2))
    excess = at.mean(0, 2, 2) / m  # E phi'^2 h^2 / (m q) - 1
    shift = -0.5 * v_d + 0.5 * v_q * (g * bend / (1 - relax) + g_slope) / (1 - relax**2) + along * excess
    spread = v_d + 2 * g * mixed / (1 - relax) + g * g * v_q / (1 - relax) ** 2
    return WidthConstants(v_d + v_q / q**2 - 2 * mixed / q, spread, shift)


def metric_factors(activation: Unit, bias_std: float) -> MetricFactors:
    r"""The non-universal constants of an activation on the edge of chaos.

    .. math:: a = \frac{d\chi_1}{d\sigma_w} = \frac{2}{\sigma_w}
       + \sigma_w^2\,\partial_q E\varphi'^2\cdot\frac{2\sigma_w E\varphi^2}{1-\chi_q}

    at the critical point, with the curvature b of :func:`expansion` and the constants of :func:`width_constants`. Infinitely
    wide networks then satisfy :math:`b\,l\,\rho = G(a\,\Delta\sigma_w\,l)` (see :func:`universal_curve`), networks of
    width N the stochastic equation of :func:`finite_width`.

    Args:
        activation: a saturating activation (tanh, erf, sin, hardtanh).
        bias_std: :math:`\sigma_b > 0`.

    Returns:
        :class:`MetricFactors`.

    Raises:
        ValueError: no biases (the transition is degenerate), a piecewise linear activation (no chaotic phase), softplus.

    Source:
        Derived here; that two factors suffice in infinite width is claimed by Tamai et al. (2025).

    Example:
        >>> at = metric_factors("tanh", 0.3)
        >>> round(at.gain, 5), round(at.curvature, 6), round(at.width_variance, 3), round(at.width_shift, 4)
        (0.60441, 0.233498, 4.25, -1.8543)
    """
    unit, bias = activations.get(activation), _checks.nonnegative("bias_std", bias_std)
    if unit.slope is None and bias == 0:
        raise ValueError(f"bias_std must be positive: without biases the variance of {unit.name!r} goes to zero on the critical line, "
                         f"and rho does not decay; got {bias_std!r}")
    weight = moments.critical_weight_std(unit, bias)
    q = _point(unit, weight, bias)
    near, at = expansion(unit, bias, weight), _Moments(unit, q)
    relax = weight**2 * moments.second_moment_slope(unit, q)
    drift = 2 * weight * at.mean(2, 0) / (1 - relax)  # dq*/dsigma_w
    gain = 2 / weight + weight**2 * at.mean(0, 2, 2) / (2 * q) * drift
    constants = width_constants(unit, weight, bias)
    return MetricFactors(gain, near.curvature, constants.width_variance, constants.width_shift, constants.one_step_variance,
                         near.power, weight, bias, q, relax, unit.name)


def critical_weight_std(activation: Unit, bias_std: float, width: int | None = None) -> float:
    r"""The critical :math:`\sigma_w` of a network of width N, where small differences neither grow nor shrink.

    .. math:: \sigma_{w,c}(N) = \sigma_{w,c} - \frac{c_\lambda}{aN} + O(N^{-2})

    Since :math:`c_\lambda < 0`, narrow networks are more ordered than wide ones.

    Args:
        activation: a saturating activation.
        bias_std: :math:`\sigma_b > 0`.
        width: N; infinite if None.

    Returns:
        The critical :math:`\sigma_w`.

    Raises:
        ValueError: as :func:`metric_factors`.

    Source:
        Derived here.

    Example:
        >>> round(critical_weight_std("tanh", 0.3), 6), round(critical_weight_std("tanh", 0.3, width=100), 4)
        (1.395584, 1.4263)
    """
    factors = metric_factors(activation, bias_std)
    return factors.weight_std if width is None else factors.critical_weight_std(width)
