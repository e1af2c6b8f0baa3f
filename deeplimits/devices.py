"""Where a run computes that is told no device: on the CPU, until another default is set (Parts I to VI)."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["set_default_device"]
_default: torch.device | None = None


def set_default_device(device: Any = None) -> None:
    r"""Choose where runs of networks compute, and draw their random numbers, unless a call names its own device.

    It holds for the functions that take ``device`` and return numbers or datasets: :func:`deeplimits.simulate`,
    :func:`deeplimits.ergodic.drift`, :func:`deeplimits.ergodic.drift_curve`, :func:`deeplimits.ergodic.successive_distances`,
    :func:`deeplimits.ergodic.lyapunov_spectrum`, :func:`deeplimits.training.train_ensemble`,
    :func:`deeplimits.masking.train` and :func:`deeplimits.topology.frozen_sign_study`. Inputs that are on the CPU are moved; results
    come back as on the CPU. Networks that are drawn on a GPU have the same law as those drawn on the CPU and are others: averages
    agree within their standard errors.

    Args:
        device: ``"cuda"``, ``"cuda:1"``, ``"mps"``, or a :class:`torch.device`; None for the CPU, as at the start.

    Raises:
        ValueError: a device that this PyTorch does not know or this machine does not have.

    Example:
        >>> if torch.cuda.is_available():
        ...     set_default_device("cuda")
    """
    global _default
    _default = None if device is None else _found(device)


def _found(device: Any) -> torch.device:
    """A device of this machine, with its number."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ValueError(f"device {device!r} cannot be used here; pass None for the CPU ({str(error).splitlines()[0]})") from error


def place(device: Any, x0: torch.Tensor | None = None) -> torch.device:
    """Where a run computes: on the device it names, or where its inputs are, or, if these are on the CPU, on the default."""
    if device is not None:
        return _found(device)
    home = torch.device("cpu") if x0 is None else x0.device
    return home if _default is None or home.type != "cpu" else _default
