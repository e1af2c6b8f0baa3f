"""The order parameter of a convolution with infinitely many channels (Part IV, *Directed percolation and convolutional networks*)."""

from __future__ import annotations

import numpy as np

from deeplimits import _checks
from deeplimits.meanfield.fixedpoints import arguments
from deeplimits.meanfield.maps import Unit, _at, rho_map


def rho_field(activation: Unit, rho: np.ndarray, weight_std: float, bias_std: float = 0.0, depth: int = 1, *, kernel: int = 3,
              slope: float | None = None, variance: float | None = None) -> np.ndarray:
    r"""The order parameter of a circular convolution in the limit of infinitely many channels.

    .. math:: \rho'(x) = \frac1k \sum_{|j| \le k/2} f\bigl(\rho(x + j)\bigr),

    with f the :func:`rho_map` of a dense layer: a reaction, then a diffusion. Both inputs have the same variance q at every
    site. Shared and fresh kernels have the same limit.

    Args:
        activation: a name or an activation.
        rho: one minus the correlation of the pre-activations at the sites of a ring, shape ``(sites,)``.
        weight_std: :math:`\sigma_w`, with kernel entries of variance :math:`\sigma_w^2/(Ck)`.
        bias_std: :math:`\sigma_b`.
        depth: number of layers.
        kernel: odd length k of the kernel.
        slope: slope of ``"leaky_relu"``.
        variance: the variance q; the fixed point :math:`q^*` if None.

    Returns:
        The field at depths 0 to ``depth``, shape ``(depth + 1, sites)``.

    Raises:
        ValueError: an even kernel, or an argument out of range.

    Source:
        Derived here; Xiao et al. (2018) for the covariance map of deep convolutional networks.

    Example:
        >>> field = rho_field("tanh", np.array([0.0, 0.0, 0.5, 0.0, 0.0]), 1.4, 0.3)
        >>> (field[1] > 0).tolist()
        [False, True, True, True, False]
    """
    depth, kernel = _checks.integer("depth", depth), _checks.integer("kernel", kernel)
    if kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, for a site in its middle; got {kernel}")
    start = np.asarray(rho, dtype=float)
    if start.ndim != 1 or not start.size:
        raise ValueError(f"rho must have shape (sites,); got {start.shape}")
    unit, weight, bias = arguments(activation, weight_std, bias_std, slope)
    q = _at(unit, variance, weight, bias)
    field = np.empty((depth + 1, start.size))
    field[0] = start
    for layer in range(depth):
        values, place = np.unique(field[layer], return_inverse=True)
        image = np.array([rho_map(unit, value, weight, bias, variance=q) for value in values])[place]
        field[layer + 1] = sum(np.roll(image, j) for j in range(-(kernel // 2), kernel // 2 + 1)) / kernel
    return field
