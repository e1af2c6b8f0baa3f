r"""Short formulas that explorers compute in the page, and their twins here (*Using this book*).

The script computes the same numbers by the same steps; the tests hold the two together, and these to the package's own theory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from deeplimits.explorer.wording import number

STEP, REACH, TERMS = 0.08, 10.0, 200
QUARTILE = 0.6744897501960817
LONGEST = 1000          # layers that a cobweb is followed to find its end

Lines = list[list[tuple[float, float]]]


@cache
def _hermite() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes on the half line, normal weights (of both halves), and the odd orthonormal Hermite polynomials at the nodes."""
    z = np.arange(STEP / 2, REACH, STEP)
    weight = 2 * STEP * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    rows, before, now = [], np.zeros_like(z), np.ones_like(z)
    for k in range(TERMS):
        before, now = now, (z * now - math.sqrt(k) * before) / math.sqrt(k + 1)
        if k % 2 == 0:
            rows.append(now)
    return z, weight, np.array(rows)


def _tanh(q: float) -> tuple[float, float, Callable[[float], float]]:
    """E φ², E φ'² and c -> E φ(u)φ(v) for tanh, from its Hermite coefficients; what is left over stands at the last power."""
    z, weight, rows = _hermite()
    value = np.tanh(math.sqrt(q) * z)
    square, slope = float(weight @ value**2), float(weight @ (1 - value**2) ** 2)
    coefficients = (rows @ (weight * value)) ** 2
    coefficients[-1] += square - coefficients.sum()

    def product(c: float) -> float:
        total = 0.0
        for a in coefficients[::-1].tolist():
            total = total * c * c + a
        return total * c

    return square, slope, product


def _erf(q: float) -> tuple[float, float, Callable[[float], float]]:
    def product(c: float) -> float:
        return 2 / math.pi * math.asin(2 * q * c / (1 + 2 * q))

    return product(1.0), 4 / math.pi / math.sqrt(1 + 4 * q), product


def _relu(q: float) -> tuple[float, float, Callable[[float], float]]:
    def product(c: float) -> float:
        return q / (2 * math.pi) * (math.sqrt(max(0.0, 1 - c * c)) + (math.pi - math.acos(c)) * c)

    return q / 2, 0.5, product


UNITS = {"tanh": _tanh, "erf": _erf, "ReLU": _relu}


def _length(unit: Callable, weight: float, bias: float) -> float:
    """The variance that a layer leaves as it is; 0 if all dies out, 1 where only the direction counts (ReLU that grows)."""
    if unit is _relu:
        room = 1 - weight**2 / 2
        return bias**2 / room if bias > 0 and room > 1e-12 else (0.0 if room > 1e-12 else math.inf)
    low, high = 1e-12, weight**2 + bias**2 + 1e-9
    if weight**2 * unit(low)[0] + bias**2 <= low:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        if weight**2 * unit(middle)[0] + bias**2 > middle:
            low = middle
        else:
            high = middle
    return high


def correlation(activation: str, weight: float, bias: float) -> tuple[float, float, Callable[[float], float]]:
    """The variance q* of wide networks, χ₁ there, and the map of the correlation from layer to layer.

    Example:
        >>> q, chi, image = correlation("ReLU", 2**0.5, 0.0)
        >>> round(image(0.0) * math.pi, 10)
        1.0
    """
    unit = UNITS[activation]
    q = _length(unit, weight, bias)
    if unit is not _relu and q == 0:
        return q, unit(1e-12)[1] * weight**2, lambda c: c
    at = 1.0 if q in (0, math.inf) else q
    shift = 0.0 if q in (0, math.inf) else bias**2
    square, slope, product = unit(at)
    return q, weight**2 * slope, lambda c: (weight**2 * product(c) + shift) / (weight**2 * square + shift)


def _resting(chi: float, image: Callable[[float], float]) -> float:
    """The correlation that the map leads to."""
    if chi <= 1 + 1e-9:
        return 1.0
    low, high = 0.0, 1 - 1e-9
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if image(middle) > middle else (low, middle)
    return low


def correlation_lines(at: Mapping[str, Any]) -> tuple[Lines, str]:
    """The correlation map and its cobweb, and what they say."""
    q, chi, image = correlation(at["activation"], at["weight_std"], at["bias_std"])
    rest, c = _resting(chi, image), at["correlation"]
    curve = [(k / 100, image(k / 100)) for k in range(101)]
    web, steps = [(c, 0.0)], 0
    while steps < LONGEST and abs(c - rest) >= 0.01:
        after = image(c)
        if steps < 60:
            web += [(c, after), (after, after)]
        c, steps = after, steps + 1
    phase = "ordered" if chi < 1 - 1e-9 else "chaotic" if chi > 1 + 1e-9 else "at the edge"
    rests = "1" if rest > 0.9995 else number(rest)
    when = f"after {steps} layers" if steps < LONGEST else f"only after more than {LONGEST} layers"
    text = (f"χ₁ = {number(chi)}, {phase}: the correlation settles at c* = {rests}. From {number(at['correlation'])} it is within 0.01 of "
            f"that {when}; q* = {number(q)}.")
    return [curve, [(0.0, 0.0), (1.0, 1.0)], web, [(rest, 0.0), (rest, rest)]], text


def normal(x: float) -> float:
    """The normal distribution function.

    Example:
        >>> normal(0.0)
        0.5
    """
    return math.erfc(-x / math.sqrt(2)) / 2


def cutoff_lines(at: Mapping[str, Any]) -> tuple[Lines, str]:
    """The Gaussian profile of a cut-off against depth / cut-off depth, and its width."""
    rate, spread, distance = at["rate"], at["spread"], at["decades"] * math.log(10)
    depth = distance / rate

    def quantile(z: float) -> float:
        return ((math.sqrt(z * z * spread**2 + 4 * rate * distance) - z * spread) / (2 * rate)) ** 2

    window = quantile(-QUARTILE) - quantile(QUARTILE)
    curve = [(k / 100, 1.0 if k == 0 else normal((distance - rate * depth * k / 100) / (spread * math.sqrt(depth * k / 100))))
             for k in range(201)]
    text = f"Cut-off depth {number(depth)}, window {number(window)}, relative width {number(window / depth)}."
    low, high = quantile(QUARTILE) / depth, quantile(-QUARTILE) / depth
    return [curve, [(low, 0.0), (low, 0.75)], [(high, 0.0), (high, 0.25)]], text
