r"""Small two-layer networks, step by step: what each optimizer does to the balances (Part V, *What gradient flow conserves*)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from deeplimits import _checks

from .balances import balance, balance_change

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
METHODS = ("descent", "flow", "heavy_ball", "adam", "sign")
_ACTIVATIONS = {"relu": torch.relu, "leaky_relu": torch.nn.functional.leaky_relu, "identity": lambda z: z, "tanh": torch.tanh}
_LOSSES = {
    "squared": lambda f, y: 0.5 * (f - y).square().sum(-1).mean(),
    "logistic": lambda f, y: torch.nn.functional.softplus(-f * y).sum(-1).mean(),
    "quartic": lambda f, y: 0.25 * (f - y).pow(4).sum(-1).mean(),
}


def data_loss(X: torch.Tensor, y: torch.Tensor, activation: str = "relu", loss: str = "squared") -> Loss:
    r"""The loss of a two-layer network on a data set, as a function of its weights.

    .. math:: L(W, a, b) = \frac1n\sum_i \ell\bigl(A\,\varphi(Wx_i + b),\, y_i\bigr) .

    Args:
        X: inputs, shape (n, dim_in).
        y: targets, shape (n,) for one output, else (n, dim_out); ±1 for the logistic loss.
        activation: ``"relu"``, ``"leaky_relu"`` (slope 0.01), ``"identity"``, or ``"tanh"`` (which is not homogeneous).
        loss: ``"squared"`` (one half of the square), ``"logistic"`` or ``"quartic"`` (one quarter of the fourth power).

    Returns:
        A function of (W, a, b), each as in :func:`deeplimits.topology.balance`; b may be None.

    Raises:
        ValueError: unknown names, or numbers of samples that differ.

    Example:
        >>> import torch
        >>> loss = data_loss(torch.eye(2), torch.tensor([1.0, 0.0]))
        >>> float(loss(torch.eye(2), torch.tensor([1.0, 2.0]), None))
        1.0
    """
    act = _ACTIVATIONS[_checks.choice("activation", activation, _ACTIVATIONS)]
    error = _LOSSES[_checks.choice("loss", loss, _LOSSES)]
    _checks.finite("X", X)
    _checks.finite("y", y)
    if X.ndim != 2 or y.shape[:1] != X.shape[:1] or y.ndim > 2:
        raise ValueError(f"X must have shape (n, dim_in) and y (n,) or (n, dim_out); got {tuple(X.shape)} and {tuple(y.shape)}")
    target = y.unsqueeze(-1) if y.ndim == 1 else y

    def value(W: torch.Tensor, a: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        hidden = act(X @ W.mT if b is None else X @ W.mT + b)
        return error(hidden @ (a.unsqueeze(-1) if a.ndim == 1 else a.mT), target)

    return value


@dataclass(frozen=True)
class Descent:
    """A run of :func:`descend`.

    Attributes:
        time: shape (T,), steps times the learning rate (over 1 - momentum for the heavy ball).
        loss: shape (T,).
        balances: shape (T, hidden).
        predicted: balances according to the exact identity of gradient descent, summed over the steps; None for other methods.
        W: incoming weights, (T, hidden, dim_in).
        a: outgoing weights, (T, hidden) or (T, dim_out, hidden).
        b: biases, (T, hidden), or None.
    """

    time: torch.Tensor
    loss: torch.Tensor
    balances: torch.Tensor
    predicted: torch.Tensor | None
    W: torch.Tensor
    a: torch.Tensor
    b: torch.Tensor | None

    @property
    def drift(self) -> float:
        """Largest change of a balance from start to end."""
        return float((self.balances[-1] - self.balances[0]).abs().max())


class _Gradient:
    """Gradients of the loss with weight decay, of a list of parameters."""

    def __init__(self, loss: Loss, with_bias: bool, decay: float) -> None:
        self.loss, self.with_bias, self.decay = loss, with_bias, decay

    def __call__(self, parameters: list[torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
        leaves = [p.detach().requires_grad_(True) for p in parameters]
        with torch.enable_grad():
            value = self.loss(leaves[0], leaves[1], leaves[2] if self.with_bias else None)
            found = torch.autograd.grad(value, leaves)
        return float(value.detach()), [g + self.decay * p for g, p in zip(found, parameters, strict=True)]


def _moved(parameters: list[torch.Tensor], steps: list[torch.Tensor], size: float) -> list[torch.Tensor]:
    return [p + size * s for p, s in zip(parameters, steps, strict=True)]


def _flow_step(gradient: _Gradient, p: list[torch.Tensor], g1: list[torch.Tensor], lr: float) -> list[torch.Tensor]:
    """One step of the classical Runge-Kutta scheme for the flow."""
    g2 = gradient(_moved(p, g1, -lr / 2))[1]
    g3 = gradient(_moved(p, g2, -lr / 2))[1]
    g4 = gradient(_moved(p, g3, -lr))[1]
    return [x - lr / 6 * (a + 2 * b + 2 * c + d) for x, a, b, c, d in zip(p, g1, g2, g3, g4, strict=True)]


class _Stepper:
    """The optimizers, from scratch, on a list of parameters."""

    def __init__(self, method: str, lr: float, momentum: float, gradient: _Gradient) -> None:
        self.method, self.lr, self.momentum, self.gradient = method, lr, momentum, gradient
        self.first: list[torch.Tensor] = []
        self.second: list[torch.Tensor] = []
        self.count = 0

    def __call__(self, p: list[torch.Tensor], g: list[torch.Tensor]) -> list[torch.Tensor]:
        if self.method == "flow":
            return _flow_step(self.gradient, p, g, self.lr)
        if self.method == "sign":
            return _moved(p, [x.sign() for x in g], -self.lr)
        if self.method == "heavy_ball":
            self.first = [self.momentum * v + x for v, x in zip(self.first or [torch.zeros_like(x) for x in g], g, strict=True)]
            return _moved(p, self.first, -self.lr)
        if self.method == "adam":
            return _moved(p, self._adam(g), -self.lr)
        return _moved(p, g, -self.lr)

    def _adam(self, g: list[torch.Tensor]) -> list[torch.Tensor]:
        self.count += 1
        zeros = [torch.zeros_like(x) for x in g]
        self.first = [0.9 * v + 0.1 * x for v, x in zip(self.first or zeros, g, strict=True)]
        self.second = [0.999 * v + 0.001 * x * x for v, x in zip(self.second or zeros, g, strict=True)]
        one, two = 1 - 0.9**self.count, 1 - 0.999**self.count
        return [v / one / ((s / two).sqrt() + 1e-8) for v, s in zip(self.first, self.second, strict=True)]


def descend(
    loss: Loss | Callable[[int], Loss],
    W: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    lr: float,
    steps: int,
    method: str = "descent",
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    record: int = 1,
    batches: bool = False,
) -> Descent:
    r"""Train a two-layer network and record its balances.

    Args:
        loss: function of (W, a, b) that returns a scalar tensor (see :func:`data_loss`); with ``batches``, a function of the step
            that returns such a function.
        W: initial incoming weights, shape (hidden, dim_in).
        a: initial outgoing weights, (hidden,) or (dim_out, hidden).
        b: initial biases of the hidden neurons, or None.
        lr: learning rate; for ``"flow"`` the step of the integrator.
        steps: number of steps.
        method: ``"descent"`` (gradient descent), ``"flow"`` (fourth-order Runge-Kutta), ``"heavy_ball"``, ``"adam"``
            (coefficients .9 and .999) or ``"sign"``.
        weight_decay: :math:`\lambda`; adds :math:`\tfrac\lambda2\|\theta\|^2` to the loss.
        momentum: of the heavy ball.
        record: keep every ``record``-th step, and the last.
        batches: ``loss`` chooses a minibatch at every step.

    Returns:
        :class:`Descent`.

    Raises:
        TypeError: a loss that cannot be called.
        ValueError: unknown method, a step that is not positive, or a run that diverges.

    Example:
        >>> import torch
        >>> loss = data_loss(torch.eye(2), torch.tensor([1.0, -1.0]))
        >>> run = descend(loss, torch.eye(2), torch.tensor([0.5, 0.5]), lr=0.01, steps=100)
        >>> bool((run.balances - run.predicted).abs().max() < 1e-5), run.drift < 0.01
        (True, True)
    """
    start = balance(W, a, b)
    if W.ndim != 2:
        raise ValueError(f"W must have shape (hidden, dim_in); got {tuple(W.shape)}")
    _checks.choice("method", method, METHODS)
    _checks.positive("lr", lr)
    if not 0 <= _checks.number("momentum", momentum) < 1:
        raise ValueError(f"momentum must lie in [0, 1); got {momentum!r}")
    if not callable(loss):
        raise TypeError(f"loss must be a function of (W, a, b), such as data_loss(X, y) returns; got {loss!r}")
    count, every = _checks.integer("steps", steps), _checks.integer("record", record)
    gradient = _Gradient(loss(0) if batches else loss, b is not None, _checks.nonnegative("weight_decay", weight_decay))
    stepper = _Stepper(method, lr, momentum, gradient)
    p = [x.detach().clone() for x in (W, a, b) if x is not None]
    exact, predicted, rows = method == "descent" and weight_decay == 0, start, []
    for step in range(count + 1):
        if batches:
            gradient.loss = loss(step)
        value, g = gradient(p)
        if value != value or value == float("inf"):
            raise ValueError(f"lr = {lr:g} makes {method} diverge at step {step}; choose a smaller one")
        if step % every == 0 or step == count:
            rows.append((step, value, predicted, *p))
        if step < count:
            predicted = predicted + balance_change(g[0], g[1], lr, g[2] if b is not None else None) if exact else predicted
            p = stepper(p, g)
    columns = list(zip(*rows, strict=True))
    unit = lr / (1 - momentum) if method == "heavy_ball" else lr
    stacked = [torch.stack(c) for c in columns[3:]]
    biases = stacked[2] if b is not None else None
    return Descent(
        torch.tensor(columns[0], dtype=W.dtype, device=W.device) * unit,
        torch.tensor(columns[1], dtype=W.dtype, device=W.device),
        balance(stacked[0], stacked[1], biases),
        torch.stack(columns[2]) if exact else None,
        stacked[0], stacked[1], biases,
    )
