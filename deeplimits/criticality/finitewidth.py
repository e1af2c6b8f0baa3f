r"""The stochastic equation of finite width (Part IV, *Finite width: which noise, which scaling*).

With :math:`y = bN\rho/s^2` and :math:`t = s^2l/N` smooth networks of large width near their critical point obey

.. math:: d\log y = (\theta - y)\,dt + dB, \qquad \theta = \lambda_N N/s^2,

one equation with one parameter. From an infinite start its solution is
:math:`y_t = e^{\theta t+B_t}\big/\int_0^t e^{\theta u+B_u}du`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplimits import _checks
from deeplimits.criticality.factors import MetricFactors, metric_factors
from deeplimits.meanfield import fixed_point
from deeplimits.moments import quadrature
from deeplimits.moments.expectations import Unit

_STEP = 0.02  # longest step of a simulated path, in units of N/s^2 layers


@dataclass(frozen=True)
class GammaLaw:
    r"""The stationary law of y for :math:`\theta > 0`: Gamma of shape :math:`2\theta` and rate 2 (times ``unit``).

    Attributes:
        shape: :math:`2\theta`.
        rate: 2, per unit.
    """

    shape: float
    rate: float

    @property
    def mean(self) -> float:
        """The mean, ``shape / rate``."""
        return self.shape / self.rate

    @property
    def variance(self) -> float:
        """The variance, ``shape / rate**2``."""
        return self.shape / self.rate**2

    def quantile(self, level: Any) -> float | np.ndarray:
        """The value below which a share ``level`` of the networks lies; a level outside [0, 1] is a ValueError."""
        from scipy.special import gammaincinv

        levels = _checks.reals("level", level)
        if not ((levels >= 0) & (levels <= 1)).all():
            raise ValueError(f"level must lie between 0 and 1; got {level!r}")
        value = gammaincinv(self.shape, levels) / self.rate
        return float(value) if np.ndim(level) == 0 else value

    def density(self, y: Any) -> float | np.ndarray:
        """The density at y, which is 0 below 0."""
        from scipy.stats import gamma

        value = gamma.pdf(np.minimum(_checks.reals("y", y), 1e300), self.shape, scale=1 / self.rate)  # at infinity scipy's is NaN
        return float(value) if np.ndim(y) == 0 else value


def stationary_law(theta: float) -> GammaLaw:
    r"""The law that :math:`y` settles to, Gamma of shape :math:`2\theta` and rate 2.

    Args:
        theta: :math:`\theta > 0`.

    Returns:
        A :class:`GammaLaw`; mean :math:`\theta`, variance over squared mean :math:`1/(2\theta)`.

    Raises:
        ValueError: :math:`\theta \le 0`: a sub-critical network is absorbed and has no stationary state but zero.

    Source:
        Stationary solution of the Fokker-Planck equation; equivalently Dufresne (1990), as the law of
        :math:`1/\int_0^\infty e^{-\theta u+B_u}du`.

    Example:
        >>> law = stationary_law(1.5)
        >>> law.mean, law.variance, round(law.quantile(0.5), 4)
        (1.5, 0.75, 1.337)
    """
    if _checks.number("theta", theta) <= 0:
        raise ValueError(f"theta must be positive: at or below the critical point differences are absorbed and no stationary state exists; got {theta!r}")
    return GammaLaw(2 * float(theta), 2.0)


def _spectral(theta: float, t: float, order: int) -> float:
    """The part of E y^order that the continuous spectrum carries, with its short-time part in closed form."""
    shift = (1 + theta) ** 2
    weight = (lambda k: 1.0) if order == 1 else (lambda k: 0.5 * (shift + k * k))
    start = 1 / t if order == 1 else 0.5 * shift / t + 1 / t**2
    sine2 = math.sin(math.pi * (theta - round(theta))) ** 2
    edges = np.unique(np.concatenate([[0.0], np.geomspace(1e-9, 8.0, 120)]))  # beyond: exp(-2 pi 8) < 1e-21
    k, w = quadrature.panels(edges)
    # sinh(2 pi k)/(cosh(2 pi k) - cos(2 pi theta)) = 1 + rest, free of cancellation.
    rest = (-np.expm1(-2 * math.pi * k) - 2 * sine2) / (2 * (np.sinh(math.pi * k) ** 2 + sine2))
    return start + float(w @ (k * weight(k) * rest * np.exp(-0.5 * t * k * k)))


def mean_activity(theta: float, times: Any, order: int = 1) -> float | np.ndarray:
    r"""The exact moments :math:`E\,y_t` and :math:`E\,y_t^2` from an infinite start.

    .. math:: E\,y_t = \int_0^\infty \frac{k\sinh 2\pi k}{\cosh 2\pi k - \cos 2\pi\theta}\,e^{-(\theta^2+k^2)t/2}\,dk
       + \sum_{0\le n<\theta}(\theta-n)\,e^{-n(\theta-n/2)t} + \sum_{1\le n<-\theta}(-\theta-n)\,e^{n(\theta+n/2)t},

    and the second moment has the same terms, each times :math:`\tfrac12[(1+\theta)^2+k^2]`, with :math:`k^2 = -(\theta-n)^2` and
    :math:`-(\theta+n)^2` in the sums. At :math:`\theta = 0` it is :math:`\int k\coth(\pi k)\,e^{-k^2t/2}dk`, which falls from
    :math:`1/t` to :math:`1/\sqrt{2\pi t}`.

    Args:
        theta: :math:`\theta`, of either sign.
        times: :math:`t > 0`, any shape; infinity gives the moments of :func:`stationary_law`, or 0 for :math:`\theta \le 0`.
        order: 1 or 2.

    Returns:
        A float for a number, an array for an array.

    Raises:
        TypeError: a time that is no real number.
        ValueError: a time that is not positive, or an order other than 1 and 2.

    Source:
        Derived here: the equation is a Schrodinger problem in Morse's potential, with Whittaker's functions; compare Comtet,
        Monthus and Yor (1998).

    Example:
        >>> [round(mean_activity(0.0, t), 3) for t in (0.1, 1.0, 4.25)], round(mean_activity(1.5, 50.0), 6)
        ([10.083, 1.08, 0.306], 1.5)
    """
    t = _checks.reals("times", times)
    if not (t > 0).all():
        raise ValueError(f"times must be positive; got {times!r}")
    if _checks.integer("order", order) > 2:
        raise ValueError(f"order must be 1 or 2; got {order!r}")
    theta = _checks.number("theta", theta)

    def moment(time: float) -> float:
        if time == math.inf:  # the stationary law
            return max(theta, 0.0) * (1.0 if order == 1 else theta + 0.5)
        total = math.exp(-0.5 * theta**2 * time) * _spectral(theta, time, order)
        size = abs(theta)
        for n in range(0 if theta > 0 else 1, math.ceil(size)):
            factor = 1.0 if order == 1 else 0.5 * ((1 + theta) ** 2 - (size - n) ** 2)
            total += factor * (size - n) * math.exp(-n * (size - n / 2) * time)
        return total

    value = np.vectorize(moment, otypes=[float])(t)
    return float(value) if t.ndim == 0 else value


def _increasing(name: str, values: Any) -> np.ndarray:
    grid = _checks.reals(name, values)
    if grid.ndim != 1 or grid.size == 0 or grid[0] <= 0 or (np.diff(grid) <= 0).any() or grid[-1] == math.inf:
        raise ValueError(f"{name} must be positive and increasing, and finite; got {values!r}")
    return grid


def _grid(times: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Step lengths that hit every time, and for each time the number of steps before it."""
    lengths, counts, last = [], [], 0.0
    for time in times:
        count = max(math.ceil((time - last) / step), 16 if last == 0 else 1)
        lengths += [(time - last) / count] * count
        counts.append(len(lengths))
        last = float(time)
    return np.array(lengths), np.array(counts)


def activity_paths(theta: float, times: Sequence[float] | np.ndarray, samples: int = 1000, *, start: float = math.inf, method: str = "exact",
                   seed: int = 0, step: float = _STEP) -> np.ndarray:
    r"""Simulated solutions of :math:`d\log y = (\theta - y)\,dt + dB`.

    ``"exact"`` evaluates the solution :math:`y_t = e^{\theta t+B_t}\big/\big(y_0^{-1} + \int_0^te^{\theta u+B_u}du\big)` on simulated
    Brownian paths; the integral over a step uses the law of the Brownian bridge, so only terms of higher order in the
    step are lost. ``"milstein"`` integrates the linear equation of :math:`r = 1/y`,
    :math:`dr = (1+(\tfrac12-\theta)r)\,dt - r\,dB`, and shares nothing with it but the equation.

    Args:
        theta: :math:`\theta`.
        times: increasing positive times.
        samples: number of paths.
        start: :math:`y_0`; infinity, as from inputs that are far apart.
        method: ``"exact"`` or ``"milstein"``.
        seed: seed of the paths.
        step: longest time step.

    Returns:
        Array of shape ``(samples, len(times))``.

    Raises:
        ValueError: times that do not increase from above zero or are not finite, a start or step that is not positive, an unknown method.

    Source:
        The exponential functional of Brownian motion: Dufresne (1990), Yor (1992).

    Example:
        >>> y = activity_paths(0.0, [1.0], samples=20_000)
        >>> bool(abs(y.mean() - mean_activity(0.0, 1.0)) < 4 * y.std() / 20_000**0.5)
        True
    """
    theta, grid = _checks.number("theta", theta), _increasing("times", times)
    samples = _checks.integer("samples", samples)
    inverse = 0.0 if start == math.inf else 1 / _checks.positive("start", start)
    lengths, counts = _grid(grid, _checks.positive("step", step))
    solve = {"exact": _exact, "milstein": _milstein}[_checks.choice("method", method, ("exact", "milstein"))]
    return solve(theta, lengths, counts, np.full(samples, inverse), np.random.default_rng(_checks.integer("seed", seed, minimum=0)))


def _exact(theta: float, lengths: np.ndarray, counts: np.ndarray, r: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out, places = np.empty((r.size, counts.size)), {c: i for i, c in enumerate(counts.tolist())}
    nodes, weights = quadrature.legendre(3)
    for index, h in enumerate(lengths, start=1):
        z, bridge = rng.standard_normal((2, r.size))
        rise = theta * h + math.sqrt(h) * z  # change of theta t + B over the step
        # The integral of exp over the step: its mean given both ends, times a log-normal factor for the bridge's area.
        inside = sum(w * np.exp(s * rise + 0.5 * h * s * (1 - s)) for s, w in zip(nodes, weights, strict=True))
        area = h * inside * np.exp(math.sqrt(h / 12) * bridge - h / 24)
        r = (r + area) * np.exp(-rise)  # r = 1/y
        if index in places:
            out[:, places[index]] = 1 / r
    return out


def _milstein(theta: float, lengths: np.ndarray, counts: np.ndarray, r: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out, places = np.empty((r.size, counts.size)), {c: i for i, c in enumerate(counts.tolist())}
    for index, h in enumerate(lengths, start=1):
        kick = math.sqrt(h) * rng.standard_normal(r.size)
        r = r + h * (1 + (0.5 - theta) * r) - r * kick + 0.5 * r * (kick * kick - h)
        if index in places:
            out[:, places[index]] = 1 / r
    return out


@dataclass(frozen=True)
class FiniteWidth:
    r"""The stochastic equation of one family of networks, in its units (see :func:`finite_width`).

    Attributes:
        width: the width N of the layers.
        weight_std: :math:`\sigma_w`.
        exponent: :math:`\lambda_N = \log\chi_1 + c_\lambda/N`, of :math:`\log\rho` per layer.
        theta: :math:`\theta = \lambda_N N/(\kappa s^2)`.
        depth_unit: :math:`N/(\kappa s)^2`, the layers in one unit of t.
        rho_unit: :math:`(\kappa s^2/(bN))^{1/\kappa}`, the value of :math:`\rho` at y = 1.
        kappa: :math:`\kappa = p - 1`, 1 for smooth activations and 1/2 for those with kinks.
        factors: the :class:`MetricFactors` used.
    """

    width: int
    weight_std: float
    exponent: float
    theta: float
    depth_unit: float
    rho_unit: float
    kappa: float
    factors: MetricFactors

    def mean_rho(self, depths: Any) -> float | np.ndarray:
        r"""The mean of :math:`\rho` over networks at depths l > 0, from a start far from zero."""
        times = _checks.reals("depths", depths) / self.depth_unit
        if not (times > 0).all():
            raise ValueError(f"depths must be positive; got {depths!r}")
        return self.rho_unit * mean_activity(self.theta, times, round(1 / self.kappa))

    def rho_paths(self, depths: Any, samples: int = 1000, *, rho0: float = math.inf, seed: int = 0) -> np.ndarray:
        r"""Simulated :math:`\rho` at increasing depths, shape ``(samples, len(depths))``; ``rho0`` is the start."""
        times = _increasing("depths", depths) / self.depth_unit
        if rho0 != math.inf:
            _checks.positive("rho0", rho0)
        start = (rho0 / self.rho_unit) ** self.kappa
        return self.rho_unit * activity_paths(self.theta, times, samples, start=start, seed=seed) ** (1 / self.kappa)

    def stationary(self) -> GammaLaw:
        r"""The stationary law of :math:`\rho^\kappa`, with mean :math:`\lambda_N/b`; for smooth activations that of :math:`\rho`.

        Raises ValueError at or below the critical point of this width.
        """
        if self.theta <= 0:
            raise ValueError(f"weight_std must exceed the critical value {self.factors.critical_weight_std(self.width):.6g} of width {self.width} "
                             f"for a stationary state; got {self.weight_std!r}")
        law = stationary_law(self.theta)
        return GammaLaw(law.shape, law.rate / self.rho_unit**self.kappa)


def finite_width(activation: Unit, bias_std: float, width: int, weight_std: float | None = None) -> FiniteWidth:
    r"""The stochastic equation that a network of width N obeys near its critical point.

    With :math:`\kappa = p - 1` (1 for smooth activations, 1/2 with kinks), :math:`y = bN\rho^\kappa/(\kappa s^2)` and
    :math:`t = \kappa^2s^2l/N`,

    .. math:: d\log\rho = (\lambda_N - b\rho^\kappa)\,dl + \frac{s}{\sqrt N}\,dB, \qquad
       \rho(l;\tau,N) = N^{-1/\kappa}\,\Phi(l/N,\ \tau N).

    It is asymptotic: :math:`N \gg s^2/b`, :math:`l \gg 1/b`, :math:`|\tau| \ll 1`.

    Args:
        activation: a saturating activation (tanh, erf, sin, hardtanh).
        bias_std: :math:`\sigma_b > 0`.
        width: the width N of the layers.
        weight_std: :math:`\sigma_w`; the critical one of infinite width if None.

    Returns:
        A :class:`FiniteWidth`.

    Raises:
        ValueError: as :func:`metric_factors`.

    Source:
        Derived here. The form :math:`N^{-1}f(l/N)` is also that of Tamai et al. (2025).

    Example:
        >>> net = finite_width("tanh", 0.3, width=200, weight_std=1.45)
        >>> law = net.stationary()
        >>> round(net.exponent, 4), round(law.mean, 3), round(law.variance / law.mean**2, 2)
        (0.0225, 0.096, 0.47)
    """
    factors, width = metric_factors(activation, bias_std), _checks.integer("width", width)
    weight = factors.weight_std if weight_std is None else _checks.positive("weight_std", weight_std)
    chi = 1.0 if weight_std is None else fixed_point(activation, weight, bias_std).chi
    exponent, kappa = math.log(chi) + factors.width_shift / width, factors.power - 1
    spread = kappa * factors.width_variance / width
    return FiniteWidth(width, weight, exponent, exponent / spread, 1 / (kappa * spread), (spread / factors.curvature) ** (1 / kappa), kappa, factors)
