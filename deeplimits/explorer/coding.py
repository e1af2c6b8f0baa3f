"""Many small numbers as short text: two letters for each of 4095 levels (*Using this book*).

A frame of a heat map holds thousands of values; as JSON numbers they would be the heaviest part of a page.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: The digits of a code, base 64; none of them needs escaping in JSON or HTML.
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#: The largest level: a range is cut into so many steps.
LEVELS = 4094


def levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Levels 0 … LEVELS of the values between ``low`` and ``high``; beyond them the nearest level, -1 where undefined.

    Example:
        >>> levels(np.array([0.0, 0.5, 2.0, np.nan]), 0.0, 1.0).tolist()
        [0, 2047, 4094, -1]
    """
    values = np.asarray(values, dtype=float)
    with np.errstate(invalid="ignore"):
        place = np.clip((values - low) / (high - low), 0, 1) * LEVELS
    return np.where(np.isnan(values), -1, np.floor(np.where(np.isnan(place), 0, place) + 0.5)).astype(int)


def pack(numbers: Iterable[int]) -> str:
    """Levels as text, two letters each; -1 (no value) is ``AA``.

    Example:
        >>> pack([-1, 0, 63, 4094])
        'AAABBA__'
    """
    return "".join(DIGITS[(n + 1) >> 6] + DIGITS[(n + 1) & 63] for n in np.ravel(np.asarray(numbers)).tolist())


def unpack(text: str) -> list[int]:
    """The levels that :func:`pack` wrote.

    Example:
        >>> unpack("AAABBA__")
        [-1, 0, 63, 4094]
    """
    return [64 * DIGITS.index(a) + DIGITS.index(b) - 1 for a, b in zip(text[::2], text[1::2], strict=True)]
