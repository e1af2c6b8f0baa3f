"""Does a layer map increase a distance? A search for the worst pair (Part I, *Layer maps and the distances they do not increase*)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from deeplimits import _checks
from deeplimits.metrics.base import Metric

CHUNK = 512  # pairs evaluated at once


@dataclass(frozen=True, eq=False)
class SemiInvariance:
    """What :func:`check_semi_invariance` saw.

    Attributes:
        ratio: The largest d(Tx, Ty) / d(x, y) seen: a lower bound of the Lipschitz constant, attained by the pair below.
        x: First point of that pair.
        y: Second point.
        map: The map that attains it.
        semi_invariant: Whether no pair exceeded 1 + tolerance. ``True`` reports a failed search, it proves nothing;
            ``False`` is a counterexample.
        random_ratio: The largest ratio among the random pairs alone.
        samples: Random pairs compared.
        searched: Further pairs compared by the search.
        maps: Maps drawn from the layer.
        skipped: Random pairs left out: at no positive distance, too near each other or too far out for float64, or with an
            image outside the domain.
        tolerance: Allowance for rounding.
        metric: Name of the metric.
    """

    ratio: float
    x: Any = field(repr=False)
    y: Any = field(repr=False)
    map: Callable = field(repr=False)
    semi_invariant: bool
    random_ratio: float
    samples: int
    searched: int
    maps: int
    skipped: int
    tolerance: float
    metric: str


def check_semi_invariance(
    layer: Any,
    metric: Metric,
    samples: int = 4000,
    seed: int = 0,
    *,
    dim: int | None = None,
    maps: int = 8,
    steps: int = 60,
    tolerance: float = 1e-6,
) -> SemiInvariance:
    r"""Search for two points whose distance a layer increases.

    .. math:: \max_{x \ne y} \frac{d(Tx, Ty)}{d(x, y)}

    First over random pairs, far and near, at several scales, some differing in one coordinate or by signs or
    constants; then by climbing from the worst of them, with gradients where the map has them and random moves otherwise.
    The search runs in float64, in free coordinates of the domain (logarithms on the cone, and so on).

    Args:
        layer: A layer (several maps are drawn from it), or one map as a callable on batches of float64 points (a torch module:
            pass ``module.double()``).
        metric: The metric, e.g. ``dl.metrics.thompson``. For :func:`deeplimits.metrics.sup` the map acts on decision
            functions by composition.
        samples: Random pairs in total.
        seed: Makes the search repeatable; global random state is left alone.
        dim: Dimension of the points; needed for a callable, default ``layer.fan_in`` for a layer.
        maps: How many maps to draw from a layer.
        steps: Steps of the climb; 0 switches it off.
        tolerance: How far above 1 a ratio may be and still count as rounding.

    Returns:
        The worst pair, its ratio and its map, with the counts.

    Raises:
        TypeError: If ``layer`` is neither a layer nor callable, or ``metric`` is not a Metric.
        ValueError: If ``dim`` is missing, a count is out of range, or every image left the domain.

    Example:
        >>> import torch
        >>> from deeplimits import metrics
        >>> W = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
        >>> result = metrics.check_semi_invariance(lambda x: x @ W.T + 1, metrics.thompson, samples=200, dim=2)
        >>> result.semi_invariant
        True
        >>> metrics.check_semi_invariance(lambda x: x @ W.T, metrics.lp(2), samples=200, dim=2).ratio > 5.46
        True
    """
    if not isinstance(metric, Metric):
        raise TypeError(f"metric must be a Metric such as dl.metrics.hilbert or dl.metrics.lp(2); got {metric!r}")
    samples, steps = _checks.integer("samples", samples), _checks.integer("steps", steps, 0)
    maps, tolerance = _checks.integer("maps", maps), _checks.nonnegative("tolerance", tolerance)
    generator = torch.Generator(device="cpu").manual_seed(_checks.integer("seed", seed, 0))
    drawn, dim = _maps(layer, dim, min(maps, samples), generator)
    _try(drawn[0], metric, dim, generator)
    climbs = [_Climb(metric, T, dim, generator) for T in drawn]
    for k, climb in enumerate(climbs):
        climb.scatter(samples // len(climbs) + (k < samples % len(climbs)))
    if not any(climb.usable for climb in climbs):
        raise ValueError(
            f"layer must map the domain '{metric.domain}' of {metric.name} into itself; "
            f"none of {samples} random pairs had images at a finite distance"
        )
    random_ratio = max(climb.best for climb in climbs)
    climbs.sort(key=lambda climb: -climb.best)
    for climb in climbs[:3]:
        climb.climb(steps)
    worst = max(climbs, key=lambda climb: climb.best)
    x, y = (metric.space.points(u) for u in worst.pair)
    return SemiInvariance(
        ratio=worst.best,
        x=x[0],
        y=y[0],
        map=worst.map,
        semi_invariant=worst.best <= 1 + tolerance,
        random_ratio=random_ratio,
        samples=samples,
        searched=sum(climb.searched for climb in climbs),
        maps=len(drawn),
        skipped=sum(climb.skipped for climb in climbs),
        tolerance=tolerance,
        metric=metric.name,
    )


def _maps(layer: Any, dim: int | None, maps: int, generator: torch.Generator) -> tuple[list[Callable], int]:
    """The maps to test and the dimension of their inputs."""
    if hasattr(layer, "sample") and hasattr(layer, "fan_in"):
        dim = layer.fan_in if dim is None else dim
        return [layer.sample(generator=generator, dtype=torch.float64) for _ in range(maps)], _checks.integer("dim", dim)
    if not callable(layer):
        raise TypeError(f"layer must be a layer (with sample and fan_in) or a callable map; got {type(layer).__name__}")
    if dim is None:
        raise ValueError("dim must be given with a callable: the dimension of its points")
    return [layer], _checks.integer("dim", dim)


def _try(layer_map: Callable, metric: Metric, dim: int, generator: torch.Generator) -> None:
    """Apply the map once, so that one which does not take the points says so here."""
    space, state = metric.space, generator.get_state()
    try:
        with torch.no_grad():
            space.apply(layer_map, metric.sample(2, dim, generator))
    except RuntimeError as error:
        raise ValueError(f"layer must take float64 points of dimension dim={dim}, on the CPU, such as metric.sample gives (a torch module: pass "
                         f"module.double()); it stopped with: {str(error).splitlines()[0]}") from error
    generator.set_state(state)


class _Climb:
    """The search for the worst pair of one map."""

    keep = 48  # pairs the climb starts from

    def __init__(self, metric: Metric, layer_map: Callable, dim: int, generator: torch.Generator) -> None:
        self.metric, self.map, self.dim, self.generator = metric, layer_map, dim, generator
        self.best, self.searched, self.skipped, self.usable = 0.0, 0, 0, 0
        self.differentiable = True

    def log_ratio(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """log d(Tx, Ty) / d(x, y) for points with coordinates u, v; -inf where it cannot be told."""
        space, d = self.metric.space, self.metric.distance
        size = torch.maximum(space.reach(u.detach()), space.reach(v.detach())).clamp(min=1.0)
        inside = _like(size <= space.bound, u)
        u, v = torch.where(inside, u, 0.0), torch.where(inside, v, 0.0)
        x, y = space.points(u), space.points(v)
        before, after = d(x, y), d(space.apply(self.map, x), space.apply(self.map, y))
        valid = torch.isfinite(before) & torch.isfinite(after) & (before > space.resolution * size) & (after >= 0)
        safe = torch.where(valid, before, 1.0)
        ratio = torch.where(valid & (after > 0), after, 1e-300)
        return torch.where(valid, ratio.log() - safe.log(), -torch.inf)

    def evaluate(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([self.log_ratio(a, b) for a, b in zip(u.split(CHUNK), v.split(CHUNK), strict=True)])

    def remember(self, u: torch.Tensor, v: torch.Tensor, values: torch.Tensor) -> None:
        k = int(values.argmax())
        if torch.isfinite(values[k]) and float(values[k].exp()) >= self.best:
            self.best, self.pair = float(values[k].exp()), (u[k : k + 1].clone(), v[k : k + 1].clone())

    def normal(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=self.generator, dtype=like.dtype, device=like.device)

    def uniform(self, like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        """One uniform number a pair, shaped to multiply coordinates."""
        shape = (len(like),) + (1,) * (like.ndim - 1)
        return low + (high - low) * torch.rand(shape, generator=self.generator, dtype=like.dtype, device=like.device)

    def scatter(self, samples: int) -> None:
        """Random pairs: a third independent, a third near, a third near in a special direction."""
        space = self.metric.space
        u = space.coordinates(self.metric.sample(samples, self.dim, self.generator))
        v = space.coordinates(self.metric.sample(samples, self.dim, self.generator))
        kind = torch.arange(samples, device=u.device) % 3
        scale = 10 ** self.uniform(u, -1.5, 0.5)
        u, v = torch.where(_like(kind == 1, u), u * scale, u), torch.where(_like(kind == 1, u), v * scale, v)
        near = u + 10 ** self.uniform(u, -3.0, 0.3) * self.normal(u)
        special = u + 10 ** self.uniform(u, -3.0, 0.3) * self.special(u)
        v = torch.where(_like(kind == 1, u), near, torch.where(_like(kind == 2, u), special, v))
        values = self.evaluate(u, v)
        self.usable = int(torch.isfinite(values).sum())
        self.skipped = samples - self.usable
        self.remember(u, v, values)
        top = values.topk(min(self.keep, samples)).indices
        top = top[torch.isfinite(values[top])]
        self.start = (u[top], v[top], values[top])

    def special(self, u: torch.Tensor) -> torch.Tensor:
        """One coordinate alone, random signs, or a constant with a little noise, in turn.

        The noise keeps apart two points that a pseudo-metric identifies, such as the multiples of a positive vector.
        """
        signs = self.normal(u).sign()
        flat = self.normal(u).flatten(1)
        single = (flat == flat.amax(1, keepdim=True)).to(u.dtype).reshape(u.shape)
        kind = (torch.arange(len(u), device=u.device) // 3) % 3
        constant = 1 + 10 ** self.uniform(u, -5.0, -1.0) * self.normal(u)
        return torch.where(_like(kind == 0, u), single, torch.where(_like(kind == 1, u), signs, constant))

    def climb(self, steps: int) -> None:
        """From the worst random pairs: gradient steps, random moves and dual jumps in turn, keeping what is worse."""
        u, v, values = self.start
        if not len(u):
            return
        rates = [0.3 * torch.ones_like(self.uniform(u, 0.0, 1.0)) for _ in range(3)]
        for step in range(steps):
            kind = step % 3 if self.differentiable else 1
            new_u, new_v = (self.ascend, self.wander, self.jump)[kind](u, v, rates[kind])
            new = self.evaluate(new_u, new_v)
            self.searched += len(new)
            better = new > values
            u, v = torch.where(_like(better, u), new_u, u), torch.where(_like(better, u), new_v, v)
            values = torch.where(better, new, values)
            rates[kind] = torch.where(_like(better, u), rates[kind] * 1.6, rates[kind] * 0.7).clamp(1e-6, 1e3)
        self.remember(u, v, values)

    def slopes(self, u: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Gradient of the log-ratio in u and v, or None if the map or the metric leaves torch."""
        a, b = u.clone().requires_grad_(True), v.clone().requires_grad_(True)
        try:
            with torch.enable_grad():
                values = self.log_ratio(a, b)
                slopes = torch.autograd.grad(values[torch.isfinite(values)].sum(), (a, b))
        except (RuntimeError, TypeError):
            self.differentiable = False
            return None
        return tuple(torch.nan_to_num(g, nan=0.0, posinf=0.0, neginf=0.0) for g in slopes)

    def ascend(self, u: torch.Tensor, v: torch.Tensor, rate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A step along the gradient, as long as ``rate`` times the pair is apart; a random one where it vanishes."""
        slopes = self.slopes(u, v)
        if slopes is None:
            return self.wander(u, v, rate)
        length = torch.hypot(_size(slopes[0]), _size(slopes[1]))
        factor = torch.where(length > 0, _size(v - u) / torch.where(length > 0, length, 1.0), 0.0)
        du, dv = (g * _like(factor, u) for g in slopes)
        ru, rv = self.wander(u, v, rate)
        stuck = _like(length == 0, u)
        return torch.where(stuck, ru, u + rate * du), torch.where(stuck, rv, v + rate * dv)

    def jump(self, u: torch.Tensor, v: torch.Tensor, rate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Move y to x plus the direction that is worst for a linear map: the dual vector of the gradient of d(Tx, Ty).

        For the Euclidean, sup and l1 norms this is the power method; one of the three is tried at random.
        """
        ahead, apart = self.image_slope(u, v), _like(_size(v - u), u)
        if ahead is None:
            return self.wander(u, v, rate)
        flat = ahead.flatten(1)
        top = (flat.abs() == flat.abs().amax(1, keepdim=True)).to(u.dtype).reshape(u.shape) * ahead.sign()
        signs = ahead.sign() / u[0].numel() ** 0.5
        length = _like(_size(ahead), u)
        euclid = ahead / torch.where(length > 0, length, 1.0)
        kind = self.uniform(u, 0.0, 3.0).floor()
        return u, u + apart * torch.where(kind == 0, euclid, torch.where(kind == 1, signs, top))

    def image_slope(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor | None:
        """Gradient in v of d(Tx, Ty) for x, y with coordinates u, v."""
        space, b = self.metric.space, v.clone().requires_grad_(True)
        try:
            with torch.enable_grad():
                x, y = space.points(u), space.points(b)
                after = self.metric.distance(space.apply(self.map, x), space.apply(self.map, y))
                (slope,) = torch.autograd.grad(after[torch.isfinite(after)].sum(), b)
        except (RuntimeError, TypeError):
            self.differentiable = False
            return None
        return torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)

    def wander(self, u: torch.Tensor, v: torch.Tensor, rate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Random moves: each point by itself, one coordinate, both together, or the pair drawn together and apart."""
        gap = rate * _like(_size(v - u), u) / u[0].numel() ** 0.5
        kind = torch.randint(0, 4, (len(u),), generator=self.generator, device=u.device)
        together, stretch = rate * self.normal(u) * _like(_size(u, torch.inf), u), (v - u) * self.uniform(u, -0.8, 0.8)
        du = torch.where(_like(kind == 0, u), gap * self.normal(u), 0.0)
        dv = gap * torch.where(_like(kind == 0, u), self.normal(u), self.special(u) * self.uniform(u, -1.0, 1.0))
        du, dv = (torch.where(_like(kind == 2, u), together, z) for z in (du, dv))
        far = _like(kind == 3, u)
        return u + torch.where(far, -stretch / 2, du), v + torch.where(far, stretch / 2, dv)


def _size(u: torch.Tensor, p: float = 2.0) -> torch.Tensor:
    """The norm of each row of coordinates."""
    return torch.linalg.vector_norm(u.flatten(1), ord=p, dim=1)


def _like(flags: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """One value a pair, shaped to broadcast against coordinates."""
    return flags.reshape((-1,) + (1,) * (u.ndim - 1))
