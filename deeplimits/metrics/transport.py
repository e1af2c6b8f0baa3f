r"""Wasserstein distances of clouds and of Gaussian laws (Part I, *Decision functions and laws of data*).

Example:
    >>> import torch
    >>> from deeplimits.metrics import gaussian_wasserstein, wasserstein
    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> float(wasserstein(x, x.flip(0) + 3))
    3.0
    >>> round(float(gaussian_wasserstein((torch.zeros(2), torch.eye(2)), (torch.ones(2), torch.eye(2)))), 4)
    1.4142
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from deeplimits.metrics.base import Metric
from deeplimits.metrics.domains import Clouds
from deeplimits.metrics.gaussians import Gaussian, Gaussians
from deeplimits.metrics.vectors import norm

FORMULA = r"\Big(\min_{\pi} \sum_{i,j} \pi_{ij}\, \|x_i - y_j\|^{%d}\Big)^{1/%d}"
CLOUDS = Clouds()


def _plan(cost: np.ndarray) -> np.ndarray:
    """An optimal transport plan between uniform masses: an assignment for equal sizes, else the network simplex."""
    rows, columns = cost.shape
    if rows == columns:
        from scipy.optimize import linear_sum_assignment  # imported here to keep `import deeplimits` light

        plan = np.zeros(cost.shape)
        plan[linear_sum_assignment(cost)] = 1 / rows
        return plan
    import ot  # Python Optimal Transport; imported here because it is slow to import

    return ot.emd(np.full(rows, 1 / rows), np.full(columns, 1 / columns), np.ascontiguousarray(cost), numItermax=10**7)


def _clouds(x: torch.Tensor, y: torch.Tensor, p: int) -> torch.Tensor:
    """W_p of clouds ``(..., n, N)`` and ``(..., m, N)``, differentiable with the plan held fixed."""
    if x.shape[-1] == 1 and x.shape[-2] == y.shape[-2]:
        gaps = x.squeeze(-1).sort(dim=-1).values - y.squeeze(-1).sort(dim=-1).values
        return norm(gaps, p) / x.shape[-2] ** (1 / p)
    cost = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    flat = cost.detach().reshape(-1, *cost.shape[-2:]).to("cpu", torch.float64).numpy() ** p
    plans = np.stack([_plan(c) for c in flat]) if len(flat) else flat
    plan = torch.as_tensor(plans, dtype=x.dtype, device=x.device).reshape(cost.shape)
    total = (plan * cost**p).sum(dim=(-2, -1))
    return total ** (1 / p)


@dataclass(frozen=True, eq=False, repr=False)
class Wasserstein(Metric):
    """The Wasserstein distance of clouds; ``p`` may be given in the call.

    Attributes:
        order: The exponent p, 1 or 2.
    """

    order: int = 2

    def __call__(self, x: torch.Tensor, y: torch.Tensor, p: int | None = None) -> torch.Tensor:
        """Return :math:`W_p(x, y)` after checking both clouds; ``p`` is 1 or 2 (default: the metric's own order)."""
        if p is not None and p not in (1, 2):
            raise ValueError(f"p must be 1 or 2; got {p!r}")
        x, y = CLOUDS.check("x", x), CLOUDS.check("y", y)
        CLOUDS.match(x, y)
        return _clouds(x, y, self.order if p is None else p)


def _wasserstein(name: str, p: int) -> Wasserstein:
    doc = rf"""The Wasserstein distance :math:`W_{p}` of two clouds of points, each point with the same mass.

    .. math:: {FORMULA % (p, p)}.

    Clouds are ``(..., n, N)`` and ``(..., m, N)``; for n = m the points are sorted in one dimension and matched by linear
    assignment (SciPy) in more; for other sizes the exact transport problem is solved by the POT library. Both run on the
    CPU and cost about :math:`n^3`. ``{name}(x, y, p={3 - p})``
    gives the other order. A map with Lipschitz constant L, applied to every point, multiplies it by at most L.
    The distance of two samples overestimates that of their laws, badly so in high dimension.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import {name}
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> float({name}(x, x.flip(0) + torch.tensor([3.0, 4.0])))
        5.0
    """
    return Wasserstein(name, FORMULA % (p, p), lambda x, y: _clouds(x, y, p), CLOUDS, doc=doc, order=p)


wasserstein = _wasserstein("wasserstein", 2)
wasserstein_1 = _wasserstein("wasserstein_1", 1)


def _root(a: torch.Tensor) -> torch.Tensor:
    """The symmetric square root of a positive semidefinite matrix; rounding below zero counts as zero."""
    values, vectors = torch.linalg.eigh(a)
    return (vectors * torch.where(values > 0, values, 0.0).sqrt().unsqueeze(-2)) @ vectors.mT


def _bures(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """min over orthogonal U of the Frobenius norm of A^(1/2) - B^(1/2) U (Procrustes): no difference of traces."""
    left, right = _root(a), _root(b)
    u, _, v = torch.linalg.svd(right.mT @ left)
    return torch.linalg.matrix_norm(left - right @ (u @ v))


def _gaussian(x: Gaussian, y: Gaussian) -> torch.Tensor:
    shift = torch.linalg.vector_norm(x.mean - y.mean, dim=-1)
    return torch.hypot(shift, _bures(x.covariance, y.covariance))


gaussian_wasserstein = Metric(
    "gaussian_wasserstein",
    r"\Big(\|m_1 - m_2\|^2 + \mathrm{tr}\big(S_1 + S_2 - 2(S_1^{1/2} S_2 S_1^{1/2})^{1/2}\big)\Big)^{1/2}",
    _gaussian,
    Gaussians(),
    doc=r"""The Wasserstein distance :math:`W_2` of two normal laws (for equal means, the Bures distance).

    .. math:: d^2 = \|m_1 - m_2\|^2 + \mathrm{tr}\big(S_1 + S_2 - 2(S_1^{1/2} S_2 S_1^{1/2})^{1/2}\big).

    A point is a :class:`Gaussian`, a pair ``(mean, covariance)``, or a covariance ``(..., N, N)`` alone, which stands
    for the centred law. Covariances may be singular. Computed as the Procrustes distance of the square roots, which
    keeps small distances.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import gaussian_wasserstein
        >>> A = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
        >>> B = torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))
        >>> round(float(gaussian_wasserstein(A, B)), 10)
        0.6480463801
    """,
)

__test__ = {m.name: m.__doc__ for m in (wasserstein, wasserstein_1, gaussian_wasserstein)}
