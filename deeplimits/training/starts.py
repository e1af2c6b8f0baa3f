r"""Where a training run starts (Part IV, *Training near the boundary*).

Initial weights and the order of the examples, both keyed by the seed.

Every layer of every network has a random stream of its own, keyed by (seed, layer). Networks with the same seed therefore
begin with the same normal variables, scaled by their own :math:`\sigma_w` and :math:`\sigma_b`, and see the same batches:
differences between them are paired.
"""

from __future__ import annotations

import torch
from torch import nn

from deeplimits import _checks, activations, devices
from deeplimits.engine.streams import stream
from deeplimits.layers import Dense
from deeplimits.layers.base import resolve

Tensor = torch.Tensor
_CPU = torch.device("cpu")


def starting_layers(depth: int, width: int, activation: str | activations.Activation, weight_std: float | str, bias_std: float, weights: str,
                    seed: int, dim_in: int, classes: int, readout_std: float) -> list[tuple[Tensor, Tensor]]:
    """Weights ``(out, in)`` and biases ``(out,)`` of all layers, the readout last; float64, on the CPU."""
    layer = Dense(width, activation, weight_std, bias_std, weights)
    layers = [layer.resized(dim_in), *[layer] * (depth - 1), Dense(classes, "identity", readout_std, fan_in=width)]
    maps = [one.sample(stream(seed, k + 1, 0, _CPU), dtype=torch.float64) for k, one in enumerate(layers)]
    none = torch.zeros(1, dtype=torch.float64, device=_CPU)
    return [(m.weight, none.expand(m.weight.shape[0]) if m.bias is None else m.bias) for m in maps]


def batch_order(seed: int, epoch: int, examples: int) -> Tensor:
    """The order in which the networks of one seed see the examples in one epoch.

    Args:
        seed: the seed of the network.
        epoch: 1 for the first.
        examples: how many there are.

    Returns:
        A permutation of 0, ..., ``examples - 1``, int64, on the CPU; consecutive pieces of it are the batches.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> sorted(batch_order(0, 1, 5).tolist())
        [0, 1, 2, 3, 4]
    """
    seed, epoch = _checks.integer("seed", seed, minimum=0), _checks.integer("epoch", epoch)
    return torch.randperm(_checks.integer("examples", examples), generator=stream(seed, -epoch, 0, _CPU), device=_CPU)


class _Coordinatewise(nn.Module):
    """An activation as a torch module."""

    def __init__(self, unit: activations.Activation):
        super().__init__()
        self.unit = unit

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(x)


def initial_network(depth: int, width: int, activation: str | activations.Activation = "tanh", weight_std: float | str = "critical",
                    bias_std: float = 0.0, seed: int = 0, *, weights: str = "gaussian", readout_std: float = 1.0, dim_in: int = 64,
                    classes: int = 10, dtype: torch.dtype | None = None, device: object = None) -> nn.Sequential:
    """One network of :func:`train_ensemble` before training, as an ordinary torch module.

    Args:
        depth: number of hidden layers.
        width: their size.
        activation: name of the activation.
        weight_std: its weights have variance ``weight_std**2 / fan_in``; a number or the name of an initialization.
        bias_std: standard deviation of the biases.
        seed: key of the random streams.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        readout_std: the same for the last, linear layer, whose biases are zero.
        dim_in: size of the inputs.
        classes: number of outputs.
        dtype: float32 or float64; torch's default if None. Both hold the same network, up to rounding.
        device: where it lives; the CPU if None.

    Returns:
        A ``torch.nn.Sequential`` of linear layers and activations.

    Raises:
        TypeError: another dtype than float32 and float64.
        ValueError: an argument out of range, or a device that this machine does not have.

    Example:
        >>> net = initial_network(depth=3, width=16, seed=1)
        >>> net(torch.zeros(5, 64)).shape
        torch.Size([5, 10])
    """
    depth, seed = _checks.integer("depth", depth), _checks.integer("seed", seed, minimum=0)
    sizes = {name: _checks.integer(name, value) for name, value in (("dim_in", dim_in), ("classes", classes))}
    unit, readout = activations.get(activation), _checks.positive("readout_std", readout_std)
    dtype, home = resolve(None, dtype, None if device is None else devices.place(device))
    layers = starting_layers(depth, _checks.integer("width", width), unit, weight_std, bias_std, weights, seed, readout_std=readout, **sizes)
    modules: list[nn.Module] = []
    for k, (weight, bias) in enumerate(layers):
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=dtype, device=home)
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
        modules += [linear] if k == depth else [linear, _Coordinatewise(unit)]
    return nn.Sequential(*modules)
