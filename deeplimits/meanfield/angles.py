r"""Angles under infinitely wide, positively homogeneous layers (Part III, *ReLU at finite width: depth over width*)."""

from __future__ import annotations

import math

import numpy as np

from deeplimits import _checks, moments
from deeplimits.moments.expectations import Unit


def angle_map(activation: Unit, theta: float | np.ndarray, slope: float | None = None) -> float | np.ndarray:
    r"""The angle between two images under an infinitely wide, bias-free, positively homogeneous layer.

    .. math:: \cos\theta' = \cos\theta + \frac{(1-a)^2}{1+a^2}\,\frac{\sin\theta - \theta\cos\theta}{\pi},
       \qquad \theta' = \theta - \frac{(1-a)^2}{1+a^2}\frac{\theta^2}{3\pi} + O(\theta^3),

    evaluated without cancellation for every angle, however small.

    Args:
        activation: ``"relu"``, ``"leaky_relu"``, ``"abs"``, ``"identity"``, or an activation.
        theta: angles in radians, between 0 and pi; a number or an array.
        slope: slope a of ``"leaky_relu"``.

    Returns:
        The new angles: a float for a number, an array of the same shape for an array.

    Raises:
        ValueError: an angle outside [0, pi], or an activation that is not positively homogeneous.

    Source:
        Cho and Saul (2009) for ReLU.

    Example:
        >>> round(angle_map("relu", math.pi / 2), 11)
        1.24685021986
    """
    a = moments.homogeneous_slope(activation, slope)
    angles = np.asarray(theta, dtype=float)
    if not ((angles >= 0) & (angles <= math.pi)).all():
        raise ValueError(f"theta must lie between 0 and pi; got {theta!r}")
    image = np.vectorize(lambda t: _angle_image(a, t), otypes=[float])(angles)
    return float(image) if angles.ndim == 0 else image


def _angle_image(a: float, theta: float) -> float:
    if a == -1:
        theta = min(theta, math.pi - theta)  # the absolute value does not see signs
    even = (1 - a) ** 2 / (1 + a * a)
    # (1 - cos theta')/(1 - cos theta) = 1 - even (sin theta - theta cos theta)/(pi (1 - cos theta)).
    ratio = 1 - even * moments.versine_excess(theta) / math.pi
    sine = math.sin(0.5 * theta) * math.sqrt(max(ratio, 0.0))
    if sine < 0.9:
        return 2 * math.asin(sine)
    rest = math.cos(0.5 * theta) ** 2 + math.sin(0.5 * theta) ** 2 * (1 - ratio)  # cos^2(theta'/2)
    return 2 * math.atan2(sine, math.sqrt(rest))


def angle_profile(activation: Unit, theta: float, depth: int, slope: float | None = None) -> np.ndarray:
    r"""The angle after 0, 1, ..., ``depth`` layers (see :func:`angle_map`); it falls like :math:`3\pi/l` for ReLU.

    Args:
        activation: a positively homogeneous activation.
        theta: the first angle, in radians.
        depth: number of layers.
        slope: slope of ``"leaky_relu"``.

    Returns:
        Angles, shape ``(depth + 1,)``.

    Raises:
        ValueError: as :func:`angle_map`.

    Example:
        >>> round(float(angle_profile("relu", math.pi / 2, 100)[-1]), 13)
        0.0846048186042
    """
    angle_map(activation, theta, slope)
    a, angles = moments.homogeneous_slope(activation, slope), [float(theta)]
    for _ in range(_checks.integer("depth", depth, minimum=0)):
        angles.append(_angle_image(a, angles[-1]))
    return np.array(angles)
