"""Helpers that several test files use."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FACTORIES = {
    getattr(torch, name): name
    for name in (
        "arange",
        "as_tensor",
        "asarray",
        "empty",
        "empty_strided",
        "eye",
        "full",
        "hann_window",
        "linspace",
        "logspace",
        "normal",
        "ones",
        "rand",
        "randint",
        "randn",
        "randperm",
        "scalar_tensor",
        "tensor",
        "tril_indices",
        "triu_indices",
        "zeros",
    )
}
_FOLLOW_THEIR_ARGUMENT = {"as_tensor", "asarray", "normal"}  # a tensor in: its device out


class _NoImplicitDevice(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES and kwargs.get("device") is None and not _exempt(func, args, kwargs):
            raise AssertionError(f"torch.{_FACTORIES[func]} was called without an explicit device=")
        return func(*args, **kwargs)


def _exempt(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    given = (*args, *kwargs.values())
    if _FACTORIES[func] in _FOLLOW_THEIR_ARGUMENT and any(isinstance(value, torch.Tensor) for value in given):
        return True
    caller = sys._getframe(2).f_globals.get("__name__", "")  # torch's own Python code is not ours to mend
    return caller == "torch" or caller.startswith("torch.")


@contextmanager
def no_implicit_device() -> Iterator[None]:
    """Inside, creating a tensor without naming its device is an error.

    Example:
        >>> with no_implicit_device():
        ...     torch.zeros(2, device="cpu")
        tensor([0., 0.])
        >>> with no_implicit_device():
        ...     torch.zeros(2)
        Traceback (most recent call last):
        ...
        AssertionError: torch.zeros was called without an explicit device=
    """
    with _NoImplicitDevice():
        yield


def assert_within_errors(
    measured: float, se: float, reference: float, se_reference: float = 0.0, *, factor: float = 4.0
) -> None:
    """Assert that ``|measured - reference| <= factor sqrt(se^2 + se_reference^2)``.

    Example:
        >>> assert_within_errors(1.02, 0.01, 1.0)
        >>> assert_within_errors(1.05, 0.01, 1.0)
        Traceback (most recent call last):
        ...
        AssertionError: 1.05 is 5.0 standard errors (0.01) from 1.0
    """
    error = math.hypot(float(se), float(se_reference))
    gap = abs(float(measured) - float(reference))
    if not (math.isfinite(gap) and error > 0):
        raise AssertionError(f"not comparable: {measured} ± {se} with {reference} ± {se_reference}")
    if gap > factor * error:
        raise AssertionError(f"{measured:.6g} is {gap / error:.1f} standard errors ({error:.3g}) from {reference}")
