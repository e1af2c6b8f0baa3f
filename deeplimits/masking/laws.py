r"""The laws of the masks: independent coins, balanced partitions, independent labels (Part VI, *Training random subnetworks*)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch

from deeplimits import _checks
from deeplimits.engine.streams import stream

Tensor = torch.Tensor

LAWS = ("bernoulli", "partition", "categorical")
_MOST_OUTCOMES = 1 << 20
_HOME = torch.device("cpu")


@dataclass(frozen=True)
class MaskLaw:
    r"""The law of the masks of one round; :func:`mask_law` checks the arguments and makes it.

    Attributes:
        name: ``"bernoulli"``, ``"partition"`` or ``"categorical"``.
        subnetworks: number S of masks.
        keep: probability :math:`\xi` that a mask keeps a neuron.
        width: number m of neurons; None where only rates are wanted.

    Example:
        >>> law = mask_law("partition", 2, width=4)
        >>> law.draw(seed=0, round=0).sum(0).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    name: str
    subnetworks: int
    keep: float
    width: int | None = None

    @property
    def updated(self) -> float:
        r"""The probability :math:`\theta` that a neuron is in some subnetwork."""
        if self.name != "bernoulli":
            return 1.0
        return 1.0 if self.keep == 1 else -math.expm1(self.subnetworks * math.log1p(-self.keep))

    @property
    def coupling(self) -> float:
        r"""Probability that another neuron is in a mask given that one is, in units of :math:`\xi`."""
        if self.name != "partition" or self.width is None or self.width == 1:
            return 1.0
        return (self.width - self.subnetworks) / (self.width - 1)

    @property
    def spread(self) -> float:
        r"""The variance :math:`\lambda_\xi = (1 - \xi)/\xi` of an entry of the mask divided by :math:`\xi`."""
        return (1 - self.keep) / self.keep

    def draw(self, seed: int, round: int) -> Tensor:
        """The masks of one round, shape ``(S, m)``, 0 or 1, on the CPU; keyed by the seed and the round."""
        generator, (s, m) = stream(seed, round, 0, _HOME), (self.subnetworks, self._width())
        if self.name == "bernoulli":
            return (torch.rand(s, m, generator=generator, device=_HOME, dtype=torch.float32) < self.keep).to(torch.float32)
        owner = self.owners(seed, round)
        return (owner == torch.arange(s, device=_HOME)[:, None]).to(torch.float32)

    def owners(self, seed: int, round: int) -> Tensor:
        """For a partition, the subnetwork of each neuron, shape ``(m,)``."""
        generator, (s, m) = stream(seed, round, 0, _HOME), (self.subnetworks, self._width())
        if self.name == "categorical":
            return torch.randint(s, (m,), generator=generator, device=_HOME)
        if self.name == "bernoulli":
            raise ValueError("masks='bernoulli' share neurons and have no owners; use masks='partition' or 'categorical'")
        owner = torch.empty(m, dtype=torch.int64, device=_HOME)
        owner[torch.randperm(m, generator=generator, device=_HOME)] = torch.arange(m, device=_HOME) * s // m
        return owner

    def outcomes(self) -> tuple[Tensor, Tensor]:
        """All masks with their probabilities, shapes ``(K, S, m)`` and ``(K,)``: for small networks only."""
        s, m = self.subnetworks, self._width()
        count = 2 ** (s * m) if self.name == "bernoulli" else s**m
        if count > _MOST_OUTCOMES:
            raise ValueError(f"width and subnetworks must leave at most {_MOST_OUTCOMES} outcomes; got {count}: take fewer neurons")
        if self.name == "bernoulli":
            bits = torch.arange(count, device=_HOME)[:, None] >> torch.arange(s * m, device=_HOME) & 1
            on = bits.sum(-1).to(torch.float64)
            return bits.reshape(count, s, m).double(), self.keep**on * (1 - self.keep) ** (s * m - on)
        labels = torch.tensor(list(itertools.product(range(s), repeat=m)), device=_HOME)
        masks = (labels[:, None, :] == torch.arange(s, device=_HOME)[:, None]).double()
        if self.name == "partition":
            masks = masks[(masks.sum(-1) == m // s).all(-1)]
        return masks, torch.full((len(masks),), 1 / len(masks), dtype=torch.float64, device=_HOME)

    def _width(self) -> int:
        if self.width is None:
            raise ValueError("width must be given to draw masks; got None")
        return self.width


def mask_law(masks: str, subnetworks: int, keep: float | None = None, width: int | None = None) -> MaskLaw:
    r"""The law of the masks, its arguments checked.

    Args:
        masks: ``"bernoulli"``: each mask keeps each neuron with probability :math:`\xi`, independently; ``"partition"``: a uniform
            partition into S parts of equal size; ``"categorical"``: each neuron goes to one of S parts, independently.
        subnetworks: number S of masks.
        keep: :math:`\xi` in (0, 1]; for partitions 1/S, which None stands for.
        width: number of neurons m.

    Returns:
        A :class:`MaskLaw`.

    Raises:
        ValueError: keep outside (0, 1], a keep that is not 1/S, or a width that S does not divide.

    Source:
        Liao and Kyrillidis (2022); Yuan et al. (2019) for partitions.

    Example:
        >>> mask_law("bernoulli", 4, 0.25).updated
        0.68359375
        >>> mask_law("partition", 3, width=10)
        Traceback (most recent call last):
        ...
        ValueError: width must be a multiple of subnetworks=3 for masks='partition'; got 10 (9 or 12 would do, or masks='categorical')
    """
    _checks.choice("masks", masks, LAWS)
    s = _checks.integer("subnetworks", subnetworks)
    if width is not None:
        width = _checks.integer("width", width)
    if masks == "bernoulli":
        if keep is None:
            raise ValueError("keep must be a number in (0, 1] for masks='bernoulli'; got None")
        return MaskLaw(masks, s, _share(keep), width)
    if keep is not None and not math.isclose(_share(keep), 1 / s, rel_tol=1e-9):
        raise ValueError(f"keep must be 1/subnetworks = {1 / s:.6g} (or None) for masks={masks!r}; got {keep!r}")
    if masks == "partition" and width is not None and width % s:
        low, high = width // s * s, (width // s + 1) * s
        near = f"{low} or {high}" if low else f"{high}"
        raise ValueError(f"width must be a multiple of subnetworks={s} for masks='partition'; got {width} ({near} would do, or masks='categorical')")
    return MaskLaw(masks, s, 1 / s, width)


def output_factor(law: Any, scale: float | None) -> float:
    r"""The factor q of a subnetwork's output: :math:`1/\xi` unless it is given."""
    if not isinstance(law, MaskLaw):
        raise TypeError(f"law must be a law of masks such as mask_law('bernoulli', 4, 0.5, width); got {law!r}")
    return 1 / law.keep if scale is None else _checks.positive("scale", scale)


def _share(keep: Any) -> float:
    if not 0 < _checks.number("keep", keep) <= 1:
        raise ValueError(f"keep must lie in (0, 1]: it is the probability that a mask keeps a neuron; got {keep!r}")
    return float(keep)


def updated_share(subnetworks: int, keep: float | None = None, masks: str = "bernoulli") -> float:
    r"""The probability :math:`\theta = 1 - (1-\xi)^S` that a neuron is trained in a round; 1 for partitions.

    Args:
        subnetworks: number S of masks.
        keep: probability that a mask keeps a neuron.
        masks: the law of the masks.

    Returns:
        The probability.

    Example:
        >>> updated_share(4, 0.25)
        0.68359375
    """
    return mask_law(masks, subnetworks, keep).updated


def alive_share(subnetworks: int, keep: float, rounds: int) -> float:
    r"""Share :math:`\theta^K` of neurons alive after K rounds if neurons in no subnetwork were set to zero.

    A ReLU neuron with weight zero has gradient zero and stays dead. The algorithm of the book leaves such neurons unchanged.

    Args:
        subnetworks: number S of masks.
        keep: probability that a mask keeps a neuron.
        rounds: number K of rounds.

    Returns:
        The expected share.

    Example:
        >>> round(alive_share(10, 0.5, 20), 3)
        0.981
    """
    return updated_share(subnetworks, keep) ** _checks.integer("rounds", rounds, minimum=0)


def special_case(name: str, *, keep: float | None = None, subnetworks: int | None = None, local_steps: int | None = None) -> dict[str, Any]:
    """The arguments of :func:`train` that make a known algorithm.

    Args:
        name: ``"gradient descent"``, ``"dropout"`` (full batch, inverted), ``"multi-sample dropout"`` or ``"independent subnets"``.
        keep: probability that a mask keeps a neuron, for both kinds of dropout.
        subnetworks: number of masks, for multi-sample dropout and independent subnets.
        local_steps: for independent subnets.

    Returns:
        ``subnetworks``, ``local_steps``, ``keep`` and ``masks``.

    Raises:
        ValueError: an unknown name, or an argument that the algorithm needs and lacks, or does not have.

    Source:
        Srivastava et al. (2014) for dropout; Yuan et al. (2019) for independent subnets.

    Example:
        >>> special_case("dropout", keep=0.5)
        {'subnetworks': 1, 'local_steps': 1, 'keep': 0.5, 'masks': 'bernoulli'}
    """
    wanted = {"gradient descent": (), "dropout": ("keep",), "multi-sample dropout": ("keep", "subnetworks"),
              "independent subnets": ("subnetworks", "local_steps")}
    given = {"keep": keep, "subnetworks": subnetworks, "local_steps": local_steps}
    for argument, value in given.items():
        if (value is not None) != (argument in wanted[_checks.choice("name", name, wanted)]):
            raise ValueError(f"{argument} must {'be given' if value is None else 'not be given'} for {name!r}; got {value!r}")
    if name == "gradient descent":
        keep = 1.0
    masks = "partition" if name == "independent subnets" else "bernoulli"
    law = mask_law(masks, subnetworks or 1, keep)
    return {"subnetworks": law.subnetworks, "local_steps": local_steps or 1, "keep": law.keep, "masks": masks}
