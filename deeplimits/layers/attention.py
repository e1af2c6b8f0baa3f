r"""Softmax and attention layers (Part I, *Layer maps and the distances they do not increase*).

Token states are flattened: a state has :math:`N = tokens \cdot channels` coordinates, token by token, so that
``x.reshape(..., tokens, channels)`` is the matrix X.
"""

from __future__ import annotations

import math

import torch

from deeplimits import _checks
from deeplimits.layers._maps import per_input, point, step_size
from deeplimits.layers.base import Layer, LayerMap, normal

Tensor = torch.Tensor


def _relative_expm1(z: Tensor, shift: Tensor) -> Tensor:
    """e^-shift (e^z - 1)/z for shift >= max(z, 0): no cancellation near zero, no overflow far from it."""
    nonzero = z != 0
    safe = torch.where(nonzero, z, torch.ones_like(z))
    up = -torch.expm1(-safe.abs()) / safe.abs()  # (1 - e^-|z|)/|z|
    ratio = torch.where(nonzero, up, torch.ones_like(z))
    return ratio * torch.exp(z.clamp_min(0.0) - shift)


def softmax_pair(u: Tensor, v: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    r"""Softmax along the last dimension and its difference quotient in direction v at step t, to full precision."""
    p = torch.softmax(u, dim=-1)
    z = t * v
    shift = z.amax(dim=-1, keepdim=True).clamp_min(0.0)
    quotient = v * _relative_expm1(z, shift)
    total = (p * torch.exp(z - shift)).sum(dim=-1, keepdim=True)
    return p, p * (quotient - (p * quotient).sum(dim=-1, keepdim=True)) / total


class Softmax(Layer):
    r"""The softmax :math:`x \mapsto e^{\beta x}/\sum_i e^{\beta x_i}` from :math:`\mathbb{R}^N` to the simplex.

    With :math:`\beta = 1`: Lipschitz constant 1/2 from :math:`\ell_2` to :math:`\ell_2`, 1 from :math:`\ell_\infty` to
    :math:`\ell_1`; the Hilbert distance of two images is exactly the span of the difference of the inputs.

    Args:
        width: number of coordinates.
        sharpness: :math:`\beta`, the inverse temperature.

    Raises:
        ValueError: ``sharpness`` is not positive.

    Source:
        Textbook; see Nussbaum (1988) for the Hilbert metric of the simplex.

    Example:
        >>> Softmax(2).sample()(torch.tensor([0.0, math.log(3.0)])).round(decimals=4).tolist()
        [0.25, 0.75]
    """

    has_law = True
    formula = r"x \mapsto e^{\beta x}/\sum_i e^{\beta x_i}"

    def __init__(self, width: int, sharpness: float = 1.0):
        self.width = self.fan_in = _checks.integer("width", width)
        self.sharpness = _checks.positive("sharpness", sharpness)

    @property
    def metrics(self) -> tuple[str, ...]:
        # The norm of the Jacobian diag(p) - pp' is at most 1/2 from l_p to itself, for every p.
        return ("lp(1)", "lp(2)", "lp(inf)") if self.sharpness <= 2 else ()

    def _sample(self, generator, samples, dtype, device, state) -> SoftmaxMap:
        return SoftmaxMap(self.width, self.sharpness)


class SoftmaxMap(LayerMap):
    r"""The map :math:`x \mapsto` softmax of :math:`\beta x`."""

    weight = bias = None

    def __init__(self, size: int, sharpness: float = 1.0):
        self.size, self.sharpness = size, sharpness

    def __call__(self, x: Tensor) -> Tensor:
        return torch.softmax(self.sharpness * point(x, (self.size,)), dim=-1)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        return softmax_pair(self.sharpness * point(x, (self.size,)), self.sharpness * d, step_size(log_scale, x))


class Attention(Layer):
    r"""Attention :math:`X \mapsto P X` of ``tokens`` by ``channels`` matrices, with a row-stochastic positive P.

    Frozen: P is the row-wise softmax of Gaussian logits, independent of X. The map is linear, shrinks the span of every
    channel by Dobrushin's coefficient of P, and on positive X does not increase the Hilbert distance. Live:
    :math:`P(X) = \mathrm{softmax}(XQ(XK)^T/\sqrt{k})` with Gaussian Q and K; the convex hull of the tokens still shrinks,
    but the map is not Lipschitz.

    Args:
        tokens: number of tokens.
        channels: number of channels.
        frozen: whether P is drawn apart from X.
        weight_std: standard deviation of the frozen logits; for live attention the entries of Q and K are
            :math:`N(0, \sigma_w^2/channels)`.
        key_dim: number k of columns of Q and K; ``channels`` if None.

    Raises:
        ValueError: an argument out of range; the message names it.

    Source:
        Dobrushin (1956); Vaswani et al. (2017); Kim, Papamakarios and Mnih (2021).

    Example:
        >>> T = Attention(tokens=3, channels=2).sample(generator=torch.Generator().manual_seed(0))
        >>> T(torch.ones(6)).round(decimals=5).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    fixes_zero = True

    def __init__(self, tokens: int, channels: int, frozen: bool = True, weight_std: float = 1.0, *, key_dim: int | None = None):
        self.tokens, self.channels = _checks.integer("tokens", tokens), _checks.integer("channels", channels)
        if not isinstance(frozen, bool):
            raise TypeError(f"frozen must be True or False; got {frozen!r}")
        self.frozen = frozen
        self.weight_std = _checks.positive("weight_std", weight_std)
        self.key_dim = self.channels if key_dim is None else _checks.integer("key_dim", key_dim)
        self.width = self.fan_in = self.tokens * self.channels

    @property
    def homogeneous(self) -> bool:
        return self.frozen

    @property
    def formula(self) -> str:
        return r"X \mapsto PX" if self.frozen else r"X \mapsto \operatorname{softmax}(XQK^\top X^\top/\sqrt{k})X"

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("lp(inf)", "span", "hilbert", "thompson", "funk") if self.frozen else ()

    def _sample(self, generator, samples, dtype, device, state) -> FrozenAttentionMap | LiveAttentionMap:
        batch = () if samples is None else (samples,)
        if self.frozen:
            logits = self.weight_std * normal((*batch, self.tokens, self.tokens), generator, dtype, device)
            return FrozenAttentionMap(torch.softmax(logits, dim=-1), self.channels)
        scale = self.weight_std / math.sqrt(self.channels)
        shape = (*batch, self.channels, self.key_dim)
        query, key = (scale * normal(shape, generator, dtype, device) for _ in range(2))
        return LiveAttentionMap(query, key, self.tokens)


class FrozenAttentionMap(LayerMap):
    r"""The linear map :math:`X \mapsto PX` with ``weight`` P of shape ``(..., tokens, tokens)``."""

    bias = None

    def __init__(self, weight: Tensor, channels: int):
        self.weight, self.channels = weight, channels

    def attention(self, x: Tensor | None = None) -> Tensor:
        """The matrix P."""
        return self.weight

    def __call__(self, x: Tensor) -> Tensor:
        tokens = self.weight.shape[-1]
        matrix = point(x, (tokens * self.channels,), self.weight).unflatten(-1, (tokens, self.channels))
        return (per_input(self.weight, self.weight.ndim == 3, 2) @ matrix).flatten(-2)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        return self(x), self(d)


class LiveAttentionMap(LayerMap):
    r"""The map :math:`X \mapsto P(X)X` with ``query`` Q and ``key`` K of shape ``(..., channels, key_dim)``."""

    bias = None

    def __init__(self, query: Tensor, key: Tensor, tokens: int):
        self.query, self.key, self.tokens = query, key, tokens
        self._batched = query.ndim == 3

    @property
    def weight(self) -> Tensor:
        r"""The bilinear form :math:`QK^T/\sqrt{k}` of the logits, shape ``(..., channels, channels)``."""
        return (self.query @ self.key.mT) / math.sqrt(self.query.shape[-1])

    def _matrix(self, x: Tensor) -> Tensor:
        channels = self.query.shape[-2]
        return point(x, (self.tokens * channels,), self.query).unflatten(-1, (self.tokens, channels))

    def _logits(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ per_input(self.weight, self._batched, 2) @ right.mT

    def attention(self, x: Tensor) -> Tensor:
        """The matrix P(X) at a point."""
        matrix = self._matrix(x)
        return torch.softmax(self._logits(matrix, matrix), dim=-1)

    def freeze(self, x: Tensor) -> FrozenAttentionMap:
        """The linear map with P held at its value at x, shape ``(N,)``, or ``(S, 1, N)`` for a batch of maps."""
        p = self.attention(x)
        return FrozenAttentionMap(p.squeeze(-3) if self._batched else p, self.query.shape[-2])

    def __call__(self, x: Tensor) -> Tensor:
        return (self.attention(x) @ self._matrix(x)).flatten(-2)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        matrix, direction = self._matrix(x), self._matrix(d)
        t = step_size(log_scale, x, 2)
        change = self._logits(matrix, direction) + self._logits(direction, matrix + t * direction)
        p, difference = softmax_pair(self._logits(matrix, matrix), change, t)
        moved = difference @ (matrix + t * direction) + p @ direction
        return (p @ matrix).flatten(-2), moved.flatten(-2)
