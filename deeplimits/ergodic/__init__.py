"""Limits of random compositions: exponents, spectra, drift, order (Part II, *Deep limits*)."""

from __future__ import annotations

from .cones import birkhoff_bound, cone_distances, furstenberg_exponent, maxplus_drift
from .drifts import Estimate, drift, drift_curve, running_exponent, successive_distances
from .exponents import (
    LyapunovExponent,
    angle_collapse_exponent,
    angle_collapse_variance,
    critical_weight_std,
    lyapunov_exponent,
    newman_exponents,
    newman_variances,
    spd_drift,
)
from .horofunctions import followed_functional
from .spectra import LyapunovSpectrum, lyapunov_spectrum, product_log_singular_values

__all__ = [
    "Estimate",
    "LyapunovExponent",
    "LyapunovSpectrum",
    "angle_collapse_exponent",
    "angle_collapse_variance",
    "birkhoff_bound",
    "cone_distances",
    "critical_weight_std",
    "drift",
    "drift_curve",
    "followed_functional",
    "furstenberg_exponent",
    "lyapunov_exponent",
    "lyapunov_spectrum",
    "maxplus_drift",
    "newman_exponents",
    "newman_variances",
    "product_log_singular_values",
    "running_exponent",
    "spd_drift",
    "successive_distances",
]
