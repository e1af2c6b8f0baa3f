"""The metric functional that a random product of matrices follows (Part II, *Metric functionals and the ergodic theorem*)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deeplimits import _checks
from deeplimits.engine.streams import stream
from deeplimits.layers.spd import Congruence

from .drifts import _check_depths
from .exponents import spd_length
from .spectra import product_log_singular_values

if TYPE_CHECKING:
    import xarray as xr

Tensor = torch.Tensor


def followed_functional(
    layer: Congruence, depths: Sequence[int], samples: int = 100, seed: int = 0, *, exponents: Any = None, extra: int = 100
) -> xr.Dataset:
    r"""The functional that sees the drift of congruences, along the backward orbit of the identity.

    With :math:`u(k) = M_1\cdots M_k` and :math:`A_k = u(k)u(k)^\top`, one backward pass of QR steps

    .. math:: M_l S_l = S_{l-1} R_l, \qquad l = n, \dots, 1, \quad S_n = I,

    gives :math:`S_0^\top u(k) S_k = R_1\cdots R_k`, upper triangular. So for the direction
    :math:`X = S_0\,\mathrm{diag}(x_1 \ge \dots \ge x_N)\,S_0^\top` the functional of :func:`deeplimits.functionals.spd` is

    .. math:: h(A_k) = -2\sum_i x_i \sum_{l \le k} \log |(R_l)_{ii}|,

    and no long product is formed. The frame :math:`S_0` converges exponentially as n grows.

    Args:
        layer: square congruences with Gaussian or orthogonal matrices.
        depths: increasing depths k.
        samples: independent products.
        seed: seed; the matrices are those of :func:`product_log_singular_values`.
        exponents: the Lyapunov exponents of the matrices, largest first, which give x up to scale
            (:func:`newman_exponents` for Gaussian matrices). None takes those measured at depth n, for each product.
        extra: layers beyond the last depth that fix the frame.

    Returns:
        Dataset with ``functional``, the values :math:`-h(A_k)`, and ``distance``, :math:`d(I, A_k)`, over (``sample``,
        ``depth``), and ``direction``, the matrices X.

    Raises:
        TypeError: depths that are not whole numbers.
        ValueError: depths that do not increase, or exponents that do not fit or are all zero.

    Source:
        Karlsson and Ledrappier (2006); Gouezel and Karlsson (2020).

    Example:
        >>> from deeplimits.layers.spd import Congruence
        >>> found = followed_functional(Congruence(3, weight_std=3**0.5), [20, 80], samples=4)
        >>> bool((found.functional <= found.distance).all())  # |h| is at most the distance
        True
    """
    import xarray as xr

    if not isinstance(layer, Congruence) or layer.width != layer.fan_in:
        raise TypeError(f"layer must be a square Congruence; got {layer!r}")
    listed = _check_depths(depths)
    samples = _checks.integer("samples", samples)
    logs, frame = _backward_pass(layer, listed[-1] + _checks.integer("extra", extra, minimum=0), samples, seed)
    x = _weights(exponents, logs)
    functional = 2 * (x[:, None] * logs.cumsum(1)).sum(-1)[:, np.asarray(listed) - 1]
    distance = [spd_length(product_log_singular_values(layer, k, samples, seed).numpy(), "affine_invariant") for k in listed]
    unit, dims = {"units": "nat"}, ("sample", "depth")
    data = {
        "functional": (dims, functional, unit | {"long_name": "minus the metric functional"}),
        "distance": (dims, np.stack(distance, 1), unit | {"long_name": "distance from the identity"}),
        "direction": (("sample", "row", "column"), (frame * x[:, None]) @ frame.swapaxes(-1, -2), {"units": "1"}),
    }
    return xr.Dataset(data, coords={"depth": listed}, attrs={"seed": seed, "samples": samples})


def _backward_pass(layer: Congruence, last: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """log |diag R_l|, shape (samples, last, N), and the frame S_0."""
    cpu = torch.device("cpu")
    frame = torch.eye(layer.width, dtype=torch.float64, device=cpu).expand(samples, -1, -1)
    logs = torch.empty(samples, last, layer.width, dtype=torch.float64, device=cpu)
    for l in range(last, 0, -1):
        matrices = layer.sample(stream(seed, l, 0, cpu), samples=samples, dtype=torch.float64).weight
        frame, r = torch.linalg.qr(matrices @ frame)
        logs[:, l - 1] = torch.log(torch.diagonal(r, dim1=-2, dim2=-1).abs())
    return logs.numpy(), frame.numpy()


def _weights(exponents: Any, logs: np.ndarray) -> np.ndarray:
    """The eigenvalues x of the direction, of norm one, shape (samples, N)."""
    x = logs.mean(1) if exponents is None else np.broadcast_to(np.asarray(exponents, dtype=float), (len(logs), np.size(exponents)))
    if x.shape[1] != logs.shape[-1] or ((np.diff(x) > 0).any() and exponents is not None):
        raise ValueError(f"exponents must be {logs.shape[-1]} numbers, largest first; got {exponents!r}")
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    if not (norm > 0).all():
        raise ValueError("exponents must not all be zero: the drift is zero and no direction is singled out")
    return x / norm
