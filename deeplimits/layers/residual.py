r"""Residual, averaged and gradient-step layers (Part I, *Layer maps and the distances they do not increase*)."""

from __future__ import annotations

from typing import Any

import torch

from deeplimits import _checks, activations
from deeplimits.layers._maps import described, layer_argument, monotone, operator_norm, per_input, point
from deeplimits.layers.base import ActivatedLayer, Layer, LayerMap, normal
from deeplimits.layers.dense import WEIGHTS, Dense, haar, resolve_weight_std

Tensor = torch.Tensor


class CombinationMap(LayerMap):
    r"""The map :math:`x \mapsto \alpha x + \beta T(x)`.

    Args:
        inner: the map T.
        identity: :math:`\alpha`.
        weight: :math:`\beta`.
    """

    def __init__(self, inner: LayerMap, identity: float, weight: float):
        self.inner, self._identity, self._weight = inner, identity, weight

    @property
    def weight(self) -> Tensor:
        """The weights of the inner map."""
        return self.inner.weight

    @property
    def bias(self) -> Tensor | None:
        """The biases of the inner map."""
        return self.inner.bias

    def __call__(self, x: Tensor) -> Tensor:
        return self._identity * x + self._weight * self.inner(x)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        y, difference = self.inner.pair(x, d, log_scale)
        return self._identity * x + self._weight * y, self._identity * d + self._weight * difference


class _Combination(Layer):
    """What residual and averaged layers share: an inner layer, mixed with the identity."""

    inner: Layer

    def _adopt(self, name: str, inner: Layer) -> None:
        self.inner = layer_argument(name, inner)
        if inner.width != inner.fan_in:
            raise ValueError(f"{name} must map a space to itself to be added to the identity; got width {inner.width} "
                             f"and fan_in {inner.fan_in}")
        self.width = self.fan_in = inner.width

    def _mix(self) -> tuple[float, float]:
        raise TypeError(f"{type(self).__name__} defines no way to mix with the identity")

    @property
    def homogeneous(self) -> bool:
        return self.inner.homogeneous

    @property
    def fixes_zero(self) -> bool:
        return self.inner.fixes_zero

    @property
    def has_law(self) -> bool:
        return self.inner.has_law

    def start(self, generator, samples):
        return self.inner.start(generator, samples)

    def advance(self, state, generator):
        return self.inner.advance(state, generator)

    def _sample(self, generator, samples, dtype, device, state) -> CombinationMap:
        return CombinationMap(self.inner._sample(generator, samples, dtype, device, state), *self._mix())

    def _law(self, generator, samples, dtype, device, state) -> CombinationMap:
        return CombinationMap(self.inner._law(generator, samples, dtype, device, state), *self._mix())


class Residual(_Combination):
    r"""A residual layer :math:`x \mapsto x + h\,T(x)`; by default :math:`T(x) = \varphi(Wx + b)`.

    No bound on :math:`\|W\|` alone makes it non-expansive: the Lipschitz constant may reach :math:`1 + h\|W\|`. With
    :math:`W = -cI` and a monotone 1-Lipschitz :math:`\varphi` it is non-expansive for :math:`0 \le hc \le 2`. The
    structure that does help is that of :class:`GradientStep`.

    Args:
        width: size N of input and output (leave out when ``inner`` is given).
        activation: as for :class:`~deeplimits.layers.Dense`, with ``weight_std``, ``bias_std``, ``weights`` and ``slope``.
        weight_std: :math:`\sigma_w` or the name of an initialization.
        bias_std: :math:`\sigma_b`.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        step: the step h, any number.
        slope: slope of ``"leaky_relu"``.
        inner: another layer in place of the dense one, with output as wide as its input.

    Raises:
        ValueError: neither or both of ``width`` and ``inner``, or an argument out of range.

    Source:
        He et al. (2016).

    Example:
        >>> layer = Residual(width=4, activation="tanh", weight_std=1.0, step=0.1)
        >>> layer.sample(generator=torch.Generator().manual_seed(0))(torch.zeros(2, 4)).tolist()
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """

    formula = r"x \mapsto x + h\,T(x)"

    def __init__(self, width: int | None = None, activation: str | activations.Activation = "relu", weight_std: float | str = "he",
                 bias_std: float | str = 0.0, weights: str = "gaussian", *, step: float = 1.0, slope: float | None = None,
                 inner: Layer | None = None):
        if (width is None) == (inner is None):
            raise ValueError(f"give either width or inner; got width={width!r} and inner={inner!r}")
        self.step = _checks.number("step", step)
        self._adopt("inner", Dense(width, activation, weight_std, bias_std, weights, slope=slope) if inner is None else inner)

    def _mix(self) -> tuple[float, float]:
        return 1.0, self.step


class Averaged(_Combination):
    r"""An averaged layer :math:`x \mapsto (1-t)\,x + t\,T(x)`, :math:`0 \le t \le 1`.

    It increases no norm distance that T does not increase, by convexity of the norm, and Thompson's distance, of
    vectors or of matrices, no more than T, because :math:`\le` survives sums.

    Args:
        inner: the layer T, with output as wide as its input.
        t: the share t of T.

    Raises:
        ValueError: t outside [0, 1], or a rectangular inner layer.

    Source:
        Krasnoselskii (1955).

    Example:
        >>> layer = Averaged(Dense(4, "identity", 1.0, weights="orthogonal"), t=0.5)
        >>> layer.metrics
        ('lp(2)',)
    """

    formula = r"x \mapsto (1-t)x + t\,T(x)"

    def __init__(self, inner: Layer, t: float = 0.5):
        self.t = _checks.between("t", t, 0, 1)
        self._adopt("inner", inner)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(name for name in self.inner.metrics if name.startswith("lp(") or name in ("thompson", "spd_thompson"))

    def _mix(self) -> tuple[float, float]:
        return 1 - self.t, self.t


class GradientStep(ActivatedLayer):
    r"""A gradient step :math:`x \mapsto x - h\,W^T\varphi(Wx + b)`.

    For a monotone :math:`\varphi` with Lipschitz constant L the subtracted field is the gradient of a convex function, and
    the map is non-expansive in :math:`\ell_2` when :math:`h\,L\,\|W\|_2^2 \le 2`. The bound is sharp. By default every W is
    rescaled to :math:`\|W\|_2 = 1`, so that any step up to 2 is safe; ``norm=None`` keeps the weights as drawn.

    Args:
        width: size N of input and output.
        activation: one of :data:`deeplimits.activations.NAMES`.
        weight_std: :math:`\sigma_w` or the name of an initialization; matters only when ``norm`` is None.
        bias_std: :math:`\sigma_b`.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        step: the step h, zero or positive.
        norm: the spectral norm that every W is rescaled to, or None.
        hidden: number of rows of W; ``width`` if None.
        slope: slope of ``"leaky_relu"``.

    Raises:
        ValueError: an argument out of range; the message names it.

    Source:
        Baillon and Haddad (1977); Meunier et al. (2022).

    Example:
        >>> GradientStep(width=8, step=2.0).metrics, GradientStep(width=8, step=2.3).metrics
        (('lp(2)',), ())
    """

    formula = r"x \mapsto x - h\,W^\top\varphi(Wx+b)"

    def __init__(self, width: int, activation: str | activations.Activation = "relu", weight_std: float | str = "lecun",
                 bias_std: float = 0.0, weights: str = "gaussian", *, step: float = 1.0, norm: float | None = 1.0,
                 hidden: int | None = None, slope: float | None = None):
        self.width = self.fan_in = _checks.integer("width", width)
        self.hidden = self.width if hidden is None else _checks.integer("hidden", hidden)
        self.activation = activations.get(activation, slope)
        self.weights = _checks.choice("weights", weights, WEIGHTS)
        self.bias_std = _checks.nonnegative("bias_std", bias_std)
        self.weight_std = resolve_weight_std(weight_std, activation=self.activation, width=self.hidden, fan_in=self.width,
                                             bias_std=self.bias_std, weights=weights)
        self.step = _checks.nonnegative("step", step)
        self.norm = None if norm is None else _checks.positive("norm", norm)

    @property
    def largest_norm(self) -> float | None:
        """The spectral norm of every W where it is known, else None."""
        if self.norm is None and self.weights == "orthogonal":
            return self.weight_std * max(1.0, self.hidden / self.width) ** 0.5
        return self.norm

    @property
    def metrics(self) -> tuple[str, ...]:
        norm = self.largest_norm
        safe = norm is not None and monotone(self.activation) and self.step * self.activation.lipschitz * norm**2 <= 2
        return ("lp(2)",) if safe else ()

    def describe(self) -> dict[str, Any]:
        return described(self, super().describe())

    def _sample(self, generator, samples, dtype, device, state) -> GradientStepMap:
        batch = () if samples is None else (samples,)
        shape = (*batch, self.hidden, self.width)
        draw = haar(shape, generator, dtype, device) if self.weights == "orthogonal" else normal(shape, generator, dtype, device)
        if self.norm is None:
            weight = draw * (self.largest_norm or self.weight_std / self.width**0.5)
        else:
            weight = draw * (self.norm / operator_norm(draw)).unsqueeze(-1).unsqueeze(-1)
        bias = self.bias_std * normal((*batch, self.hidden), generator, dtype, device) if self.bias_std else None
        return GradientStepMap(self.activation, weight, bias, self.step)


class GradientStepMap(LayerMap):
    r"""The map :math:`x \mapsto x - h W^T\varphi(Wx + b)` with ``weight`` of shape ``(..., hidden, N)``."""

    def __init__(self, activation: activations.Activation, weight: Tensor, bias: Tensor | None = None, step: float = 1.0):
        self.activation, self.weight, self.bias, self.step = activation, weight, bias, step

    def _add_bias(self, h: Tensor) -> Tensor:
        return h if self.bias is None else h + per_input(self.bias, self.weight.ndim == 3)

    def preactivation(self, x: Tensor) -> Tensor:
        """Wx + b."""
        return self._add_bias(point(x, self.weight.shape[-1:], self.weight) @ self.weight.mT)

    def __call__(self, x: Tensor) -> Tensor:
        return x - self.step * (self.activation(self.preactivation(x)) @ self.weight)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        product = point(torch.cat([x, d], dim=-2), self.weight.shape[-1:], self.weight) @ self.weight.mT
        h = self._add_bias(product[..., :1, :])
        difference = self.activation.difference(h, product[..., 1:, :], log_scale.unsqueeze(-1))
        return x - self.step * (self.activation(h) @ self.weight), d - self.step * (difference @ self.weight)
