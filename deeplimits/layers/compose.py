r"""Chains of layers, and stationary sequences that are not independent (Part II, *The order of composition*)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from deeplimits import _checks
from deeplimits.layers._maps import layer_argument
from deeplimits.layers.base import Function, Layer, LayerMap, uniform
from deeplimits.layers.contraction import DropoutMap

Tensor = torch.Tensor


def _all_layers(layers: Any) -> tuple[Layer, ...]:
    if isinstance(layers, Layer) or not isinstance(layers, Sequence):
        raise TypeError(f"layers must be a list of layers; got {layers!r}")
    if not layers:
        raise ValueError("layers must hold at least one layer; got an empty list")
    return tuple(layer_argument("layers", layer) for layer in layers)


class _Several(Layer):
    """What chains and stationary sequences share: they have a property where all their layers have it."""

    layers: tuple[Layer, ...]

    @property
    def homogeneous(self) -> bool:
        return all(layer.homogeneous for layer in self.layers)

    @property
    def fixes_zero(self) -> bool:
        return all(layer.fixes_zero for layer in self.layers)

    @property
    def has_law(self) -> bool:
        return all(layer.has_law for layer in self.layers)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(name for name in self.layers[0].metrics if all(name in layer.metrics for layer in self.layers))


class Chain(_Several):
    r"""The product :math:`T = T_k \circ \cdots \circ T_1` of independent layers, as one layer.

    Args:
        layers: the layers in the order in which they act; the output of one is as wide as the input of the next.

    Raises:
        ValueError: sizes that do not fit, or an empty list.

    Example:
        >>> from deeplimits.layers import Dense, Dropout
        >>> layer = Chain([Dense(8, "relu", fan_in=4), Dropout(8, keep=0.5), Dense(4, fan_in=8)])
        >>> layer.fan_in, layer.width, layer.homogeneous
        (4, 4, True)
    """

    formula = r"x \mapsto T_k(\cdots T_1(x))"

    def __init__(self, layers: Sequence[Layer]):
        self.layers = _all_layers(layers)
        for k, (first, second) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if second.fan_in != first.width:
                raise ValueError(f"layers must fit together; got width {first.width} at position {k} and fan_in {second.fan_in} "
                                 f"at position {k + 1}")
        self.fan_in, self.width = self.layers[0].fan_in, self.layers[-1].width

    def resized(self, fan_in: int) -> Chain:
        return Chain([self.layers[0].resized(fan_in), *self.layers[1:]])

    def start(self, generator, samples):
        """One hidden state per layer, as a tuple; None if no layer has any."""
        states = tuple(layer.start(generator, samples) for layer in self.layers)
        return None if all(state is None for state in states) else states

    def advance(self, state, generator):
        if state is None:
            return None
        return tuple(layer.advance(s, generator) for layer, s in zip(self.layers, state, strict=True))

    def _maps(self, method: str, state, *arguments) -> ChainMap:
        states = (None,) * len(self.layers) if state is None else state
        return ChainMap([getattr(layer, method)(*arguments, s) for layer, s in zip(self.layers, states, strict=True)])

    def _sample(self, generator, samples, dtype, device, state) -> ChainMap:
        return self._maps("_sample", state, generator, samples, dtype, device)

    def _law(self, generator, samples, dtype, device, state) -> ChainMap:
        return self._maps("_law", state, generator, samples, dtype, device)


class ChainMap(LayerMap):
    r"""The composition of the maps in ``maps``, the first one innermost."""

    def __init__(self, maps: Sequence[LayerMap]):
        self.maps = tuple(maps)

    @property
    def weight(self) -> list[Tensor | None]:
        """The weights of the maps, innermost first (None for a map without any)."""
        return [getattr(T, "weight", None) for T in self.maps]

    @property
    def bias(self) -> list[Tensor | None]:
        """The biases of the maps, innermost first."""
        return [getattr(T, "bias", None) for T in self.maps]

    def __call__(self, x: Tensor) -> Tensor:
        for T in self.maps:
            x = T(x)
        return x

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        supports: list[Support] = []
        for T in self.maps:
            x, d = T.pair(x, d, log_scale)
            support = T.support
            if support is not None and isinstance(T, DropoutMap) and supports:
                # A mask keeps what was on before; rounding in x + e^s d must not switch a unit on.
                support = tuple(now & before for now, before in zip(support, supports[-1], strict=True))
            if support is not None:
                supports.append(support)
        self.support = _last_support(supports, x, d, self.maps[-1].support is not None)
        return x, d


Support = tuple[Tensor, Tensor]


def _last_support(supports: Sequence[Support], x: Tensor, d: Tensor, current: bool) -> Support | None:
    """The support of the outputs of a chain, given those of its inner maps.

    An input that died inside the chain stays dead, and two inputs on a common ray stay there (which an engine reads off a
    support of at most one unit), though rounding in the later maps would hide both.
    """
    if not supports:
        return None
    full = torch.ones_like(x, dtype=torch.bool, device=x.device), torch.ones_like(d, dtype=torch.bool, device=d.device)
    first, other = supports[-1] if current else full
    first = first.expand(other.shape)
    single = torch.zeros_like(other, device=other.device)
    single[..., 0] = True
    for a, b in supports:
        both = a.any(-1, keepdim=True) & b.any(-1, keepdim=True)
        same_ray = both & ((a | b).sum(-1, keepdim=True) <= 1)
        first = torch.where(same_ray, single & first.any(-1, keepdim=True), first)
        other = torch.where(same_ray, single & other.any(-1, keepdim=True), other) & b.any(-1, keepdim=True)
    return first, other


class Fixed(Layer):
    r"""A given map in every layer of every network; a component for :class:`Stationary`, which draws from several.

    Args:
        function: the map T, from points ``(..., N)`` to points ``(..., N)``.
        width: the size N.
        homogeneous: whether :math:`T(tx) = tT(x)` for :math:`t > 0`.
        metrics: names of the metrics that T does not increase, if known.

    Raises:
        TypeError: ``function`` is not callable, or ``metrics`` is not a sequence of names.

    Example:
        >>> halving = Stationary([Fixed(lambda x: x / 2, 1), Fixed(lambda x: x / 2 + 0.5, 1)], [[0.5, 0.5], [0.5, 0.5]])
        >>> T = halving.sample(torch.Generator().manual_seed(0), samples=4)
        >>> sorted(set(T(torch.zeros(4, 1, 1)).flatten().tolist()))
        [0.0, 0.5]
    """

    formula = r"x \mapsto T(x)"

    def __init__(self, function: Callable[[Tensor], Tensor], width: int, *, homogeneous: bool = False, metrics: Sequence[str] = ()):
        if not callable(function):
            raise TypeError(f"function must map points (..., N) to points (..., N); got {type(function).__name__}")
        if isinstance(metrics, str) or not all(isinstance(name, str) for name in metrics):
            raise TypeError(f"metrics must be a sequence of names, such as ('lp(2)',); got {metrics!r}")
        self._function = function
        self.width = self.fan_in = _checks.integer("width", width)
        self.homogeneous = self.fixes_zero = bool(homogeneous)
        self.metrics = tuple(metrics)

    def _sample(self, generator, samples, dtype, device, state) -> Function:
        return Function(self._function)


class Stationary(_Several):
    r"""A stationary sequence of layers that are not independent: a hidden Markov chain picks the law of each layer.

    In hidden state i the layer is drawn from ``layers[i]``; between layers the state moves by the transition matrix. The
    first state has the stationary law :math:`\pi = \pi P`, so the sequence is stationary. The weights are independent
    given the states.

    Args:
        layers: the component layers, all of the same sizes.
        transition: the k by k transition matrix, rows summing to one, with a single stationary law.

    Attributes:
        stationary_law: the tuple of probabilities :math:`\pi`.

    Raises:
        ValueError: not a stochastic matrix of the right size, more than one stationary law, or layers of different sizes.

    Source:
        Furstenberg and Kesten (1960) for products of stationary, not only independent, factors.

    Example:
        >>> from deeplimits.layers import Dense
        >>> layer = Stationary([Dense(4, "tanh", 0.5), Dense(4, "tanh", 2.0)], [[0.9, 0.1], [0.3, 0.7]])
        >>> [round(p, 6) for p in layer.stationary_law]
        [0.75, 0.25]
    """

    def __init__(self, layers: Sequence[Layer], transition: Any):
        self.layers = _all_layers(layers)
        first = self.layers[0]
        if any((layer.width, layer.fan_in) != (first.width, first.fan_in) for layer in self.layers):
            raise ValueError(f"layers must have the same sizes; got {[(layer.fan_in, layer.width) for layer in self.layers]}")
        if any(layer.start(torch.Generator(device="cpu").manual_seed(0), 1) is not None for layer in self.layers):
            raise ValueError("layers of Stationary must not have hidden states of their own; put all the states into one transition matrix")
        self.width, self.fan_in = first.width, first.fan_in
        matrix = _transition_matrix(transition, len(self.layers))
        self.transition = tuple(map(tuple, matrix.tolist()))
        self.stationary_law = tuple(_stationary_law(matrix).tolist())

    @property
    def formula(self) -> str:
        return r"x \mapsto T^{(i_l)}(x),\ (i_l)\ \text{Markov};\ " + r";\ ".join(layer.formula for layer in self.layers)

    def resized(self, fan_in: int) -> Stationary:
        return Stationary([layer.resized(fan_in) for layer in self.layers], self.transition)

    def start(self, generator: torch.Generator | None, samples: int) -> Tensor:
        """The hidden states of ``samples`` sequences at the first layer, drawn from the stationary law, shape ``(samples,)``."""
        device = generator.device if generator is not None else torch.device("cpu")
        law = torch.tensor(self.stationary_law, dtype=torch.float64, device=device)
        return _draw_index(law.expand(_checks.integer("samples", samples), -1), generator)

    def advance(self, state: Tensor, generator: torch.Generator | None) -> Tensor:
        """The hidden states at the next layer."""
        rows = torch.tensor(self.transition, dtype=torch.float64, device=state.device)
        return _draw_index(rows[state], generator)

    def _pick(self, method: str, generator, samples, dtype, device, state) -> LayerMap:
        if state is None:
            state = self.start(generator, 1 if samples is None else samples)
        if state.shape != (1 if samples is None else samples,):
            raise ValueError(f"state must have one entry per sample; got shape {tuple(state.shape)} for samples={samples}")
        if samples is None:
            return getattr(self.layers[int(state[0])], method)(generator, None, dtype, device, None)
        parts = []
        for i, layer in enumerate(self.layers):
            where = torch.nonzero(state == i).squeeze(-1).to(device)
            if len(where):
                parts.append((where, getattr(layer, method)(generator, len(where), dtype, device, None)))
        return StationaryMap(parts)

    def _sample(self, generator, samples, dtype, device, state) -> LayerMap:
        return self._pick("_sample", generator, samples, dtype, device, state)

    def _law(self, generator, samples, dtype, device, state) -> LayerMap:
        return self._pick("_law", generator, samples, dtype, device, state)


class StationaryMap(LayerMap):
    """A batch of maps drawn from several components; ``parts`` holds (indices of the samples, batch of maps)."""

    def __init__(self, parts: Sequence[tuple[Tensor, LayerMap]]):
        self.parts = tuple(parts)
        self._order = torch.argsort(torch.cat([where for where, _ in self.parts]))

    def _gather(self, pieces: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(pieces)).index_select(0, self._order)

    def __getattr__(self, name: str) -> Any:
        if name not in ("weight", "bias"):
            raise AttributeError(f"StationaryMap has no attribute {name!r}")
        pieces = [getattr(T, name) for _, T in self.parts]
        if any(piece is None for piece in pieces):
            return None
        return self._gather(pieces)

    def __call__(self, x: Tensor) -> Tensor:
        return self._gather([T(x.index_select(0, where)) for where, T in self.parts])

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        pieces = [T.pair(*(a.index_select(0, where) for a in (x, d, log_scale))) for where, T in self.parts]
        if any(T.support is not None for _, T in self.parts):
            known = [T.support or tuple(torch.ones_like(v, dtype=torch.bool, device=v.device) for v in piece)
                     for (_, T), piece in zip(self.parts, pieces, strict=True)]
            self.support = self._gather([a for a, _ in known]), self._gather([b for _, b in known])
        return self._gather([y for y, _ in pieces]), self._gather([quotient for _, quotient in pieces])


def _draw_index(probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
    """One index per row of probabilities, by inversion."""
    edges = probabilities.cumsum(dim=-1)[..., :-1]
    u = uniform((probabilities.shape[0], 1), generator, torch.float64, probabilities.device)
    return (u >= edges).sum(dim=-1)


def _transition_matrix(transition: Any, states: int) -> Tensor:
    try:
        matrix = torch.as_tensor(transition, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"transition must be a matrix of numbers, one row per layer; got {transition!r}") from error
    if tuple(matrix.shape) != (states, states):
        raise ValueError(f"transition must have shape {(states, states)}, one row per layer; got {tuple(matrix.shape)}")
    if not torch.isfinite(matrix).all() or (matrix < 0).any() or ((matrix.sum(dim=1) - 1).abs() > 1e-9).any():
        raise ValueError(f"transition must have entries of at least 0 and rows that sum to 1; got {matrix.tolist()}")
    return matrix / matrix.sum(dim=1, keepdim=True)


def _stationary_law(matrix: Tensor) -> Tensor:
    """The only probability vector with pi P = pi."""
    k = matrix.shape[0]
    system = torch.cat([matrix.T - torch.eye(k, dtype=torch.float64, device="cpu"), torch.ones(1, k, dtype=torch.float64, device="cpu")])
    if torch.linalg.matrix_rank(system, rtol=1e-12) < k:
        raise ValueError(f"transition must have a single stationary law (one closed class of states); got {matrix.tolist()}")
    right = torch.zeros(k + 1, dtype=torch.float64, device="cpu")
    right[-1] = 1
    law = torch.linalg.lstsq(system, right.unsqueeze(-1)).solution.squeeze(-1).clamp_min(0.0)
    return law / law.sum()
