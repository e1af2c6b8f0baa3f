r"""Distances that layers do not increase (Part I, *Layer maps and the distances they do not increase*).

Every metric is a :class:`Metric`: call it on two batches of points. The domains are

- vectors: :func:`lp`, :data:`span`; directions: :data:`angle`;
- positive vectors: :data:`thompson`, :data:`funk` (cone), :data:`hilbert` (rays);
- symmetric positive definite matrices: :data:`affine_invariant`, :data:`log_euclidean`, :data:`spd_thompson`, :data:`spd_hilbert`;
- the unit ball: :data:`poincare`, :data:`klein`;
- clouds: :data:`wasserstein`, :data:`wasserstein_1`; normal laws: :data:`gaussian_wasserstein`;
- probability laws: :data:`total_variation`, :data:`kl`; decision functions: :func:`sup`.

Example:
    >>> import torch
    >>> from deeplimits import metrics
    >>> g = torch.Generator().manual_seed(0)
    >>> x, y = metrics.thompson.sample(3, 5, g), metrics.thompson.sample(3, 5, g)
    >>> metrics.thompson(x, y).shape
    torch.Size([3])
"""

from __future__ import annotations

from deeplimits.metrics.base import Metric
from deeplimits.metrics.coefficients import birkhoff, dobrushin, projective_diameter
from deeplimits.metrics.cones import ConeMetric, funk, hilbert, thompson
from deeplimits.metrics.decisions import Waves, pull_back, sup
from deeplimits.metrics.gaussians import Gaussian
from deeplimits.metrics.hyperbolic import PoincareMetric, from_klein, klein, poincare, to_klein
from deeplimits.metrics.laws import LawMetric, kl, normal_total_variation, total_variation
from deeplimits.metrics.matrices import SPDMetric, affine_invariant, log_euclidean, spd_hilbert, spd_thompson
from deeplimits.metrics.semi_invariance import SemiInvariance, check_semi_invariance
from deeplimits.metrics.transport import Wasserstein, gaussian_wasserstein, wasserstein, wasserstein_1
from deeplimits.metrics.vectors import angle, lp, span

__all__ = [
    "ConeMetric",
    "Gaussian",
    "LawMetric",
    "Metric",
    "PoincareMetric",
    "SPDMetric",
    "SemiInvariance",
    "Wasserstein",
    "Waves",
    "affine_invariant",
    "angle",
    "birkhoff",
    "check_semi_invariance",
    "dobrushin",
    "from_klein",
    "funk",
    "gaussian_wasserstein",
    "hilbert",
    "kl",
    "klein",
    "log_euclidean",
    "lp",
    "normal_total_variation",
    "poincare",
    "projective_diameter",
    "pull_back",
    "span",
    "spd_hilbert",
    "spd_thompson",
    "sup",
    "thompson",
    "to_klein",
    "total_variation",
    "wasserstein",
    "wasserstein_1",
]
