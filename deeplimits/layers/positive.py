r"""Positive layers on the cone and max-plus layers (Part I, *Layer maps and the distances they do not increase*)."""

from __future__ import annotations

import math
from typing import Any

import torch

from deeplimits import _checks, activations
from deeplimits.layers._maps import ActivatedMap, described, per_input, point, step_size
from deeplimits.layers.base import Layer, LayerMap, normal, uniform

Tensor = torch.Tensor

#: Activations that are increasing and subhomogeneous on the cone.
CONE_ACTIVATIONS = ("identity", "linear", "relu", "tanh", "erf", "hardtanh", "softplus")
_POSITIVE_ENTRIES: dict[str, tuple[float, ...]] = {"uniform": (0.5, 1.5), "lognormal": (1.0,), "dirichlet": (1.0,)}
_TROPICAL_ENTRIES: dict[str, tuple[float, ...]] = {"gaussian": (1.0,), "bernoulli": (0.5,)}


def _entry_law(entries: Any, known: dict[str, tuple[float, ...]]) -> tuple[Any, ...]:
    """A law of matrix entries: a name, or a name with its parameters."""
    name, *given = entries if isinstance(entries, (tuple, list)) and entries else (entries,)
    _checks.choice("entries", name, known)
    numbers = tuple(_checks.number("entries", v) for v in given) or known[name]
    if len(numbers) != len(known[name]):
        raise ValueError(f"entries={name!r} takes {len(known[name])} parameter(s), for example {(name, *known[name])!r}; got {entries!r}")
    return (name, *numbers)


class Positive(Layer):
    r"""A positive layer :math:`x \mapsto \varphi(Wx + c)^r` on the cone :math:`x > 0`, with W > 0 and c at least 0.

    Linear (no bias, identity, r = 1): monotone and homogeneous, hence non-expansive for Hilbert, Thompson and Funk; the
    exact contraction factor for Hilbert is Birkhoff's :math:`\tanh(\Delta(W)/4)`. With a bias or a concave
    :math:`\varphi` only Thompson survives. A power multiplies both by :math:`|r|` at most.

    Args:
        width: size N of the output.
        activation: ``"identity"``, ``"tanh"``, ``"erf"``, ``"hardtanh"``, ``"softplus"`` (or ``"relu"``, the identity here).
        entries: law of the entries of W: ``("uniform", low, high)``, ``("lognormal", log_std)``, or
            ``("dirichlet", concentration)`` for independent Dirichlet rows (row-stochastic); a name alone takes (0.5, 1.5), 1, 1.
        bias: the entries of c are uniform on [0, bias).
        power: the exponent r, not zero.
        fan_in: size of the input; ``width`` if None.

    Raises:
        ValueError: an argument out of range; the message names it.

    Source:
        Birkhoff (1957); Bushell (1973); Nussbaum (1988); Lemmens and Nussbaum (2012).

    Example:
        >>> Positive(4).metrics, Positive(4, bias=1.0).metrics
        (('hilbert', 'thompson', 'funk'), ('thompson',))
    """

    def __init__(self, width: int, activation: str | activations.Activation = "identity", entries: str | tuple[Any, ...] = "uniform",
                 bias: float = 0.0, power: float = 1.0, *, fan_in: int | None = None):
        self.width = _checks.integer("width", width)
        self.fan_in = self.width if fan_in is None else _checks.integer("fan_in", fan_in)
        name = activation.name if isinstance(activation, activations.Activation) else activation
        self.activation = activations.get(_checks.choice("activation", name, CONE_ACTIVATIONS))
        self.entries = _entry_law(entries, _POSITIVE_ENTRIES)
        law, first, *rest = self.entries
        _checks.positive("entries", first)
        if law == "uniform" and not first < rest[0]:
            raise ValueError(f"entries=('uniform', low, high) needs 0 < low < high; got {self.entries!r}")
        self.bias = _checks.nonnegative("bias", bias)
        self.power = _checks.number("power", power)
        if self.power == 0:
            raise ValueError("power must not be zero: the layer would be constant; got 0")

    @property
    def _linear(self) -> bool:
        return self.activation.homogeneous and self.bias == 0

    @property
    def homogeneous(self) -> bool:
        return self._linear and self.power == 1

    @property
    def fixes_zero(self) -> bool:
        return self.activation.fixes_zero and self.bias == 0 and self.power == 1

    @property
    def formula(self) -> str:
        inside = "Wx" + ("+c" if self.bias else "")
        whole = inside if self.activation.homogeneous else rf"\varphi({inside})"
        tail = "" if self.activation.homogeneous else r",\ \varphi(u)=" + self.activation.formula
        return r"x \mapsto " + (whole if self.power == 1 else rf"({whole})^{{{self.power:g}}}") + tail

    @property
    def metrics(self) -> tuple[str, ...]:
        if abs(self.power) > 1:
            return ()
        cone = ("thompson",)
        if self._linear:
            cone = ("hilbert", "thompson") + (("funk",) if self.power == 1 else ())
        stochastic = self.entries[0] == "dirichlet" and self.power == 1 and self.activation.lipschitz <= 1
        averaging = ("lp(inf)", "span") if self.activation.homogeneous else ("lp(inf)",)
        return cone + (averaging if stochastic else ())

    def describe(self) -> dict[str, Any]:
        return described(self, super().describe())

    def resized(self, fan_in: int) -> Positive:
        return Positive(self.width, self.activation, self.entries, self.bias, self.power, fan_in=fan_in)

    def _draw(self, shape, generator, dtype, device) -> Tensor:
        law, first, *rest = self.entries
        if law == "uniform":
            return first + (rest[0] - first) * uniform(shape, generator, dtype, device)
        if law == "lognormal":
            return torch.exp(first * normal(shape, generator, dtype, device))
        home = generator.device if generator is not None else device
        gamma = torch._standard_gamma(torch.full(shape, first, dtype=dtype, device=home), generator=generator).to(device)
        return gamma / gamma.sum(dim=-1, keepdim=True)

    def _sample(self, generator, samples, dtype, device, state) -> PositiveMap:
        batch = () if samples is None else (samples,)
        weight = self._draw((*batch, self.width, self.fan_in), generator, dtype, device)
        bias = self.bias * uniform((*batch, self.width), generator, dtype, device) if self.bias else None
        return PositiveMap(weight, bias, self.activation, self.power)


class PositiveMap(ActivatedMap):
    r"""The map :math:`x \mapsto \varphi(Wx + c)^r` with ``weight`` of shape ``(..., N, N_in)`` and ``bias`` or None."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None, activation: activations.Activation | str = "identity",
                 power: float = 1.0):
        self.weight, self.bias, self.power = weight, bias, power
        self.activation = activations.get(activation)
        self._batched = weight.ndim == 3

    def linear(self, x: Tensor) -> Tensor:
        return point(x, self.weight.shape[-1:], self.weight) @ self.weight.mT

    def __call__(self, x: Tensor) -> Tensor:
        y = super().__call__(x)
        return y if self.power == 1 else y**self.power

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        y, difference = super().pair(x, d, log_scale)
        return (y, difference) if self.power == 1 else power_pair(y, difference, log_scale, self.power)

    def log_action(self, u: Tensor) -> Tensor:
        r"""The map in logarithms, :math:`u = \log x \mapsto \log T(e^u)`, where x itself would over- or underflow.

        Args:
            u: shape ``(..., N)``, or ``(S, B, N)`` for a batch of maps.
        """
        rows = torch.log(self.weight)
        rows = rows.unsqueeze(-3) if self._batched else rows
        h = torch.logsumexp(rows + point(u, self.weight.shape[-1:], self.weight).unsqueeze(-2), dim=-1)
        if self.bias is not None:
            h = torch.logaddexp(h, torch.log(per_input(self.bias, self._batched)))
        if not self.activation.homogeneous:
            h = torch.log(self.activation(torch.exp(h)))
        return self.power * h


def power_pair(y: Tensor, d: Tensor, log_scale: Tensor, r: float) -> tuple[Tensor, Tensor]:
    r"""The power :math:`y^r` of positive numbers and its difference quotient, :math:`y^r\,((1 + e^s d/y)^r - 1)/e^s`."""
    relative = d / y
    change = step_size(log_scale, y) * relative
    moved = change != 0
    safe = torch.where(moved, change, torch.ones_like(change))
    slope = torch.where(moved, torch.expm1(r * torch.log1p(safe)) / safe, torch.full_like(change, r))
    image = y**r
    return image, image * slope * relative


class MaxPlus(Layer):
    r"""A max-plus (maxout) layer :math:`x_i \mapsto \max_j (A_{ij} + x_j)`.

    Monotone, and it commutes with adding a constant to all coordinates: non-expansive for :math:`\ell_\infty` and for the
    span :math:`\max(x - y) - \min(x - y)`.

    Args:
        width: size N of the output.
        entries: law of the entries of A: ``("gaussian", std)`` or ``("bernoulli", p)``; a name alone takes 1 and 0.5.
        fan_in: size of the input; ``width`` if None.

    Raises:
        ValueError: an argument out of range; the message names it.

    Source:
        Crandall and Tartar (1980); Gunawardena and Keane (1995).

    Example:
        >>> from deeplimits.layers.positive import MaxPlusMap
        >>> T = MaxPlusMap(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> T(torch.tensor([3.0, 1.0])).tolist()
        [3.0, 4.0]
    """

    formula = r"x_i \mapsto \max_j(A_{ij}+x_j)"
    metrics = ("lp(inf)", "span")

    def __init__(self, width: int, entries: str | tuple[Any, ...] = "gaussian", *, fan_in: int | None = None):
        self.width = _checks.integer("width", width)
        self.fan_in = self.width if fan_in is None else _checks.integer("fan_in", fan_in)
        self.entries = _entry_law(entries, _TROPICAL_ENTRIES)
        law, parameter = self.entries
        if law == "bernoulli":
            _checks.between("entries", parameter, 0, 1)
        else:
            _checks.nonnegative("entries", parameter)

    def resized(self, fan_in: int) -> MaxPlus:
        return MaxPlus(self.width, self.entries, fan_in=fan_in)

    def _sample(self, generator, samples, dtype, device, state) -> MaxPlusMap:
        batch = () if samples is None else (samples,)
        shape = (*batch, self.width, self.fan_in)
        law, parameter = self.entries
        if law == "bernoulli":
            return MaxPlusMap((uniform(shape, generator, dtype, device) < parameter).to(dtype))
        return MaxPlusMap(parameter * normal(shape, generator, dtype, device))


class MaxPlusMap(LayerMap):
    r"""The map :math:`x_i \mapsto \max_j (A_{ij} + x_j)` with ``weight`` A of shape ``(..., N, N_in)``."""

    bias = None

    def __init__(self, weight: Tensor):
        self.weight = weight

    def _sums(self, x: Tensor) -> Tensor:
        rows = self.weight.unsqueeze(-3) if self.weight.ndim == 3 else self.weight
        return rows + point(x, self.weight.shape[-1:], self.weight).unsqueeze(-2)

    def __call__(self, x: Tensor) -> Tensor:
        return self._sums(x).amax(dim=-1)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        sums = self._sums(x)
        y = sums.amax(dim=-1)
        # The quotient is max_j (d_j - gap_ij e^-s): a tie has no gap and enters whole, however small the step.
        gap = y.unsqueeze(-1) - sums
        inverse = torch.exp((-log_scale.to(x.dtype)).clamp_max(0.99 * math.log(torch.finfo(x.dtype).max)))
        return y, (d.unsqueeze(-2) - gap * inverse.unsqueeze(-1).unsqueeze(-1)).amax(dim=-1)
