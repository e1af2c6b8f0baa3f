r"""Which functions a component can express: frozen signs against those of a target (Part V, *The shape of what is reachable*)."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import torch

from deeplimits import _checks

from ._shapes import one_dimension


@dataclass(frozen=True)
class Reachability:
    r"""Whether a component contains a target, and the count behind the answer.

    Attributes:
        reachable: the criterion holds.
        frozen_positive: p, neurons with balance at most zero and a positive output weight.
        frozen_negative: q, the same with a negative one.
        free: g, neurons with a positive balance.
        missing_positive: units of the target with positive output weight that no frozen neuron can take.
        missing_negative: the same for negative ones.
    """

    reachable: bool
    frozen_positive: int
    frozen_negative: int
    free: int
    missing_positive: int
    missing_negative: int

    def __bool__(self) -> bool:
        return self.reachable

    def __str__(self) -> str:
        wanted = self.missing_positive + self.missing_negative
        return (
            f"{'reachable' if self.reachable else 'not reachable'}: {wanted} unit{'s' * (wanted != 1)} of the target "
            f"({self.missing_positive} positive, {self.missing_negative} negative) must go to the {self.free} free neuron{'s' * (self.free != 1)}"
        )


def _signs(name: str, values: Any, zero_allowed: bool = False) -> list[int]:
    if isinstance(values, torch.Tensor) and values.ndim == 2:
        if values.shape[0] != 1:
            raise ValueError(
                f"{name} must belong to one output; got {values.shape[0]} outputs. With several outputs no sign is frozen and the question "
                "does not arise: the quadrics are connected"
            )
        values = values[0]
    signs = [(v > 0) - (v < 0) for v in one_dimension(name, values)]
    if not zero_allowed and 0 in signs:
        raise ValueError(f"{name} must not be zero (neuron {signs.index(0)}): a unit with output weight 0 has no sign and no part in the function")
    return signs


def _count(balances: Any, signs: Any) -> tuple[list[float], list[int]]:
    levels, given = one_dimension("balances", balances), _signs("signs", signs, zero_allowed=True)
    if len(levels) != len(given):
        raise ValueError(f"signs must hold one entry per balance, {len(levels)}; got {len(given)}")
    for k, (c, s) in enumerate(zip(levels, given, strict=True)):
        if c <= 0 and s == 0:
            raise ValueError(f"neuron {k} has balance {c:g} and output weight 0: a zero neuron, stationary for ever; remove it")
    return levels, given


def reachable(balances: Any, signs: Any, target: Any) -> Reachability:
    r"""Whether gradient flow could represent a target: frozen output signs against the signs it needs (one output, :math:`D \ge 2`).

    With p (q) neurons of balance at most zero whose output weight is positive (negative), g neurons of positive balance, and an
    irreducible ReLU target with P positive and N negative units whose kinks lie on distinct hyperplanes, none the mirror image of another,
    the component holds the target if and only if

    .. math:: \max(0, P - p) + \max(0, N - q) \le g .

    Necessary for training to an exact fit, not sufficient: spurious minima and dead units are another matter.

    Args:
        balances: balances of the network, one per hidden neuron (see :func:`deeplimits.topology.balance`).
        signs: its output weights, or their signs, same length; shape (1, hidden) is accepted.
        target: output weights of the target's units, or their signs.

    Returns:
        :class:`Reachability`; true or false in a condition.

    Raises:
        ValueError: several outputs, lengths that differ, a zero neuron.

    Source:
        Derived in the chapter; the obstruction is that of Nurisso, Leroy and Vaccarino (2024).

    Example:
        >>> print(reachable(balances=[-0.66, -0.47], signs=[1, 1], target=[1, -1]))
        not reachable: 1 unit of the target (0 positive, 1 negative) must go to the 0 free neurons
        >>> bool(reachable(balances=[-0.66, 0.5], signs=[1, 1], target=[1, -1]))
        True
    """
    levels, given = _count(balances, signs)
    wanted = _signs("target", target)
    p = sum(c <= 0 and s > 0 for c, s in zip(levels, given, strict=True))
    q = sum(c <= 0 and s < 0 for c, s in zip(levels, given, strict=True))
    g = len(levels) - p - q
    more, less = max(0, wanted.count(1) - p), max(0, wanted.count(-1) - q)
    return Reachability(more + less <= g, p, q, g, more, less)


def assignment(balances: Any, signs: Any, target: Any) -> list[int]:
    """For each unit of the target a neuron that can take it; frozen neurons first.

    Raises:
        ValueError: not reachable.
    """
    levels, given = _count(balances, signs)
    found = reachable(balances, signs, target)
    if not found:
        raise ValueError(f"target is {found}")
    stock = {s: [k for k, c in enumerate(levels) if c <= 0 and given[k] == s] for s in (1, -1)}
    free = [k for k, c in enumerate(levels) if c > 0]
    return [(stock[s] or free).pop(0) for s in _signs("target", target)]


def feasible_probability(frozen: int, hidden: int, positive: int, negative: int) -> float:
    r"""Probability that a target is reachable when the frozen signs are fair coins.

    With j frozen neurons of m, the number of positive ones is binomial :math:`(j, \tfrac12)`:

    .. math:: 2^{-j}\sum_{p=0}^{j}\binom jp\,\mathbf 1\bigl[\max(0, P - p) + \max(0, N - j + p) \le m - j\bigr] .

    Args:
        frozen: j, neurons with balance at most zero.
        hidden: number m of hidden neurons.
        positive: P, units of the target with positive output weight.
        negative: N, those with negative output weight.

    Returns:
        The probability.

    Raises:
        ValueError: more frozen neurons than neurons.

    Source:
        Derived in the chapter.

    Example:
        >>> feasible_probability(frozen=6, hidden=6, positive=3, negative=3), feasible_probability(5, 6, 3, 3)
        (0.3125, 0.625)
    """
    m, j = _checks.integer("hidden", hidden), _checks.integer("frozen", frozen, 0)
    P, N = _checks.integer("positive", positive, 0), _checks.integer("negative", negative, 0)
    if j > m:
        raise ValueError(f"frozen must be at most hidden = {m}; got {j}")
    return sum(comb(j, p) for p in range(j + 1) if max(0, P - p) + max(0, N - j + p) <= m - j) / 2**j
