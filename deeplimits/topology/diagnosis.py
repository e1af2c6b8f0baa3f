r"""Frozen signs in your own ReLU network: what it cannot fit, and the cure (Part V, *How often, and the cure*)."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from deeplimits import _checks

from .balances import balance
from .rescaling import rescale

_PASSIVE = (nn.Identity, nn.Flatten, nn.Dropout)


@dataclass(frozen=True)
class HiddenLayer:
    r"""Balances and signs of one hidden layer.

    Attributes:
        name: name of the linear module that feeds it.
        slope: slope of the activation below zero (0 for ReLU).
        inputs: incoming weights of a neuron, without the bias.
        outputs: outgoing weights of a neuron, e.
        bias: whether the neurons have biases; they count as incoming weights.
        balances: :math:`c_k = \|w_k\|^2 + b_k^2 - \|a_k\|^2`, shape ``(hidden,)``.
        margins: :math:`c_k/(\|w_k\|^2 + b_k^2 + \|a_k\|^2)`, between -1 (all weight outgoing) and 1; 0 for a zero neuron.
        signs: +1 or -1 where the output weight keeps its sign for ever under gradient flow, 0 where it is free.
        zero: numbers of the neurons whose weights are all zero; they are stationary.
    """

    name: str
    slope: float
    inputs: int
    outputs: int
    bias: bool
    balances: torch.Tensor
    margins: torch.Tensor
    signs: torch.Tensor
    zero: tuple[int, ...]

    @property
    def hidden(self) -> int:
        """Number m of neurons."""
        return self.balances.numel()

    @property
    def frozen_positive(self) -> int:
        """Number p of neurons whose output weight stays positive."""
        return int((self.signs > 0).sum())

    @property
    def frozen_negative(self) -> int:
        """Number q of neurons whose output weight stays negative."""
        return int((self.signs < 0).sum())

    @property
    def free(self) -> int:
        """Number g of neurons that may take either sign."""
        return self.hidden - self.frozen_positive - self.frozen_negative - len(self.zero)

    def __str__(self) -> str:
        shape = f"{self.name}: {self.hidden} neurons, {self.inputs} inputs{' and a bias' if self.bias else ''}, {self.outputs} output{'s' * (self.outputs != 1)}"
        low, high = float(self.balances.min()), float(self.balances.max())
        spread = f"balances from {low:.3g} to {high:.3g}".replace("-", "−")
        if self.outputs > 1:
            verdict = "no sign is frozen (several outgoing weights each)"
        elif self.slope == 1:
            verdict = "no obstruction (the units are linear)"
        else:
            verdict = f"{self.frozen_positive} frozen positive, {self.frozen_negative} frozen negative, {self.free} free"
        return f"{shape}; {spread}; {verdict}" + (f"; {len(self.zero)} zero neurons" if self.zero else "")


@dataclass(frozen=True)
class Diagnosis:
    """What the balances of a network say about its training. :func:`diagnose` makes it; print it for the verdict in words.

    Attributes:
        layers: the hidden layers, first to last.
        model: the module that was diagnosed.
    """

    layers: tuple[HiddenLayer, ...]
    model: nn.Module = field(repr=False)
    linears: tuple[str, ...] = field(repr=False, default=())

    @property
    def last(self) -> HiddenLayer:
        """The last hidden layer, the one whose signs matter."""
        return self.layers[-1]

    @property
    def frozen(self) -> int:
        """Number of frozen signs in the last hidden layer."""
        return self.last.frozen_positive + self.last.frozen_negative

    @property
    def most_positive(self) -> int:
        """How many units with a positive output weight the last hidden layer can have, ever."""
        return self.last.frozen_positive + self._one_output().free

    @property
    def most_negative(self) -> int:
        """How many units with a negative output weight the last hidden layer can have, ever."""
        return self.last.frozen_negative + self._one_output().free

    def can_fit(self, positive: int, negative: int) -> bool:
        r"""Whether P positive and N negative units can be represented: :math:`\max(0,P-p)+\max(0,N-q) \le g`.

        For a network with one hidden layer, on targets with kinks on distinct hyperplanes, none the mirror image of another.
        Necessary for training to an exact fit, not sufficient.

        Args:
            positive: P, units of the target with a positive output weight.
            negative: N, units with a negative one.

        Returns:
            True or False.

        Raises:
            ValueError: several outputs, where no sign is frozen and the question does not arise; one incoming weight; or several hidden layers.
        """
        layer = self._one_output()
        if len(self.layers) > 1:
            raise ValueError(f"model must have one hidden layer for this criterion; got {len(self.layers)}, and the features before the last one move "
                             "in training. most_positive and most_negative bound the last one all the same; for fixed features diagnose it alone")
        if layer.inputs + layer.bias == 1:
            raise ValueError("model must have two inputs, or biases, for this criterion; with one incoming weight its sign is frozen too (where c >= 0)")
        p, n = _checks.integer("positive", positive, 0), _checks.integer("negative", negative, 0)
        return max(0, p - layer.frozen_positive) + max(0, n - layer.frozen_negative) <= layer.free

    def _one_output(self) -> HiddenLayer:
        if self.last.outputs > 1:
            raise ValueError(f"model must have one output for a question about signs; got {self.last.outputs}, with which no sign is frozen")
        return self.last

    def cured(self, balance: float | None = None) -> nn.Module:
        r"""A copy of the module that computes the same function and has no frozen sign.

        Every neuron of the last hidden layer with a frozen sign is rescaled, :math:`(w, b, a) \to (\alpha w, \alpha b, a/\alpha)`,
        to a positive balance. Free neurons are left alone.

        Args:
            balance: the balance to give them, positive; default: :math:`\max(|c_k|, \|w_k\||a_k|)` for each, which turns a balance
                around its sign and keeps clear of zero.

        Returns:
            A new module of the same class, on the same device; the original is untouched.

        Raises:
            ValueError: a balance that is not positive (balanced, c = 0, is not the cure), or a frozen neuron without incoming weights.
        """
        if balance is not None and _checks.number("balance", balance) <= 0:
            raise ValueError(f"balance must be positive: at zero ('balanced') gradient flow still keeps every sign; got {balance!r}")
        model = copy.deepcopy(self.model)
        if not self.frozen:
            return model
        modules = dict(model.named_modules())
        inner, outer = modules[self.linears[-2]], modules[self.linears[-1]]
        with torch.no_grad():
            _cure(inner, outer, self.last, balance)
        return model

    def __str__(self) -> str:
        lines = [*map(str, self.layers), *_verdict(self)]
        return "\n".join(textwrap.fill(line, 76, subsequent_indent="  ", break_long_words=False) for line in lines)


def _cure(inner: nn.Linear, outer: nn.Linear, layer: HiddenLayer, target: float | None) -> None:
    at = layer.signs.nonzero()[:, 0].to(inner.weight.device)
    w, a = inner.weight[at].double(), outer.weight[0, at].double()
    b = None if inner.bias is None else inner.bias[at].double()
    size = (w.square().sum(-1) + (0 if b is None else b.square())).sqrt()
    if not bool((size > 0).all()):
        lost = at[size == 0].tolist()
        raise ValueError(
            f"neurons {lost} of {layer.name} have no incoming weights, so no rescaling gives them a positive balance; they compute nothing, so "
            "set their output weights to 0 and their incoming weights to small random numbers, which changes no value")
    goal = torch.maximum((size**2 - a**2).abs(), size * a.abs()) if target is None else torch.full_like(size, target)
    moved = rescale(w, a, goal, b)
    inner.weight[at] = moved.W.to(inner.weight.dtype)
    outer.weight[0, at] = moved.a.to(outer.weight.dtype)
    if b is not None and moved.b is not None:
        inner.bias[at] = moved.b.to(inner.bias.dtype)


def _verdict(found: Diagnosis) -> Iterator[str]:
    layer, deep = found.last, len(found.layers) > 1
    if layer.outputs > 1:
        yield "Nothing is obstructed by signs: with several outputs every component is connected to every other sign."
        return
    if layer.slope == 1:
        yield "Nothing is obstructed by signs: linear units pass from one sign to the other through zero."
        return
    if layer.inputs + layer.bias == 1:
        yield "With one incoming weight its sign is frozen too, wherever c >= 0: a neuron stays on its side of zero."
    if not found.frozen and layer.inputs + layer.bias > 1:
        yield "No sign is frozen: every function that the network can write is in its component (training may fail for other reasons)."
    if not found.frozen:
        return
    of = "functions of the features before" if deep else "functions"
    most = f"at most {found.most_positive} units with a positive and {found.most_negative} with a negative output weight"
    yield f"Under gradient flow the last hidden layer can only write {of} with {most}, {layer.hidden} in all."
    for count, shape in ((found.most_negative, "convex"), (found.most_positive, "concave")):
        if count == 0 and layer.slope < 1:
            yield f"As a function of {'those features' if deep else 'its inputs'} it stays {shape} for ever."
    yield f"Cure: .cured() rescales {found.frozen} neuron{'s' * (found.frozen != 1)} to positive balances and changes no value of the function."


def diagnose(model: nn.Module, *, tolerance: float = 1e-6) -> Diagnosis:
    r"""Read off the balances of a ReLU network: frozen signs, what it cannot fit, and the cure.

    A neuron with one outgoing weight :math:`a_k` and a balance :math:`c_k \le 0` keeps the sign of :math:`a_k` for ever under gradient
    flow, and under gradient descent with small steps. In a deep network the balances of every hidden layer are conserved; signs are
    frozen in the last one, with the features before it in the place of the inputs.

    Args:
        model: a module that is a chain of ``nn.Linear`` with ``nn.ReLU`` or ``nn.LeakyReLU`` between them: an ``nn.Sequential``, or a
            module with such submodules whose ``forward`` calls them one after the other (this is checked by running it).
            ``nn.Flatten``, ``nn.Identity`` and ``nn.Dropout`` may stand anywhere.
        tolerance: balances below this share of :math:`\|w_k\|^2 + b_k^2 + \|a_k\|^2` count as zero, hence as frozen.

    Returns:
        A :class:`Diagnosis`: ``.layers``, ``.frozen``, ``.most_positive``, ``.most_negative``, ``.can_fit(P, N)``, ``.cured()``.

    Raises:
        TypeError: not a module, or one with other layers.
        ValueError: a lazy layer that has not seen inputs, no hidden layer, two linear layers without an activation, or a ``forward`` that does something else.

    Source:
        after Nurisso, Leroy and Vaccarino (2024); the criterion is derived in *The shape of what is reachable*.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1))
        >>> with torch.no_grad():
        ...     net[0].weight.copy_(torch.tensor([[0.5, 0.3], [-0.1, 0.4], [0.2, 0.2]]))
        ...     net[2].weight.copy_(torch.tensor([[1.0, 0.8, 0.9]]))
        Parameter containing:
        ...
        >>> found = diagnose(net)
        >>> found.frozen, found.most_negative, found.can_fit(positive=1, negative=1)
        (3, 0, False)
        >>> diagnose(found.cured()).frozen
        0
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    share = _checks.nonnegative("tolerance", tolerance)
    calls = _calls(model)
    linears = [(name, module) for name, module in calls if isinstance(module, nn.Linear)]
    slopes = _slopes(calls)
    if len(linears) < 2:
        raise ValueError(f"model must have a hidden layer, two nn.Linear at least; got {len(linears)}")
    if len({id(module) for _, module in linears}) < len(linears):
        raise ValueError("model must use each nn.Linear once; a shared layer has no balance of its own")
    layers = [_layer(name, inner, outer, slope, share) for (name, inner), (_, outer), slope in zip(linears[:-1], linears[1:], slopes, strict=True)]
    return Diagnosis(tuple(layers), model, tuple(name for name, _ in linears))


def _layer(name: str, inner: nn.Linear, outer: nn.Linear, slope: float, share: float) -> HiddenLayer:
    w, a = inner.weight.detach().double(), outer.weight.detach().double()
    b = None if inner.bias is None else inner.bias.detach().double()
    c = balance(w, a, b)
    total = c + 2 * a.square().sum(0)
    margins = torch.where(total > 0, c / total.clamp_min(1e-300), 0.0)
    zero = total == 0
    signs = torch.zeros_like(c, dtype=torch.int64)
    if a.shape[0] == 1 and slope != 1:
        signs = torch.where((margins <= share) & ~zero, a[0].sign(), 0.0).long()
    return HiddenLayer(name, slope, inner.in_features, outer.out_features, b is not None, c, margins, signs, tuple(zero.nonzero()[:, 0].tolist()))


def _slope(module: nn.Module) -> float | None:
    """Slope below zero of an activation, None for a module that is not one."""
    if isinstance(module, nn.ReLU):
        return 0.0
    return float(module.negative_slope) if isinstance(module, nn.LeakyReLU) else None


def _slopes(calls: list[tuple[str, nn.Module]]) -> list[float]:
    """The slope of the activation after every linear layer but the last."""
    slopes: list[float] = []
    after = ""  # the linear layer whose activation is still to come
    for name, module in calls:
        if isinstance(module, nn.Linear):
            if after:
                raise ValueError(f"model must have an nn.ReLU or nn.LeakyReLU between {after} and {name}; write torch.relu in forward as a module")
            after = name
        elif (slope := _slope(module)) is not None:
            if not after:
                raise ValueError(f"model must alternate linear layers and activations; {name} ({type(module).__name__}) follows no linear layer")
            slopes.append(slope)
            after = ""
    if not after:
        raise ValueError("model must end with an nn.Linear; its last linear layer is followed by an activation")
    return slopes


def _calls(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The submodules in the order in which they are called, after a check that the model is the chain of them."""
    leaves = [(name or type(module).__name__, module) for name, module in model.named_modules() if not any(module.children())]
    for name, module in leaves:
        if not (isinstance(module, (nn.Linear, *_PASSIVE)) or _slope(module) is not None):
            raise TypeError(f"model may hold nn.Linear, nn.ReLU, nn.LeakyReLU (and nn.Flatten, nn.Identity, nn.Dropout); {name} is {type(module).__name__}")
    if any(nn.parameter.is_lazy(p) for p in model.parameters()):
        raise ValueError("model must have its weights, and a lazy layer has none yet; call the model on one batch of inputs first")
    linears = [module for _, module in leaves if isinstance(module, nn.Linear)]
    if not linears:
        raise ValueError("model must have a hidden layer, two nn.Linear at least; got 0")
    if linears[0].weight.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"model must have float32 or float64 weights; got {linears[0].weight.dtype}")
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise ValueError("model must have finite weights; it contains NaN or infinity")
    with _evaluating(model), torch.no_grad():
        calls, x, y = _traced(model, leaves, linears)
        for _, module in calls:
            x = module(x)
    if not isinstance(y, torch.Tensor) or y.shape != x.shape or not torch.allclose(y, x, rtol=1e-4, atol=1e-6 * float(x.abs().max())):
        raise ValueError("model must be the chain of its submodules; its forward does something between or beside them (a function such as torch.relu, a skip)")
    return calls


def _traced(model: nn.Module, leaves: list[tuple[str, nn.Module]], linears: list[nn.Linear]) -> tuple[list[tuple[str, nn.Module]], torch.Tensor, Any]:
    """The calls in their order for random inputs of the first width that the model takes, the inputs and the output."""
    calls: list[tuple[str, nn.Module]] = []
    generator = torch.Generator(device="cpu").manual_seed(0)
    widths, raised = list(dict.fromkeys(module.in_features for module in linears)), ""
    hooks = [module.register_forward_hook(lambda module, _, __, name=name: calls.append((name, module))) for name, module in leaves]
    try:
        for width in widths:
            calls.clear()
            x = torch.randn(4, width, generator=generator, dtype=torch.float64, device="cpu").to(linears[0].weight)
            try:
                return calls, x, model(x)
            except (RuntimeError, TypeError) as error:
                raised = raised or str(error)
    finally:
        for hook in hooks:
            hook.remove()
    raise ValueError(f"model must take inputs of shape (batch, {widths[0]}), as its first linear layer does; it raised: {raised}")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, each part put back to its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
