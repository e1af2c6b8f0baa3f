r"""Balances of two layers and of deep networks, and how many laws there are (Part V, *What gradient flow conserves*)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from deeplimits import _checks

from ._shapes import sizes, two_layers


def balance(W: torch.Tensor, a: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
    r"""Balance of each hidden neuron: squared incoming minus squared outgoing weights.

    .. math:: c_k = \|w_k\|^2 + b_k^2 - \|a_k\|^2 .

    Gradient flow of any loss conserves it when the activation is positively homogeneous (ReLU, leaky ReLU, identity).
    The bias of the output takes no part.

    Args:
        W: incoming weights, shape (..., hidden, dim_in), as ``torch.nn.Linear`` stores them.
        a: outgoing weights, shape (..., hidden) for one output, else (..., dim_out, hidden).
        b: biases of the hidden neurons, shape (..., hidden), or None.

    Returns:
        Tensor of shape (..., hidden).

    Raises:
        TypeError: not a float tensor.
        ValueError: shapes that do not belong together, NaN or infinity.

    Source:
        Du, Hu and Lee (2018).

    Example:
        >>> import torch
        >>> balance(torch.tensor([[3.0, 4.0]]), torch.tensor([-2.0]))
        tensor([21.])
    """
    return _difference(*two_layers(W, a, b))


def _difference(W: torch.Tensor, out: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
    value = W.square().sum(-1) - out.square().sum(-2)
    return value if b is None else value + b.square()


def balance_change(grad_W: torch.Tensor, grad_a: torch.Tensor, lr: float, grad_b: torch.Tensor | None = None) -> torch.Tensor:
    r"""Exact change of every balance in one step of gradient descent.

    .. math:: c_k(t+1) - c_k(t) = \eta^2\bigl(\|\nabla_{w_k} L\|^2 + (\partial_{b_k} L)^2 - \|\nabla_{a_k} L\|^2\bigr) .

    The term of first order in :math:`\eta` vanishes because the gradient is orthogonal to the rescaling orbit; so the drift is
    :math:`O(\eta)` per unit of time. Holds for minibatches with the gradient of the batch.

    Args:
        grad_W: gradient of the loss in W, shape (..., hidden, dim_in).
        grad_a: gradient in a, shape (..., hidden) or (..., dim_out, hidden).
        lr: learning rate.
        grad_b: gradient in b, if there are biases.

    Returns:
        Tensor of shape (..., hidden).

    Raises:
        ValueError: a learning rate that is not positive, shapes that do not belong together.

    Source:
        Derived in the chapter from the orthogonality of gradient and orbit.

    Example:
        >>> import torch
        >>> w, a, u, lr = torch.tensor([[1.0, 0.0]]), torch.tensor([0.5]), torch.tensor([0.3, 0.4]), 0.1
        >>> round(float(balance_change(a * u.expand(1, 2), w @ u, lr)), 6)
        -0.000275
    """
    return _checks.positive("lr", lr) ** 2 * _difference(*two_layers(grad_W, grad_a, grad_b, "grad_"))


def layer_balances(
    weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor | None] | None = None, linear: bool = False
) -> list[torch.Tensor]:
    r"""Balances between successive layers of a deep network.

    .. math:: C_l = W_l W_l^\top + b_l b_l^\top - W_{l+1}^\top W_{l+1} .

    In a deep linear network the whole matrix is conserved; with ReLU or leaky ReLU units its diagonal is, one number per
    hidden neuron. Skip connections that leave the two layers as they are do not matter.

    Args:
        weights: at least two matrices, shape (..., out, in), first layer first.
        biases: one bias of shape (..., out) or None per *hidden* layer (that of the last layer takes no part and may be left out).
        linear: True returns matrices, False their diagonals.

    Returns:
        One tensor per hidden layer: (..., width, width) or (..., width).

    Raises:
        ValueError: fewer than two layers, or widths that do not fit.

    Source:
        Du, Hu and Lee (2018); Arora, Cohen and Hazan (2018) for deep linear networks.

    Example:
        >>> import torch
        >>> W = [torch.eye(2), 2 * torch.eye(2), torch.ones(1, 2)]
        >>> [c.tolist() for c in layer_balances(W)]
        [[-3.0, -3.0], [3.0, 3.0]]
    """
    weights = list(weights)
    if len(weights) < 2:
        raise ValueError(f"weights must hold at least two layers, so that there is a hidden one; got {len(weights)}")
    given = [None] * (len(weights) - 1) if biases is None else list(biases)[: len(weights) - 1]
    if len(given) < len(weights) - 1:
        raise ValueError(f"biases must hold one entry per hidden layer, {len(weights) - 1}; got {len(given)}")
    result = []
    for l, (inner, outer, b) in enumerate(zip(weights[:-1], weights[1:], given, strict=True)):
        for name, x in ((f"weights[{l}]", inner), (f"weights[{l + 1}]", outer)):
            if _checks.finite(name, x).ndim < 2:
                raise ValueError(f"{name} must have shape (..., out, in); got {tuple(x.shape)}")
        if inner.shape[-2] != outer.shape[-1]:
            raise ValueError(f"weights[{l + 1}] must take {inner.shape[-2]} inputs, the outputs of weights[{l}]; got {outer.shape[-1]}")
        if not linear:
            result.append(balance(inner, outer, b))
            continue
        matrix = inner @ inner.mT - outer.mT @ outer
        if b is not None:
            b = _checks.last_dimension(f"biases[{l}]", _checks.finite(f"biases[{l}]", b), inner.shape[-2])
            matrix = matrix + b.unsqueeze(-1) * b.unsqueeze(-2)
        result.append(matrix)
    return result


def independent_laws(hidden: int, dim_in: int, dim_out: int, bias: bool = False, linear: bool = False) -> int:
    r"""Number of independent conservation laws of this kind at a generic point.

    ReLU: one per hidden neuron. Linear: the symmetric matrix :math:`C = VV^\top - U^\top U` (V of shape r × n, U of shape q × r) has
    :math:`r(r+1)/2` entries, all independent as long as :math:`r \le n + q`; beyond, there are
    :math:`(n+q)r - (n+q)(n+q-1)/2`.

    Args:
        hidden: number r of hidden neurons.
        dim_in: number n of inputs (one more with a bias).
        dim_out: number q of outputs.
        bias: whether hidden neurons have biases.
        linear: identity activation instead of ReLU.

    Returns:
        The number of laws.

    Source:
        Marcotte, Gribonval and Peyré (2023), who also prove that there are no others; the count is derived in the chapter.

    Example:
        >>> independent_laws(5, 2, 2, linear=True), independent_laws(5, 2, 2)
        (14, 5)
    """
    r = _checks.integer("hidden", hidden)
    D, e = sizes(dim_in, dim_out, bias)
    total = D + e
    if not linear:
        return r
    return r * (r + 1) // 2 if r <= total else total * r - total * (total - 1) // 2


def law_rank(hidden: int, dim_in: int, dim_out: int, bias: bool = False, linear: bool = False, seed: int = 0) -> int:
    """The same number by a second route: the rank of the Jacobian of the laws at a random point.

    Args:
        hidden: neurons.
        dim_in: inputs.
        dim_out: outputs.
        bias: whether hidden neurons have biases.
        linear: identity activation instead of ReLU.
        seed: of the random point.

    Returns:
        Numerical rank.

    Example:
        >>> law_rank(5, 2, 2, linear=True), law_rank(5, 2, 2)
        (14, 5)
    """
    r = _checks.integer("hidden", hidden)
    D, e = sizes(dim_in, dim_out, bias)
    generator = torch.Generator(device="cpu").manual_seed(_checks.integer("seed", seed, minimum=0))
    point = torch.randn(r * (D + e), generator=generator, dtype=torch.float64, device="cpu")

    def laws(x: torch.Tensor) -> torch.Tensor:
        return layer_balances([x[: r * D].view(r, D), x[r * D :].view(e, r)], linear=linear)[0].flatten()

    return int(torch.linalg.matrix_rank(torch.autograd.functional.jacobian(laws, point)))
