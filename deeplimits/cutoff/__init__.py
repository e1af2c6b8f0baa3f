"""The cut-off in depth: profiles, crossings, predictions, verdicts (Part III, *The cut-off*).

The definition follows Aldous and Diaconis (1986): along a *named* family the profile falls from one to zero
around a depth that grows without bound, within a window that is negligible beside that depth.
"""

from __future__ import annotations

from .chains import (
    EXPONENTIAL_RELATIVE_WIDTH,
    RECIPROCAL_RELATIVE_WIDTH,
    LinearGaussianChain,
    annealed_limit,
    limit_profile,
    linear_gaussian_chain,
    relu_alive,
    relu_death_depth,
)
from .curves import Location, envelope, locate, survival
from .families import Collapse, collapse, family
from .judgement import Trend, Verdict, verdict
from .predictions import Prediction, predict

__all__ = [
    "EXPONENTIAL_RELATIVE_WIDTH",
    "RECIPROCAL_RELATIVE_WIDTH",
    "Collapse",
    "LinearGaussianChain",
    "Location",
    "Prediction",
    "Trend",
    "Verdict",
    "annealed_limit",
    "collapse",
    "envelope",
    "family",
    "limit_profile",
    "linear_gaussian_chain",
    "locate",
    "predict",
    "relu_alive",
    "relu_death_depth",
    "survival",
    "verdict",
]
