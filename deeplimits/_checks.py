"""Checks of arguments, shared by every module; each error names the argument, what came and what would work."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch


def number(name: str, value: Any) -> float:
    """A finite real number as a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number; got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite; got {value!r}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """A finite number above zero."""
    if number(name, value) <= 0:
        raise ValueError(f"{name} must be positive; got {value!r}")
    return float(value)


def nonnegative(name: str, value: Any) -> float:
    """A finite number, zero or above."""
    if number(name, value) < 0:
        raise ValueError(f"{name} must be zero or positive; got {value!r}")
    return float(value)


def between(name: str, value: Any, low: float, high: float) -> float:
    """A number in the closed interval [low, high]."""
    if not low <= number(name, value) <= high:
        raise ValueError(f"{name} must lie between {low} and {high}; got {value!r}")
    return float(value)


def integer(name: str, value: Any, minimum: int = 1) -> int:
    """A whole number, at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number of at least {minimum}; got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}; got {value!r}")
    return int(value)


def choice(name: str, value: Any, options: Iterable[str]) -> str:
    """One of a few names."""
    options = list(options)
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}")
    return value


def reals(name: str, x: Any) -> np.ndarray:
    """An array of real numbers, infinities included, NaN and None not."""
    try:
        if np.iscomplexobj(x):  # numpy would drop the imaginary parts
            raise TypeError
        values = np.asarray(x, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number or an array of them; got {x!r}") from None
    if np.isnan(values).any():
        raise ValueError(f"{name} must be a real number or an array of them, without NaN; got {x!r}")
    return values


def floating(name: str, x: Any) -> torch.Tensor:
    """A tensor of float32 or float64."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor (torch.as_tensor makes one); got {type(x).__name__}")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must have dtype float32 or float64; got {x.dtype} ({name}.double() converts)")
    return x


def finite(name: str, x: Any) -> torch.Tensor:
    """A floating tensor without NaN or infinity."""
    if not torch.isfinite(floating(name, x)).all():
        raise ValueError(f"{name} must be finite; it contains NaN or infinity")
    return x


def last_dimension(name: str, x: torch.Tensor, size: int) -> torch.Tensor:
    """A tensor whose last dimension is ``size``."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor (torch.as_tensor makes one); got {type(x).__name__}")
    if x.ndim == 0 or x.shape[-1] != size:
        raise ValueError(f"{name} must have last dimension {size}; got shape {tuple(x.shape)}")
    return x
