"""Pairs of inputs, and how far their difference has spread (Part IV, *Directed percolation and convolutional networks*)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks

if TYPE_CHECKING:
    import xarray

BACKGROUNDS = ("homogeneous", "inhomogeneous")


def input_pair(size: int, channels: int, background: str = "inhomogeneous", sites: int | None = None, *, amplitude: float | None = None,
               seed: int = 0, dtype: torch.dtype = torch.float64, device: Any = "cpu") -> torch.Tensor:
    r"""Two inputs of a one-dimensional convolutional network that differ at some sites and nowhere else.

    The reference is standard normal in each channel: the same at every site (``"homogeneous"``) or independent at each. The
    second input differs at ``sites`` consecutive sites in the middle: there it is fresh noise; or, with an ``amplitude``,
    the reference is zero in channel 0 and the second input normal of that size in it. So the difference keeps all its digits
    however small it is: 1e-300 serves for a Lyapunov exponent.

    Args:
        size: number of sites.
        channels: number of channels.
        background: ``"homogeneous"`` or ``"inhomogeneous"``.
        sites: how many sites differ; all if None.
        amplitude: size of the difference; None for a difference as large as the reference itself.
        seed: of the draw.
        dtype: float32 or float64.
        device: where the tensor lives.

    Returns:
        Tensor of shape ``(2, channels * size)``, channels first.

    Raises:
        ValueError: an argument out of range, or an amplitude with a single channel.

    Example:
        >>> x = input_pair(9, 2, "homogeneous", sites=1, amplitude=1e-300).reshape(2, 2, 9)
        >>> (x[0] != x[1]).nonzero().tolist(), x[0, 1].unique().numel()
        ([[0, 4]], 1)
    """
    size, channels = _checks.integer("size", size), _checks.integer("channels", channels)
    _checks.choice("background", background, BACKGROUNDS)
    sites = size if sites is None else _checks.integer("sites", sites)
    if sites > size:
        raise ValueError(f"sites must be at most size={size}; got {sites}")
    if amplitude is not None and (_checks.positive("amplitude", amplitude) and channels < 2):
        raise ValueError(f"amplitude needs at least two channels, for channel 0 of the reference is cleared; got channels={channels}")
    generator = torch.Generator(device="cpu").manual_seed(_checks.integer("seed", seed, minimum=0))
    fresh = torch.randn(2, channels, size, generator=generator, dtype=dtype, device="cpu")
    first = fresh[0] if background == "inhomogeneous" else fresh[0, :, :1].expand(channels, size).clone()
    where = slice((size - sites) // 2, (size - sites) // 2 + sites)
    second = first.clone()
    if amplitude is None:
        second[:, where] = fresh[1, :, where]
    else:
        first[0, where] = 0.0
        second[0, where] = amplitude * fresh[1, 0, where]
    return torch.stack([first, second]).flatten(1).to(device)


def spreading(field: xarray.DataArray, threshold: float, origin: int | None = None) -> xarray.Dataset:
    r"""Where a field on a ring exceeds a threshold: the number of such sites and how far they are from a seed.

    Args:
        field: dimensions sample, depth and one for the sites, such as ``local_rho`` of a run on one pair.
        threshold: sites above it are active.
        origin: place of the seed; the middle, as :func:`input_pair` puts it, if None.

    Returns:
        Dataset over sample and depth with ``active``, ``density`` and ``spread``, the sum over active sites of the squared
        distance from the seed: what :func:`averages`, :func:`local_slopes` and :func:`exponents` take. To analyse it as
        density runs, select ``[["density"]]``.

    Raises:
        ValueError: a field without sample or depth, or with more than one other dimension.

    Example:
        >>> import xarray as xr
        >>> field = xr.DataArray([[[0, 0, 1.0, 0, 0], [0, 0.5, 0, 1, 0]]], dims=("sample", "depth", "site"))
        >>> found = spreading(field, 0.1)
        >>> found.active.values.tolist(), found.spread.values.tolist()
        ([[1, 2]], [[0.0, 2.0]])
    """
    import xarray

    rest = [name for name in field.dims if name not in ("sample", "depth")]
    if len(rest) != 1 or field.ndim != 3:
        raise ValueError(f"field must have the dimensions sample, depth and one for the sites (select an input first); it has {field.dims}")
    threshold = _checks.nonnegative("threshold", threshold)
    size = field.sizes[rest[0]]
    origin = (size - 1) // 2 if origin is None else _checks.integer("origin", origin, minimum=0)
    away = np.abs(np.arange(size) - origin)
    square = xarray.DataArray(np.minimum(away, size - away).astype(float) ** 2, dims=rest[0])
    active = (field > threshold).drop_vars(rest[0], errors="ignore")
    count = active.sum(rest[0])
    found = xarray.Dataset({"active": count, "density": count / size, "spread": (active * square).sum(rest[0])}, attrs={"threshold": threshold} | dict(field.attrs))
    return found.transpose("sample", "depth")
