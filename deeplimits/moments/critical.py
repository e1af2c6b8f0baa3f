r"""The edge of chaos: where small differences keep their size in infinite width (Part IV, *The edge of chaos*)."""

from __future__ import annotations

import math

from scipy.special import erf, erfcx, eval_hermitenorm

from deeplimits import _checks, activations
from deeplimits.moments import quadrature
from deeplimits.moments.expectations import _arrays, derivative_moment, second_moment

_SMALL = 1e-6
_LARGEST = 1e150  # the square is still a float


def _log_excess(unit: activations.Activation, q: float) -> float:
    r"""The logarithm of :math:`g(q) = q - E\varphi^2/E\varphi'^2`, positive for odd non-linear activations.

    In normalized Hermite coefficients c_k of :math:`z \mapsto \varphi(\sqrt q z)`:
    :math:`g\,E\varphi'^2 = \sum_k (k-1) c_k^2`, which is the Gaussian Poincare inequality, and is how g is found for
    small q without cancellation.
    """
    if unit.name == "hardtanh":
        x = math.sqrt(0.5 / q)
        return -x * x + math.log(1 / (x * math.sqrt(math.pi)) - float(erfcx(x))) - math.log(float(erf(x)))
    if q < _SMALL:
        return _log_excess(unit, _SMALL) + 3 * math.log(q / _SMALL)
    if q > 0.01:
        return math.log(q - second_moment(unit, q) / derivative_moment(unit, q))
    phi, std = _arrays(unit), math.sqrt(q)

    def coefficient(k: int) -> float:
        norm = math.sqrt(math.factorial(k))
        return quadrature.on_line(lambda z: phi(std * z) * eval_hermitenorm(k, z) / norm, 1.0)

    total = sum((k - 1) * coefficient(k) ** 2 for k in (3, 5, 7, 9, 11, 13))
    return math.log(total / derivative_moment(unit, q))


def critical_variance(activation: str | activations.Activation, bias_std: float = 0.0, slope: float | None = None) -> float:
    r"""The variance :math:`q^*` on the critical line, root of :math:`q - E\varphi^2/E\varphi'^2 = \sigma_b^2`.

    Args:
        activation: a name or an activation.
        bias_std: the standard deviation :math:`\sigma_b` of the biases.
        slope: slope of ``"leaky_relu"``.

    Returns:
        :math:`q^*`; 0 without biases. For a positively homogeneous activation the variance grows without bound if there
        are biases (infinity) and keeps any value if there are none (1 stands for it, as the value that inputs of unit
        variance keep).

    Raises:
        ValueError: a ``bias_std`` that is negative or (where the activation is bounded) above 1e150, or an activation without an
            edge of chaos (softplus).

    Example:
        >>> round(critical_variance("tanh", 0.3), 6)
        0.763475
    """
    unit, bias = activations.get(activation, slope), _checks.nonnegative("bias_std", bias_std)
    if unit.slope is not None:
        return math.inf if bias > 0 else 1.0
    if not unit.odd:
        raise ValueError(f"activation must be odd or positively homogeneous to have an edge of chaos; got {unit.name!r}")
    if bias == 0:
        return 0.0
    _checks.between("bias_std", bias, 0.0, _LARGEST)
    from scipy.optimize import brentq  # here, because it makes the import of the package slow

    target = 2 * math.log(bias)
    if unit.name == "sin":
        low, high = math.log(1e-40), math.log(bias**2 + 2)
    else:
        low, high = math.log(1e-40), 0.0
        while _log_excess(unit, math.exp(high)) < target:
            high += 1
    if unit.name == "hardtanh":
        low = math.log(1e-4)
    if _log_excess(unit, math.exp(low)) > target:
        raise ValueError(f"bias_std must be zero or large enough to move the critical point by more than rounding; got {bias!r}")
    return math.exp(brentq(lambda x: _log_excess(unit, math.exp(x)) - target, low, high, xtol=1e-15, rtol=1e-15))


def critical_weight_std(activation: str | activations.Activation, bias_std: float = 0.0, slope: float | None = None) -> float:
    r"""The edge of chaos: :math:`\sigma_w` with :math:`\chi_1 = \sigma_w^2 E\,\varphi'(\sqrt{q^*}z)^2 = 1`.

    For a positively homogeneous activation with slope a it is :math:`\sqrt{2/(1+a^2)}` whatever the biases.

    Args:
        activation: a name or an activation.
        bias_std: the standard deviation :math:`\sigma_b` of the biases.
        slope: slope of ``"leaky_relu"``.

    Returns:
        The critical :math:`\sigma_w` for this :math:`\sigma_b`.

    Raises:
        ValueError: as :func:`critical_variance`.

    Source:
        Poole et al. (2016); Schoenholz et al. (2017).

    Example:
        >>> round(critical_weight_std("tanh", 0.3), 6), round(critical_weight_std("relu"), 6)
        (1.395584, 1.414214)
    """
    unit = activations.get(activation, slope)
    q = critical_variance(unit, bias_std)
    return 1 / math.sqrt(derivative_moment(unit, q if math.isfinite(q) else 1.0))
