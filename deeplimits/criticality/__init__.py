"""Absorbing phase transitions of random deep networks: theory beside measurement (Part IV, *Universal scaling of wide networks*).

Theory: the expansion of the correlation map at its absorbing point, the universal curves of infinite width, the
constants of finite width and the one-parameter stochastic equation they lead to. Measurement: local slopes and data
collapses, with errors that resample networks.
"""

from __future__ import annotations

from .collapses import Collapse, collapse
from .curves import kinked_curve, logistic, universal_curve
from .expansions import Expansion, derivative, expansion
from .factors import MetricFactors, WidthConstants, critical_weight_std, metric_factors, width_constants
from .finitewidth import FiniteWidth, GammaLaw, activity_paths, finite_width, mean_activity, stationary_law
from .slopes import effective_exponent
from .summaries import summarize
from .tangent import TangentExponent, input_pair, tangent_exponent
from .widths import FiniteSizeCollapse, finite_size_collapse

__all__ = [
    "Collapse",
    "Expansion",
    "FiniteSizeCollapse",
    "FiniteWidth",
    "GammaLaw",
    "MetricFactors",
    "TangentExponent",
    "WidthConstants",
    "activity_paths",
    "collapse",
    "critical_weight_std",
    "derivative",
    "effective_exponent",
    "expansion",
    "finite_size_collapse",
    "finite_width",
    "input_pair",
    "kinked_curve",
    "logistic",
    "mean_activity",
    "metric_factors",
    "stationary_law",
    "summarize",
    "tangent_exponent",
    "universal_curve",
    "width_constants",
]
