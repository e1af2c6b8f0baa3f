r"""What several kinds of layer maps share (Part I, *Layer maps and the distances they do not increase*).

Checks of points, the form :math:`\varphi(Ax + b)`, operator norms.
"""

from __future__ import annotations

from typing import Any

import torch

from deeplimits import _checks, activations
from deeplimits.layers.base import Layer, LayerMap
from deeplimits.layers.dense import _respond

Tensor = torch.Tensor

#: Activations that are monotone whatever their argument (piecewise linear ones are when their slope is not negative).
_MONOTONE = ("tanh", "erf", "hardtanh", "softplus")


def monotone(activation: activations.Activation) -> bool:
    """Whether an activation never decreases."""
    return activation.slope >= 0 if activation.slope is not None else activation.name in _MONOTONE


def point(x: Tensor, shape: tuple[int, ...], parameter: Tensor | None = None) -> Tensor:
    """A point of the right trailing shape and of the dtype in which the map was drawn."""
    _checks.floating("x", x)
    if x.ndim < len(shape) or tuple(x.shape[-len(shape):]) != shape:
        want = f"last dimension {shape[0]}" if len(shape) == 1 else f"trailing shape {shape}"
        raise ValueError(f"x must have {want}; got shape {tuple(x.shape)}")
    if parameter is not None and x.dtype != parameter.dtype:
        raise TypeError(f"x has dtype {x.dtype}, but this map was drawn in {parameter.dtype}: layer.sample(dtype={x.dtype}) draws to match")
    return x


def per_input(parameter: Tensor, batched: bool, ndim: int = 1) -> Tensor:
    """A parameter of a batch of maps, ready to meet the B inputs of each: (S, ...) becomes (S, 1, ...)."""
    return parameter.unsqueeze(-1 - ndim) if batched else parameter


def layer_argument(name: str, value: Any) -> Layer:
    """An argument that must be a layer."""
    if not isinstance(value, Layer):
        raise TypeError(f"{name} must be a layer such as Dense(64); got {value!r}")
    return value


def operator_norm(weight: Tensor, p: float = 2) -> Tensor:
    r"""The norm :math:`\|W\|_{p \to p}` for p = 1 (largest column sum), 2 (largest singular value) or infinity (largest row sum)."""
    if p == 2:
        gram = weight @ weight.mT if weight.shape[-2] <= weight.shape[-1] else weight.mT @ weight
        return torch.linalg.eigvalsh(gram)[..., -1].sqrt()
    return weight.abs().sum(dim=-2 if p == 1 else -1).amax(dim=-1)


class ActivatedMap(LayerMap):
    r"""A map :math:`x \mapsto \varphi(Ax + b)`; subclasses say how the linear map A acts.

    The difference quotient is that of the activation at :math:`Ax + b` in the direction :math:`Ad`: nothing cancels.
    """

    activation: activations.Activation
    bias: Tensor | None = None
    _batched: bool = False

    def linear(self, x: Tensor) -> Tensor:
        """The linear part Ax."""
        raise TypeError(f"{type(self).__name__} defines no linear part")

    def _add_bias(self, h: Tensor) -> Tensor:
        return h if self.bias is None else h + per_input(self.bias, self._batched)

    def preactivation(self, x: Tensor) -> Tensor:
        """Ax + b."""
        return self._add_bias(self.linear(x))

    def __call__(self, x: Tensor) -> Tensor:
        return self.activation(self.preactivation(x))

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        linear = self.linear(torch.cat([x, d], dim=-2))
        h = self._add_bias(linear[..., :1, :])
        return _respond(self, self.activation, h, linear[..., 1:, :], log_scale)


def step_size(log_scale: Tensor, like: Tensor, ndim: int = 1) -> Tensor:
    """The steps exp(s) of shape (S, P), ready to multiply directions with ``ndim`` coordinate dimensions."""
    return torch.exp(log_scale.to(like.dtype)).reshape(*log_scale.shape, *(1,) * ndim)


def described(layer: Layer, base: dict[str, Any]) -> dict[str, Any]:
    """A description that also holds the slope of the layer's activation."""
    unit = layer.activation  # type: ignore[attr-defined]
    return base | {"activation": unit.name, "slope": unit.slope}
