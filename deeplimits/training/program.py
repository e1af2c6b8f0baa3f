r"""The batched program of the training runs (Part IV, *Training near the boundary*).

S networks of one shape, their forward and backward passes as batched matrix products.

The backward pass is written by hand. With :math:`x_{k+1} = \varphi(h_k)`, :math:`h_k = x_kW_k + b_k` and
:math:`\delta_k = \partial L/\partial h_k`,

.. math:: \frac{\partial L}{\partial W_k} = x_k^{T}\delta_k, \qquad \delta_{k-1} = \delta_kW_k^{T} \odot \varphi'(h_{k-1}),

for all networks in one product each. No network enters the arithmetic of another: one that diverges fills its own slice
with NaN and no more. For plain gradient descent the learning rate of each network is folded into its :math:`\delta`, and
the product is subtracted from the weights where they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from deeplimits import activations

Tensor = torch.Tensor
#: Rows that an evaluation pushes through at once.
_ROWS = 256
_BETAS, _EPS = (0.9, 0.999), 1e-8


def _tanh_back(delta: Tensor, x: Tensor, h: Tensor | None, spare: Tensor) -> None:
    torch.mul(delta, x, out=spare)
    delta.addcmul_(spare, x, value=-1)


def _relu_back(delta: Tensor, x: Tensor, h: Tensor | None, spare: Tensor) -> None:
    delta.mul_(torch.sign(x, out=spare))


class Program:
    """S networks of one depth, width and activation, and their optimizer.

    Args:
        starts: for each network the weights ``(out, in)`` and biases of its layers.
        unit: the activation.
        lr: the learning rates, S numbers.
        optimizer: ``"sgd"`` or ``"adam"``.
        dtype, device: of the parameters and of all arithmetic.
    """

    def __init__(self, starts: Sequence[list[tuple[Tensor, Tensor]]], unit: activations.Activation, lr: Sequence[float], optimizer: str,
                 dtype: torch.dtype, device: torch.device):
        self.networks, self.unit, self.optimizer = len(starts), unit, optimizer
        self.lr = torch.tensor(list(lr), dtype=dtype, device=device).view(-1, 1, 1)
        #: Three weights and three biases: first layer (1, S, dim_in, N), hidden (depth - 1, S, N, N), readout (1, S, N, classes).
        self.parameters = _stacked(starts, dtype, device)
        self.weights, self.biases = _layers(self.parameters)
        if optimizer == "adam":
            self._gradient, self._mean, self._square = ([torch.zeros_like(p) for p in self.parameters] for _ in range(3))
            self._slopes = _layers(self._gradient)
            self._steps = 0
        self._buffers: dict[int, dict[str, Sequence[Tensor]]] = {}
        self._back: Callable | None = {"tanh": _tanh_back, "relu": _relu_back}.get(unit.name)

    def _space(self, rows: int) -> dict[str, Sequence[Tensor]]:
        """Activations, spare room and, where the derivative needs them, pre-activations for batches of this size."""
        if rows not in self._buffers:
            def room(count: int, columns: int) -> Sequence[Tensor]:
                return torch.empty(count, self.networks, rows, columns, dtype=self.lr.dtype, device=self.lr.device).unbind(0)

            depth, width = len(self.weights) - 1, self.weights[0].shape[2]
            self._buffers[rows] = {"x": room(depth, width), "h": () if self._back else room(depth, width), "spare": room(3, width),
                                   "out": room(1, self.weights[-1].shape[2])}
        return self._buffers[rows]

    def step(self, x: Tensor, labels: Tensor) -> None:
        """One step of the optimizer on the mean cross-entropy of one batch of each network.

        Args:
            x: inputs, shape ``(S, B, dim_in)``.
            labels: shape ``(S, B)``.
        """
        space = self._space(x.shape[1])
        states = [x, *space["x"]]
        for k, (w, b) in enumerate(zip(self.weights[:-1], self.biases[:-1], strict=True)):
            if self._back is None:
                torch.baddbmm(b, states[k], w, out=space["h"][k])
                states[k + 1].copy_(self.unit(space["h"][k]))
            elif self.unit.name == "tanh":
                torch.baddbmm(b, states[k], w, out=states[k + 1]).tanh_()
            else:
                torch.baddbmm(b, states[k], w, out=states[k + 1]).relu_()
        out = torch.baddbmm(self.biases[-1], states[-1], self.weights[-1], out=space["out"][0])
        delta = torch.softmax(out, -1)
        delta.scatter_add_(2, labels.unsqueeze(-1), torch.full_like(delta[..., :1], -1.0))
        scale = self.lr if self.optimizer == "sgd" else torch.ones_like(self.lr)
        delta.mul_(scale / x.shape[1])
        self._descend(states, space, delta)

    def _descend(self, states: list[Tensor], space: dict[str, list[Tensor]], delta: Tensor) -> None:
        for k in reversed(range(len(self.weights))):
            before = None
            if k:
                before = torch.bmm(delta, self.weights[k].mT, out=space["spare"][k % 2])
                if self._back is None:
                    before.mul_(self.unit.derivative(space["h"][k - 1]))
                else:
                    self._back(before, states[k], None, space["spare"][2])
            if self.optimizer == "sgd":
                self.weights[k].baddbmm_(states[k].mT, delta, alpha=-1)
                self.biases[k].sub_(delta.sum(1, keepdim=True))
            else:
                torch.bmm(states[k].mT, delta, out=self._slopes[0][k])
                torch.sum(delta, 1, keepdim=True, out=self._slopes[1][k])
            delta = before
        if self.optimizer == "adam":
            self._adam()

    def _adam(self) -> None:
        """Kingma and Ba's step, as torch does it."""
        self._steps += 1
        first, second = _BETAS
        rate = self.lr / (1 - first**self._steps)
        for parameter, slope, mean, square in zip(self.parameters, self._gradient, self._mean, self._square, strict=True):
            mean.lerp_(slope, 1 - first)
            square.mul_(second).addcmul_(slope, slope, value=1 - second)
            spread = square.sqrt().div_((1 - second**self._steps) ** 0.5).add_(_EPS)
            parameter.sub_(mean.div(spread).mul_(rate))

    def outputs(self, x: Tensor) -> Tensor:
        """The outputs of all networks at the same inputs ``(n, dim_in)``: shape ``(S, n, classes)``."""
        x = x.expand(self.networks, *x.shape)
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = self.unit(torch.baddbmm(b, x, w))
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])

    def evaluate(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy and accuracy of each network; both NaN for a network whose outputs are not finite."""
        loss, right = 0.0, 0.0
        for rows, wanted in zip(x.split(_ROWS), labels.split(_ROWS), strict=True):
            out = self.outputs(rows)
            wanted = wanted.expand(self.networks, -1).unsqueeze(-1)
            logs = torch.log_softmax(out, -1)
            loss = loss - logs.gather(2, wanted).sum((1, 2)).cpu().double()  # added in float64, which some devices lack
            right = right + (out.argmax(-1, keepdim=True) == wanted).sum((1, 2)).cpu().double()
        loss, right = loss / len(x), right / len(x)
        return loss, torch.where(torch.isfinite(loss), right, torch.full_like(right, torch.nan))


def _stacked(starts: Sequence[list[tuple[Tensor, Tensor]]], dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """First, hidden and last weights ``(layers, S, in, out)``, then the biases ``(layers, S, 1, out)``."""
    parts = (slice(0, 1), slice(1, -1), slice(-1, None))
    size = starts[0][0][0].shape[0]

    def stack(kind: int, part: slice) -> Tensor:
        rows = [torch.stack([pair[kind].T if kind == 0 else pair[kind].unsqueeze(0) for pair in start[part]]) for start in starts if start[part]]
        empty = torch.empty(0, len(starts), size if kind == 0 else 1, size, dtype=dtype, device=device)
        return torch.stack(rows, dim=1).to(dtype=dtype, device=device).contiguous() if rows else empty

    return [stack(kind, part) for kind in (0, 1) for part in parts]


def _layers(parameters: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The weights ``(S, in, out)`` and biases ``(S, 1, out)`` of each layer, as views."""
    layers = [[one for part in half for one in part.unbind(0)] for half in (parameters[:3], parameters[3:])]
    return layers[0], layers[1]
