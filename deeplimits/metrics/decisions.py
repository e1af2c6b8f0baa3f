r"""The sup-distance of decision functions (Part I, *Decision functions and laws of data*).

A layer map T acts on decision functions by composition, f becomes f∘T, and the true sup-distance can only fall.

Example:
    >>> import torch
    >>> from deeplimits.metrics import pull_back, sup
    >>> d = sup(torch.linspace(-1, 1, 201).unsqueeze(-1))
    >>> f, g = (lambda x: x.squeeze(-1) ** 2), (lambda x: 0 * x.squeeze(-1))
    >>> half = lambda x: x / 2
    >>> float(d(f, g)), float(d(pull_back(f, half), pull_back(g, half)))
    (1.0, 0.25)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from deeplimits import _checks
from deeplimits.metrics.base import Metric, broadcastable
from deeplimits.metrics.domains import normal

Decision = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Waves:
    r"""Random smooth decision functions :math:`f(x) = \sum_j a_j \cos(w_j \cdot x + b_j)`, or a batch of them.

    Attributes:
        parameters: ``(..., terms, N + 2)``: amplitude, phase and frequencies of each term.

    Example:
        >>> import torch
        >>> f = Waves(torch.tensor([[2.0, 0.0, 1.0]]))
        >>> f(torch.zeros(5, 1))
        tensor([2., 2., 2., 2., 2.])
    """

    parameters: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        amplitude, phase, frequency = self.parameters[..., 0], self.parameters[..., 1], self.parameters[..., 2:]
        waves = torch.cos(x.to(frequency.dtype) @ frequency.mT + phase.unsqueeze(-2))
        return (waves @ amplitude.unsqueeze(-1)).squeeze(-1)

    def __getitem__(self, index: Any) -> Waves:
        return Waves(self.parameters[index])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self.parameters.dtype

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.parameters.device

    def to(self, *args: Any, **kwargs: Any) -> Waves:
        """Convert the parameters, as ``torch.Tensor.to`` does."""
        return Waves(self.parameters.to(*args, **kwargs))


class Decisions:
    """Decision functions; the random ones are waves, with their parameters as coordinates."""

    word = "functions"
    event = 2
    bound = 1e3
    resolution = 1e-5
    terms = 8

    def check(self, name: str, x: Any) -> Decision:
        if not callable(x):
            raise TypeError(f"{name} must be a function of points (P, N) that returns one value a point; got {type(x).__name__}")
        return x

    def match(self, x: Decision, y: Decision) -> None:
        """Anything callable can be compared; the values are checked when they are known."""

    def sample(self, n, dim, generator, dtype, device):
        return Waves(normal((n, self.terms, dim + 2), generator, dtype, device))

    def coordinates(self, x: Waves) -> torch.Tensor:
        return x.parameters

    def points(self, u: torch.Tensor) -> Waves:
        return Waves(u)

    def reach(self, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u.flatten(1), ord=torch.inf, dim=1)

    def apply(self, layer_map: Callable, x: Decision) -> Decision:
        return pull_back(x, layer_map)


def pull_back(function: Decision, layer_map: Callable[[torch.Tensor], torch.Tensor]) -> Decision:
    r"""The decision function :math:`f \circ T`.

    Args:
        function: the decision function f, defined on the values of the map.
        layer_map: the map T.

    Returns:
        The function :math:`x \mapsto f(T(x))`.

    Example:
        >>> import torch
        >>> float(pull_back(torch.sum, lambda x: 2 * x)(torch.ones(3)))
        6.0
    """
    return lambda x: function(layer_map(x))


def sup(points: torch.Tensor, vector: bool = False) -> Metric:
    r"""The largest difference of two decision functions on a finite set K of points.

    .. math:: d_K(f, g) = \max_{x \in K} |f(x) - g(x)|.

    Over a whole space no map T increases the sup-distance under :math:`f \mapsto f \circ T`. On a finite set this
    holds if :math:`T(K) \subseteq K`; otherwise :math:`d_K` is a lower estimate of the sup-distance and may grow.

    Args:
        points: K, a tensor ``(P, N)``.
        vector: Whether a decision has several outputs: values ``(..., P, k)``, compared in Euclidean norm. Otherwise
            values are ``(..., P)``.

    Returns:
        The metric, on functions that take points ``(P, N)``; a pseudo-metric, since it sees K only.

    Raises:
        ValueError: If ``points`` is not a finite ``(P, N)`` tensor, or a function returns the wrong shape.

    Example:
        >>> import torch
        >>> K = torch.tensor([[0.0], [1.0]])
        >>> float(sup(K)(lambda x: x[:, 0], lambda x: 3 * x[:, 0]))
        2.0
    """
    _checks.finite("points", points)
    if points.ndim != 2 or points.numel() == 0:
        raise ValueError(f"points must have shape (P, N) with P, N at least 1; got shape {tuple(points.shape)}")
    axis = -2 if vector else -1

    def values(name: str, f: Decision) -> torch.Tensor:
        out = f(points)
        if not isinstance(out, torch.Tensor):
            raise TypeError(f"{name} must return a tensor; got {type(out).__name__}")
        if out.ndim < -axis or out.shape[axis] != len(points):
            shape = "(P, k)" if vector else "(P,); vector=True allows (P, k)"
            raise ValueError(f"{name} must return values of shape {shape} for {len(points)} points; got {tuple(out.shape)}")
        return _checks.finite(f"the values of {name}", out)

    def distance(f: Decision, g: Decision) -> torch.Tensor:
        u, v = values("x", f), values("y", g)
        broadcastable(u.shape, v.shape, "values")
        gaps = torch.linalg.vector_norm(u - v, dim=-1) if vector else (u - v).abs()
        return gaps.amax(-1)

    formula = r"\max_{x \in K} \|f(x) - g(x)\|" if vector else r"\max_{x \in K} |f(x) - g(x)|"
    return Metric("sup", formula, distance, Decisions(), separates=False, doc=sup.__doc__)
