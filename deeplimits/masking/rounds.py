r"""One round: S subnetworks take their local steps, and each neuron takes the mean of its changes (Part VI, *Training random subnetworks*).

Five routes to the same numbers. ``shared``: one forward and one backward pass for all subnetworks (one local step only);
``gathered``: each subnetwork as a smaller dense network; ``einsum``: full copies with masks; ``vmap``: the gradient of a loss, mapped
over subnetworks; ``loop``: subnetworks one by one. The first two are the fast ones, the others are what one would write first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from deeplimits import _checks
from deeplimits.masking.kernels import samples, shaped

Tensor = torch.Tensor

ROUTES = ("auto", "shared", "gathered", "einsum", "vmap", "loop")
UNSELECTED = ("unchanged", "zero")


@dataclass(frozen=True)
class Problem:
    """What a subnetwork is trained on: samples, and the factor of its output and gradient, q/sqrt(m)."""

    X: Tensor          # (n, d)
    y: Tensor          # (n,)
    factor: float
    lr: float
    local_steps: int


def relu(Z: Tensor, gate: Tensor | None) -> Tensor:
    """The activation, or a given linear gate in its place."""
    return torch.relu(Z) if gate is None else Z * gate


def through(B: Tensor, Z: Tensor, gate: Tensor | None) -> Tensor:
    """The derivative of the activation, applied to what comes back."""
    return torch.ops.aten.threshold_backward(B, Z, 0) if gate is None else B * gate


def shared(W: Tensor, signs: Tensor, masks: Tensor, p: Problem, gate: Tensor | None = None,
           forward: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The mean change of each neuron after one local step; W (R, m, d), signs (R, m), masks (R, S, m)."""
    if forward is None:
        Z = p.X @ W.mT
        forward = Z, relu(Z, gate)
    Z, active = forward
    signed = masks * signs[:, None]
    residual = torch.baddbmm(p.y[:, None].expand(1, -1, masks.shape[1]), active, signed.mT, beta=-1, alpha=p.factor)
    share = signed * masks.sum(1, keepdim=True).clamp_min(1).reciprocal()
    back = through(residual @ share, Z, gate)
    return (back.mT @ p.X).mul_(-p.lr * p.factor)


def local_training(W: Tensor, signs: Tensor, p: Problem, gate: Tensor | None = None) -> Tensor:
    """The weights of small dense networks after the local steps; W (..., k, d), signs (..., k), zero where there is no neuron."""
    pull = signs.unsqueeze(-1) * (p.lr * p.factor)
    for _ in range(p.local_steps):
        Z = p.X @ W.mT
        residual = torch.matmul(relu(Z, gate), signs.unsqueeze(-1)) * p.factor - p.y[:, None]
        W = W - pull * (through(residual.expand_as(Z), Z, gate).mT @ p.X)
    return W


def _gathered(W: Tensor, signs: Tensor, masks: Tensor, p: Problem, gate: Tensor | None, most: int) -> Tensor:
    """As :func:`shared` for any number of local steps; ``most`` is the largest number of neurons in a mask."""
    R, m, d = W.shape
    on, place = torch.sort(masks, dim=-1, descending=True, stable=True)
    on, place = on[..., :most], place[..., :most] + m * torch.arange(R, device=W.device)[:, None, None]
    start = W.reshape(R * m, d)[place]
    own = signs.reshape(R * m)[place] * on
    small = None if gate is None else gate.mT.reshape(R * m, -1)[place].mT
    change = (local_training(start, own, p, small) - start) * on.unsqueeze(-1)
    total = torch.zeros(R * m, d, dtype=W.dtype, device=W.device).index_add_(0, place.reshape(-1), change.reshape(-1, d))
    return total.reshape(R, m, d) / masks.sum(1).clamp_min(1).unsqueeze(-1)


def _einsum(W: Tensor, signs: Tensor, masks: Tensor, p: Problem, gate: Tensor | None) -> Tensor:
    copies, signed = W[:, None].expand(-1, masks.shape[1], -1, -1), masks * signs[:, None]
    wide = None if gate is None else gate[:, None]
    for _ in range(p.local_steps):
        Z = torch.einsum("nd,rsmd->rsnm", p.X, copies)
        residual = torch.einsum("rsnm,rsm->rsn", relu(Z, wide), signed) * p.factor - p.y
        back = through(residual.unsqueeze(-1).expand_as(Z), Z, wide)
        copies = copies - p.lr * p.factor * signed.unsqueeze(-1) * torch.einsum("rsnm,nd->rsmd", back, p.X)
    return _average(copies, W, masks)


def _average(copies: Tensor, W: Tensor, masks: Tensor) -> Tensor:
    return ((copies - W[:, None]) * masks.unsqueeze(-1)).sum(1) / masks.sum(1).clamp_min(1).unsqueeze(-1)


def _loss(w: Tensor, signed: Tensor, X: Tensor, y: Tensor, factor: float, gate: Tensor | None) -> Tensor:
    return 0.5 * (relu(X @ w.mT, gate) @ signed * factor - y).square().sum()


def _vmap(W: Tensor, signs: Tensor, masks: Tensor, p: Problem, gate: Tensor | None) -> Tensor:
    copies, signed = W[:, None].expand(-1, masks.shape[1], -1, -1), masks * signs[:, None]
    over_masks = torch.func.vmap(torch.func.grad(_loss), (0, 0, None, None, None, None))
    gradient = torch.func.vmap(over_masks, (0, 0, None, None, None, None if gate is None else 0))
    for _ in range(p.local_steps):
        copies = copies - p.lr * gradient(copies, signed, p.X, p.y, p.factor, gate)
    return _average(copies, W, masks)


def _loop(W: Tensor, signs: Tensor, masks: Tensor, p: Problem, gate: Tensor | None) -> Tensor:
    changes = []
    for r in range(W.shape[0]):
        total = torch.zeros_like(W[r], device=W.device)
        for mask in masks[r]:
            w = W[r]
            for _ in range(p.local_steps):
                w = w - p.lr * torch.func.grad(_loss)(w, mask * signs[r], p.X, p.y, p.factor, None if gate is None else gate[r])
            total = total + mask[:, None] * (w - W[r])
        changes.append(total / masks[r].sum(0).clamp_min(1)[:, None])
    return torch.stack(changes)


def change(W: Tensor, signs: Tensor, masks: Tensor, p: Problem, route: str, gate: Tensor | None = None, most: int | None = None,
           forward: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The mean change of each neuron in a round, by the route that is named."""
    if route == "shared":
        return shared(W, signs, masks, p, gate, forward)
    if route == "gathered":
        return _gathered(W, signs, masks, p, gate, masks.shape[-1] if most is None else most)
    return {"einsum": _einsum, "vmap": _vmap, "loop": _loop}[route](W, signs, masks, p, gate)


def chosen(route: str, local_steps: int) -> str:
    """The route that ``"auto"`` stands for, and no shared pass for several local steps."""
    _checks.choice("route", route, ROUTES)
    if route == "shared" and local_steps > 1:
        raise ValueError(f"route='shared' holds for local_steps=1 only, where all subnetworks start from the same weights; got local_steps={local_steps}")
    return ("shared" if local_steps == 1 else "gathered") if route == "auto" else route


def one_round(weights: Tensor, signs: Tensor, masks: Tensor, X: Tensor, y: Tensor, *, lr: float, scale: float, local_steps: int = 1,
              gate: Tensor | None = None, unselected: str = "unchanged", route: str = "auto") -> Tensor:
    r"""The weights after one round with given masks.

    Subnetwork s is :math:`f_s = \frac{q}{\sqrt m} \sum_r M_{sr} a_r\,\mathrm{relu}(w_r \cdot x)`; it starts at the weights given, takes
    its local steps on :math:`\tfrac12 \sum_i (f_s(x_i) - y_i)^2`, and each neuron takes the mean of its changes over the subnetworks
    that hold it.

    Args:
        weights: shape ``(m, d)``, or ``(R, m, d)`` for R independent networks.
        signs: :math:`a_r`, shape ``(m,)`` or ``(R, m)``.
        masks: 0 or 1, shape ``(S, m)`` or ``(R, S, m)``.
        X: samples, shape ``(n, d)``.
        y: targets, shape ``(n,)``.
        lr: step size :math:`\eta`.
        scale: output factor q of a subnetwork, :math:`1/\xi` in the algorithm.
        local_steps: number :math:`\tau` of local steps.
        gate: shape ``(n, m)`` or ``(R, n, m)``: which units are on, held fixed (the linearized network); ReLU if None.
        unselected: ``"unchanged"``, or ``"zero"`` to set neurons in no mask to zero.
        route: one of ``ROUTES``.

    Returns:
        The new weights, of the shape of ``weights``.

    Raises:
        TypeError: an argument that is not a tensor.
        ValueError: an unknown route, the shared pass with several local steps, shapes that do not fit, or numbers that are not finite.

    Source:
        Liao and Kyrillidis (2022).

    Example:
        >>> one = torch.ones(1, 1, dtype=torch.float64)
        >>> one_round(one, one[0], one, one, 3 * one[0], lr=0.5, scale=1.0)
        tensor([[2.]], dtype=torch.float64)
    """
    _checks.choice("unselected", unselected, UNSELECTED)
    X, y = samples("X", "y", X, y)
    if _checks.last_dimension("weights", _checks.finite("weights", weights), X.shape[-1]).ndim not in (2, 3):
        raise ValueError(f"weights must have shape (m, d) or (R, m, d); got {tuple(weights.shape)}")
    *batch, m, _ = weights.shape
    subnetworks = masks.shape[-2] if isinstance(masks, Tensor) and masks.ndim > 1 else 1
    signs, masks = shaped("signs", signs, (*batch, m), weights), shaped("masks", masks, (*batch, subnetworks, m), weights)
    gate = None if gate is None else shaped("gate", gate, (*batch, len(X), m), weights)
    single = weights.ndim == 2
    W, a, M = (t[None] if single else t for t in (weights, signs, masks))
    held = gate[None] if gate is not None and single else gate
    factor = _checks.positive("scale", scale) / math.sqrt(m)
    p = Problem(X.to(W), y.to(W), factor, _checks.positive("lr", lr), _checks.integer("local_steps", local_steps))
    moved = W + change(W, a, M, p, chosen(route, local_steps), held)
    if unselected == "zero":
        moved = moved * M.amax(1).unsqueeze(-1)
    return moved[0] if single else moved
