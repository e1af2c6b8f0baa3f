"""Chains whose distance to equilibrium is known exactly (Part III, *What a cut-off is* and *Where there is no cut-off*)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

from deeplimits import _checks

#: Relative width of exponential survival, log 3 / log 2: no cut-off.
EXPONENTIAL_RELATIVE_WIDTH = math.log(3) / math.log(2)
#: Relative width of the profile 1/(1 + l/l0), as for angles at infinite width: no cut-off.
RECIPROCAL_RELATIVE_WIDTH = 8 / 3

DISTANCES = ("total_variation", "kl", "reverse_kl", "wasserstein")


def relu_alive(width: int, depth: float | np.ndarray) -> float | np.ndarray:
    r"""Probability that a bias-free random ReLU network still answers at a given depth.

    .. math:: P(\text{alive at } l) = (1 - 2^{-N})^l.

    Args:
        width: number of units N.
        depth: depth l, a number or an array.

    Returns:
        The probability, of the shape of ``depth``.

    Source:
        Lu, Shin, Su and Karniadakis (2020), *Dying ReLU and initialization*.

    Example:
        >>> round(relu_alive(3, 10), 5)
        0.26308
    """
    _checks.integer("width", width)
    result = np.exp(np.asarray(_depths(depth)) * math.log1p(-(2.0**-width)))
    return float(result) if result.ndim == 0 else result


def relu_death_depth(width: int, level: float = 0.5) -> float:
    r"""Depth at which a share ``level`` of bias-free random ReLU networks is still alive.

    .. math:: l(p) = \log p / \log(1 - 2^{-N}), \qquad R = \frac{l(1/4) - l(3/4)}{l(1/2)} = \frac{\log 3}{\log 2}.

    The mean death depth is :math:`2^N`; the relative width is the same for every width, hence no cut-off.

    Example:
        >>> round(relu_death_depth(8), 3)
        177.099
    """
    _checks.integer("width", width)
    if not 0 < _checks.number("level", level) < 1:
        raise ValueError(f"level must lie strictly between 0 and 1; got {level!r}")
    dies = math.ldexp(1.0, -width)  # zero where it underflows
    return math.log(level) / math.log1p(-dies) if dies else math.inf


def limit_profile(distance: str, c: float | np.ndarray) -> float | np.ndarray:
    r"""Limit profile of the quenched linear Gaussian chain at depth ``cutoff_depth + c * window_scale``.

    Total variation :math:`2\Phi(e^{-c}/2) - 1`; Kullback-Leibler, both ways, :math:`\tfrac12 e^{-2c}`;
    Wasserstein :math:`e^{-c}`. The last three are unbounded as c decreases.

    Raises:
        TypeError: a ``c`` that is no real number.
        ValueError: an unknown distance, or NaN.

    Example:
        >>> round(limit_profile("total_variation", 0.0), 6)
        0.382925
    """
    _checks.choice("distance", distance, DISTANCES)
    c = _checks.reals("c", c)
    if distance == "total_variation":
        result = special.erf(np.exp(-c) / math.sqrt(8))
    else:
        result = np.exp(-c) if distance == "wasserstein" else np.exp(-2 * c) / 2
    return float(result) if result.ndim == 0 else result


def annealed_limit(rho: float, depth: float | np.ndarray) -> float | np.ndarray:
    r"""Large-width limit of the annealed total variation, which does not depend on the width.

    .. math:: 2\,(\Phi(t/a) - \Phi(t)), \quad a = \sqrt{1 - \rho^{4l}}, \quad t^2 = \frac{2\log(1/a)}{1/a^2 - 1}.

    Example:
        >>> round(annealed_limit(0.9, 1), 4)
        0.2523
    """
    _check_rho(rho)
    depth = _depths(depth)
    with np.errstate(divide="ignore", invalid="ignore"):
        square = -np.expm1(4 * depth * math.log(rho))
        t = np.sqrt(-np.log(square) * square / (1 - square))
        value = 2 * (special.ndtr(t / np.sqrt(square)) - special.ndtr(t))
    result = np.where(square == 0, 1.0, np.where(square == 1, 0.0, value))
    return float(result) if result.ndim == 0 else result


def _depths(depth: float | np.ndarray) -> np.ndarray:
    values = np.asarray(depth, dtype=float)
    if np.isnan(values).any() or (values < 0).any():
        raise ValueError(f"depth must be zero or positive; got {depth!r}")
    return values


def _check_rho(rho: float) -> float:
    if not 0 < _checks.number("rho", rho) < 1:
        raise ValueError(f"rho must lie strictly between 0 and 1; got {rho!r}")
    return float(rho)


@lru_cache(maxsize=4)
def _panel(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(nodes)
    return (x + 1) / 2, w / 2


def _excess(s: np.ndarray) -> np.ndarray:
    """h(s) = 1 + (1-s) log(1-s)/s, without cancellation for small s."""
    series = s / 2 + s**2 / 6 + s**3 / 12 + s**4 / 20 + s**5 / 30 + s**6 / 42
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = 1 + (1 - s) * np.log1p(-s) / s
    return np.where(s < 1e-2, series, plain)


def _ball_probability(s: np.ndarray, width: int, moved: bool) -> np.ndarray:
    r"""Probability of the set where the chain is likelier than equilibrium, under either law.

    Write x = z e + y with e along the mean. The set is
    :math:`|y|^2 < 2z\sqrt{N/s} - z^2 - N h(s)`: for each radius an interval of z. The radius is integrated
    by Gauss-Legendre after the substitution that removes the square root at the edge of the ball.
    """
    root, spread = np.sqrt(width / s), np.sqrt(1 - s) if moved else np.ones_like(s)
    shift = np.sqrt(width * s) if moved else np.zeros_like(s)
    radius2 = width / s - width * _excess(s)  # largest |y|^2 in the set
    freedom = width - 1

    def interval(y2: np.ndarray, column: tuple[np.ndarray, ...]) -> np.ndarray:
        root, spread, shift, radius2 = column
        inner = np.sqrt(np.maximum(radius2 - y2, 0.0))
        low = (root**2 - radius2 + y2) / (root + inner)
        high = root + inner
        return special.ndtr((high - shift) / spread) - special.ndtr((low - shift) / spread)

    if freedom == 0:
        return interval(np.zeros_like(s), (root, spread, shift, radius2))
    x, w = _panel(400)
    mode = math.sqrt(max(freedom - 1, 0))
    lowest = max(mode - 10.0, 0.0)
    edge = np.sqrt(np.maximum(radius2, 0)) / spread
    top = np.minimum(mode + 10.0, edge)
    length = np.maximum(top - lowest, 0.0)[..., None]
    r = top[..., None] - length * x**2
    offset = r - mode
    with np.errstate(divide="ignore"):
        growth = (freedom - 1) * np.log(r / mode) if mode > 0 else np.zeros_like(r)
    if mode > 0:
        growth = np.where(np.abs(offset) < mode / 2, (freedom - 1) * np.log1p(offset / mode), growth)
    density = np.exp(growth - offset * mode - offset**2 / 2 - _log_constant(freedom))
    columns = tuple(v[..., None] for v in (root, spread, shift, radius2))
    return (density * interval((spread[..., None] * r) ** 2, columns) * 2 * length * x * w).sum(-1)


@lru_cache(maxsize=64)
def _log_constant(freedom: int) -> float:
    """Logarithm of the integral of the chi density relative to its mode, with ``freedom`` degrees."""
    if freedom == 1:
        return 0.5 * math.log(math.pi / 2)
    k = freedom - 1
    if freedom > 1000:  # Stirling: log Gamma(f/2) with its series, so that nothing of order f cancels
        z = freedom / 2
        series = 1 / (12 * z) - 1 / (360 * z**3) + 1 / (1260 * z**5)
        return (z - 0.5) * math.log1p(1 / k) - 0.5 + 0.5 * math.log(math.pi) + series
    return (freedom / 2 - 1) * math.log(2) + math.lgamma(freedom / 2) - (k / 2) * math.log(k) + k / 2


@dataclass(frozen=True)
class LinearGaussianChain:
    r"""The chain :math:`x \mapsto \rho\,O x + \sqrt{1-\rho^2}\,g` from :math:`\|x_0\|^2 = N`.

    With known orthogonal O (*quenched*) the law at depth l is :math:`N(m, (1-s) I)`, :math:`\|m\|^2 = sN`,
    :math:`s = \rho^{2l}`, and its distance to :math:`N(0, I)` is exact. Depth may be any non-negative real number.
    Its cut-off along N lies at ``cutoff_depth`` with window of order ``window_scale``. If O is fresh, uniform and
    not observed (*annealed*), only the radius is informative and there is no cut-off.

    Attributes:
        width: dimension N.
        rho: memory, strictly between 0 and 1.
    """

    width: int
    rho: float

    def __post_init__(self) -> None:
        _checks.integer("width", self.width)
        _check_rho(self.rho)

    @property
    def cutoff_depth(self) -> float:
        r""":math:`\log N / (2|\log\rho|)`, in layers."""
        return math.log(self.width) / (-2 * math.log(self.rho))

    @property
    def window_scale(self) -> float:
        r""":math:`1/|\log\rho|`, in layers."""
        return -1 / math.log(self.rho)

    def _s(self, depth: float | np.ndarray) -> np.ndarray:
        return np.exp(2 * math.log(self.rho) * _depths(depth))

    def _v(self, depth: float | np.ndarray) -> np.ndarray:
        return -np.expm1(2 * math.log(self.rho) * _depths(depth))

    def kl(self, depth: float | np.ndarray) -> float | np.ndarray:
        r"""Kullback-Leibler divergence of the chain from equilibrium, :math:`-\tfrac N2\log(1-s)` nats (infinite at depth 0)."""
        with np.errstate(divide="ignore"):
            return _plain(-0.5 * self.width * np.log(self._v(depth)) + 0.0)

    def reverse_kl(self, depth: float | np.ndarray) -> float | np.ndarray:
        r"""Kullback-Leibler divergence of equilibrium from the chain, :math:`\tfrac N2\left(\tfrac{2s}{1-s} + \log(1-s)\right)` nats."""
        s, v = self._s(depth), self._v(depth)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = 0.5 * self.width * (2 * s / v + np.log(v))
        return _plain(np.where(v == 0, np.inf, value))

    def wasserstein(self, depth: float | np.ndarray) -> float | np.ndarray:
        r"""Wasserstein distance :math:`W_2 = \sqrt{N s + N(1 - \sqrt{1-s})^2}`."""
        s, v = self._s(depth), self._v(depth)
        return _plain(np.sqrt(self.width * (s + (s / (1 + np.sqrt(v))) ** 2)))

    def total_variation(self, depth: float | np.ndarray) -> float | np.ndarray:
        r"""Exact total variation distance of the quenched law to equilibrium.

        The set where the chain is likelier is a ball; its two probabilities are one-dimensional integrals over the
        radius orthogonal to the mean, stable for any width and depth (noncentral chi-squared routines are not).

        Example:
            >>> round(linear_gaussian_chain(256, 0.9).total_variation(26), 6)
            0.395519
        """
        s = np.atleast_1d(self._s(depth))
        result = np.where(s == 1, 1.0, 0.0)
        use = (s < 1) & (s > 1e-300)
        inside = s[use]
        gap = _ball_probability(inside, self.width, True) - _ball_probability(inside, self.width, False)
        result[use] = np.clip(gap, 0.0, 1.0)
        return _plain(result.reshape(np.shape(depth)))

    def annealed_total_variation(self, depth: float | np.ndarray) -> float | np.ndarray:
        r"""Exact total variation distance of the annealed law, in which only the radius is informative.

        :math:`\|x\|^2` is :math:`(1-s)` times a noncentral chi-squared variable; the likelier radii form an
        interval, so the distance is the range of the difference of the two distribution functions. It is 1 at depth 0.
        """
        depths = np.atleast_1d(_depths(depth))
        values = [self._annealed(float(l)) for l in depths.ravel()]
        return _plain(np.reshape(values, np.shape(depth)))

    def _annealed(self, depth: float) -> float:
        s, v = float(self._s(depth)), float(self._v(depth))
        n = self.width
        if v < 1e-17 * n:  # its own spread is lost in rounding; one minus the distance is below 1e-7 here, of the order that the limit has
            return float(annealed_limit(self.rho, depth))
        scale, own = math.sqrt(2 * n), math.sqrt(2 * n * v * v + 4 * n * s * v)  # spreads at equilibrium and of the chain

        def difference(y: float | np.ndarray) -> float | np.ndarray:
            # Beyond this noncentrality scipy's law fails, and the normal one is within 1e-5 of it.
            moved = special.ndtr((y - n) / own) if n * s > 1e10 * v else stats.ncx2.cdf(np.asarray(y) / v, n, n * s / v)
            return moved - stats.chi2.cdf(y, n)

        grid = np.maximum(np.union1d(*(n + size * np.linspace(-9, 12, 121) for size in (scale, own))), 0.0)
        curve = difference(grid)
        ends = []
        for sign in (1, -1):
            k = int(np.argmax(sign * curve))
            bounds = (grid[max(k - 1, 0)], grid[min(k + 1, grid.size - 1)])
            best = optimize.minimize_scalar(lambda y, sign=sign: -sign * difference(y), bounds=bounds, method="bounded", options={"xatol": 1e-5 * min(own, 1.0)})
            ends.append(max(-float(best.fun), float(sign * curve[k]), 0.0))
        return sum(ends)

    def depth_at(self, level: float, distance: str = "total_variation") -> float:
        """Depth, as a real number, at which a distance falls to a level.

        Args:
            level: value to reach; strictly between 0 and 1 for total variation, positive otherwise and below the
                value at depth 0.
            distance: ``"total_variation"``, ``"kl"``, ``"reverse_kl"``, ``"wasserstein"`` (of the quenched law) or
                ``"annealed_total_variation"``.

        Returns:
            The depth, in layers.

        Example:
            >>> round(linear_gaussian_chain(256, 0.9).depth_at(0.5), 3)
            23.508
        """
        _checks.choice("distance", distance, (*DISTANCES, "annealed_total_variation"))
        _checks.positive("level", level)
        start = {"total_variation": 1.0, "annealed_total_variation": 1.0, "wasserstein": math.sqrt(2 * self.width)}.get(distance, math.inf)
        if level >= start:
            raise ValueError(f"level must lie below the {distance} at depth 0, {start:g}; got {level!r}")
        curve = getattr(self, distance)
        high = self.window_scale if distance.startswith("annealed") else self.cutoff_depth + self.window_scale
        while curve(high) > level:
            high *= 2
        low = high / 2
        while curve(low) <= level:
            low /= 2
        return float(optimize.brentq(lambda l: curve(l) - level, low, high, xtol=1e-12))


def _plain(values: np.ndarray) -> float | np.ndarray:
    values = np.asarray(values, dtype=float)
    return float(values) if values.ndim == 0 else values


def linear_gaussian_chain(width: int, rho: float) -> LinearGaussianChain:
    r"""The exactly solved chain :math:`x \mapsto \rho\,O x + \sqrt{1-\rho^2}\,g` started at :math:`\|x_0\|^2 = N`.

    Args:
        width: dimension N.
        rho: memory, strictly between 0 and 1.

    Returns:
        A :class:`LinearGaussianChain` with ``total_variation``, ``kl``, ``reverse_kl``, ``wasserstein``,
        ``annealed_total_variation`` (each of a depth or an array of depths), ``depth_at`` and ``cutoff_depth``.

    Raises:
        ValueError: width below 1, or rho outside (0, 1).

    Example:
        >>> chain = linear_gaussian_chain(1024, 0.9)
        >>> round(chain.cutoff_depth, 3), round(chain.depth_at(0.25) - chain.depth_at(0.75), 2)
        (32.894, 12.16)
    """
    return LinearGaussianChain(width, rho)
