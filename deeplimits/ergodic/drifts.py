"""Drift and Kingman estimates, forward and backward orbits (Part II, *Subadditivity and drift* and *The order of composition*)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks, devices
from deeplimits.engine.streams import stream
from deeplimits.layers.base import Layer
from deeplimits.layers.compose import Stationary
from deeplimits.layers.spd import Congruence
from deeplimits.metrics.base import Metric

from .exponents import SPD_METRICS, spd_length
from .spectra import product_log_singular_values

if TYPE_CHECKING:
    import xarray as xr

Tensor = torch.Tensor
ORDERS = ("forward", "backward")


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo mean with its standard error.

    Attributes:
        value: the mean.
        se: its standard error over independent samples.
        depth: number of layers it refers to.
        samples: number of samples.
    """

    value: float
    se: float
    depth: int
    samples: int


# Distances from x0 to e^s y for rescaled orbits of homogeneous layers.
_SCALED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "thompson": lambda x, y, s: (torch.log(x) - torch.log(y) - s.unsqueeze(-1)).abs().amax(-1),
    "funk": lambda x, y, s: (torch.log(x) - torch.log(y) - s.unsqueeze(-1)).amax(-1),
}
_SCALE_FREE = ("hilbert", "angle")


class _Orbit:
    """The layers of an ensemble, drawn again on demand, and orbits through them."""

    def __init__(self, layer: Layer, metric: Any, x0: Tensor, samples: int, seed: int, device: torch.device):
        self.layer, self.metric, self.samples, self.seed, self.device = layer, metric, samples, seed, device
        self.start = x0.to(device)
        name = getattr(metric, "name", "")
        self.rescale = layer.homogeneous and (name in _SCALED or name in _SCALE_FREE)
        self._states: list[Any] = []

    def map(self, l: int) -> Any:
        """The layer maps number l = 1, 2, ..."""
        while len(self._states) < l:
            generator = stream(self.seed, len(self._states) + 1, 1, self.device)
            self._states.append(
                self.layer.advance(self._states[-1], generator) if self._states else self.layer.start(generator, self.samples)
            )
        generator = stream(self.seed, l, 0, self.device)
        return self.layer.sample(
            generator, samples=self.samples, dtype=self.start.dtype, device=self.device, state=self._states[l - 1]
        )

    def begin(self) -> tuple[Tensor, Tensor]:
        x = self.start.expand(self.samples, 1, *self.start.shape)
        return x, torch.zeros(self.samples, 1, dtype=x.dtype, device=self.device)

    def step(self, l: int, point: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, scale = self.map(l)(point[0]), point[1]
        if self.rescale:
            size = x.abs().amax(-1)
            x, scale = x / size.unsqueeze(-1), scale + torch.log(size)
        return x, scale

    def distance(self, point: tuple[Tensor, Tensor]) -> Tensor:
        """d(x0, x), shape (samples,)."""
        x, scale = point
        name = getattr(self.metric, "name", "")
        if self.rescale and name in _SCALED:
            value = _SCALED[name](self.start, x, scale)
        else:
            value = self.metric(self.start.expand(x.shape), x)
        return value.reshape(self.samples).double()

    def distance_at(self, depth: int, point: tuple[Tensor, Tensor]) -> Tensor:
        """The distance, or an error that says at which depth the orbit was lost."""
        name = getattr(self.metric, "name", "metric")
        try:
            value, reason = self.distance(point), "it is infinite or NaN"
        except ValueError as error:
            value, reason = None, str(error)
        if value is None or not bool(torch.isfinite(value).all()):
            raise ValueError(
                f"the distance {name} from x0 must be finite at depth {depth}; {reason}: the orbit leaves the range of floats or the "
                "domain; take fewer layers, or a metric that fits a homogeneous layer (thompson, hilbert, angle)"
            )
        return value


def _check_depths(depths: Any) -> list[int]:
    listed = [_checks.integer("depths", int(d) if isinstance(d, np.integer) else d) for d in np.atleast_1d(np.asarray(depths)).tolist()]
    if not listed or any(a >= b for a, b in pairwise(listed)):
        raise ValueError(f"depths must be one or more strictly increasing numbers; got {listed}")
    return listed


def _check_start(layer: Layer, metric: Any, x0: Any) -> Tensor:
    """One point, of the metric's domain where the metric names it."""
    if not callable(metric):
        raise TypeError(f"metric must be a metric such as metrics.lp(2), or a function of two batches of points; got {metric!r}")
    known = isinstance(metric, Metric)
    x0 = metric.space.check("x0", x0) if known else _checks.finite("x0", x0)
    shapes = [(layer.fan_in,) * k for k in ((metric.space.event,) if known else (1, 2))]
    if tuple(x0.shape) not in shapes:
        raise ValueError(f"x0 must be one point without batch dimensions, shape {' or '.join(map(str, shapes))}; got {tuple(x0.shape)}")
    return x0


def _distances(layer: Layer, metric: Any, x0: Tensor, depths: list[int], samples: int, seed: int, order: str, device: Any) -> np.ndarray:
    """d(x0, u(n) x0), shape (samples, depths)."""
    if not isinstance(layer, Layer):
        raise TypeError(f"layer must be a random layer; got {type(layer).__name__}")
    _checks.choice("order", order, ORDERS)
    samples = _checks.integer("samples", samples, minimum=2)
    x0 = _check_start(layer, metric, x0)
    home = devices.place(device, x0)
    if _is_product(layer, metric):
        lower = torch.linalg.cholesky(x0.double())
        columns = [
            product_log_singular_values(layer, n, samples, seed, order=order, conjugate=lower, device=home).cpu().numpy() for n in depths
        ]
        return np.stack([spd_length(column, metric.name) for column in columns], 1)
    orbit = _Orbit(layer, metric, x0, samples, seed, home)
    columns = []
    if order == "forward":
        point = orbit.begin()
        for l in range(1, depths[-1] + 1):
            point = orbit.step(l, point)
            if l in depths:
                columns.append(orbit.distance_at(l, point))
    else:
        for n in depths:
            point = orbit.begin()
            for l in range(n, 0, -1):
                point = orbit.step(l, point)
            columns.append(orbit.distance_at(n, point))
    return torch.stack(columns, 1).cpu().numpy()


def _is_product(layer: Layer, metric: Any) -> bool:
    """Whether the layers are congruences and the metric one whose distance is read off singular values."""
    parts = layer.layers if isinstance(layer, Stationary) else (layer,)
    square = all(isinstance(part, Congruence) and part.width == part.fan_in for part in parts)
    return square and getattr(metric, "name", "") in SPD_METRICS


def drift(
    layer: Layer, metric: Any, x0: Tensor, depth: int, samples: int = 100, seed: int = 0, order: str = "backward", *, device: Any = None
) -> Estimate:
    r"""Estimate the drift of a random network for any metric, in either order of composition.

    .. math:: \ell = \lim_n \frac{1}{n}\, d(x_0, u(n)x_0),

    with :math:`u(n) = T_1\circ\dots\circ T_n` (backward) or :math:`T_n\circ\dots\circ T_1` (forward).

    If no layer increases the metric the limit exists (Kingman), and the mean at finite depth is an *upper* bound for
    it. Both orders have the same limit if the layers are independent or the sequence is reversible; in general they
    need not. Orbits of positively homogeneous layers are carried with their scale apart for the metrics of Thompson,
    Hilbert and Funk and for angles; congruences with the affine-invariant, Thompson or Hilbert metric of positive
    definite matrices go through the singular values of the product. Backward orbits replay the layers from the last
    to the first: two passes of drawing cost no memory.

    Args:
        layer: a random layer.
        metric: a :class:`deeplimits.metrics.Metric`, or any function of two batched points.
        x0: one point, without batch dimensions.
        depth: number of layers n.
        samples: independent networks, at least 2.
        seed: seed.
        order: ``"backward"`` or ``"forward"``.
        device: where to compute; if None where ``x0`` is, or the default device.

    Returns:
        An :class:`Estimate` (``.value``, ``.se``) of :math:`E\,d(x_0, u(n)x_0)/n`.

    Raises:
        TypeError: ``metric`` cannot be called.
        ValueError: unknown order; depth below 1; ``x0`` is not one point of the metric's domain; a distance that is not finite.

    Source:
        Kingman (1968); Karlsson and Margulis (1999); Gouezel and Karlsson (2020).

    Example:
        >>> from deeplimits import metrics
        >>> from deeplimits.layers.dense import Dense
        >>> T = Dense(width=4, activation="identity", weight_std=1.0, weights="orthogonal")
        >>> drift(T, metrics.lp(2), torch.ones(4), depth=50, samples=10).value < 4 / 50
        True
    """
    depth = _checks.integer("depth", depth)
    values = _distances(layer, metric, x0, [depth], samples, seed, order, device)[:, 0] / depth
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(samples), depth, samples)


def drift_curve(
    layer: Layer,
    metric: Any,
    x0: Tensor,
    depths: Sequence[int],
    samples: int = 100,
    seed: int = 0,
    order: str = "backward",
    *,
    device: Any = None,
) -> xr.Dataset:
    r"""Kingman's curve :math:`n \mapsto d(x_0, u(n)x_0)/n` with error bars, at several depths of the same networks.

    Args:
        layer: a random layer.
        metric: a metric, as for :func:`drift`.
        x0: one point.
        depths: increasing depths, at least 1. Backward order costs the sum of the depths, forward order the largest.
        samples: independent networks.
        seed: seed.
        order: ``"backward"`` or ``"forward"``.
        device: where to compute; if None where ``x0`` is, or the default device.

    Returns:
        Dataset over ``depth`` with ``rate``, ``rate_se`` and, over (``sample``, ``depth``), ``distance``.

    Raises:
        ValueError: no depths, or depths that do not increase; the errors of :func:`drift`.

    Example:
        >>> from deeplimits import metrics
        >>> from deeplimits.layers.dense import Dense
        >>> T = Dense(width=4, activation="identity", weight_std=1.0, weights="orthogonal")
        >>> drift_curve(T, metrics.lp(2), torch.ones(4), [1, 10], samples=5).rate.dims
        ('depth',)
    """
    import xarray as xr

    listed = _check_depths(depths)
    values = _distances(layer, metric, x0, listed, samples, seed, order, device)
    rates = values / np.asarray(listed)
    data = {
        "rate": ("depth", rates.mean(0), {"units": "1", "long_name": "distance over depth"}),
        "rate_se": ("depth", rates.std(0, ddof=1) / math.sqrt(samples), {"units": "1", "long_name": "standard error"}),
        "distance": (("sample", "depth"), values, {"units": "1", "long_name": "distance from the start"}),
    }
    return xr.Dataset(data, coords={"depth": listed}, attrs={"order": order, "seed": seed, "samples": samples})


def running_exponent(ds: xr.Dataset, variable: str = "log_norm") -> xr.Dataset:
    r"""Running mean change of a log observable, :math:`(a(l) - a(0))/l`, with standard errors.

    For ``log_norm`` this is the finite-depth Lyapunov exponent; for ``log_distance`` the exponent of a difference.
    Networks whose observable is minus infinity (dead, or exactly merged) are left out and counted in ``used``: the
    numbers are given survival.

    Args:
        ds: result of :func:`deeplimits.simulate`, with depth 0 recorded.
        variable: a log observable with dimensions (sample, depth[, input]).

    Returns:
        Dataset over the depths above 0 with ``exponent``, ``exponent_se``, and ``used``, the number of networks.

    Raises:
        ValueError: the variable is missing or lacks a dimension, or depth 0 was not recorded.

    Example:
        >>> import xarray as xr
        >>> ds = xr.Dataset({"log_norm": (("sample", "depth"), [[0.0, 1.0, 2.0], [0.0, 3.0, 2.0]])}, {"depth": [0, 1, 2]})
        >>> running_exponent(ds).exponent.values.tolist()
        [2.0, 1.0]
    """
    import xarray as xr

    if variable not in ds:
        raise ValueError(f"variable must be one of {', '.join(map(repr, ds.data_vars))}; got {variable!r}")
    if not {"sample", "depth"} <= set(ds[variable].dims):
        raise ValueError(f"variable must have the dimensions sample and depth; {variable!r} has {ds[variable].dims}")
    data = ds[variable].transpose("sample", "depth", ...)
    if float(data.depth[0]) != 0:
        raise ValueError(f"ds must hold depth 0 to measure from; its first depth is {float(data.depth[0]):g}")
    later = data.isel(depth=slice(1, None))
    with np.errstate(invalid="ignore"):
        rate = (later - data.isel(depth=0, drop=True)) / later.depth
    rate = rate.where(np.isfinite(rate))
    used = rate.count("sample")
    result = xr.Dataset({"exponent": rate.mean("sample"), "exponent_se": rate.std("sample", ddof=1) / np.sqrt(used), "used": used})
    result["exponent"].attrs = {"units": "nat", "long_name": f"mean change of {variable} per layer"}
    result["exponent_se"].attrs = {"units": "nat", "long_name": "standard error"}
    result["used"].attrs = {"units": "1", "long_name": "networks used"}
    return result


def successive_distances(
    layer: Layer, x0: Tensor, depths: Sequence[int], samples: int = 100, seed: int = 0, order: str = "backward", *, device: Any = None
) -> xr.Dataset:
    r"""Logarithm of the Euclidean distance between consecutive points of an orbit, far below rounding.

    Backward: :math:`\|T_1\cdots T_n(T_{n+1}x_0) - T_1\cdots T_n(x_0)\|`, carried as a difference through the layers, so
    a backward orbit is seen to converge at 1e-18 or 1e-180 alike. Forward: :math:`\|x_{n+1} - x_n\|`.

    Args:
        layer: a random layer acting on vectors.
        x0: one point, shape (N,).
        depths: increasing depths n, at least 1.
        samples: independent networks.
        seed: seed.
        order: ``"backward"`` or ``"forward"``.
        device: where to compute; if None where ``x0`` is, or the default device.

    Returns:
        Dataset with ``log_step`` and ``log_norm`` (of the point at depth n) over (``sample``, ``depth``).

    Source:
        Letac (1986); Diaconis and Freedman (1999).

    Example:
        >>> from deeplimits.layers.dense import Dense
        >>> T = Dense(width=4, activation="tanh", weight_std=0.5, bias_std=1.0)
        >>> steps = successive_distances(T, torch.zeros(4), [5, 50], samples=10).log_step.mean("sample")
        >>> bool(steps[1] < steps[0] - 10)
        True
    """
    import xarray as xr

    _checks.choice("order", order, ORDERS)
    listed = _check_depths(depths)
    samples = _checks.integer("samples", samples)
    x0 = _checks.last_dimension("x0", _checks.finite("x0", x0), layer.width)
    orbit = _Orbit(layer, None, x0, samples, seed, devices.place(device, x0))
    steps, norms = [], []
    if order == "forward":
        x = orbit.begin()[0]
        for l in range(1, listed[-1] + 1):
            x = orbit.map(l)(x)
            if l in listed:
                steps.append(torch.log(torch.linalg.vector_norm(orbit.map(l + 1)(x) - x, dim=-1)))
                norms.append(torch.log(torch.linalg.vector_norm(x, dim=-1)))
    else:
        for n in listed:
            x = orbit.begin()[0]
            d, gap = _unit(orbit.map(n + 1)(x) - x, torch.zeros(samples, 1, dtype=x.dtype, device=x.device))
            for l in range(n, 0, -1):
                x, d = orbit.map(l).pair(x, d, gap)
                d, gap = _unit(d, gap)
            steps.append(gap)
            norms.append(torch.log(torch.linalg.vector_norm(x, dim=-1)))
    data = {
        "log_step": (steps, "log distance of consecutive points"),
        "log_norm": (norms, "log norm"),
    }
    dims, unit = ("sample", "depth"), {"units": "nat"}
    data = {k: (dims, torch.cat(v, 1).cpu().numpy(), unit | {"long_name": name}) for k, (v, name) in data.items()}
    return xr.Dataset(data, coords={"depth": listed}, attrs={"order": order, "seed": seed, "samples": samples})


def _unit(d: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """A difference as a unit vector and the logarithm of its size."""
    size = torch.linalg.vector_norm(d, dim=-1)
    safe = torch.where(size > 0, size, torch.ones_like(size))
    return d / safe.unsqueeze(-1), gap + torch.log(size)
