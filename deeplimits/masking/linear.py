r"""The linearized network: exact mean of the weights under random masks, and the ridge that dropout solves (Part VI, *Bias, rate and noise floor*).

With the gates held, the output is linear in the weights, :math:`f = \sum_r J_r w_r` with :math:`J_r = \frac{a_r}{\sqrt m}\operatorname{diag}(g_r) X`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from deeplimits import _checks
from deeplimits.masking.kernels import rows, samples, shaped
from deeplimits.masking.laws import MaskLaw, output_factor

Tensor = torch.Tensor

_BLOCK = 256


def _network(X: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The weights in the dtype of the samples, and the gates that they set."""
    _checks.last_dimension("weights", _checks.finite("weights", weights), X.shape[-1])
    if weights.ndim != 2:
        raise ValueError(f"weights must have shape (m, d); got {tuple(weights.shape)}")
    W = weights.to(X)
    return W, (X @ W.mT > 0).to(X.dtype)


def jacobian(X: Tensor, weights: Tensor, signs: Tensor) -> Tensor:
    r"""The matrices :math:`J_r` side by side: the output of the linearized network is J times the weights in one column.

    Args:
        X: samples, shape ``(n, d)``.
        weights: shape ``(m, d)``; they set the gates.
        signs: shape ``(m,)``.

    Returns:
        Shape ``(n, m d)``.

    Raises:
        TypeError: an argument that is not a tensor of floats.
        ValueError: shapes that do not fit, or numbers that are not finite.

    Example:
        >>> X, W = torch.eye(2, dtype=torch.float64), torch.tensor([[1.0, -1.0]], dtype=torch.float64)
        >>> jacobian(X, W, torch.ones(1, dtype=torch.float64)).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    W, gate = _network(rows("X", X), weights)
    return torch.einsum("nm,nd,m->nmd", gate, X, shaped("signs", signs, W.shape[:1], X)).flatten(1) / math.sqrt(len(W))


def mean_step(weights: Tensor, signs: Tensor, gate: Tensor, X: Tensor, y: Tensor, law: MaskLaw, lr: float, scale: float | None = None) -> Tensor:
    r"""The exact mean of the weights after one round of one local step, given the weights before it.

    :math:`E[w_r'] = w_r - \eta\theta q\,J_r^\top\bigl[q\xi c f + q(1 - \xi c) J_r w_r - y\bigr]`, with c the coupling of the masks (1 for independent
    ones) and q the output factor. At :math:`q = 1/\xi` and c = 1 this is gradient descent on
    :math:`\tfrac12\|JW - y\|^2 + \tfrac12\lambda_\xi\sum_r\|J_r w_r\|^2`.

    Args:
        weights: shape ``(m, d)``.
        signs: shape ``(m,)``.
        gate: which unit is on for which sample, shape ``(n, m)``.
        X: samples, shape ``(n, d)``.
        y: targets, shape ``(n,)``.
        law: the law of the masks, with its width.
        lr: step size :math:`\eta`.
        scale: output factor q; :math:`1/\xi` if None.

    Returns:
        The mean weights, shape ``(m, d)``.

    Raises:
        TypeError: an argument that is not a tensor, or no law.
        ValueError: shapes that do not fit, numbers that are not finite, or ``lr`` or ``scale`` not positive.

    Example:
        >>> from deeplimits.masking import mask_law
        >>> one = torch.ones(1, 1, dtype=torch.float64)
        >>> mean_step(one, one[0], one, one, 3 * one[0], mask_law("bernoulli", 1, 1.0, 1), lr=0.5)
        tensor([[2.]], dtype=torch.float64)
    """
    X, y = samples("X", "y", X, y)
    W, _ = _network(X, weights)
    signs, gate = shaped("signs", signs, W.shape[:1], X), shaped("gate", gate, (len(X), len(W)), X)
    return _step(W, signs, gate, X, y, law, _checks.positive("lr", lr), output_factor(law, scale))


def _step(weights: Tensor, signs: Tensor, gate: Tensor, X: Tensor, y: Tensor, law: MaskLaw, lr: float, q: float) -> Tensor:
    """The numeric kernel of :func:`mean_step`, without checks."""
    joint = law.keep * law.coupling
    own = gate * (X @ weights.mT)  # J_r w_r up to a_r/sqrt(m)
    f = own @ signs / math.sqrt(weights.shape[0])
    back = (q * joint * f - y)[:, None] * signs + q * (1 - joint) * own / math.sqrt(weights.shape[0])
    return weights - lr * law.updated * q / math.sqrt(weights.shape[0]) * (gate * back).mT @ X


@dataclass(frozen=True)
class MeanPath:
    r"""The mean of the linearized run.

    Attributes:
        residual: :math:`E u_k`, shape ``(rounds + 1, n)``.
        power: :math:`\sum_r \|J_r E w_r\|^2`, shape ``(rounds + 1,)``.
        weights: the mean weights after the last round.

    Example:
        >>> MeanPath(torch.zeros(1, 1), torch.ones(1), torch.zeros(1, 1)).power.tolist()
        [1.0]
    """

    residual: Tensor
    power: Tensor
    weights: Tensor = field(repr=False)


def mean_dynamics(X: Tensor, y: Tensor, weights: Tensor, signs: Tensor, law: MaskLaw, lr: float, rounds: int, *, scale: float | None = None) -> MeanPath:
    r"""The exact mean of the linearized network over all masks, round by round, for one local step.

    Args:
        X: samples, shape ``(n, d)``.
        y: targets, shape ``(n,)``.
        weights: shape ``(m, d)``, at the start; they set the gates.
        signs: shape ``(m,)``.
        law: the law of the masks, with its width.
        lr: step size :math:`\eta`.
        rounds: number of rounds.
        scale: output factor q; :math:`1/\xi` if None.

    Returns:
        Residuals, power and weights, each an exact mean over the masks (of the weights, not of the squared error).

    Raises:
        TypeError: an argument that is not a tensor, or no law.
        ValueError: as :func:`mean_step`.

    Source:
        Derived in the book.

    Example:
        >>> from deeplimits.masking import initial_weights, mask_law, random_task
        >>> X, y = random_task(20, 10)
        >>> path = mean_dynamics(X, y, *initial_weights(200, 10), mask_law("bernoulli", 4, 0.5, 200), 0.1, 50)
        >>> path.residual.shape, bool(path.residual[-1].norm() < 0.2 * path.residual[0].norm())
        (torch.Size([51, 20]), True)
    """
    X, y = samples("X", "y", X, y)
    W, gate = _network(X, weights)
    signs, lr, q = shaped("signs", signs, W.shape[:1], X), _checks.positive("lr", lr), output_factor(law, scale)
    residual, power = [], []
    for k in range(_checks.integer("rounds", rounds) + 1):
        own = gate * (X @ W.mT)
        residual.append(own @ signs / math.sqrt(W.shape[0]) - y)
        power.append(own.square().sum() / W.shape[0])
        if k < rounds:
            W = _step(W, signs, gate, X, y, law, lr, q)
    return MeanPath(torch.stack(residual), torch.stack(power), W)


@dataclass(frozen=True)
class Ridge:
    r"""The fixed point of the mean dynamics.

    Attributes:
        residual: :math:`y - f^*`, shape ``(n,)``, float64.
        relative: :math:`\|y - f^*\|^2/\|y\|^2`.
        eigenvalues: those of :math:`P = \sum_r J_r(J_r^\top J_r)^+J_r^\top`, ascending.

    Example:
        >>> Ridge(torch.zeros(1), 0.0, torch.ones(1)).relative
        0.0
    """

    residual: Tensor
    relative: float
    eigenvalues: Tensor = field(repr=False)


def ridge_fixed_point(X: Tensor, y: Tensor, weights: Tensor, law: MaskLaw, *, scale: float | None = None) -> Ridge:
    r"""Where the mean dynamics comes to rest: :math:`y - f^* = \lambda_\xi(P + \lambda_\xi I)^{-1}y` for independent masks.

    In general :math:`f^* = [q(1 - \xi c) I + q\xi c P]^{-1} P y`, with the coupling c of the masks and the output factor q. It depends neither on
    S (but through the law) nor on the step size.

    Args:
        X: samples, shape ``(n, d)``.
        y: targets, shape ``(n,)``.
        weights: shape ``(m, d)``; they set the gates.
        law: the law of the masks, with its width.
        scale: output factor q; :math:`1/\xi` if None.

    Returns:
        A :class:`Ridge`.

    Raises:
        TypeError: an argument that is not a tensor, or no law.
        ValueError: shapes that do not fit, numbers that are not finite, or ``scale`` not positive.

    Source:
        Derived in the book; Srivastava et al. (2014) have the ridge of dropout for linear regression.

    Example:
        >>> from deeplimits.masking import mask_law
        >>> X, y = torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        >>> round(ridge_fixed_point(X, y, torch.ones(9, 1, dtype=torch.float64), mask_law("bernoulli", 1, 0.5, 9)).residual.item(), 12)
        0.1
    """
    X, y = samples("X", "y", X, y)
    X64, y64, q = X.to(torch.float64), y.to(torch.float64), output_factor(law, scale)
    P = torch.zeros(len(X), len(X), dtype=torch.float64, device=X.device)
    for gate in _network(X64, weights)[1].mT.split(_BLOCK):
        U, s, _ = torch.linalg.svd(gate.unsqueeze(-1) * X64, full_matrices=False)
        U = U * (s > s[..., :1] * 1e-12).to(U.dtype).unsqueeze(-2)
        P = P + torch.einsum("rni,rki->nk", U, U)
    p, V = torch.linalg.eigh(P)
    p = p.clamp_min(0.0)
    joint = law.keep * law.coupling
    below = q * (1 - joint) + q * joint * p
    # With one mask that keeps all, directions that no neuron sees stay unfitted: f* = 0 there.
    f = torch.where(below > 0, p / torch.where(below > 0, below, torch.ones_like(below)), torch.zeros_like(p))
    residual = V @ ((1 - f) * (V.mT @ y64))
    return Ridge(residual, float(residual.square().sum() / y64.square().sum()), p)
