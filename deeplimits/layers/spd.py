r"""Layers on positive definite matrices (Part I, *Metrics on cones, matrices and hyperbolic space*).

A point is a symmetric positive definite matrix. One map takes ``(..., n, n)``; a batch of S maps takes ``(S, B, n, n)``, the
B inputs of each. ``width`` is the size n of the output, ``fan_in`` that of the input. The method ``pair`` takes points
``(S, 1, n, n)`` and directions ``(S, P, n, n)``.
"""

from __future__ import annotations

import torch

from deeplimits import _checks
from deeplimits.layers._maps import per_input, point, step_size
from deeplimits.layers.base import Layer, LayerMap, normal
from deeplimits.layers.dense import WEIGHTS, haar

Tensor = torch.Tensor


def _symmetric(a: Tensor) -> Tensor:
    return 0.5 * (a + a.mT)


class Congruence(Layer):
    r"""A congruence :math:`A \mapsto MAM^T` of positive definite matrices, with a random invertible M.

    An isometry of the affine-invariant, Thompson and Hilbert distances: it keeps the eigenvalues of :math:`A^{-1}B`.
    The log-Euclidean and Frobenius distances are kept by orthogonal M only.

    Args:
        width: size n of the matrices.
        weight_std: :math:`\sigma_w`: entries :math:`N(0, \sigma_w^2/n)`, or M = :math:`\sigma_w` times a Haar matrix. For
            independent standard normal entries take :math:`\sqrt n`.
        weights: ``"gaussian"`` or ``"orthogonal"``.

    Raises:
        ValueError: an argument out of range; the message names it.

    Source:
        Bhatia (2007).

    Example:
        >>> Congruence(3).metrics
        ('affine_invariant', 'spd_thompson', 'spd_hilbert')
    """

    homogeneous = True
    fixes_zero = True
    formula = r"A \mapsto MAM^\top"

    def __init__(self, width: int, weight_std: float = 1.0, weights: str = "gaussian"):
        self.width = self.fan_in = _checks.integer("width", width)
        self.weight_std = _checks.positive("weight_std", weight_std)
        self.weights = _checks.choice("weights", weights, WEIGHTS)

    @property
    def metrics(self) -> tuple[str, ...]:
        kept = ("affine_invariant", "spd_thompson", "spd_hilbert")
        return (*kept, "log_euclidean") if self.weights == "orthogonal" and self.width == self.fan_in else kept

    def _sample(self, generator, samples, dtype, device, state) -> CongruenceMap:
        shape = (*(() if samples is None else (samples,)), self.width, self.fan_in)
        if self.weights == "orthogonal":
            return CongruenceMap(self.weight_std * haar(shape, generator, dtype, device))
        return CongruenceMap(self.weight_std / self.fan_in**0.5 * normal(shape, generator, dtype, device))


class BiMap(Congruence):
    r"""The bilinear layer :math:`A \mapsto WAW^T` with a wide W of full row rank, from size ``fan_in`` down to ``width``.

    It increases neither the affine-invariant nor the Thompson distance (generalized eigenvalues interlace). The
    log-Euclidean distance may grow, even with orthonormal rows.

    Args:
        width: size m of the output.
        fan_in: size n of the input, at least m.
        weight_std: scale of W.
        weights: ``"orthogonal"`` (orthonormal rows times ``weight_std``) or ``"gaussian"``.

    Raises:
        ValueError: ``fan_in`` below ``width``, or another argument out of range.

    Source:
        Huang and Van Gool (2017).

    Example:
        >>> T = BiMap(2, fan_in=3).sample(generator=torch.Generator().manual_seed(0))
        >>> T(torch.eye(3)).round(decimals=4).abs().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    formula = r"A \mapsto WAW^\top,\ W \in \mathbb{R}^{m\times n}"

    def __init__(self, width: int, fan_in: int, weight_std: float = 1.0, weights: str = "orthogonal"):
        super().__init__(width, weight_std, weights)
        self.fan_in = _checks.integer("fan_in", fan_in)
        if self.fan_in < self.width:
            raise ValueError(f"fan_in must be at least width={width}, so that W has full row rank; got {fan_in!r}")

    def resized(self, fan_in: int) -> BiMap:
        return BiMap(self.width, fan_in, self.weight_std, self.weights)


class CongruenceMap(LayerMap):
    r"""The map :math:`A \mapsto WAW^T` with ``weight`` of shape ``(..., m, n)``."""

    bias = None

    def __init__(self, weight: Tensor):
        self.weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        n = self.weight.shape[-1]
        w = per_input(self.weight, self.weight.ndim == 3, 2)
        return _symmetric(w @ point(x, (n, n), self.weight) @ w.mT)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        return self(x), self(d)

    def factor(self, root: Tensor) -> Tensor:
        r"""The map on factors: from L with :math:`A = LL^T` to a factor WL of the image, which keeps twice the digits."""
        return per_input(self.weight, self.weight.ndim == 3, 2) @ root


class Translation(Layer):
    r"""The layer :math:`A \mapsto A + C` with a random positive semidefinite :math:`C = \sigma^2 GG^T/k`, G Gaussian n by k.

    It increases neither the affine-invariant nor the Thompson distance, and decreases them strictly where C is definite
    (``rank`` at least n).

    Args:
        width: size n of the matrices.
        std: :math:`\sigma`; the mean of C is :math:`\sigma^2 I`.
        rank: number k of columns; n if None.

    Raises:
        ValueError: an argument out of range; the message names it.

    Source:
        Bougerol (1993).

    Example:
        >>> T = Translation(2).sample(generator=torch.Generator().manual_seed(0))
        >>> bool(torch.linalg.eigvalsh(T.bias)[0] > 0)
        True
    """

    formula = r"A \mapsto A+C"
    metrics = ("affine_invariant", "spd_thompson")

    def __init__(self, width: int, std: float = 1.0, rank: int | None = None):
        self.width = self.fan_in = _checks.integer("width", width)
        self.std = _checks.positive("std", std)
        self.rank = self.width if rank is None else _checks.integer("rank", rank)

    def _sample(self, generator, samples, dtype, device, state) -> TranslationMap:
        shape = (*(() if samples is None else (samples,)), self.width, self.rank)
        g = normal(shape, generator, dtype, device)
        return TranslationMap(self.std**2 / self.rank * _symmetric(g @ g.mT))


class TranslationMap(LayerMap):
    r"""The map :math:`A \mapsto A + C`; C is the attribute ``bias``, of shape ``(..., n, n)``."""

    weight = None

    def __init__(self, bias: Tensor):
        self.bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        return point(x, tuple(self.bias.shape[-2:]), self.bias) + per_input(self.bias, self.bias.ndim == 3, 2)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        return self(x), d + torch.zeros_like(x)


class _Spectral(Layer):
    """Deterministic layers that act on the eigenvalues."""

    has_law = True

    def __init__(self, width: int):
        self.width = self.fan_in = _checks.integer("width", width)


class MatrixPower(_Spectral):
    r"""The power :math:`A \mapsto A^r`, with its eigenvectors kept.

    For :math:`|r| \le 1` it multiplies the affine-invariant, Thompson and Hilbert distances by at most :math:`|r|`, and
    the log-Euclidean distance by exactly :math:`|r|`.

    Args:
        width: size n of the matrices.
        power: the exponent r, not zero.

    Raises:
        ValueError: ``power`` is zero or not finite.

    Source:
        Bhatia (2007).

    Example:
        >>> MatrixPower(2, 0.5).sample()(torch.diag(torch.tensor([4.0, 9.0]))).round(decimals=4).tolist()
        [[2.0, 0.0], [0.0, 3.0]]
    """

    formula = r"A \mapsto A^r"

    def __init__(self, width: int, power: float = 0.5):
        super().__init__(width)
        self.power = _checks.number("power", power)
        if self.power == 0:
            raise ValueError("power must not be zero: the layer would be constant; got 0")

    @property
    def homogeneous(self) -> bool:
        return self.power == 1

    @property
    def fixes_zero(self) -> bool:
        return self.power == 1

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("affine_invariant", "log_euclidean", "spd_thompson", "spd_hilbert") if abs(self.power) <= 1 else ()

    def _sample(self, generator, samples, dtype, device, state) -> MatrixPowerMap:
        return MatrixPowerMap(self.width, self.power)


class ReEig(_Spectral):
    r"""The rectifier of eigenvalues :math:`A \mapsto U\max(\Lambda, \varepsilon)U^T`, where :math:`A = U\Lambda U^T`.

    It is the projection on a convex set both in A and in log A: non-expansive for Frobenius, log-Euclidean and
    affine-invariant distances, but **not** for Thompson.

    Args:
        width: size n of the matrices.
        floor: the smallest eigenvalue :math:`\varepsilon` that is let through, positive.

    Raises:
        ValueError: ``floor`` is not positive.

    Source:
        Huang and Van Gool (2017).

    Example:
        >>> ReEig(2, floor=1.0).sample()(torch.diag(torch.tensor([0.5, 3.0]))).tolist()
        [[1.0, 0.0], [0.0, 3.0]]
    """

    formula = r"A \mapsto U\max(\Lambda,\varepsilon)U^\top"
    metrics = ("log_euclidean", "affine_invariant")

    def __init__(self, width: int, floor: float = 1e-4):
        super().__init__(width)
        self.floor = _checks.positive("floor", floor)

    def _sample(self, generator, samples, dtype, device, state) -> ReEigMap:
        return ReEigMap(self.width, self.floor)


class SpectralMap(LayerMap):
    r"""A map :math:`A \mapsto f(A)` by functional calculus; subclasses give f and its divided differences."""

    weight = bias = None

    def __init__(self, size: int):
        self.size = size

    def value(self, eigenvalues: Tensor) -> Tensor:
        """The function f."""
        raise TypeError(f"{type(self).__name__} defines no function of the eigenvalues")

    def divided(self, a: Tensor, b: Tensor) -> Tensor:
        """The divided difference (f(a) - f(b))/(a - b), the derivative where a = b."""
        raise TypeError(f"{type(self).__name__} defines no divided differences")

    def __call__(self, x: Tensor) -> Tensor:
        eigenvalues, u = torch.linalg.eigh(point(x, (self.size, self.size)))
        return _symmetric((u * self.value(eigenvalues).unsqueeze(-2)) @ u.mT)

    def pair(self, x: Tensor, d: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
        # With A = U a U', A + tD = V b V':  f(A + tD) - f(A) = t U (f[a_i, b_j] * (U' D V)) V', exactly, for every t.
        a, u = torch.linalg.eigh(point(x, (self.size, self.size)))
        b, v = torch.linalg.eigh(x + step_size(log_scale, x, 2) * d)
        table = self.divided(a.unsqueeze(-1), b.unsqueeze(-2))
        image = _symmetric((u * self.value(a).unsqueeze(-2)) @ u.mT)
        return image, _symmetric(u @ (table * (u.mT @ d @ v)) @ v.mT)


class MatrixPowerMap(SpectralMap):
    r"""The map :math:`A \mapsto A^r`."""

    def __init__(self, size: int, power: float):
        super().__init__(size)
        self.power = power

    def value(self, eigenvalues: Tensor) -> Tensor:
        return eigenvalues**self.power

    def divided(self, a: Tensor, b: Tensor) -> Tensor:
        ratio = torch.log(b / a)
        apart = ratio != 0
        safe = torch.where(apart, ratio, torch.ones_like(ratio))
        slope = torch.where(apart, torch.expm1(self.power * safe) / torch.expm1(safe), torch.full_like(ratio, self.power))
        return a ** (self.power - 1) * slope


class ReEigMap(SpectralMap):
    r"""The map :math:`A \mapsto U\max(\Lambda, \varepsilon)U^T`."""

    def __init__(self, size: int, floor: float):
        super().__init__(size)
        self.floor = floor

    def value(self, eigenvalues: Tensor) -> Tensor:
        return eigenvalues.clamp_min(self.floor)

    def divided(self, a: Tensor, b: Tensor) -> Tensor:
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        gap = torch.where(high > low, high - low, torch.ones_like(high))
        across = (high - self.floor) / gap
        return torch.where(low >= self.floor, torch.ones_like(high), torch.where(high <= self.floor, torch.zeros_like(high), across))
