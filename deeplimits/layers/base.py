r"""Random layers and layer maps (Part I, *Layer maps and the distances they do not increase*).

A :class:`Layer` is a distribution over maps; a :class:`LayerMap` is one map drawn from it, or a batch of independent ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from deeplimits import _checks

Tensor = torch.Tensor


def resolve(generator: torch.Generator | None, dtype: torch.dtype | None, device: Any) -> tuple[torch.dtype, torch.device]:
    """The dtype and device of a draw: torch's default dtype, and the generator's device, unless told otherwise."""
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"dtype must be torch.float32 or torch.float64; got {dtype}")
    if device is None:
        device = generator.device if generator is not None else "cpu"
    return dtype, torch.device(device)


def normal(shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Standard normals, drawn where the generator lives and moved to ``device``: the same numbers on every device."""
    home = generator.device if generator is not None else device
    return torch.randn(shape, generator=generator, dtype=dtype, device=home).to(device)


def uniform(shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Uniform numbers on [0, 1), drawn where the generator lives."""
    home = generator.device if generator is not None else device
    return torch.rand(shape, generator=generator, dtype=dtype, device=home).to(device)


class LayerMap:
    r"""One concrete layer map :math:`T`, or ``samples`` independent ones.

    Call it on ``x`` of shape ``(..., N)``; a batch of S maps takes ``x`` of shape ``(S, B, N)``. The parameters are
    attributes, with a leading dimension S for a batch.

    Attributes:
        support: set by :meth:`pair` where outputs can vanish exactly: which coordinates of :math:`T(x)` and of
            :math:`T(x + e^s d)` are not zero, as boolean tensors ``(S, 1, M)`` and ``(S, P, M)``; else None.

    Example:
        >>> class Halving(LayerMap):
        ...     def __call__(self, x):
        ...         return x / 2
        >>> one, two = torch.zeros(1, 1, 3), torch.ones(1, 1, 3)
        >>> Halving().pair(one, two, torch.tensor([[-50.0]]))[1].tolist()
        [[[0.5, 0.5, 0.5]]]
    """

    support: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no action on points")

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        r"""The image of a point and the difference quotient :math:`D = (T(x + e^s d) - T(x))/e^s`.

        Args:
            x: points, shape ``(S, 1, N)``.
            d: directions, shape ``(S, P, N)``.
            log_scale: the logarithms :math:`s`, shape ``(S, P)``.

        Returns:
            ``T(x)``, shape ``(S, 1, M)``, and ``D``, shape ``(S, P, M)``.

        The general form: a plain difference where the step is long enough to keep half the digits, else the derivative
        at the midpoint, whose relative error is of the order of the squared step. Layers with an exact form have their own.
        """
        y = self(x)
        step = torch.exp(log_scale.to(x.dtype)).unsqueeze(-1)
        size = step * torch.linalg.vector_norm(d, dim=-1, keepdim=True)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        # At the origin there is no scale to compare with but 1; the midpoint keeps one-sided derivatives there.
        short = size < torch.finfo(x.dtype).eps ** 0.375 * torch.where(norm > 0, norm, torch.ones_like(norm))
        tiny = torch.finfo(x.dtype).tiny
        plain = (self(x + step * d) - y) / step.clamp_min(tiny)
        middle = x + torch.where(short, 0.5 * step, torch.zeros_like(step)) * d
        _, slope = torch.func.jvp(self, (middle,), (d,))
        return y, torch.where(short, slope, plain)


class Function(LayerMap):
    """A deterministic layer map given by a function of x (for maps without randomness).

    Raises:
        TypeError: ``function`` is not callable.

    Example:
        >>> Function(lambda x: x / 2)(torch.ones(1)).item()
        0.5
    """

    def __init__(self, function: Callable[[Tensor], Tensor]):
        if not callable(function):
            raise TypeError(f"function must map points (..., N) to points (..., N); got {function!r}")
        self.function = function

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x)


class Layer:
    r"""A random layer: a distribution over layer maps :math:`T: X \to X`.

    Attributes:
        width: size of the output.
        fan_in: size of the input.
        homogeneous: whether every map satisfies :math:`T(tx) = tT(x)`, :math:`t > 0`.
        fixes_zero: whether every map has :math:`T(0) = 0` and is homogeneous to first order there.
        has_law: whether :meth:`law` can draw outputs exactly in law without the weights.
        formula: the map in LaTeX.
        metrics: names of the metrics in :mod:`deeplimits.metrics` that no map of this distribution increases.

    Example:
        >>> from deeplimits.layers.base import uniform
        >>> class Scaling(Layer):
        ...     width = fan_in = 2
        ...     homogeneous = fixes_zero = True
        ...     def _sample(self, generator, samples, dtype, device, state):
        ...         scale = uniform((samples or 1, 1, 1), generator, dtype, device)
        ...         return Function(lambda x: scale * x)
        >>> Scaling().sample(samples=3)(torch.ones(3, 1, 2)).shape
        torch.Size([3, 1, 2])
    """

    width: int
    fan_in: int
    homogeneous: bool = False
    fixes_zero: bool = False
    has_law: bool = False
    formula: str = ""
    metrics: tuple[str, ...] = ()

    def sample(self, generator: torch.Generator | None = None, *, samples: int | None = None, dtype: torch.dtype | None = None,
               device: Any = None, state: Tensor | None = None) -> LayerMap:
        r"""Draw a concrete layer map, or ``samples`` independent ones as one batched map.

        Args:
            generator: source of randomness (torch's global one if None).
            samples: number S of independent maps; None for a single map.
            dtype: float32 or float64; torch's default if None.
            device: where the map lives; that of the generator if None.
            state: the hidden state of a stationary layer, from :meth:`start` and :meth:`advance`.

        Returns:
            A :class:`LayerMap`.
        """
        dtype, device = resolve(generator, dtype, device)
        if samples is not None:
            samples = _checks.integer("samples", samples)
        return self._sample(generator, samples, dtype, device, state)

    def _sample(self, generator, samples, dtype, device, state) -> LayerMap:
        raise TypeError(f"{type(self).__name__} defines no way to draw a map")

    def law(self, generator: torch.Generator | None, *, samples: int, dtype: torch.dtype | None = None, device: Any = None,
            state: Tensor | None = None) -> LayerMap:
        r"""A map to be used once, whose joint outputs have exactly the law of :meth:`sample`, without weight matrices.

        Raises:
            ValueError: the layer has no such shortcut (``has_law`` is False).
        """
        dtype, device = resolve(generator, dtype, device)
        if not self.has_law:
            raise ValueError(f"{type(self).__name__} has no law route; use route='weights'")
        return self._law(generator, _checks.integer("samples", samples), dtype, device, state)

    def _law(self, generator, samples, dtype, device, state) -> LayerMap:
        # A layer without weight matrices is its own shortcut.
        return self._sample(generator, samples, dtype, device, state)

    def load(self, inputs: int) -> int:
        """How many numbers one sample of this layer moves for so many inputs: what an engine divides its blocks by."""
        return self.width * self.fan_in

    def start(self, generator: torch.Generator | None, samples: int) -> Tensor | None:
        """The hidden state of ``samples`` sequences at the first layer; None where layers are independent."""
        return None

    def advance(self, state: Tensor | None, generator: torch.Generator | None) -> Tensor | None:
        """The hidden state at the next layer."""
        return state

    def resized(self, fan_in: int) -> Layer:
        """The same layer with another input size (for a rectangular first layer)."""
        if fan_in == self.fan_in:
            return self
        raise ValueError(f"x0 has {fan_in} coordinates, but {type(self).__name__} takes {self.fan_in}; "
                         "give inputs of that size or put a rectangular Dense layer in front")

    def describe(self) -> dict[str, Any]:
        """The layer's arguments, for the provenance of a run (JSON-able)."""
        kept = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return {"layer": type(self).__name__} | {k: _plain(v) for k, v in kept.items()}

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self.describe().items() if k != "layer")
        return f"{type(self).__name__}({inside})"


class ActivatedLayer(Layer):
    """What layers with an activation and Gaussian biases share."""

    activation: Any
    bias_std: float

    @property
    def homogeneous(self) -> bool:
        return self.activation.homogeneous and self.bias_std == 0

    @property
    def fixes_zero(self) -> bool:
        return self.activation.fixes_zero and self.bias_std == 0


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Layer):
        return value.describe()
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return getattr(value, "name", None) or repr(value)
