"""The scale of an axis: whole numbers for drawing, round numbers for ticks (*Using this book*)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplimits.explorer.wording import number

#: An axis is drawn in whole steps from 0 to STEPS: a step is a twentieth of a pixel.
STEPS = 10_000


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``low`` to ``high``, or a logarithmic one from ``10**low`` to ``10**high``; it may run downwards.

    Example:
        >>> axis = Axis(0.0, 400.0)
        >>> axis.steps([0, 100, 400]), axis.ticks()[1]
        ([0, 2500, 10000], (2500, '100'))
    """

    low: float
    high: float
    log: bool = False
    label: str = ""

    @classmethod
    def around(cls, values: np.ndarray, limits: Sequence[float] | None, log: bool, label: str, pad: float) -> Axis:
        """The axis that shows all finite values; a statistic within [0, 1] is shown on all of [0, 1]."""
        if limits is not None:
            low, high = float(limits[0]), float(limits[1])
            if not low < high or (log and low <= 0):
                raise ValueError(f"limits of the axis '{label}' must increase (and be positive on a log scale); got {limits}")
            return cls(*((math.log10(low), math.log10(high)) if log else (low, high)), log, label)
        values = values[np.isfinite(values)]
        values = values[values > 0] if log else values
        if not values.size:
            raise ValueError(f"nothing to draw on the axis '{label}': no finite{' positive' if log else ''} value")
        low, high = float(values.min()), float(values.max())
        if not log and pad and 0 <= low and 0.5 < high <= 1:
            low, high = 0.0, 1.0
        u, v = (math.log10(low), math.log10(high)) if log else (low, high)
        width = v - u if v - u > 1e-12 * max(abs(u), abs(v)) else max(abs(u), 1.0)
        u, v = (u - pad * width, v + pad * width) if v > u else (u - width / 2, v + width / 2)
        return cls(u, v, log, label)

    def limits(self) -> tuple[float, float]:
        """Its two ends, in the units of the data."""
        return (10.0**self.low, 10.0**self.high) if self.log else (self.low, self.high)

    def places(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        """The values, or their decimal logarithms; on a log scale 0 lies at -∞, and what is negative has no place."""
        values = np.asarray(values, dtype=float)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.log10(values)
        return values

    def steps(self, values: Sequence[float]) -> list[int | None]:
        """Places on the axis as whole steps; ``None`` where there is no finite place. Far outside is held at ±9 axes."""
        unit = np.ravel((self.places(values) - self.low) / (self.high - self.low))
        return [round(float(u) * STEPS) if known else None
                for u, known in zip(np.clip(unit, -9, 10), np.isfinite(unit), strict=True)]

    def ticks(self) -> list[tuple[int, str]]:
        """Round values of the axis, each with its place in steps."""
        values = self._decades() if self.log else self._round()
        return [(int(q), number(v, 6)) for q, v in zip(self.steps(values), values, strict=True)]

    def _round(self) -> list[float]:
        low, high = sorted((self.low, self.high))
        width = high - low
        power = 10.0 ** math.floor(math.log10(width / 5))
        step = power * next(m for m in (1, 2, 5, 10) if width / (m * power) <= 6)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [float(f"{k * step:.10g}") for k in range(first, last + 1)]

    def _decades(self) -> list[float]:
        low, high = sorted((self.low, self.high))
        if high - low < 2:
            found = [m * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
            return [v for v in found if low - 1e-4 <= math.log10(v) <= high + 1e-4]
        stride = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if high - low <= 7 * n)
        return [10.0**k for k in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1) if k % stride == 0]
