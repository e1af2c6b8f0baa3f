"""Numbers and sentences for explorers and alternative texts (*Using this book*)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape

import numpy as np

#: A letter with an index, as plain text writes it: σ_w, σ_w,c.
INDEXED = re.compile(r"(?<!\w)([^\W\d_])_([A-Za-z0-9α-ω]+(?:,[A-Za-z0-9]+(?!\w))*)")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """A number as a reader writes it: few digits, powers of ten for the very large and the very small.

    Args:
        value: any float.
        digits: significant digits of a value that is not whole.

    Example:
        >>> number(0.13726), number(1e-10), number(-0.000321), number(168.4), number(12000)
        ('0.137', '10⁻¹⁰', '−3.21 × 10⁻⁴', '168', '12000')
    """
    value = float(value)
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    sign, size = ("−" if value < 0 else ""), abs(value)
    if size == 0:
        return "0"
    if size < 1e5 and size == round(size):
        return sign + str(round(size))
    mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -4 < power < 5:
        return sign + f"{size:.{max(digits, power + 1)}g}"
    scale = "10" + str(power).translate(_SUPERSCRIPT)
    return sign + (scale if float(mantissa) == 1 else f"{float(mantissa):g} × {scale}")


def distinct(values: Sequence[float]) -> list[str]:
    """The numbers in as few digits as keep them apart.

    Example:
        >>> distinct([0.1, 0.11, 0.1101])
        ['0.1', '0.11', '0.1101']
    """
    for digits in range(3, 18):
        texts = [number(v, digits) for v in values]
        if len(set(texts)) == len({float(v) for v in values}):
            break
    return texts


def crossing(x: Sequence[float], y: Sequence[float], level: float = 0.5) -> float:
    """First place where the curve passes ``level``, linear between points; NaN if it never does.

    Args:
        x: places, increasing, shape ``(n,)``.
        y: values, shape ``(n,)``; NaN is skipped.

    Example:
        >>> crossing([0, 10, 20], [1.0, 0.75, 0.25])
        15.0
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    keep = np.isfinite(y)
    x, gap = x[keep], y[keep] - level
    hit = np.flatnonzero((gap[:-1] != 0) & (gap[:-1] * gap[1:] <= 0))
    if not hit.size:
        return math.nan
    i = hit[0]
    place = float(x[i] + (x[i + 1] - x[i]) * gap[i] / (gap[i] - gap[i + 1]))
    return place if abs(place) > 1e-9 * (x[-1] - x[0]) else 0.0


def spoken(label: str) -> str:
    """The label without the units at its end, for use in a sentence.

    Example:
        >>> spoken("depth (layers)")
        'depth'
    """
    return label[: label.rindex(" (")] if label.endswith(")") and " (" in label else label


def course(x: Sequence[float], y: Sequence[float], xlabel: str, *, log: bool = False, brief: bool = False) -> str:
    """What a curve does, in words: from where to where, and for a profile in [0, 1] the place where it passes one half.

    Args:
        x: places, increasing, shape ``(n,)``.
        y: values, shape ``(n,)``; those that are not finite are skipped.
        xlabel: name of the horizontal axis.
        log: whether the vertical axis is logarithmic; if not, values far below its range are called 0.
        brief: of a profile that passes one half say only where.

    Example:
        >>> course([0, 10, 20], [1.0, 0.75, 0.25], "depth")
        'falls from 1 to 0.25 between depth 0 and 20 and passes one half at 15'
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    keep = np.isfinite(y)
    if not keep.any():
        return "has no finite value"
    x, y = x[keep], y[keep]
    low, high = float(y.min()), float(y.max())
    half = crossing(x, y) if not log and low >= -1e-9 and 0.9 <= high <= 1 + 1e-9 else math.nan
    if brief and math.isfinite(half):
        return f"passes one half at {number(half)}"
    if not log:
        y = np.where(np.abs(y) < 1e-4 * (high - low), 0.0, y)
    ends = f"between {spoken(xlabel)} {number(x[0])} and {number(x[-1])}"
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        return f"stays at {number(y[0])} {ends}"
    verb = "falls" if y[-1] < y[0] else "rises"
    text = f"{verb} from {number(y[0])} to {number(y[-1])} {ends}"
    slack = 0.05 * (high - low)
    if min(y[0], y[-1]) - low > slack or high - max(y[0], y[-1]) > slack:
        text = (f"goes from {number(y[0])} to {number(y[-1])} {ends}, "
                f"with values from {number(low)} to {number(high)}")
    return text + (f" and passes one half at {number(half)}" if math.isfinite(half) else "")


def html(text: str) -> str:
    """Plain text for the page, σ_w as a letter with its index; the script writes changing texts in the same way.

    Example:
        >>> html("σ_w² < 2, weight_std, σ_w,c")
        'σ<sub>w</sub>² &lt; 2, weight_std, σ<sub>w,c</sub>'
    """
    return INDEXED.sub(r"\1<sub>\2</sub>", escape(text))


def svg(text: str) -> str:
    """The same for a ``text`` element of a picture: what follows an index stands on the line again.

    Example:
        >>> svg("σ_w = 1")
        'σ<tspan dy="4" font-size="75%">w</tspan><tspan dy="-4"> = 1</tspan>'
    """
    first, *rest = INDEXED.split(escape(text))
    out = first
    for letter, index, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        out += f'{letter}<tspan dy="4" font-size="75%">{index}</tspan>' + (f'<tspan dy="-4">{after}</tspan>' if after else "")
    return out


def capital(text: str) -> str:
    """The text with its first letter raised, all others as they are.

    Example:
        >>> capital("mean of ReLU")
        'Mean of ReLU'
    """
    return text[:1].upper() + text[1:]
