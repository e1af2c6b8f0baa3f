"""Which networks: a grid of arguments or an explicit list (Part IV, *Training near the boundary*).

They are checked, and sorted into groups of one shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from numbers import Integral, Real
from typing import Any

import numpy as np

from deeplimits import _checks, activations, moments
from deeplimits.layers.dense import INITIALIZATIONS, resolve_weight_std

#: The arguments that may be lists, in the order of the dimensions of the result.
AXES = ("activation", "depth", "width", "weight_std", "weight_ratio", "bias_std", "lr", "seed")


@dataclass(frozen=True)
class Network:
    """One network of the ensemble; ``weight_std`` is a number here."""

    activation: str
    depth: int
    width: int
    weight_std: float
    bias_std: float
    lr: float
    seed: int

    @property
    def shape(self) -> tuple[str, int, int]:
        return self.activation, self.depth, self.width


@dataclass(frozen=True)
class Grid:
    """All networks, in the order of the result's entries.

    Attributes:
        networks: the networks, the last dimension running fastest.
        dims: names of the dimensions; ``("network",)`` for a list.
        shape: their sizes.
        coords: coordinates for the dataset: name -> (dims, values); scalars where an argument was not a list.
    """

    networks: list[Network]
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coords: dict[str, Any] = field(repr=False)

    def groups(self) -> list[list[int]]:
        """Places of the networks of equal shape, the most work first."""
        found: dict[tuple[str, int, int], list[int]] = {}
        for place, network in enumerate(self.networks):
            found.setdefault(network.shape, []).append(place)
        return sorted(found.values(), key=lambda g: -len(g) * self.networks[g[0]].depth * self.networks[g[0]].width ** 2)


def make(arguments: Mapping[str, Any], networks: Sequence[Mapping[str, Any]] | None, weights: str) -> Grid:
    """The grid of the list arguments, or the list ``networks`` with the other arguments as its defaults."""
    given = dict(arguments)
    lists = [name for name in AXES if _is_list(given[name])]
    if networks is not None:
        if lists:
            raise ValueError(f"networks lists the networks one by one; the other arguments must then be single values, got a list for {', '.join(lists)}")
        rows = _rows(given, networks)
        found = [_network(row, weights) for row in rows]
        kept = [name for name in AXES if any(row[name] is not None for row in rows)]
        return Grid(found, ("network",), (len(rows),), {name: ("network", _column([row[name] for row in rows])) for name in kept})
    values = {name: list(given[name]) for name in lists}
    for name, entries in values.items():
        if not entries:
            raise ValueError(f"{name} must hold at least one value; got an empty list")
        if len(set(map(str, entries))) < len(entries):
            raise ValueError(f"{name} must hold different values; got {entries!r}")
    found = [_network(given | dict(zip(lists, row, strict=True)), weights) for row in product(*values.values())]
    coords = {name: (name, _column(values[name])) if name in values else given[name] for name in AXES if name in values or given[name] is not None}
    return Grid(found, tuple(lists), tuple(map(len, values.values())), coords)


def _is_list(value: Any) -> bool:
    return not isinstance(value, str | Real | activations.Activation) and value is not None and hasattr(value, "__iter__")


def _column(values: list[Any]) -> np.ndarray:
    """Numbers as numbers; anything mixed with words as words."""
    if any(isinstance(v, str) or v is None for v in values):
        return np.array(["" if v is None else str(v) for v in values])
    return np.array(values)


def _rows(given: dict[str, Any], networks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for row in networks:
        if not isinstance(row, Mapping):
            raise TypeError(f"networks must hold dicts such as {{'depth': 20, 'seed': 1}}; got {row!r}")
        for name in row:
            _checks.choice("networks: a key", name, AXES)
        base = given | ({"weight_std": None} if "weight_ratio" in row else {}) | ({"weight_ratio": None} if "weight_std" in row else {})
        rows.append(base | dict(row))
    if not rows:
        raise ValueError("networks must hold at least one network; got an empty list")
    return rows


def _network(row: Mapping[str, Any], weights: str) -> Network:
    unit = activations.get(row["activation"])
    width, bias = _checks.integer("width", _plain(row["width"])), _checks.nonnegative("bias_std", _plain(row["bias_std"]))
    return Network(unit.name, _checks.integer("depth", _plain(row["depth"])), width, _weight_std(row, unit, width, bias, weights), bias,
                   _checks.positive("lr", _plain(row["lr"])), _checks.integer("seed", _plain(row["seed"]), minimum=0))


def _plain(value: Any) -> Any:
    """A numpy scalar as a Python number, so that errors show it plainly."""
    return value.item() if isinstance(value, np.generic) else value


def _weight_std(row: Mapping[str, Any], unit: activations.Activation, width: int, bias: float, weights: str) -> float:
    std, ratio = _plain(row["weight_std"]), _plain(row["weight_ratio"])
    if std is not None and ratio is not None:
        raise ValueError(f"weight_std or weight_ratio, not both; got {std!r} and {ratio!r}")
    if ratio is not None:
        return _checks.positive("weight_ratio", ratio) * moments.critical_weight_std(unit, bias)
    std = "critical" if std is None else std
    if std == "torch":
        known = ", ".join(repr(name) for name in INITIALIZATIONS if name != "torch")
        raise ValueError(f"weight_std must be positive or one of {known}: a network of torch's default is nn.Linear itself; got 'torch'")
    return resolve_weight_std(std, activation=unit, width=width, bias_std=bias, weights=weights)


def whole(name: str, values: Sequence[Any], most: int) -> np.ndarray:
    """Sorted whole numbers between 0 and ``most``."""
    if any(isinstance(v, bool) or not isinstance(v, Integral) for v in values) or not len(values):
        raise ValueError(f"{name} must hold whole numbers between 0 and {most}; got {values!r}")
    wanted = np.unique(np.asarray(values, dtype=np.int64))
    if wanted[0] < 0 or wanted[-1] > most:
        raise ValueError(f"{name} must hold whole numbers between 0 and {most}; got {values!r}")
    return wanted
