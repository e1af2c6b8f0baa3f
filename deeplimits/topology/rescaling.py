r"""Moving a neuron along its rescaling orbit, and building a network on a given component (Part V, *The shape of what is reachable*)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ._shapes import one_dimension, one_output, two_layers


class Rescaled(NamedTuple):
    """A network after rescaling, and the factors that led to it; it unpacks as ``W, a, b, alpha``."""

    W: torch.Tensor  #: Incoming weights.
    a: torch.Tensor  #: Outgoing weights.
    b: torch.Tensor | None  #: Biases, None if the network has none.
    alpha: torch.Tensor  #: The factor of each neuron.


def rescale(W: torch.Tensor, a: torch.Tensor, balance: Any, b: torch.Tensor | None = None) -> Rescaled:
    r"""Rescale every neuron to a target balance without changing the function.

    :math:`(w, b, a) \to (\alpha w, \alpha b, a/\alpha)` leaves a homogeneous network as it is, and
    :math:`\alpha^2\|w\|^2 - \|a\|^2/\alpha^2` grows from :math:`-\infty` to :math:`\infty`, so exactly one factor gives c:

    .. math:: \alpha^2 = \frac{c + \sqrt{c^2 + 4\|w\|^2\|a\|^2}}{2\|w\|^2}
              = \frac{2\|a\|^2}{\sqrt{c^2 + 4\|w\|^2\|a\|^2} - c} .

    A positive target frees the sign of the output weight of a network with one output; zero ("balanced") minimises
    :math:`\|w\|^2 + \|a\|^2` but is a slow saddle, and exact flow still keeps the sign.

    Args:
        W: incoming weights, shape (..., hidden, dim_in).
        a: outgoing weights, (..., hidden) or (..., dim_out, hidden).
        balance: target, a number or a tensor that broadcasts to (..., hidden).
        b: biases, or None; they count as incoming weights.

    Returns:
        :class:`Rescaled` ``(W, a, b, alpha)``, shapes as given.

    Raises:
        ValueError: a neuron without incoming (outgoing) weights asked for a balance that is not negative (positive), or one
            without either: its orbit does not meet that quadric.

    Source:
        The symmetry is classical (Neyshabur, Salakhutdinov and Srebro 2015); the formula is derived in the chapter.

    Example:
        >>> import torch
        >>> moved = rescale(torch.tensor([[3.0, 4.0]]), torch.tensor([-2.0]), balance=0.0)
        >>> round(float(moved.alpha), 5), [round(x, 4) for x in moved.a.tolist()]
        (0.63246, [-3.1623])
    """
    W, out, b = two_layers(W, a, b)
    target = torch.as_tensor(balance, dtype=W.dtype, device=W.device)
    if not torch.isfinite(target).all():
        raise ValueError(f"balance must be finite; got {balance!r}")
    incoming = W.square().sum(-1) + (0 if b is None else b.square())
    outgoing = out.square().sum(-2)
    try:
        target = target.expand(incoming.shape)
    except RuntimeError:
        raise ValueError(f"balance must be a number or broadcast to shape {tuple(incoming.shape)}; got shape {tuple(target.shape)}") from None
    _refuse_zero_neurons(incoming, outgoing, target)
    root = torch.hypot(target, 2 * incoming.sqrt() * outgoing.sqrt())
    positive = target >= 0
    square = torch.where(
        positive,
        (target + root) / torch.where(positive, 2 * incoming, torch.ones_like(incoming)),
        2 * outgoing / torch.where(positive, torch.ones_like(root), root - target),
    )
    alpha = square.sqrt()
    return Rescaled(W * alpha.unsqueeze(-1), a / (alpha if a.ndim == alpha.ndim else alpha.unsqueeze(-2)), None if b is None else b * alpha, alpha)


def _refuse_zero_neurons(incoming: torch.Tensor, outgoing: torch.Tensor, target: torch.Tensor) -> None:
    for wrong, have, can in (
        ((incoming == 0) & (outgoing == 0), "neither incoming nor outgoing weights", "no balance but 0 (it is a zero neuron; remove it)"),
        ((incoming == 0) & (target >= 0), "no incoming weights", "negative balances only"),
        ((outgoing == 0) & (target <= 0), "no outgoing weights", "positive balances only"),
    ):
        if wrong.any():
            where = tuple(wrong.nonzero()[0].tolist())
            raise ValueError(f"neuron {where[0] if len(where) == 1 else where} has {have} and can reach {can}; balance asks for {float(target[where]):g}")


def representative(
    W: torch.Tensor, a: torch.Tensor, balances: Any, signs: Any, b: torch.Tensor | None = None
) -> Rescaled:
    r"""A network with given balances and frozen signs that computes a given function of one output.

    The constructive half of the reachability criterion: each unit of the target takes a frozen neuron of its sign, or a
    free neuron (balance above zero); its place on the quadric comes from :func:`rescale`. Neurons that are left over are switched off,
    frozen ones by :math:`w = 0`, free ones by :math:`a = 0`.

    Args:
        W: weights of the target, shape (units, dim_in).
        a: its output weights, shape (units,) or (1, units), none of them zero.
        balances: balances of the network to build, one per hidden neuron.
        signs: the signs its output weights have at the start, ±1 (those of free neurons do not matter).
        b: biases of the target, or None.

    Returns:
        :class:`Rescaled` of ``len(balances)`` neurons; ``alpha`` is 0 where a neuron is switched off.

    Raises:
        ValueError: not reachable (see :func:`deeplimits.topology.reachable`), a zero neuron in the target, more than one output.

    Source:
        Derived in the chapter.

    Example:
        >>> import torch
        >>> found = representative(torch.eye(2), torch.tensor([1.0, -1.0]), balances=[-0.5, 0.5], signs=[-1, 1])
        >>> found.a.sign().tolist()
        [-1.0, 1.0]
    """
    from .reachability import assignment

    W, out, b = two_layers(W, a, b)
    if W.ndim != 2:
        raise ValueError(f"W must have shape (units, dim_in); got {tuple(W.shape)}")
    scalar = one_output(out)
    levels = one_dimension("balances", balances)
    slots = assignment(levels, signs, scalar.sign().tolist())
    level = W.new_tensor(levels)
    moved = rescale(W, scalar, level[slots], b)
    frozen = level <= 0
    weights = W.new_zeros(len(levels), W.shape[1])
    weights[:, 0] = torch.where(frozen, 0.0, level.clamp_min(0).sqrt())
    outputs = torch.where(frozen, W.new_tensor(one_dimension("signs", signs)) * level.abs().sqrt(), 0.0)
    alpha, bias = W.new_zeros(len(levels)), None if b is None else W.new_zeros(len(levels))
    weights[slots], outputs[slots], alpha[slots] = moved.W, moved.a, moved.alpha
    if bias is not None:
        bias[slots] = moved.b
    return Rescaled(weights, outputs, bias, alpha)

