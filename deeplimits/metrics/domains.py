"""The sets the metrics live on (Part I, *Layer maps and the distances they do not increase*).

Each domain checks points with an error that names the argument, draws random points, and has free coordinates
(logarithms on the cone, matrix logarithms on SPD matrices, hyperbolic polar coordinates in the ball) in which
:func:`deeplimits.metrics.check_semi_invariance` searches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from deeplimits import _checks
from deeplimits.metrics.base import broadcastable, same_kind


def normal(shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Standard normals."""
    return torch.randn(shape, generator=generator, dtype=dtype, device=device)


class Vectors:
    """All of R^N."""

    word = "vectors"
    event = 1
    bound = 1e4  # how far out, and
    resolution = 1e-5  # how near to each other, points are still compared in a search

    def check(self, name: str, x: Any) -> torch.Tensor:
        _checks.floating(name, x)
        if x.ndim < self.event:
            raise ValueError(f"{name} must have shape {self.shape_word}; got shape {tuple(x.shape)}")
        if x.shape[-self.event :].numel() == 0:
            raise ValueError(f"{name} must have at least one coordinate; got shape {tuple(x.shape)}")
        return _checks.finite(name, x)

    @property
    def shape_word(self) -> str:
        return "(..., N)" if self.event == 1 else "(..., n, n)"

    def match(self, x: torch.Tensor, y: torch.Tensor) -> None:
        same_kind(x, y)
        e = self.event
        if x.shape[-e:] != y.shape[-e:]:
            raise ValueError(
                f"x and y must agree in their last {'dimension' if e == 1 else f'{e} dimensions'}; "
                f"got shapes {tuple(x.shape)} and {tuple(y.shape)}"
            )
        broadcastable(x.shape[:-e], y.shape[:-e])

    def sample(self, n, dim, generator, dtype, device):
        return normal((n, dim), generator, dtype, device)

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def points(self, u: torch.Tensor) -> torch.Tensor:
        return u

    def reach(self, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u.flatten(1), ord=torch.inf, dim=1)

    def apply(self, layer_map: Callable, x: Any) -> Any:
        return layer_map(x)


class Directions(Vectors):
    """Non-zero vectors, seen up to a positive factor."""

    word = "directions"

    def check(self, name: str, x: Any) -> torch.Tensor:
        super().check(name, x)
        if (x == 0).all(dim=-1).any():
            raise ValueError(f"{name} must not contain a zero vector: it has no direction")
        return x


class Cone(Vectors):
    """The open cone of vectors with positive coordinates; coordinates are logarithms."""

    word = "cone"
    bound = 40.0

    def __init__(self, word: str = "cone") -> None:
        self.word = word

    def check(self, name: str, x: Any) -> torch.Tensor:
        super().check(name, x)
        if (x <= 0).any():
            raise ValueError(
                f"{name} must have positive coordinates only (the open cone); its smallest is {float(x.min()):g}. "
                "Vectors that differ in their zeros are infinitely far apart; carry logarithms (from_logs) if x underflows"
            )
        return x

    def sample(self, n, dim, generator, dtype, device):
        return torch.exp(1.5 * normal((n, dim), generator, dtype, device))

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        return x.log()

    def points(self, u: torch.Tensor) -> torch.Tensor:
        return u.exp()


class SPD(Vectors):
    """Symmetric positive definite matrices; coordinates are matrix logarithms."""

    word = "spd"
    event = 2
    bound = 7.0
    resolution = 1e-4

    def check(self, name: str, x: Any) -> torch.Tensor:
        symmetric_matrix(name, x)
        super().check(name, x)
        factor, info = torch.linalg.cholesky_ex(x)
        pivots = factor.diagonal(dim1=-2, dim2=-1).square()
        floor = x.shape[-1] * torch.finfo(x.dtype).eps * x.diagonal(dim1=-2, dim2=-1)
        if (info != 0).any() or (pivots <= floor).any():
            raise ValueError(
                f"{name} must be positive definite; it has an eigenvalue that is zero (to working precision) or negative. "
                "If you know a factor, from_factors takes it"
            )
        return x

    def sample(self, n, dim, generator, dtype, device):
        return self.points(2 / dim**0.5 * normal((n, dim, dim), generator, dtype, device))

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        return log_symmetric(x)

    def reach(self, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh((u + u.mT) / 2).abs().amax(-1)

    def points(self, u: torch.Tensor) -> torch.Tensor:
        a = torch.linalg.matrix_exp((u + u.mT) / 2)
        return (a + a.mT) / 2


class Ball(Vectors):
    """The open unit ball; coordinates u with |u| the Poincare distance to the centre."""

    word = "ball"
    bound = 8.0

    def check(self, name: str, x: Any) -> torch.Tensor:
        super().check(name, x)
        norm = torch.linalg.vector_norm(x, dim=-1)
        if (norm >= 1).any():
            raise ValueError(f"{name} must lie inside the open unit ball; its largest norm is {float(norm.max()):.17g}")
        return x

    def sample(self, n, dim, generator, dtype, device):
        v = normal((n, dim), generator, dtype, device)
        radius = 4 * torch.rand((n, 1), generator=generator, dtype=dtype, device=device)
        return self.points(radius * v / torch.linalg.vector_norm(v, dim=-1, keepdim=True))

    def reach(self, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=-1)

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.where(r > 0, 2 * torch.atanh(r) / torch.where(r > 0, r, 1.0), 2.0)

    def points(self, u: torch.Tensor) -> torch.Tensor:
        r = torch.linalg.vector_norm(u, dim=-1, keepdim=True)
        return u * torch.where(r > 0, torch.tanh(r / 2) / torch.where(r > 0, r, 1.0), 0.5)


class Clouds(Vectors):
    """Finite clouds of points of R^N, each point with the same mass."""

    word = "clouds"
    event = 2
    size = 6

    @property
    def shape_word(self) -> str:
        return "(..., points, N)"

    def match(self, x: torch.Tensor, y: torch.Tensor) -> None:
        same_kind(x, y)
        if x.shape[-1] != y.shape[-1]:
            raise ValueError(f"the clouds must live in the same space; got shapes {tuple(x.shape)} and {tuple(y.shape)}")
        broadcastable(x.shape[:-2], y.shape[:-2])

    def sample(self, n, dim, generator, dtype, device):
        return normal((n, self.size, dim), generator, dtype, device)


class Laws(Vectors):
    """Probability vectors; coordinates are logarithms up to a constant."""

    word = "laws"
    bound = 40.0

    def check(self, name: str, x: Any) -> torch.Tensor:
        super().check(name, x)
        if (x < 0).any():
            raise ValueError(f"{name} must have probabilities, none negative; its smallest is {float(x.min()):g}")
        off = (x.sum(-1) - 1).abs().max() if x.shape[:-1].numel() else 0.0  # no law, nothing off
        if off > (1e-9 if x.dtype == torch.float64 else 1e-4):
            raise ValueError(f"{name} must sum to 1 along its last dimension; it is off by {float(off):.3g}")
        return x

    def sample(self, n, dim, generator, dtype, device):
        return torch.softmax(1.5 * normal((n, dim), generator, dtype, device), dim=-1)

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        return x.log()

    def points(self, u: torch.Tensor) -> torch.Tensor:
        return torch.softmax(u, dim=-1)


def symmetric_matrix(name: str, x: Any) -> torch.Tensor:
    """A finite symmetric matrix (or a batch of them)."""
    _checks.finite(name, x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{name} must be a square matrix of shape (..., n, n); got shape {tuple(x.shape)}")
    tolerance = 1e-10 if x.dtype == torch.float64 else 1e-4
    size = x.abs().amax(dim=(-2, -1), keepdim=True) if x.numel() else x
    if ((x - x.mT).abs() > tolerance * size).any():
        raise ValueError(f"{name} must be symmetric; (A + A.mT) / 2 is the symmetric part if the asymmetry is rounding")
    return x


def log_symmetric(a: torch.Tensor) -> torch.Tensor:
    """Logarithm of a symmetric positive definite matrix."""
    values, vectors = torch.linalg.eigh(a)
    return (vectors * values.log().unsqueeze(-2)) @ vectors.mT
