r"""Rates, the stability bound and the noise floor, from the kernel at infinite width (Part VI, *Bias, rate and noise floor*)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from deeplimits import _checks
from deeplimits.masking.kernels import inputs, ntk, output_covariance
from deeplimits.masking.laws import MaskLaw, mask_law, output_factor

Tensor = torch.Tensor

_NEURONS = 512  # sampled for the part of a partition's floor that is of order 1/m
_CHUNK = 64


def _gain(law: MaskLaw, lr: float, scale: float | None) -> float:
    r"""A local step shrinks the mode of eigenvalue h by 1 - gain h; :math:`\eta/\xi` at the scale :math:`1/\xi`."""
    q = output_factor(law, scale)
    return lr * q * q * law.keep


def largest_lr(X: Tensor, subnetworks: int, local_steps: int, keep: float | None, masks: str = "bernoulli", *, scale: float | None = None) -> float:
    r"""The stability bound: step sizes below it contract every mode at infinite width.

    :math:`\eta < 2\xi/(\theta\lambda_{\max})` for one local step, :math:`\eta < 2\xi/\lambda_{\max}` for several.

    Args:
        X: samples, shape ``(n, d)``.
        subnetworks: number S of masks a round.
        local_steps: number :math:`\tau` of local steps.
        keep: probability :math:`\xi` that a mask keeps a neuron.
        masks: the law of the masks.
        scale: output factor of a subnetwork; :math:`1/\xi` if None.

    Returns:
        The bound.

    Raises:
        ValueError: ``scale`` not positive, or another argument out of range.

    Example:
        >>> X = torch.eye(3, dtype=torch.float64)
        >>> round(largest_lr(X, 1, 1, 1.0), 12), round(largest_lr(X, 4, 2, 0.5), 6)
        (4.0, 2.0)
    """
    law = mask_law(masks, subnetworks, keep)
    top = float(torch.linalg.eigvalsh(ntk(X))[-1])
    share = law.updated if _checks.integer("local_steps", local_steps) == 1 else 1.0
    return 2 / (share * top * _gain(law, 1.0, scale))


def check_stable(X: Tensor, law: MaskLaw, local_steps: int, lr: float, scale: float | None) -> None:
    """An error that names the bound, where the step size is beyond it."""
    bound = largest_lr(X, law.subnetworks, local_steps, law.keep, law.name, scale=scale)
    if lr < bound:
        return
    plain = scale is None or math.isclose(scale, 1 / law.keep)
    factor = "lambda_max/keep" if plain else "scale^2 keep lambda_max"
    which = f"theta lr {factor} < 2 for one local step" if local_steps == 1 else f"lr {factor} < 2 for several local steps"
    raise ValueError(f"lr must be below {bound:.6g}: the stability bound is {which}, and its left side is {2 * lr / bound:.4g}; got lr={lr:g} "
                     "(allow_unstable=True runs it all the same)")


def contraction(X: Tensor, subnetworks: int, local_steps: int, keep: float | None, lr: float, masks: str = "bernoulli", *,
                scale: float | None = None) -> Tensor:
    r"""What a round takes off each mode in the mean: :math:`A_i = \theta[1 - (1 - \eta h_i/\xi)^\tau]`.

    Args:
        X: samples, shape ``(n, d)``.
        subnetworks: number S of masks a round.
        local_steps: number :math:`\tau` of local steps.
        keep: probability :math:`\xi` that a mask keeps a neuron.
        lr: step size :math:`\eta`.
        masks: the law of the masks.
        scale: output factor of a subnetwork; :math:`1/\xi` if None.

    Returns:
        Float64 tensor of shape ``(n,)``, for the eigenvalues :math:`h_i` of :func:`ntk` in ascending order.

    Raises:
        ValueError: ``lr`` or ``scale`` not positive, or another argument out of range.

    Example:
        >>> x = torch.ones(1, 1, dtype=torch.float64) * 2**0.5
        >>> round(contraction(x, 4, 1, 0.5, 0.2).item(), 12), round(contraction(x, 4, 5, 0.5, 0.2).item(), 4)
        (0.375, 0.8646)
    """
    law = mask_law(masks, subnetworks, keep)
    gain = _gain(law, _checks.positive("lr", lr), scale)
    return _contraction(torch.linalg.eigvalsh(ntk(X)), law, _checks.integer("local_steps", local_steps), gain)


def _contraction(h: Tensor, law: MaskLaw, local_steps: int, gain: float) -> Tensor:
    return law.updated * (1 - (1 - gain * h) ** local_steps)


@dataclass(frozen=True)
class PredictedError:
    r"""The stationary squared error :math:`E\|u\|^2` that the masks' noise leaves, to leading order in the width.

    Attributes:
        floor: the sum over the modes.
        modes: its part in each mode of the kernel, by ascending eigenvalue.
        contraction: :math:`A_i` of each mode.
        updated: the probability :math:`\theta` that a neuron is trained in a round.

    Example:
        >>> x = torch.ones(1, 1, dtype=torch.float64) * 2**0.5
        >>> round(predicted_error(x, subnetworks=4, local_steps=1, keep=0.5, lr=0.2, entry_std=0.5**0.5).floor, 5)
        0.02885
    """

    floor: float
    modes: np.ndarray = field(repr=False)
    contraction: np.ndarray = field(repr=False)
    updated: float

    @property
    def slowest(self) -> float:
        """By how much a round multiplies the slowest mode."""
        return float(np.abs(1 - self.contraction).max())

    def rounds_to(self, factor: float) -> float:
        """Rounds until the slowest mode has shrunk by a factor."""
        if _checks.number("factor", factor) <= 1:
            raise ValueError(f"factor must be above 1, such as 1000; got {factor!r}")
        return math.log(factor) / -math.log(self.slowest)


def predicted_error(X: Tensor, *, subnetworks: int, local_steps: int, keep: float | None, lr: float, masks: str = "bernoulli",
                    entry_std: float = 1.0, power_ratio: float = 1.0, covariance: Tensor | None = None,
                    width: int | None = None) -> PredictedError:
    r"""The noise floor :math:`E\|u\|^2 = \rho_C \frac{\lambda_\xi}{S} \sum_i C_{ii} \frac{A_i}{2 - A_i}` in the eigenbasis of the kernel.

    For partitions this leading term is zero, since the noises of the S subnetworks add up to nothing. What is left is of order
    1/m: with ``width`` it is :math:`\rho_C \sum_i \frac{S-1}{m} E[(L\circ k)C(L\circ k)]_{ii} / (1 - (1-A_i)^2)`, where k is the kernel of one
    neuron (less its mean, if the parts have equal sizes) and :math:`L_{ij} = \eta S\sum_{t<\tau} x_i^t x_j^{\tau-1-t}`,
    :math:`x_i = 1 - \eta S h_i`; without ``width`` it is the limit, zero.

    Args:
        X: samples, shape ``(n, d)``.
        subnetworks: number S of masks a round.
        local_steps: number :math:`\tau` of local steps.
        keep: probability :math:`\xi` that a mask keeps a neuron; for partitions 1/S, or None.
        lr: step size :math:`\eta`.
        masks: the law of the masks.
        entry_std: standard deviation :math:`\kappa` of the weights at the start.
        power_ratio: :math:`\rho_C`, by which :math:`\operatorname{tr} C` has shrunk; :func:`floor` measures it.
        covariance: C of the present weights, shape ``(n, n)``, in place of that at the start (:func:`empirical_covariance`).
        width: number of neurons, for partitions.

    Returns:
        A :class:`PredictedError`.

    Raises:
        ValueError: a step size beyond the stability bound: there is no stationary state.

    Source:
        Derived in the book; the paper of Liao and Kyrillidis (2022) bounds the same quantity.

    Example:
        >>> from deeplimits.masking import random_task
        >>> X, _ = random_task(100, 20)
        >>> found = predicted_error(X, subnetworks=4, local_steps=1, keep=0.5, lr=0.1)
        >>> round(found.floor / predicted_error(X, subnetworks=4, local_steps=1, keep=0.5, lr=0.05).floor, 1)
        2.2
    """
    law = mask_law(masks, subnetworks, keep, width)
    lr, ratio = _checks.positive("lr", lr), _checks.positive("power_ratio", power_ratio)
    check_stable(X, law, local_steps, lr, None)
    h, U = torch.linalg.eigh(ntk(X))
    A = _contraction(h, law, local_steps, _gain(law, lr, None))
    C = output_covariance(X, entry_std) if covariance is None else covariance.to(h)
    C = U.mT @ C @ U
    if law.name == "bernoulli":
        modes = law.spread / law.subnetworks * C.diagonal() * A / (2 - A)
    elif width is None or law.subnetworks == 1:
        modes = torch.zeros_like(h, device=h.device)
    else:
        modes = (law.subnetworks - 1) / width * _single_neurons(inputs(X), h, U, C, law, lr * law.subnetworks, local_steps) / (1 - (1 - A) ** 2)
    modes = ratio * modes
    return PredictedError(float(modes.sum()), modes.cpu().numpy(), A.cpu().numpy(), law.updated)


def predicted_curve(X: Tensor, y: Tensor, rounds: Sequence[int], *, power_ratio: float = 1.0, entry_std: float = 1.0, **setting: Any) -> np.ndarray:
    r"""The mean squared error after some rounds: what is left of the start, and the noise gathered until then.

    :math:`E\|u_k\|^2 = \sum_i (1-A_i)^{2k} (C_{ii} + y_i^2) + F_i [1 - (1-A_i)^{2k}]` in the eigenbasis of the kernel, with the floors
    :math:`F_i` of :func:`predicted_error`.

    Args:
        X: samples, shape ``(n, d)``.
        y: targets, shape ``(n,)``.
        rounds: numbers of rounds k.
        power_ratio: :math:`\rho_C`, for the floors.
        entry_std: standard deviation :math:`\kappa` of the weights at the start.
        setting: ``subnetworks``, ``local_steps``, ``keep``, ``lr`` and perhaps ``masks`` and ``width``, as for :func:`predicted_error`.

    Returns:
        Shape ``(len(rounds),)``.

    Example:
        >>> from deeplimits.masking import random_task
        >>> X, y = random_task(100, 20)
        >>> curve = predicted_curve(X, y, [0, 1000], subnetworks=4, local_steps=1, keep=0.5, lr=0.1)
        >>> round(float(curve[0])), bool(abs(curve[1] / predicted_error(X, subnetworks=4, local_steps=1, keep=0.5, lr=0.1).floor - 1) < 1e-9)
        (150, True)
    """
    found = predicted_error(X, entry_std=entry_std, power_ratio=power_ratio, **setting)
    _, U = torch.linalg.eigh(ntk(X))
    start = (U.mT @ output_covariance(X, entry_std) @ U).diagonal() + (U.mT @ y.to(U)).square()
    left = (1 - found.contraction) ** (2 * np.asarray(rounds, dtype=float)[:, None])
    return (left * start.cpu().numpy() + found.modes * (1 - left)).sum(-1)


def _single_neurons(X: Tensor, h: Tensor, U: Tensor, C: Tensor, law: MaskLaw, step: float, local_steps: int) -> Tensor:
    """The diagonal of E[(L k_w) C (L k_w)] over Gaussian neurons w, in the eigenbasis of the kernel."""
    x = 1 - step * h
    L = step * sum((x**k)[:, None] * x ** (local_steps - 1 - k) for k in range(local_steps))
    generator = torch.Generator(device="cpu").manual_seed(0)
    neurons = torch.randn(_NEURONS, X.shape[-1], generator=generator, dtype=torch.float64, device="cpu").to(X)
    total = torch.zeros_like(h, device=h.device)
    for w in neurons.split(_CHUNK):
        V = U.mT @ ((w @ X.mT > 0).to(X).unsqueeze(-1) * X)
        kernel = V @ V.mT
        moved = L * (kernel - torch.diag(h) if law.name == "partition" else kernel)
        total = total + ((moved @ C) * moved).sum(-1).sum(0)
    return total / _NEURONS


def slow_time(n: int, dim: int, width: int, subnetworks: int, keep: float, lr: float) -> float:
    r"""Rounds :math:`T = 2\xi md/(\eta\theta\lambda_\xi n)` on which the ridge of dropout shrinks the weights.

    To leading order :math:`\operatorname{tr} C` falls like :math:`e^{-2k/T}`, and the bias of the fixed point is reached only then.

    Args:
        n: number of samples.
        dim: dimension of the inputs.
        width: number of neurons.
        subnetworks: number S of masks a round.
        keep: probability :math:`\xi` that a mask keeps a neuron.
        lr: step size :math:`\eta`.

    Returns:
        The time in rounds; infinite for ``keep=1``.

    Raises:
        ValueError: an argument out of range; the message names it.

    Example:
        >>> round(slow_time(100, 20, 2000, 4, 0.5, 0.1))
        4267
    """
    law = mask_law("bernoulli", subnetworks, keep)
    n, dim, width, lr = _checks.integer("n", n), _checks.integer("dim", dim), _checks.integer("width", width), _checks.positive("lr", lr)
    if law.spread == 0:
        return math.inf
    return 2 * law.keep * width * dim / (lr * law.updated * law.spread * n)
