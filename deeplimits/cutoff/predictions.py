"""The Gaussian prediction of a cut-off in contracting layers (Part III, *The cut-off in contracting random layers*)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from deeplimits import _checks, ergodic


@dataclass(frozen=True)
class Prediction:
    r"""Where the distance of two orbits falls below a threshold, from the central limit theorem.

    .. math:: P(D_l > \varepsilon) \approx \Phi\!\left(\frac{L - |\lambda| l}{s\sqrt l}\right), \qquad L = \log(D_0/\varepsilon).

    Attributes:
        log_ratio: L, in nats.
        exponent: mean logarithmic change per layer, negative.
        variance: variance :math:`s^2` of that change per layer.
        depth: cut-off depth :math:`L/|\lambda|`, in layers.
        window: ``quantile(.25) - quantile(.75)``, in layers; to leading order :math:`1.349\, s\sqrt{\text{depth}}/|\lambda|`.
        relative_width: ``window / depth``.
        death: probability per layer that the distance is set to exactly zero because every unit is off (ReLU); the
            numbers above are those given survival.
    """

    log_ratio: float
    exponent: float
    variance: float
    depth: float
    window: float
    relative_width: float
    death: float = 0.0

    def quantile(self, level: float) -> float:
        r"""Depth at which the predicted survival equals ``level``.

        .. math:: \sqrt{l(p)} = \frac{\sqrt{z^2 s^2 + 4|\lambda|L} - z s}{2|\lambda|}, \qquad z = \Phi^{-1}(p).
        """
        if not 0 < _checks.number("level", level) < 1:
            raise ValueError(f"level must lie strictly between 0 and 1; got {level!r}")
        return _quantile(self.log_ratio, self.exponent, self.variance, level)

    def survival(self, depths: Any, given_survival: bool = True) -> np.ndarray:
        """Predicted share of networks above the threshold at each depth (1 at depth 0).

        Args:
            depths: depths, zero or positive, any shape.
            given_survival: if False, multiply by the chance that the network has not died.

        Returns:
            Array of the shape of ``depths``.
        """
        l = np.asarray(depths, dtype=float)
        if not (np.isfinite(l) & (l >= 0)).all():
            raise ValueError(f"depths must be finite, zero or positive; got {depths!r}")
        room, spread = self.log_ratio + self.exponent * l, np.sqrt(self.variance * l)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(spread > 0, room / spread, np.where(room > 0, np.inf, -np.inf))
        value = special.ndtr(z)
        return value if given_survival else value * np.exp(l * math.log1p(-self.death))


def _quantile(log_ratio: float, exponent: float, variance: float, level: float) -> float:
    shift = float(special.ndtri(level)) * math.sqrt(variance)
    rate = -exponent
    root = math.sqrt(shift**2 + 4 * rate * log_ratio)
    half = 2 * log_ratio / (root + shift) if shift > 0 else (root - shift) / (2 * rate)
    return half**2


def _log_ratio(threshold: float | None, distance0: float, log_threshold: float | None) -> float:
    if (threshold is None) == (log_threshold is None):
        raise ValueError(f"give exactly one of threshold and log_threshold; got {threshold!r} and {log_threshold!r}")
    start = math.log(_checks.positive("distance0", distance0))
    end = math.log(_checks.positive("threshold", threshold)) if log_threshold is None else _checks.number("log_threshold", log_threshold)
    if end >= start and log_threshold is None:
        raise ValueError(f"threshold must lie below the starting distance {distance0:g}; got {threshold!r}")
    if end >= start:
        raise ValueError(f"log_threshold must lie below {start:g}, the logarithm of the starting distance; got {log_threshold!r}")
    return start - end


def _exponent(layer: Any, exponent: Any) -> tuple[float, float, float]:
    """Mean, variance and death probability per layer."""
    if exponent is None:
        known = ergodic.lyapunov_exponent(layer)
        if layer.fan_in != layer.width:
            raise ValueError(
                f"layer must be square to be repeated; got fan_in={layer.fan_in} and width={layer.width}: "
                "predict from the square layer, with distance0 taken after the first layer"
            )
        return known.value, known.variance, known.death
    if hasattr(exponent, "value"):
        exponent = (exponent.value, getattr(exponent, "variance", None))
    try:
        mean, variance = exponent
    except (TypeError, ValueError):
        raise TypeError(f"exponent must be a pair (value, variance) per layer; got {exponent!r}") from None
    return _checks.number("exponent value", mean), _checks.nonnegative("exponent variance", variance), 0.0


def predict(
    layer: Any,
    threshold: float | None = None,
    distance0: float = 1.0,
    *,
    log_threshold: float | None = None,
    exponent: Any = None,
) -> Prediction:
    r"""Predict depth, window and relative width of the cut-off as the threshold goes to zero.

    .. math:: l^* = \frac{L}{|\lambda|}, \qquad L = \log\frac{D_0}{\varepsilon}, \qquad
              R \approx 1.349\,\frac{s}{\sqrt{|\lambda| L}}.

    Needs the logarithm of the distance to be a sum with mean :math:`\lambda < 0` and variance :math:`s^2` per layer.
    This holds exactly for bias-free *linear* layers, where the difference itself passes through the layers. For other
    bias-free homogeneous layers the length of a *small* difference takes the same random walk as the length of a
    point, whatever its direction, so it holds up to a bounded start-up term, negligible for small thresholds, and given
    survival if the units can die. The *angle* of two inputs has a rate of its own
    (:func:`deeplimits.ergodic.angle_collapse_exponent`). For layers with biases or other activations pass the measured
    ``exponent``.

    Args:
        layer: a random layer with a closed-form exponent (:func:`deeplimits.ergodic.lyapunov_exponent`); ignored (may
            be None) when ``exponent`` is given.
        threshold: :math:`\varepsilon > 0`.
        distance0: starting distance :math:`D_0`.
        log_threshold: :math:`\log\varepsilon` instead, for thresholds below the range of floats.
        exponent: pair (value, variance) per layer, or an object with these attributes, instead of the closed form.

    Returns:
        A :class:`Prediction`.

    Raises:
        TypeError: an ``exponent`` that is no pair of numbers.
        ValueError: threshold not below the starting distance; exponent not negative; no closed form.

    Source:
        Central limit theorem for products of random matrices: Le Page (1982); here the sum is explicit.

    Example:
        >>> p = predict(None, 1e-10, exponent=(-0.1372605475, 0.0332842537))
        >>> round(p.depth, 2), round(p.relative_width, 4), float(p.survival(p.depth))
        (167.75, 0.1385, 0.5)
    """
    log_ratio = _log_ratio(threshold, distance0, log_threshold)
    mean, variance, death = _exponent(layer, exponent)
    if mean >= 0:
        raise ValueError(
            f"layer must contract, with a negative exponent; its exponent is {mean:.6g}: "
            "distances do not fall below a threshold, lower weight_std"
        )
    window = _quantile(log_ratio, mean, variance, 0.25) - _quantile(log_ratio, mean, variance, 0.75)
    depth = log_ratio / -mean
    return Prediction(log_ratio, mean, variance, depth, window, window / depth, death)
