r"""The neural tangent kernel of the hidden layer, and the covariance of the outputs at the start (Part VI, *Bias, rate and noise floor*)."""

from __future__ import annotations

import math
from typing import Any

import torch

from deeplimits import _checks

Tensor = torch.Tensor


def rows(name: str, X: Any) -> Tensor:
    """Samples, one a row."""
    if _checks.finite(name, X).ndim != 2 or X.shape[0] == 0:
        raise ValueError(f"{name} must have shape (n, d) with at least one sample; got {tuple(X.shape)}")
    return X


def samples(names: str, targets: str, X: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Samples and targets that fit together."""
    rows(names, X)
    try:
        y = torch.as_tensor(y, dtype=X.dtype, device=X.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{targets} must be a tensor of numbers, one for each sample; got {y!r}") from error
    return X, shaped(targets, y, X.shape[:1], X)


def shaped(name: str, x: Any, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A finite tensor of a given shape, in the dtype and on the device of another."""
    x = _checks.finite(name, x.to(like) if isinstance(x, Tensor) else x)
    if x.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}; got {tuple(x.shape)}")
    return x


def inputs(X: Tensor) -> Tensor:
    """The samples as double precision rows, none of them zero."""
    if not (rows("X", X) != 0).any(-1).all():
        raise ValueError("X must have no zero row: a zero input has no direction and is fitted by no weights")
    return X.to(torch.float64)


def _angles(X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gram matrix, product of the norms and angles; the diagonal is exact."""
    norms = torch.linalg.vector_norm(X, dim=-1)
    gram, sizes = X @ X.mT, norms[:, None] * norms
    theta = torch.arccos((gram / sizes).clamp(-1, 1)).fill_diagonal_(0.0)
    return gram, sizes, theta


def ntk(X: Tensor) -> Tensor:
    r"""The infinite-width kernel :math:`H^\infty_{ij} = x_i \cdot x_j\,(\pi - \theta_{ij})/(2\pi)` of the trained hidden layer.

    For unit vectors the diagonal is 1/2. Gradient descent on :math:`\tfrac12\|f - y\|^2` shrinks the residual by
    :math:`I - \eta H` a step as long as the units hardly move.

    Args:
        X: samples, shape ``(n, d)``.

    Returns:
        A symmetric float64 matrix of shape ``(n, n)``.

    Raises:
        ValueError: not a matrix of finite non-zero rows.

    Source:
        Jacot, Gabriel and Hongler (2018); Cho and Saul (2009) for the arc-cosine kernel of degree zero.

    Example:
        >>> X = torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
        >>> ntk(X)[0].tolist() == [0.5, 1 / 6] or [round(v, 6) for v in ntk(X)[0].tolist()]
        [0.5, 0.166667]
    """
    gram, _, theta = _angles(inputs(X))
    return gram * (math.pi - theta) / (2 * math.pi)


def smallest_eigenvalue(X: Tensor) -> float:
    r"""The smallest eigenvalue :math:`\lambda_0` of :func:`ntk`: it sets the slowest rate.

    Args:
        X: samples, shape ``(n, d)``.

    Returns:
        The eigenvalue.

    Example:
        >>> X = torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
        >>> round(smallest_eigenvalue(X), 12)
        0.333333333333
    """
    return float(torch.linalg.eigvalsh(ntk(X))[0])


def output_covariance(X: Tensor, entry_std: float = 1.0) -> Tensor:
    r"""Covariance of the outputs at the start, :math:`C^\infty_{ij} = \kappa^2 |x_i||x_j| (\sin\theta + (\pi - \theta)\cos\theta)/(2\pi)`.

    Args:
        X: samples, shape ``(n, d)``.
        entry_std: standard deviation :math:`\kappa` of the entries of W.

    Returns:
        A symmetric float64 matrix of shape ``(n, n)``; for unit vectors its diagonal is :math:`\kappa^2/2`.

    Source:
        Cho and Saul (2009), arc-cosine kernel of degree one.

    Example:
        >>> output_covariance(torch.eye(2, dtype=torch.float64))[0, 0].item()
        0.5
    """
    gram, sizes, theta = _angles(inputs(X))
    value = (sizes * torch.sin(theta) + (math.pi - theta) * gram) / (2 * math.pi)
    return _checks.positive("entry_std", entry_std) ** 2 * value


def empirical_ntk(X: Tensor, weights: Tensor) -> Tensor:
    r"""The kernel of one network, :math:`H_{ij} = x_i \cdot x_j\, \frac1m \#\{r : w_r \cdot x_i > 0,\ w_r \cdot x_j > 0\}`.

    Args:
        X: samples, shape ``(n, d)``.
        weights: shape ``(m, d)``.

    Returns:
        A symmetric float64 matrix of shape ``(n, n)``; its mean over Gaussian weights is :func:`ntk`.

    Example:
        >>> X = torch.eye(2, dtype=torch.float64)
        >>> empirical_ntk(X, torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)).diagonal().tolist()
        [1.0, 0.5]
    """
    X = inputs(X)
    on = (X @ _checks.last_dimension("weights", weights, X.shape[-1]).to(X).mT > 0).to(X.dtype)
    return (X @ X.mT) * (on @ on.mT) / weights.shape[-2]


def empirical_covariance(X: Tensor, weights: Tensor) -> Tensor:
    r"""The matrix :math:`C_{ij} = \frac1m \sum_r \mathrm{relu}(w_r \cdot x_i)\,\mathrm{relu}(w_r \cdot x_j)` of one network, at any time of its training.

    Args:
        X: samples, shape ``(n, d)``.
        weights: shape ``(m, d)``.

    Returns:
        A symmetric float64 matrix of shape ``(n, n)``; at the start its mean is :func:`output_covariance`.

    Example:
        >>> X = torch.eye(2, dtype=torch.float64)
        >>> empirical_covariance(X, torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)).tolist()
        [[1.0, 0.5], [0.5, 0.5]]
    """
    X = inputs(X)
    active = torch.relu(X @ _checks.last_dimension("weights", weights, X.shape[-1]).to(X).mT)
    return active @ active.mT / weights.shape[-2]
