"""What a metric is: a checked kernel on a domain (Part I, *Layer maps and the distances they do not increase*)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from deeplimits import _checks

Point = Any  # a torch tensor for most domains; a Gaussian or a decision function for two of them


class Domain(Protocol):
    """The set a metric lives on: membership, random points, and free coordinates for a search."""

    word: str
    event: int
    bound: float
    resolution: float

    def check(self, name: str, x: Point) -> Point:
        """Return ``x`` as a point of the domain or say what is wrong with it."""

    def match(self, x: Point, y: Point) -> None:
        """Raise unless ``x`` and ``y`` can be compared."""

    def sample(
        self, n: int, dim: int, generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Point:
        """Draw ``n`` random points of dimension ``dim``."""

    def coordinates(self, x: Point) -> torch.Tensor:
        """Unconstrained coordinates, one tensor."""

    def points(self, u: torch.Tensor) -> Point:
        """The points with coordinates ``u``."""

    def reach(self, u: torch.Tensor) -> torch.Tensor:
        """How far out each point is; a search stays within ``bound``."""

    def apply(self, layer_map: Callable[[Point], Point], x: Point) -> Point:
        """The image of ``x`` (a decision function is composed with the map instead)."""


@dataclass(frozen=True, eq=False)
class Metric:
    r"""A distance :math:`d(x, y)` on a named domain, called on batches.

    A point is a tensor whose trailing dimensions are the point (``(..., N)`` for vectors, ``(..., n, n)`` for matrices);
    all leading dimensions broadcast. Values come back in the dtype (float32 or float64) and on the device of the points,
    with the broadcast leading shape. Distances are pure numbers.

    Calling checks both points; :attr:`distance` is the same formula without the checks, for inner loops.

    Attributes:
        name: The public name.
        formula: LaTeX of the formula.
        distance: The unchecked kernel ``(x, y) -> tensor``.
        space: The domain object (checks, random points, coordinates).
        symmetric: Whether :math:`d(x, y) = d(y, x)`.
        triangle: Whether the triangle inequality holds.
        separates: Whether :math:`d(x, y) = 0` only for :math:`x = y`; ``False`` marks a pseudo-metric.
        nonnegative: Whether :math:`d \ge 0`.

    Raises:
        TypeError: If a point is not a floating tensor, or dtypes differ.
        ValueError: If a point lies outside the domain or the shapes do not fit.

    Example:
        >>> import torch
        >>> from deeplimits import metrics
        >>> x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 1.0, 4.0])
        >>> round(float(metrics.hilbert(x, y).exp()), 4)
        10.0
        >>> metrics.hilbert
        ConeMetric('hilbert' on rays)
    """

    name: str
    formula: str
    distance: Callable[[Point, Point], torch.Tensor]
    space: Domain
    symmetric: bool = True
    triangle: bool = True
    separates: bool = True
    nonnegative: bool = True
    doc: str = ""

    def __post_init__(self) -> None:
        if self.doc:
            object.__setattr__(self, "__doc__", self.doc)

    @property
    def domain(self) -> str:
        """The domain in a word."""
        return self.space.word

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r} on {self.domain})"

    def __call__(self, x: Point, y: Point) -> torch.Tensor:
        """Return :math:`d(x, y)` after checking both points."""
        x, y = self.space.check("x", x), self.space.check("y", y)
        self.space.match(x, y)
        return self.distance(x, y)

    def sample(
        self,
        n: int,
        dim: int,
        generator: torch.Generator | None = None,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Point:
        """Draw random points of the domain.

        Args:
            n: How many points.
            dim: Dimension of a point (side of a matrix; dimension of the space a cloud lives in).
            generator: Source of randomness; the global one if absent.
            dtype: float32 or float64.
            device: Where to draw; that of the generator, else the CPU.

        Returns:
            ``n`` points along the first dimension.

        Raises:
            ValueError: If ``n`` or ``dim`` is below 1.
            TypeError: If ``dtype`` is neither float32 nor float64.
        """
        n, dim = _checks.integer("n", n), _checks.integer("dim", dim)
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"dtype must be torch.float32 or torch.float64; got {dtype!r}")
        if device is None:
            device = generator.device if generator is not None else "cpu"
        return self.space.sample(n, dim, generator, dtype, torch.device(device))


def same_kind(x: Any, y: Any) -> None:
    """Raise unless both points share dtype and device."""
    if x.dtype != y.dtype:
        raise TypeError(f"x and y must have the same dtype; got {x.dtype} and {y.dtype}")
    if x.device != y.device:
        raise ValueError(f"x and y must be on the same device; got {x.device} and {y.device}")


def broadcastable(x: torch.Size, y: torch.Size, what: str = "leading dimensions") -> None:
    """Raise unless two batch shapes broadcast."""
    try:
        torch.broadcast_shapes(x, y)
    except RuntimeError:
        raise ValueError(f"the {what} of x and y must broadcast; got {tuple(x)} and {tuple(y)}") from None
