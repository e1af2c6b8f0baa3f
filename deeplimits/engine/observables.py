"""What a run can record, each with the space it refers to (Part II, *The order of composition*)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from deeplimits.engine.state import State
from deeplimits.layers.base import Layer
from deeplimits.layers.convolution import CircularConv1d, CircularConv2d
from deeplimits.layers.dense import Dense

Tensor = torch.Tensor


def _with_reference(value: Tensor, reference: float) -> Tensor:
    """Put the trivial value of input 0 in front."""
    first = torch.full_like(value[:, :1], reference) if value.shape[1] else value.new_full((value.shape[0], 1, *value.shape[2:]), reference, device=value.device)
    return torch.cat([first, value], dim=1)


def _sides(state: State) -> tuple[Tensor, Tensor]:
    """Components of the other inputs along and across the reference, in units of exp(log_scale + log_ratio)."""
    step = torch.exp(state.log_gap)
    return state.norm + step * state.along_size, step * state.across_size


def log_norm(state: State, layer: Layer) -> Tensor:
    along, across = _sides(state)
    others = torch.log(torch.hypot(along, across)) + state.log_ratio
    others = torch.where(state.dead, torch.full_like(others, -math.inf), others)
    return state.log_scale + torch.cat([torch.log(state.norm), others], dim=1)


def log_distance(state: State, layer: Layer) -> Tensor:
    # e^r (x + e^s d) - x has parts |x| (e^r - 1) + e^{r+s} <d, x>/|x| along x and e^{r+s} |d_across| across it.
    grown = torch.expm1(state.log_ratio) * state.norm
    shift = state.log_gap + state.log_ratio
    top = torch.maximum(torch.log(grown.abs()), shift)
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    step = torch.exp(shift - top)
    along = torch.sign(grown) * torch.exp(torch.log(grown.abs()) - top) + step * state.along_size
    value = top + torch.log(torch.hypot(along, step * state.across_size))
    value = torch.where(state.dead, torch.log(state.norm), value)
    return _with_reference(state.log_scale + value, -math.inf)


def _angle(state: State) -> tuple[Tensor, Tensor]:
    along, across = _sides(state)
    angle = torch.atan2(across, along)
    # Below sqrt(eps) the angle is its tangent; its logarithm survives where the tangent underflows.
    log_tangent = state.log_gap + torch.log(state.across_size) - torch.log(along.clamp_min(torch.finfo(along.dtype).tiny))
    log_angle = torch.where(angle < 1e-8, log_tangent, torch.log(angle))
    undefined = state.dead | (state.norm == 0)
    missing = torch.full_like(angle, math.nan)
    return torch.where(undefined, missing, angle), torch.where(undefined, missing, log_angle)


def angle(state: State, layer: Layer) -> Tensor:
    return _with_reference(_angle(state)[0], 0.0)


def log_angle(state: State, layer: Layer) -> Tensor:
    return _with_reference(_angle(state)[1], -math.inf)


def alive(state: State, layer: Layer) -> Tensor:
    along, across = _sides(state)
    return torch.cat([state.norm > 0, (torch.hypot(along, across) > 0) & ~state.dead], dim=1)


def _gram(state: State, layer: Layer) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The conditional second moments of the next pre-activations, up to a common factor: K_00, K_jj, K_0j and the factor.

    In units where the factor is the variance that a unit vector produces, the bias adds beta to every entry.
    """
    if not isinstance(layer, Dense):
        raise ValueError("observe: 'variance', 'correlation', 'rho' and 'log_rho' need a Dense layer or a convolution; "
                         f"got {type(layer).__name__}")
    factor = layer.weight_std**2 / layer.fan_in * torch.exp(2 * state.log_scale)
    beta = layer.bias_std**2 / factor if layer.bias_std else torch.zeros_like(factor)
    along, across = _sides(state)
    return state.norm**2 + beta, along**2 + across**2 + beta, state.norm * along + beta, factor


@dataclass(frozen=True)
class Sites:
    """Second moments of the next pre-activations at every pixel, of a convolution; shapes (S, 1, pixels) and (S, P, pixels)."""

    first: Tensor      # K_00
    other: Tensor      # K_jj
    log_rho: Tensor    # log(1 - c)
    correlation: Tensor


def by_site(name: str, layer: Layer) -> bool:
    """Whether an observable needs the difference at every site to full relative precision."""
    return name in ("variance", "correlation", "rho", "log_rho", "local_rho", "local_log_rho") and isinstance(layer, (CircularConv1d, CircularConv2d))


def _sites(state: State, layer: CircularConv1d | CircularConv2d) -> Sites:
    """From the patch that a pixel sees: K = sigma_w^2 times the mean over the patch, plus sigma_b^2."""
    kind = state.log_scale.dtype
    x = torch.exp(state.log_scale).unsqueeze(-1).unsqueeze(-1) * layer.patches(state.x).to(kind)
    d = layer.patches(state.direction).to(kind)
    size = d.abs().amax(-2)  # an entry may be far too small to be squared
    d = d / torch.where(size > 0, size, torch.ones_like(size)).unsqueeze(-2)
    weight, tiny = layer.weight_std**2, torch.finfo(kind).tiny
    log_step = (state.log_scale + state.log_gap).unsqueeze(-1) + torch.log(size)
    step = torch.exp(log_step)
    first = weight * x.square().mean(-2) + layer.bias_std**2
    mixed, square = weight * (x * d).mean(-2), weight * d.square().mean(-2)
    other = first + step * (2 * mixed + step * square)
    correlation = (first + step * mixed) / torch.sqrt(first * other)
    # 1 - c^2 = e^{2s} (K_00 D - B^2) / (K_00 K_jj); the difference is one of numbers of the size of d squared.
    determinant = (first * square - mixed.square()).clamp_min(0.0)
    log_rho = 2 * log_step + torch.log(determinant) - torch.log((first * other * (1 + correlation)).clamp_min(tiny))
    log_rho = torch.where(correlation > 0, log_rho, torch.log((1 - correlation).clamp_min(tiny)))
    return Sites(first, other, log_rho, correlation)


def local_rho(state: State, layer: Layer) -> Tensor:
    return torch.exp(local_log_rho(state, layer))


def local_log_rho(state: State, layer: Layer) -> Tensor:
    if not by_site("local_rho", layer):
        raise ValueError(f"observe: 'local_rho' and 'local_log_rho' need a convolution such as CircularConv1d; got {type(layer).__name__}")
    return _with_reference(_sites(state, layer).log_rho, -math.inf)  # type: ignore[arg-type]


def variance(state: State, layer: Layer) -> Tensor:
    if by_site("variance", layer):
        sites = _sites(state, layer)  # type: ignore[arg-type]
        return torch.cat([sites.first, sites.other], dim=1).mean(-1)
    first, other, _, factor = _gram(state, layer)
    other = torch.where(state.dead, torch.full_like(other, 0.0), other)
    return factor * torch.cat([first, other * torch.exp(2 * state.log_ratio)], dim=1)


def _rho(state: State, layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    """rho = 1 - c, its logarithm and c. Ratios of norms drop out without a bias; with one, log_ratio is zero."""
    first, other, mixed, _ = _gram(state, layer)
    beta = first - state.norm**2
    tiny = torch.finfo(first.dtype).tiny
    correlation = mixed / torch.sqrt(first * other)
    # (1 - c)(1 + c) = det K / (K_00 K_jj), and det K = e^{2s} (|x|^2 |d_across|^2 + beta |d|^2) has no cancellation.
    determinant = (state.norm * state.across_size) ** 2 + beta * (state.along_size**2 + state.across_size**2)
    log_rho = 2 * state.log_gap + torch.log(determinant) - torch.log((first * other * (1 + correlation)).clamp_min(tiny))
    log_rho = torch.where(correlation > 0, log_rho, torch.log((1 - correlation).clamp_min(tiny)))
    if not layer.bias_std:
        missing = torch.full_like(log_rho, math.nan)
        undefined = state.dead | (state.norm == 0)
        log_rho, correlation = torch.where(undefined, missing, log_rho), torch.where(undefined, missing, correlation)
    return torch.exp(log_rho), log_rho, correlation


def correlation(state: State, layer: Layer) -> Tensor:
    if by_site("correlation", layer):
        return _with_reference(_sites(state, layer).correlation.mean(-1), 1.0)  # type: ignore[arg-type]
    return _with_reference(_rho(state, layer)[2], 1.0)


def rho(state: State, layer: Layer) -> Tensor:
    if by_site("rho", layer):
        return torch.exp(log_rho(state, layer))
    return _with_reference(_rho(state, layer)[0], 0.0)


def log_rho(state: State, layer: Layer) -> Tensor:
    if by_site("log_rho", layer):
        local = _sites(state, layer).log_rho  # type: ignore[arg-type]
        return _with_reference(torch.logsumexp(local, -1) - math.log(local.shape[-1]), -math.inf)
    return _with_reference(_rho(state, layer)[1], -math.inf)


@dataclass(frozen=True)
class Observable:
    """A named quantity: how to compute it, and what its attributes say of it."""

    compute: Callable[[State, Layer], Tensor]
    long_name: str
    units: str = "1"
    refers_to: str = "x"
    local: bool = False


_NEXT = "pre-activations h of the next layer, given x (uncentred second moments)"

#: The observables that have a name.
TABLE = {
    "log_norm": Observable(log_norm, "logarithm of the Euclidean norm", "nat"),
    "log_distance": Observable(log_distance, "logarithm of the Euclidean distance to input 0", "nat"),
    "angle": Observable(angle, "angle with input 0", "rad"),
    "log_angle": Observable(log_angle, "logarithm of the angle with input 0", "nat"),
    "alive": Observable(alive, "whether the vector is not zero"),
    "variance": Observable(variance, "variance q of a pre-activation", refers_to=_NEXT),
    "correlation": Observable(correlation, "correlation c with input 0", refers_to=_NEXT),
    "rho": Observable(rho, "order parameter 1 - c", refers_to=_NEXT),
    "log_rho": Observable(log_rho, "logarithm of the order parameter 1 - c", "nat", refers_to=_NEXT),
    "local_rho": Observable(local_rho, "order parameter 1 - c at a site", refers_to=_NEXT, local=True),
    "local_log_rho": Observable(local_log_rho, "logarithm of the order parameter 1 - c at a site", "nat", refers_to=_NEXT, local=True),
}
