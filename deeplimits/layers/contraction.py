r"""Layers of bounded norm, and affine maps of the ball (Part I, *Layer maps and the distances they do not increase*)."""

from __future__ import annotations

import math
from typing import Any

import torch

from deeplimits import _checks, activations
from deeplimits.layers._maps import ActivatedMap, described, operator_norm, per_input, point
from deeplimits.layers.base import ActivatedLayer, Layer, normal, uniform
from deeplimits.layers.dense import DenseMap

Tensor = torch.Tensor

_IDENTITY = activations.get("identity")


class Contraction(ActivatedLayer):
    r"""A dense layer :math:`x \mapsto \varphi(Wx + b)` whose weights all have the same operator norm :math:`\|W\|_{p\to p}`.

    W is Gaussian, rescaled to the given norm: for p = 1 that is the largest column sum of absolute values, for p = 2 the
    largest singular value, for p = infinity the largest row sum. With norm at most 1 and a 1-Lipschitz activation no map
    increases the :math:`\ell_p` distance.

    Args:
        width: size N of the output.
        activation: one of :data:`deeplimits.activations.NAMES`.
        p: 1, 2 or ``math.inf``.
        norm: the norm of every W.
        bias_std: standard deviation of the Gaussian biases.
        fan_in: size of the input; ``width`` if None.
        slope: slope of ``"leaky_relu"``.

    Raises:
        ValueError: an argument out of range; the message names it.

    Example:
        >>> Contraction(8, "tanh", p=1).metrics, Contraction(8, "tanh", p=1, norm=1.1).metrics
        (('lp(1)',), ())
    """

    def __init__(self, width: int, activation: str | activations.Activation = "relu", p: float = 2, norm: float = 1.0,
                 bias_std: float = 0.0, *, fan_in: int | None = None, slope: float | None = None):
        self.width = _checks.integer("width", width)
        self.fan_in = self.width if fan_in is None else _checks.integer("fan_in", fan_in)
        self.activation = activations.get(activation, slope)
        if p not in (1, 2, math.inf):
            raise ValueError(f"p must be 1, 2 or math.inf: other operator norms have no closed form; got {p!r}")
        self.p = p if p == math.inf else int(p)
        self.norm = _checks.positive("norm", norm)
        self.bias_std = _checks.nonnegative("bias_std", bias_std)

    @property
    def formula(self) -> str:
        return rf"x \mapsto \varphi(Wx+b),\ \|W\|_{{{self._p}\to {self._p}}}={self.norm:g},\ \varphi(u)={self.activation.formula}"

    @property
    def _p(self) -> str:
        return r"\infty" if self.p == math.inf else str(self.p)

    @property
    def metrics(self) -> tuple[str, ...]:
        return (f"lp({self.p})",) if self.norm * self.activation.lipschitz <= 1 else ()

    def describe(self) -> dict[str, Any]:
        return described(self, super().describe()) | {"p": "inf" if self.p == math.inf else self.p}

    def resized(self, fan_in: int) -> Contraction:
        return Contraction(self.width, self.activation, self.p, self.norm, self.bias_std, fan_in=fan_in)

    def _sample(self, generator, samples, dtype, device, state) -> DenseMap:
        batch = () if samples is None else (samples,)
        draw = normal((*batch, self.width, self.fan_in), generator, dtype, device)
        weight = draw * (self.norm / operator_norm(draw, self.p)).unsqueeze(-1).unsqueeze(-1)
        bias = self.bias_std * normal((*batch, self.width), generator, dtype, device) if self.bias_std else None
        return DenseMap(self.activation, weight, 1.0, bias)


class KleinAffine(Layer):
    r"""An affine map :math:`x \mapsto Wx + b` with :math:`\|W\|_2 + \|b\|_2 = r \le 1` on the open unit ball.

    It maps the ball into itself along projective lines, so it does not increase the Klein distance (the Hilbert metric of
    the ball). W is Gaussian, rescaled to a uniform share of r; b points in a uniform direction and takes the rest.

    Args:
        width: dimension of the ball.
        norm: the sum r of the two norms, above 0 and at most 1.

    Raises:
        ValueError: ``norm`` outside (0, 1].

    Source:
        Birkhoff (1957).

    Example:
        >>> T = KleinAffine(3, norm=0.9).sample(generator=torch.Generator().manual_seed(0), samples=2)
        >>> (torch.linalg.matrix_norm(T.weight, 2) + T.bias.norm(dim=-1)).round(decimals=6).tolist()
        [0.8999999761581421, 0.8999999761581421]
    """

    formula = r"x \mapsto Wx+b,\ \|W\|+\|b\|\le 1"
    metrics = ("klein",)

    def __init__(self, width: int, norm: float = 0.99):
        self.width = self.fan_in = _checks.integer("width", width)
        self.norm = _checks.positive("norm", norm)
        if self.norm > 1:
            raise ValueError(f"norm must lie in (0, 1], so that the ball stays in the ball; got {norm!r}")

    def _sample(self, generator, samples, dtype, device, state) -> DenseMap:
        batch = () if samples is None else (samples,)
        draw = normal((*batch, self.width, self.width), generator, dtype, device)
        share = uniform((*batch, 1), generator, dtype, device)
        direction = normal((*batch, self.width), generator, dtype, device)
        weight = draw * (self.norm * share / operator_norm(draw).unsqueeze(-1)).unsqueeze(-1)
        bias = direction * (self.norm * (1 - share) / torch.linalg.vector_norm(direction, dim=-1, keepdim=True))
        return DenseMap(_IDENTITY, weight, 1.0, bias)


class Dropout(Layer):
    r"""Dropout :math:`x \mapsto m \odot x` (masking) or :math:`m \odot x/\xi` (inverted), :math:`m_i` Bernoulli with mean :math:`\xi`.

    One mask for all inputs of a network, another for every sample and layer. Masking is a projection and increases no
    :math:`\ell_p` distance. Inverted dropout keeps the mean, and may stretch distances by :math:`1/\xi`; it multiplies the
    mean squared norm by :math:`1/\xi`.

    Args:
        width: number of coordinates.
        keep: probability :math:`\xi` that a mask keeps a neuron, above 0 and at most 1.
        inverted: divide by :math:`\xi`, as torch does.

    Raises:
        ValueError: ``keep`` outside (0, 1].

    Source:
        Srivastava et al. (2014).

    Example:
        >>> T = Dropout(4, keep=0.5).sample(generator=torch.Generator().manual_seed(0))
        >>> T(torch.ones(4)).tolist()
        [2.0, 0.0, 2.0, 2.0]
    """

    homogeneous = True
    fixes_zero = True
    has_law = True

    def __init__(self, width: int, keep: float = 0.5, inverted: bool = True):
        self.width = self.fan_in = _checks.integer("width", width)
        self.keep = _checks.positive("keep", keep)
        if self.keep > 1:
            raise ValueError(f"keep must lie in (0, 1]: it is the probability that a neuron stays; got {keep!r}")
        if not isinstance(inverted, bool):
            raise TypeError(f"inverted must be True or False; got {inverted!r}")
        self.inverted = inverted

    @property
    def formula(self) -> str:
        return r"x \mapsto m \odot x/\xi" if self.inverted else r"x \mapsto m \odot x"

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("lp(1)", "lp(2)", "lp(inf)") if not self.inverted or self.keep == 1 else ()

    def _sample(self, generator, samples, dtype, device, state) -> DropoutMap:
        batch = () if samples is None else (samples,)
        mask = (uniform((*batch, self.width), generator, dtype, device) < self.keep).to(dtype)
        return DropoutMap(mask, 1 / self.keep if self.inverted else 1.0)


class DropoutMap(ActivatedMap):
    r"""The map :math:`x \mapsto c\, m \odot x` with ``mask`` of shape ``(..., N)``."""

    activation = _IDENTITY

    def __init__(self, mask: Tensor, scale: float = 1.0):
        self.mask, self.scale = mask, scale
        self._batched = mask.ndim == 2

    @property
    def weight(self) -> Tensor:
        """The diagonal matrix of the map."""
        return torch.diag_embed(self.mask * self.scale)

    def linear(self, x: Tensor) -> Tensor:
        return point(x, self.mask.shape[-1:], self.mask) * (per_input(self.mask, self._batched) * self.scale)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        kept = per_input(self.mask, self._batched) > 0
        self.support = (kept & (x != 0), kept & ((x != 0) | (d != 0)))
        return self(x), self(d)
