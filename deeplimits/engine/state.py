r"""What is carried from layer to layer: a point, and the others as differences to it (Part III, *The cut-off in contracting random layers*).

Input 0 is :math:`x = e^a \hat x`; input j is :math:`e^{a + r}(\hat x + e^s d)` with the logarithms a, r, s in double precision and
d of norm one, stored as its part across :math:`\hat x` and the length of its part along it. Nothing underflows, and
distances and angles far below 1e-300 keep their relative precision. Where every site counts (the order parameter at each
pixel of a convolution), d is carried whole: its small entries would drown in the two parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from deeplimits.layers.base import LayerMap
from deeplimits.layers.dense import LawMap

Tensor = torch.Tensor


@dataclass(frozen=True)
class State:
    """S networks with one reference input and P others; the scalars are of shape (S, 1) or (S, P)."""

    x: Tensor           # (S, 1, N), the reference in units of exp(log_scale)
    across: Tensor      # (S, P, N), part of the direction d across x
    log_scale: Tensor   # (S, 1)
    log_ratio: Tensor   # (S, P)
    log_gap: Tensor     # (S, P), the logarithm s of the size of the difference
    norm: Tensor        # (S, 1), |x|
    along_size: Tensor  # (S, P), <x, d>/|x|
    across_size: Tensor  # (S, P), |across|
    dead: Tensor        # (S, P), whether another input has become exactly zero, for good
    whole: Tensor | None = None  # (S, P, N), the direction d with every entry to full relative precision, where that is needed

    @property
    def direction(self) -> Tensor:
        """The unit directions d, shape (S, P, N)."""
        if self.whole is not None:
            return self.whole
        share = self.along_size / self.norm.clamp_min(torch.finfo(self.norm.dtype).tiny)
        return self.across + share.to(self.x.dtype).unsqueeze(-1) * self.x

    def points(self) -> Tensor:
        """All inputs at true scale, shape (S, 1 + P, N)."""
        step = torch.exp(self.log_gap).to(self.x.dtype).unsqueeze(-1)
        others = torch.exp(self.log_ratio).to(self.x.dtype).unsqueeze(-1) * (self.x + step * self.direction)
        others = others * (~self.dead).to(self.x.dtype).unsqueeze(-1)
        return torch.exp(self.log_scale).to(self.x.dtype).unsqueeze(-1) * torch.cat([self.x, others], dim=-2)


def accumulator(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """Logarithms are summed in double precision where the device has it."""
    return dtype if device.type == "mps" else torch.float64


def begin(x0: Tensor, samples: int, homogeneous: bool = False, whole: bool = False) -> State:
    """The state of ``samples`` networks at the inputs ``x0`` of shape (B, N); ``whole`` keeps the directions entry by entry."""
    kind = accumulator(x0.device, x0.dtype)
    ratio = torch.zeros(x0.shape[0] - 1, dtype=kind, device=x0.device)
    rest = x0[1:]
    if homogeneous:  # lengths factor out, so inputs of very different lengths keep their precision
        ratio = torch.log(_length(rest, kind)) - torch.log(_length(x0[:1], kind))
        ratio = torch.where(torch.isfinite(ratio), ratio, torch.zeros_like(ratio))
        rest = rest * torch.exp(-ratio).to(x0.dtype).unsqueeze(-1)
    zero = torch.zeros(samples, 1, dtype=kind, device=x0.device)
    dead = (x0[1:] == 0).all(-1).expand(samples, -1) & homogeneous
    d = rest - x0[:1]
    size = d.abs().amax(-1, keepdim=True)  # in these units no square underflows
    size = torch.where(size > 0, size, torch.ones_like(size))
    gap = torch.log(size.to(kind)).squeeze(-1).expand(samples, -1)
    x, d = x0[:1].expand(samples, 1, -1), (d / size).expand(samples, -1, -1)
    return _split(x, d, State(x, d, zero, ratio.expand(samples, -1), gap, zero, gap, gap, dead, d if whole else None), homogeneous)


def _length(v: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.linalg.vector_norm(v, dim=-1).to(dtype)


def _split(x: Tensor, d: Tensor, state: State, homogeneous: bool, parallel: Tensor | None = None) -> State:
    """The state at point x with differences d (in units of exp(log_gap)); ``parallel`` marks those exactly along x."""
    kind, tiny = state.log_scale.dtype, torch.finfo(x.dtype).tiny
    norm = _length(x, kind)
    safe = norm.clamp_min(tiny)
    share = (d @ x.mT).squeeze(-1).to(kind) / safe / safe
    across = torch.addcmul(d, share.neg().to(x.dtype).unsqueeze(-1), x)
    if parallel is not None:
        across.mul_((~parallel).to(x.dtype).unsqueeze(-1))
    across_size, along_size = _length(across, kind), share * norm
    log_scale, log_ratio, log_gap = state.log_scale, state.log_ratio, state.log_gap
    if homogeneous:
        # Only directions matter: where the angle is not wide, the part along x becomes a change of the ratio of norms.
        # A much shorter input at a small angle counts too: left in the difference, its length would drown the angle.
        radial, aside = torch.exp(log_gap) * share, torch.exp(log_gap) * across_size / safe
        narrow = (radial > -0.5) | (1 + radial > (0.5 * aside).clamp_min(16 * torch.finfo(x.dtype).eps))
        growth = torch.log1p(torch.where(narrow, radial, torch.zeros_like(radial)))
        along_size = torch.where(narrow, torch.zeros_like(along_size), along_size)
        # Units of |x|; a dead network keeps its units and has norm zero.
        unit = torch.where(norm > 0, safe, torch.ones_like(safe))
        x, norm = x * unit.reciprocal().to(x.dtype).unsqueeze(-1), norm / unit
        log_scale, log_ratio, log_gap = log_scale + torch.log(unit), log_ratio + growth, log_gap - growth - torch.log(unit)
    size = torch.hypot(along_size, across_size)
    safe_size = size.clamp_min(tiny)
    unit_size = safe_size.reciprocal().to(x.dtype).unsqueeze(-1)
    return State(x, across.mul_(unit_size), log_scale, log_ratio, log_gap + torch.log(size), norm, along_size / safe_size,
                 across_size / safe_size, state.dead, None if state.whole is None else d * unit_size)


def _rescale(state: State) -> State:
    """Lift a vanishing state of a layer that fixes zero into a range where the layer is linear to rounding but no number
    underflows; the lift is undone when the state has grown again."""
    floor = math.log(torch.finfo(state.x.dtype).eps) * 0.6
    largest = torch.cat([torch.log(state.norm), state.log_gap], dim=-1).amax(dim=-1, keepdim=True)
    wanted = (largest + state.log_scale - floor).clamp_max(0.0)
    lift = torch.where(torch.isfinite(largest), state.log_scale - wanted, torch.zeros_like(wanted))
    return replace(state, x=state.x * torch.exp(lift).to(state.x.dtype).unsqueeze(-1), norm=state.norm * torch.exp(lift),
                   log_gap=state.log_gap + lift, log_scale=state.log_scale - lift)


def _by_support(layer_map: LayerMap, state: State) -> tuple[State, Tensor | None]:
    """Death, and a single active unit shared by two inputs, read off the support of the outputs.

    Rounding would leave 1e-17 where the mathematics has zero, and later layers would amplify it.
    """
    if layer_map.support is None:
        return state, None
    first, other = layer_map.support
    dead = state.dead | ~other.any(-1)
    parallel = (first | other).sum(-1) <= 1
    return replace(state, dead=dead), parallel & first.any(-1) & ~dead


def advance(layer_map: LayerMap, state: State, *, homogeneous: bool, fixes_zero: bool) -> State:
    """One layer further: pure tensor arithmetic, without branches on values."""
    if fixes_zero and not homogeneous:
        state = _rescale(state)
    if isinstance(layer_map, LawMap) and state.log_gap.shape[-1] == 1:
        norms = (state.norm, state.along_size, state.across_size)
        x, d = layer_map.pair(state.x, state.across, state.log_gap, norms)
    else:
        x, d = layer_map.pair(state.x, state.direction, state.log_gap)
    parallel = None
    if homogeneous:
        state, parallel = _by_support(layer_map, state)
    return _split(x, d, state, homogeneous, parallel)
