"""Shapes of two-layer networks, checked once for all of the folder."""

from __future__ import annotations

from typing import Any

import torch

from deeplimits import _checks


def two_layers(W: Any, a: Any, b: Any = None, of: str = "") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """W (..., m, d), outgoing weights as (..., e, m), b (..., m) or None; a of shape (..., m) becomes (..., 1, m).

    ``of`` stands before the names in errors (``"grad_"``).
    """
    _checks.finite(f"{of}W", W)
    _checks.finite(f"{of}a", a)
    if W.ndim < 2:
        raise ValueError(f"{of}W must have shape (..., hidden, dim_in); got {tuple(W.shape)}")
    hidden = W.shape[-2]
    out = a.unsqueeze(-2) if a.ndim == W.ndim - 1 else a
    if out.ndim != W.ndim or out.shape[-1] != hidden or out.shape[:-2] != W.shape[:-2]:
        raise ValueError(
            f"{of}a must have shape (..., {hidden}) for one output or (..., dim_out, {hidden}) for several, with the batch dimensions of {of}W; "
            f"got {tuple(a.shape)} beside {of}W {tuple(W.shape)}"
        )
    if b is not None:
        _checks.finite(f"{of}b", b)
        if b.shape != W.shape[:-1]:
            raise ValueError(f"{of}b must have shape {tuple(W.shape[:-1])}, one bias per hidden neuron; got {tuple(b.shape)}")
    return W, out, b


def one_output(a: torch.Tensor) -> torch.Tensor:
    """Outgoing weights (..., m) of a network with one output; several outputs are an error."""
    if a.shape[-2] != 1:
        raise ValueError(
            f"a must belong to one output, shape (hidden,) or (1, hidden); got {a.shape[-2]} outputs. "
            "With several outputs no sign is frozen: the quadrics are connected and there is no obstruction of this kind"
        )
    return a[..., 0, :]


def sizes(dim_in: int, dim_out: int, bias: bool) -> tuple[int, int]:
    """D (inputs, and one more with a bias) and e."""
    if not isinstance(bias, bool):
        raise TypeError(f"bias must be True or False; got {bias!r}")
    return _checks.integer("dim_in", dim_in) + bias, _checks.integer("dim_out", dim_out)


def one_dimension(name: str, values: Any) -> list[float]:
    """A non-empty list of finite numbers, from a sequence, an array or a tensor."""
    if isinstance(values, torch.Tensor) or hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{name} must be a sequence of numbers, one per hidden neuron; got {values!r}")
    if not len(values):
        raise ValueError(f"{name} must name at least one hidden neuron; got an empty sequence")
    if any(isinstance(v, (list, tuple)) for v in values):
        raise ValueError(f"{name} must have one dimension, one number per hidden neuron; got {values!r}")
    return [_checks.number(name, v) for v in values]
