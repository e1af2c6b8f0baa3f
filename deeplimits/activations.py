r"""Activation functions and their difference quotients (Part I, *Layer maps and the distances they do not increase*).

An :class:`Activation` knows its derivative and, what a run two thousand layers deep needs, the difference quotient
:math:`(\varphi(u + e^s v) - \varphi(u))/e^s` to full precision for every :math:`s`, however negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.nn.functional import leaky_relu, softplus

from deeplimits import _checks

Tensor = torch.Tensor

#: The names that :func:`get` knows, which are relu, leaky_relu, abs, tanh, erf, sin, hardtanh, identity and softplus;
#: ``"linear"`` is another name of ``"identity"``.
NAMES = ("relu", "leaky_relu", "abs", "tanh", "erf", "sin", "hardtanh", "identity", "softplus")
ALIASES = {"linear": "identity"}


@dataclass(frozen=True)
class Activation:
    r"""A coordinatewise activation :math:`\varphi` with its derivative and a stable difference quotient.

    Attributes:
        name: its torch name.
        slope: for :math:`\varphi(u) = \max(u, 0) + a \min(u, 0)` the number :math:`a` (ReLU 0, absolute value -1,
            identity 1), else None.
        lipschitz: its Lipschitz constant.
        odd: whether :math:`\varphi(-u) = -\varphi(u)`.
        formula: :math:`\varphi(u)` in LaTeX.

    Example:
        >>> relu = get("relu")
        >>> relu(torch.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    name: str
    slope: float | None
    lipschitz: float
    odd: bool
    formula: str
    _value: Callable[[Tensor], Tensor] = field(repr=False, compare=False)
    _derivative: Callable[[Tensor], Tensor] = field(repr=False, compare=False)
    _quotient: Callable[[Tensor, Tensor, Tensor], Tensor] = field(repr=False, compare=False)

    @property
    def homogeneous(self) -> bool:
        r"""Whether :math:`\varphi(tu) = t\varphi(u)` for all :math:`t > 0`."""
        return self.slope is not None

    @property
    def fixes_zero(self) -> bool:
        r"""Whether :math:`\varphi(0) = 0`."""
        return self.name != "softplus"

    def __call__(self, u: Tensor) -> Tensor:
        return self._value(u)

    def derivative(self, u: Tensor) -> Tensor:
        r"""The derivative :math:`\varphi'(u)`, from the left at a kink.

        Example:
            >>> get("tanh").derivative(torch.zeros(1)).item()
            1.0
        """
        return self._derivative(u)

    def difference(self, u: Tensor, v: Tensor, log_scale: Tensor) -> Tensor:
        r"""The difference quotient :math:`(\varphi(u + e^s v) - \varphi(u))/e^s` without cancellation.

        Args:
            u: base points, shape ``(..., N)``.
            v: directions, a shape that broadcasts with ``u``.
            log_scale: the logarithms :math:`s`, broadcastable to ``(..., N)`` (usually ``(..., 1)``).

        Returns:
            The quotient; as :math:`s \to -\infty` it tends to :math:`\varphi'(u) v`, and it is exact there.

        Example:
            >>> u, v = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
            >>> get("tanh").difference(u, v, torch.tensor([-800.0], dtype=torch.float64)).item()
            1.0
        """
        return self._quotient(u, v, torch.exp(log_scale.to(u.dtype)))


def _kinked(slope: float) -> dict:
    """max(u, 0) + slope min(u, 0), for any slope: slope times the identity plus (1 - slope) times the rectifier."""

    def value(u: Tensor) -> Tensor:
        if slope == 0:
            return torch.relu(u)
        return u if slope == 1 else leaky_relu(u, slope)

    def derivative(u: Tensor) -> Tensor:
        return torch.where(u > 0, torch.ones_like(u), torch.full_like(u, slope))

    def quotient(u: Tensor, v: Tensor, t: Tensor) -> Tensor:
        if slope == 1:
            return v.expand(torch.broadcast_shapes(u.shape, v.shape))
        # With r = -u/t the rectifier's quotient is max(v, r) - max(r, 0): v or 0 exactly where no sign changes, and free of
        # cancellation where one does. No mask is needed, which a CPU would be slow to make. The floor on t keeps r finite.
        r = u * t.clamp_min(torch.finfo(u.dtype).tiny ** 0.8).reciprocal().neg()
        rectified = torch.maximum(v, r).sub_(r.relu_())  # in place: fresh pages cost more than the arithmetic
        return rectified if slope == 0 else torch.lerp(rectified, v.expand_as(rectified), slope)

    return {"_value": value, "_derivative": derivative, "_quotient": quotient}


def _tanh_quotient(u: Tensor, v: Tensor, t: Tensor) -> Tensor:
    # tanh w - tanh u = sinh(w - u) / (cosh w cosh u), written with decaying exponentials so that nothing overflows.
    # In place wherever a tensor is ours: fresh pages cost more than the arithmetic.
    step = t * v
    far_u, far_w = u.abs(), (u + step).abs_()
    size = step.abs_()
    # sinh(size) e^{-|u|-|w|} = e^{size-|u|-|w|} (1 - e^{-2 size}) / 2 and size <= |u| + |w|.
    decay = (size - far_u).sub_(far_w).clamp_max_(0.0).exp_()
    size = size.mul_(2).clamp_min_(torch.finfo(u.dtype).tiny)
    shrink = size.neg().expm1_().div_(size)
    fall = far_w.mul_(-2).exp_().add_(1).mul_(far_u.mul_(-2).exp_().add_(1))
    return decay.mul_(shrink).div_(fall).mul_(v).mul_(-4)


def _sin_quotient(u: Tensor, v: Tensor, t: Tensor) -> Tensor:
    half = 0.5 * t * v
    return v * torch.cos(u + half) * torch.sinc(half / math.pi)


def _hardtanh_quotient(u: Tensor, v: Tensor, t: Tensor) -> Tensor:
    w = torch.addcmul(u, t, v)
    side_u, side_w = (u > 1).to(u.dtype) - (u < -1).to(u.dtype), (w > 1).to(u.dtype) - (w < -1).to(u.dtype)
    bent = (w.clamp(-1, 1) - u.clamp(-1, 1)) / t.clamp_min(torch.finfo(u.dtype).tiny)
    straight = torch.where(side_u == 0, v, torch.zeros_like(w))
    return torch.where(side_u == side_w, straight, bent)


# Gauss-Legendre nodes on [0, 1]: a smooth function's mean slope over a short step, to rounding.
_NODES = ((0.5 - 0.5 * 0.9061798459386640, 0.1184634425280945), (0.5 - 0.5 * 0.5384693101056831, 0.2393143352496832),
          (0.5, 0.2844444444444444), (0.5 + 0.5 * 0.5384693101056831, 0.2393143352496832),
          (0.5 + 0.5 * 0.9061798459386640, 0.1184634425280945))


def _mean_slope_quotient(value: Callable, derivative: Callable, tail: Callable) -> Callable:
    """Short steps by quadrature of the derivative; long ones by the difference of tails, which keeps digits where
    the function saturates."""

    def quotient(u: Tensor, v: Tensor, t: Tensor) -> Tensor:
        step = t * v
        w = u + step
        mean = sum(weight * derivative(u + node * step) for node, weight in _NODES)
        direct = torch.where(u * w > 0, tail(u) - tail(w), value(w) - value(u))
        long = direct / t.clamp_min(torch.finfo(u.dtype).tiny)
        return torch.where(step.abs() < 0.05, mean * v, long)

    return quotient


def _erf_derivative(u: Tensor) -> Tensor:
    return (2 / math.sqrt(math.pi)) * torch.exp(-u * u)


def _erf_tail(u: Tensor) -> Tensor:
    return torch.sign(u) * torch.special.erfc(u.abs())


def _softplus_tail(u: Tensor) -> Tensor:
    # softplus is u + log1p(e^-u) for u > 0; on one side of zero no digits cancel beyond those of the step itself.
    return -softplus(u)


def get(activation: str | Activation, slope: float | None = None) -> Activation:
    r"""The activation of a given name.

    Args:
        activation: one of :data:`NAMES` (``"linear"`` is ``"identity"``), or an :class:`Activation`, returned as it is.
        slope: the slope of ``"leaky_relu"`` on the negative side (default 0.01, as in torch).

    Returns:
        The activation.

    Raises:
        ValueError: an unknown name, or a slope for an activation that has none.

    Example:
        >>> get("leaky_relu", slope=0.1).slope
        0.1
    """
    if isinstance(activation, Activation):
        if slope is not None and slope != activation.slope:
            raise ValueError(f"slope is part of an Activation; got slope={slope!r} with {activation!r}")
        return activation
    if not isinstance(activation, str):
        raise TypeError(f"activation must be a name such as 'relu'; got {activation!r}")
    name = _checks.choice("activation", ALIASES.get(activation, activation), NAMES)
    if slope is not None and name != "leaky_relu":
        raise ValueError(f"slope belongs to activation='leaky_relu' only; got slope={slope!r} with activation={name!r}")
    if name == "leaky_relu":
        a = 0.01 if slope is None else _checks.number("slope", slope)
        return Activation(name, a, max(1.0, abs(a)), a == 1, rf"\max(u,0)+{a:g}\min(u,0)", **_kinked(a))
    return _TABLE[name]


_TABLE = {
    "relu": Activation("relu", 0.0, 1.0, False, r"\max(u,0)", **_kinked(0.0)),
    "abs": Activation("abs", -1.0, 1.0, False, r"|u|", **_kinked(-1.0)),
    "identity": Activation("identity", 1.0, 1.0, True, "u", **_kinked(1.0)),
    "tanh": Activation("tanh", None, 1.0, True, r"\tanh u", torch.tanh, lambda u: torch.cosh(u) ** -2, _tanh_quotient),
    "sin": Activation("sin", None, 1.0, True, r"\sin u", torch.sin, torch.cos, _sin_quotient),
    "hardtanh": Activation("hardtanh", None, 1.0, True, r"\min(1,\max(-1,u))", lambda u: u.clamp(-1, 1),
                           lambda u: ((u > -1) & (u <= 1)).to(u.dtype), _hardtanh_quotient),
    "erf": Activation("erf", None, 2 / math.sqrt(math.pi), True, r"\operatorname{erf} u", torch.special.erf, _erf_derivative,
                      _mean_slope_quotient(torch.special.erf, _erf_derivative, _erf_tail)),
    "softplus": Activation("softplus", None, 1.0, False, r"\log(1+e^u)", softplus, torch.sigmoid,
                           _mean_slope_quotient(softplus, torch.sigmoid, _softplus_tail)),
}
