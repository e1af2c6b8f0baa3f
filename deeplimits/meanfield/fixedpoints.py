r"""Fixed points, critical line and depth scales of the mean-field maps (Part IV, *The edge of chaos*)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deeplimits import _checks, activations, moments
from deeplimits.moments import critical_weight_std
from deeplimits.moments.expectations import Unit

if TYPE_CHECKING:
    import xarray

_SQUARES = 1e-150, 1e150  # numbers whose squares are floats of full precision
_NEUTRAL = 4e-15  # |chi - 1| below this is rounding of a weight_std such as sqrt(2)


@dataclass(frozen=True)
class FixedPoint:
    r"""The limit of the mean-field maps, started from variance 1 (see :func:`fixed_point`).

    Attributes:
        variance: :math:`q^*`, the limit of the variance (0 and infinity included).
        correlation: :math:`c^*`, the correlation that attracts.
        chi: :math:`\chi_1 = \sigma_w^2 E\,\varphi'(\sqrt{q^*}z)^2`, at c = 1.
        chi_star: :math:`\chi = \sigma_w^2 E\,\varphi'(u)\varphi'(v)` at :math:`c^*`.
        depth_scale: :math:`1/|\log\chi|` at :math:`c^*`, in layers: over this depth deviations from the fixed point
            (in the ordered phase: squared distances) fall by a factor e. Infinite if :math:`\chi \ge 1`.
        variance_depth_scale: the same for the variance, :math:`1/|\log V'(q^*)|`.
        rho: :math:`1 - c^*`, with full relative precision near the critical line.
    """

    variance: float
    correlation: float
    chi: float
    chi_star: float
    depth_scale: float
    variance_depth_scale: float
    rho: float

    @property
    def phase(self) -> str:
        r"""``"ordered"``, ``"critical"`` or ``"chaotic"``, as :math:`\chi_1` is below, at or above 1."""
        if abs(self.chi - 1) <= _NEUTRAL:
            return "critical"
        return "ordered" if self.chi < 1 else "chaotic"

    @property
    def distance_exponent(self) -> float:
        r"""The rate :math:`\tfrac12\log\chi_1` per layer at which the logarithm of a small distance grows."""
        return 0.5 * math.log(self.chi)


def _root(f: Callable[[float], float], low: float, high: float, precision: float = 1e-15) -> float:
    from scipy.optimize import brentq  # here, because it makes the import of the package slow

    return brentq(f, low, high, xtol=precision, rtol=precision)


def arguments(activation: Unit, weight_std: float, bias_std: float, slope: float | None) -> tuple[activations.Activation, float, float]:
    weight, bias = _checks.positive("weight_std", weight_std), _checks.nonnegative("bias_std", bias_std)
    _checks.between("weight_std", weight, *_SQUARES)
    if bias > 0:
        _checks.between("bias_std", bias, *_SQUARES)
    return activations.get(activation, slope), weight, bias


def limit_variance(unit: activations.Activation, weight: float, bias: float) -> float:
    """The limit of V iterated from 1; V(q)/q decreases, so the fixed point is unique where it is positive."""
    if unit.slope is not None:
        chi = 0.5 * weight**2 * (1 + unit.slope**2)
        if abs(chi - 1) <= _NEUTRAL:
            return math.inf if bias > 0 else 1.0
        if chi > 1:
            return math.inf
        return bias**2 / (1 - chi)
    if unit.name == "softplus" and weight**2 >= 2 - 2 * _NEUTRAL:
        return math.inf  # E softplus^2 exceeds its asymptote q/2, so V(q) > q for every q
    if unit.odd and bias == 0 and weight**2 * moments.derivative_moment(unit, 0.0) <= 1 + _NEUTRAL:
        return 0.0

    def growth(log_q: float) -> float:
        q = math.exp(log_q)
        return math.log((weight**2 * moments.second_moment(unit, q) + bias**2) / q)

    low, high = min(0.0, 2 * math.log(bias) - 1 if bias > 0 else 0.0), 0.0  # q is at least bias^2
    while growth(high) > 0:
        high += 2
    while growth(low) <= 0:
        low -= 2
        if low < -80:
            return 0.0
    return math.exp(_root(growth, low, high))


def scale(unit: activations.Activation, variance: float, weight: float, bias: float) -> float:
    r"""The factor :math:`\sigma_w^2\, q / V(q)`, with its limits at q = 0 and infinity."""
    if variance == 0 and (bias > 0 or not unit.fixes_zero):
        return 0.0
    if variance == 0 or (math.isinf(variance) and unit.slope is not None):
        return 1 / moments.derivative_moment(unit, 0.0)
    if math.isinf(variance):
        return 2.0  # softplus: the ReLU it looks like from afar
    return weight**2 * variance / (weight**2 * moments.second_moment(unit, variance) + bias**2)


def quotient(unit: activations.Activation, variance: float, log_rho: float) -> float:
    if math.isinf(variance):
        unit, variance = (unit, 1.0) if unit.slope is not None else (activations.get("relu"), 1.0)
    return moments.difference_moment(unit, variance, log_rho=log_rho)


def _limit_rho(unit: activations.Activation, variance: float, chi: float, weight: float, bias: float) -> float:
    """One minus the attracting correlation."""
    if unit.slope is not None or chi <= 1 + _NEUTRAL or math.isinf(variance):
        return 0.0
    if unit.odd and bias == 0:
        return 1.0  # odd activations without biases keep orthogonal inputs orthogonal
    factor = scale(unit, variance, weight, bias)

    def growth(log_rho: float) -> float:
        return math.log(factor * quotient(unit, variance, log_rho))

    if growth(0.0) >= 0:
        return 1.0  # biases that are lost in rounding beside the weights
    low = -2.0
    while growth(low) <= 0:
        low -= 4
        if low < -76:
            return 0.0
    return math.exp(_root(growth, low, 0.0, 1e-12))


def _depth_scale(factor: float) -> float:
    if factor >= 1 - _NEUTRAL:
        return math.inf
    return 0.0 if factor <= 0 else -1 / math.log(factor)


def fixed_point(activation: Unit, weight_std: float, bias_std: float = 0.0, slope: float | None = None) -> FixedPoint:
    r"""The fixed point of the mean-field maps and its depth scales.

    Where the maps have more than one, it is the limit from variance 1. The boundary cases are exact:

    - without biases an ordered tanh, erf, sin or hardtanh forgets its inputs: variance 0, correlation 1. Lengths and
      distances then shrink at the same rate and :math:`\rho` itself does not decay; ``depth_scale`` is that of the
      squared distance;
    - an odd activation without biases in the chaotic phase: correlation 0;
    - a positively homogeneous activation has :math:`\chi = \sigma_w^2(1+a^2)/2` everywhere and correlation 1. Its
      variance is :math:`\sigma_b^2/(1-\chi)` below :math:`\chi = 1` and infinite above; at :math:`\chi = 1` it is
      infinite with biases and 1, the start, without. The identity without biases keeps every correlation.

    Args:
        activation: a name or an activation.
        weight_std: :math:`\sigma_w`.
        bias_std: :math:`\sigma_b`.
        slope: slope of ``"leaky_relu"``.

    Returns:
        A :class:`FixedPoint`.

    Raises:
        ValueError: an argument out of range; a standard deviation outside 1e-150 to 1e150, whose square is no float (no biases
            are ``bias_std=0``).

    Source:
        Poole et al. (2016); Schoenholz et al. (2017).

    Example:
        >>> point = fixed_point("tanh", 1.5, 0.3)
        >>> round(point.variance, 6), round(point.correlation, 6), round(point.depth_scale, 4), point.phase
        (0.960844, 0.766753, 19.9163, 'chaotic')
    """
    unit, weight, bias = arguments(activation, weight_std, bias_std, slope)
    q = limit_variance(unit, weight, bias)
    at = q if math.isfinite(q) else 1.0
    far = activations.get("relu") if math.isinf(q) and unit.slope is None else unit
    chi = weight**2 * moments.derivative_moment(far, at)
    rho = _limit_rho(unit, q, chi, weight, bias)
    c = 1 - rho
    chi_star = chi if rho == 0 else weight**2 * moments.correlated_derivative_moment(unit, [[q, q * c], [q * c, q]])
    relax = weight**2 * moments.second_moment_slope(far, at)
    return FixedPoint(q, c, chi, chi_star, _depth_scale(chi_star), _depth_scale(relax), rho)


def phase_diagram(activation: Unit, weight_stds: Sequence[float], bias_stds: Sequence[float], slope: float | None = None) -> xarray.Dataset:
    r"""The fixed points over a grid of weight and bias standard deviations, with the critical line.

    Args:
        activation: a name or an activation.
        weight_stds: values of :math:`\sigma_w`.
        bias_stds: values of :math:`\sigma_b`.
        slope: slope of ``"leaky_relu"``.

    Returns:
        Dataset with dimensions ``bias_std`` and ``weight_std``: the fields of :class:`FixedPoint`, and
        ``critical_weight_std`` along ``bias_std``.

    Raises:
        ValueError: an argument out of range, an empty list, or an activation without an edge of chaos.

    Source:
        Poole et al. (2016); Schoenholz et al. (2017).

    Example:
        >>> diagram = phase_diagram("erf", [0.7, 1.5], [0.3])
        >>> diagram.depth_scale.values.round(4).tolist(), diagram.critical_weight_std.values.round(6).tolist()
        ([[1.3676, 8.6094]], [1.233673])
    """
    import xarray

    for name, values in (("weight_stds", weight_stds), ("bias_stds", bias_stds)):
        if np.ndim(values) != 1 or not len(values):
            raise ValueError(f"{name} must be a list of at least one number; got {values!r}")
    unit = activations.get(activation, slope)
    points = [[fixed_point(unit, weight, bias) for weight in weight_stds] for bias in bias_stds]
    dims = ("bias_std", "weight_std")
    fields = {
        name: (dims, [[getattr(p, name) for p in row] for row in points], {"units": unit_name})
        for name, unit_name in (
            ("variance", "1"),
            ("correlation", "1"),
            ("rho", "1"),
            ("chi", "1"),
            ("chi_star", "1"),
            ("depth_scale", "layer"),
            ("variance_depth_scale", "layer"),
        )
    }
    fields["critical_weight_std"] = (
        "bias_std",
        [critical_weight_std(unit, bias) for bias in bias_stds],
        {"units": "1"},
    )
    coords = {"bias_std": np.asarray(bias_stds, dtype=float), "weight_std": np.asarray(weight_stds, dtype=float)}
    return xarray.Dataset(fields, coords=coords, attrs={"activation": unit.name})
