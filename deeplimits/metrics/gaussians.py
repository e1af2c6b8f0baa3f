"""Gaussian laws as points of a metric space (Part I, *Decision functions and laws of data*)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from deeplimits import _checks
from deeplimits.metrics.base import broadcastable, same_kind
from deeplimits.metrics.domains import SPD, log_symmetric, normal, symmetric_matrix


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A normal law, or a batch of them.

    Attributes:
        mean: Means, ``(..., N)``.
        covariance: Covariances, ``(..., N, N)``, symmetric and positive semidefinite.

    Example:
        >>> import torch
        >>> p = Gaussian(torch.zeros(2), torch.eye(2))
        >>> p.push_forward(2 * torch.eye(2), torch.ones(2)).covariance
        tensor([[4., 0.],
                [0., 4.]])
    """

    mean: torch.Tensor
    covariance: torch.Tensor

    def push_forward(
        self, weight: torch.Tensor, bias: torch.Tensor | None = None, noise: torch.Tensor | None = None
    ) -> Gaussian:
        """The law of W x + b + independent centred noise.

        Args:
            weight: W, ``(..., M, N)``.
            bias: b, ``(..., M)``; zero if absent.
            noise: Covariance of the noise, ``(..., M, M)``; none if absent.

        Returns:
            The image law.

        Raises:
            TypeError: If an argument is not a tensor of the law's dtype.
            ValueError: If the shapes do not fit, the noise is not symmetric, or a number is not finite.
        """
        if _checks.last_dimension("weight", _checks.finite("weight", weight), self.shape[-1]).ndim < 2:
            raise ValueError(f"weight must have shape (..., M, {self.shape[-1]}); got {tuple(weight.shape)}")
        if bias is not None:
            _checks.last_dimension("bias", _checks.finite("bias", bias), weight.shape[-2])
        if noise is not None:
            _checks.last_dimension("noise", symmetric_matrix("noise", noise), weight.shape[-2])
        for name, value in (("weight", weight), ("bias", bias), ("noise", noise)):
            if value is not None and value.dtype != self.dtype:
                raise TypeError(f"{name} must have the dtype of the law, {self.dtype}; got {value.dtype}")
        mean = (weight @ self.mean.unsqueeze(-1)).squeeze(-1)
        covariance = weight @ self.covariance @ weight.mT
        covariance = (covariance + covariance.mT) / 2
        return Gaussian(mean if bias is None else mean + bias, covariance if noise is None else covariance + noise)

    def __getitem__(self, index: Any) -> Gaussian:
        """Index the batch; both tensors must carry it."""
        return Gaussian(self.mean[index], self.covariance[index])

    @property
    def shape(self) -> torch.Size:
        """Batch shape followed by N."""
        return torch.broadcast_shapes(self.mean.shape, self.covariance.shape[:-1])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the mean and the covariance."""
        return self.mean.dtype

    @property
    def device(self) -> torch.device:
        """The device of the mean and the covariance."""
        return self.mean.device

    def to(self, *args: Any, **kwargs: Any) -> Gaussian:
        """Convert both tensors, as ``torch.Tensor.to`` does."""
        return Gaussian(self.mean.to(*args, **kwargs), self.covariance.to(*args, **kwargs))


def as_gaussian(name: str, x: Any) -> Gaussian:
    """A Gaussian from itself, from a pair (mean, covariance), or from a covariance alone (mean zero)."""
    if isinstance(x, Gaussian):
        return x
    if isinstance(x, tuple) and len(x) == 2:
        return Gaussian(_checks.floating(f"{name}[0]", x[0]), _checks.floating(f"{name}[1]", x[1]))
    if isinstance(x, torch.Tensor):
        symmetric_matrix(name, x)
        return Gaussian(torch.zeros(x.shape[:-1], dtype=x.dtype, device=x.device), x)
    raise TypeError(f"{name} must be a Gaussian, a pair (mean, covariance) or a covariance matrix; got {type(x).__name__}")


class Gaussians:
    """Normal laws on R^N; coordinates are the mean beside the logarithm of the covariance."""

    word = "gaussians"
    event = 2
    bound = 7.0
    resolution = 1e-4
    spd = SPD()

    def __init__(self, definite: bool = False) -> None:
        self.definite = definite

    def check(self, name: str, x: Any) -> Gaussian:
        x = as_gaussian(name, x)
        _checks.finite(f"{name}.mean", x.mean)
        symmetric_matrix(f"{name}.covariance", x.covariance)
        if x.mean.dtype != x.covariance.dtype:
            raise TypeError(f"{name}: mean and covariance must share a dtype; got {x.mean.dtype} and {x.covariance.dtype}")
        if x.mean.ndim == 0 or x.mean.shape[-1] != x.covariance.shape[-1] or x.mean.shape[-1] == 0:
            raise ValueError(
                f"{name} must have a mean (..., N) and a covariance (..., N, N); "
                f"got {tuple(x.mean.shape)} and {tuple(x.covariance.shape)}"
            )
        broadcastable(x.mean.shape[:-1], x.covariance.shape[:-2], f"leading dimensions of {name}: those")
        if self.definite:
            self.spd.check(f"{name}.covariance", x.covariance)
        else:
            values = torch.linalg.eigvalsh(x.covariance)
            tolerance = 100 * torch.finfo(x.dtype).eps * values.abs().amax(-1, keepdim=True)
            if (values < -tolerance).any():
                raise ValueError(f"{name}.covariance must be positive semidefinite; its smallest eigenvalue is {float(values.min()):g}")
        return x

    def match(self, x: Gaussian, y: Gaussian) -> None:
        same_kind(x, y)
        if x.shape[-1] != y.shape[-1]:
            raise ValueError(f"x and y must have the same dimension; got {x.shape[-1]} and {y.shape[-1]}")
        broadcastable(x.shape[:-1], y.shape[:-1])

    def sample(self, n, dim, generator, dtype, device):
        return Gaussian(normal((n, dim), generator, dtype, device), self.spd.sample(n, dim, generator, dtype, device))

    def coordinates(self, x: Gaussian) -> torch.Tensor:
        return torch.cat([x.mean.unsqueeze(-1), log_symmetric(x.covariance)], dim=-1)

    def points(self, u: torch.Tensor) -> Gaussian:
        return Gaussian(u[..., 0], self.spd.points(u[..., 1:]))

    def reach(self, u: torch.Tensor) -> torch.Tensor:
        return torch.maximum(u[..., 0].abs().amax(-1), self.spd.reach(u[..., 1:]))

    def apply(self, layer_map, x: Gaussian) -> Gaussian:
        return layer_map(x)
