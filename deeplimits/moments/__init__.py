r"""Gaussian expectations and exact one-layer moments (Part II, *Lyapunov spectra*; Part IV, *The edge of chaos*).

Everything an initialization needs to know about a single random layer: expectations of activations of normal variables,
the mean and variance of the logarithm of one layer's gain, and the two critical weight standard deviations, that of
infinite width (:func:`critical_weight_std`) and that of a given width (:func:`lyapunov_weight_std`).
"""

from deeplimits.moments.critical import critical_variance, critical_weight_std
from deeplimits.moments.differences import difference_moment, versine_excess
from deeplimits.moments.expectations import (
    correlated_derivative_moment,
    correlated_moment,
    derivative_moment,
    gaussian_expectation,
    second_moment,
    second_moment_slope,
)
from deeplimits.moments.lognorm import homogeneous_slope, lyapunov_weight_std, mean_log_square, variance_log_square

__all__ = [
    "correlated_derivative_moment",
    "correlated_moment",
    "critical_variance",
    "critical_weight_std",
    "derivative_moment",
    "difference_moment",
    "gaussian_expectation",
    "homogeneous_slope",
    "lyapunov_weight_std",
    "mean_log_square",
    "second_moment",
    "second_moment_slope",
    "variance_log_square",
    "versine_excess",
]
