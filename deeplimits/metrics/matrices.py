r"""Distances of symmetric positive definite matrices (Part I, *Metrics on cones, matrices and hyperbolic space*).

The eigenvalues of :math:`A^{-1}B` are the squared singular values of :math:`L_A^{-1} L_B` for Cholesky factors;
:math:`A^{-1}B` itself is never formed.

Example:
    >>> import torch
    >>> from deeplimits.metrics import affine_invariant, spd_hilbert, spd_thompson
    >>> A = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    >>> B = torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))
    >>> [round(float(d(A, B)), 8) for d in (affine_invariant, spd_thompson, spd_hilbert)]
    [0.95448427, 0.7772082, 1.33127285]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from deeplimits import _checks
from deeplimits.metrics.base import Metric, broadcastable, same_kind
from deeplimits.metrics.domains import SPD, log_symmetric

MATRICES = SPD()


def factor_log_eigenvalues(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Logs of the eigenvalues of A^{-1} B, largest first, for A = left left^T with left lower triangular, B likewise."""
    ratio = torch.linalg.solve_triangular(left, right, upper=False)
    return 2 * torch.linalg.svdvals(ratio).log()


def log_eigenvalues(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Logs of the eigenvalues of A^{-1} B, largest first, ``(..., n)``; NaN where a matrix is not positive definite."""
    left, bad_left = torch.linalg.cholesky_ex(a)
    right, bad_right = torch.linalg.cholesky_ex(b)
    identity = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    left, right = (torch.where((bad != 0)[..., None, None], identity, m) for bad, m in ((bad_left, left), (bad_right, right)))
    bad = (bad_left != 0) | (bad_right != 0)
    return factor_log_eigenvalues(left, right).masked_fill(bad.unsqueeze(-1), torch.nan)


@dataclass(frozen=True, eq=False, repr=False)
class SPDMetric(Metric):
    """A metric on SPD matrices that is a function of the eigenvalues of A^{-1} B.

    Attributes:
        of_logs: The distance as a function of their logarithms ``(..., n)``.
    """

    of_logs: Callable[[torch.Tensor], torch.Tensor] | None = None

    def from_factors(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        r"""The distance of :math:`LL^\top` and :math:`MM^\top`, without forming them.

        Carrying factors doubles the range: condition numbers up to about 1e30 are resolved in float64.

        Args:
            left: Invertible lower triangular matrices L, ``(..., n, n)``.
            right: Invertible matrices M.

        Returns:
            The distances, of the broadcast leading shape.

        Raises:
            ValueError: If a matrix is not square, ``left`` is not lower triangular, or one is singular.

        Example:
            >>> import torch
            >>> from deeplimits.metrics import spd_hilbert
            >>> L = torch.diag(torch.tensor([1.0, 1e-12], dtype=torch.float64))
            >>> round(float(spd_hilbert.from_factors(L, torch.eye(2, dtype=torch.float64))), 6)
            55.262042
        """
        for name, m in (("left", left), ("right", right)):
            _checks.finite(name, m)
            if m.ndim < 2 or m.shape[-1] != m.shape[-2]:
                raise ValueError(f"{name} must be square, (..., n, n); got shape {tuple(m.shape)}")
        same_kind(left, right)
        broadcastable(left.shape, right.shape, "shapes")
        if torch.triu(left, 1).any():
            raise ValueError("left must be lower triangular; torch.linalg.qr(M.mT).R.mT is, with the same M M^T")
        if (left.diagonal(dim1=-2, dim2=-1) == 0).any():
            raise ValueError("left must be invertible; it has a zero on its diagonal")
        logs = factor_log_eigenvalues(left, right)
        if not torch.isfinite(logs).all():
            raise ValueError("right must be invertible; it is singular to working precision")
        return self.of_logs(logs)


def _make(name: str, formula: str, of_logs: Callable, doc: str, **flags: bool) -> SPDMetric:
    return SPDMetric(
        name, formula, lambda a, b: of_logs(log_eigenvalues(a, b)), MATRICES, doc=doc, of_logs=of_logs, **flags
    )


affine_invariant = _make(
    "affine_invariant",
    r"\|\log \mathrm{eig}(A^{-1}B)\|_2",
    lambda logs: torch.linalg.vector_norm(logs, dim=-1),
    r"""The affine-invariant Riemannian distance of SPD matrices.

    .. math:: d(A, B) = \Big(\sum_i \log^2 \lambda_i\Big)^{1/2}, \qquad \lambda_i \text{ the eigenvalues of } A^{-1}B.

    Invariant under congruence :math:`A \mapsto MAM^\top` and inversion; compression by a matrix of full row rank and
    adding a fixed positive matrix do not increase it.

    Source: Bhatia (2007); Bougerol (1993).

    Example:
        >>> import torch
        >>> from deeplimits.metrics import affine_invariant
        >>> identity = torch.eye(2, dtype=torch.float64)
        >>> round(float(affine_invariant(identity, 9 * identity)), 6)
        3.107345
    """,
)

spd_thompson = _make(
    "spd_thompson",
    r"\max_i |\log \lambda_i(A^{-1}B)|",
    lambda logs: logs.abs().amax(-1),
    r"""Thompson's metric on the cone of SPD matrices.

    .. math:: d_T(A, B) = \max_i |\log \lambda_i(A^{-1}B)|.

    Congruence keeps it; order-preserving subhomogeneous maps do not increase it. An eigenvalue clamp may.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import spd_thompson
        >>> round(float(spd_thompson(torch.eye(2), torch.diag(torch.tensor([0.5, 1.0]))).exp()), 4)
        2.0
    """,
)

spd_hilbert = _make(
    "spd_hilbert",
    r"\log \lambda_{\max}(A^{-1}B) - \log \lambda_{\min}(A^{-1}B)",
    lambda logs: logs.amax(-1) - logs.amin(-1),
    r"""Hilbert's projective metric on the cone of SPD matrices.

    .. math:: d_H(A, B) = \log\frac{\lambda_{\max}(A^{-1}B)}{\lambda_{\min}(A^{-1}B)}.

    Blind to positive factors (a pseudo-metric on matrices, a metric on rays); congruence keeps it.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import spd_hilbert
        >>> float(spd_hilbert(torch.eye(3), 5 * torch.eye(3)))
        0.0
    """,
    separates=False,
)

log_euclidean = Metric(
    "log_euclidean",
    r"\|\log A - \log B\|_F",
    lambda a, b: torch.linalg.matrix_norm(log_symmetric(a) - log_symmetric(b)),
    MATRICES,
    doc=r"""The log-Euclidean distance of SPD matrices.

    .. math:: d(A, B) = \|\log A - \log B\|_F.

    Invariant under orthogonal congruence, scaling and inversion only: a general congruence may increase it.
    The power :math:`A^r` multiplies it by :math:`|r|`; an eigenvalue clamp does not increase it.

    Example:
        >>> import torch
        >>> from deeplimits.metrics import log_euclidean
        >>> identity = torch.eye(2, dtype=torch.float64)
        >>> round(float(log_euclidean(identity, 9 * identity)), 6)
        3.107345
    """,
)

__test__ = {m.name: m.__doc__ for m in (affine_invariant, spd_thompson, spd_hilbert, log_euclidean)}
